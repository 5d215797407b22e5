package kafka

import (
	"context"
	"errors"
	"iter"
)

// A Batch is a run of messages of one partition, in the log's order, as [Consumer.Batches] lends it: at most 1,875, and not
// necessarily those that a producer sent together. It and all that its messages point to (keys, values, headers) are valid
// until its turn of the loop ends; then the memory is used for the next fetch, and Messages yields nothing.
type Batch struct {
	tp   TopicPartition
	msgs []Message // nil when the turn has ended
}

// TopicPartition gives the partition that the messages are of.
func (b *Batch) TopicPartition() TopicPartition { return b.tp }

// Len is the number of messages; 0 when the turn has ended.
func (b *Batch) Len() int { return len(b.msgs) }

// Messages ranges over the messages, by value. Within the turn it may be ranged over any number of times; after it, it yields
// nothing. To keep a message, [Message.Clone] it.
func (b *Batch) Messages() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for i := 0; i < len(b.msgs); i++ { // the turn may end within the loop
			if !yield(b.msgs[i]) {
				return
			}
		}
	}
}

// Batches ranges over batches of messages, waiting for them as GetOne does: the fast path. The memory of a batch is lent until
// the turn of the loop ends, also by break and also after a revoke, and used again, so that hardly anything is allocated.
// Each loop owns the memory of its turn; several may run at a time.
//
// The position moves by the batch, which is settled for autocommit when the loop asks for the next one; a batch that the
// loop was left on is not. Errors come as from [Consumer.All]: with a nil batch, and the loop may go on after them. When ctx
// ends, it yields ctx.Err() last; on Stop it just ends. FromPartitions chooses partitions; once one of them is not assigned
// any more, [ErrIllegalState] is the last. UpTo and WaitFor are an ErrIllegalState, too.
func (c *Consumer) Batches(ctx context.Context, opts ...GetOption) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		o := collect(opts)
		if o.waitSet || o.upToSet {
			tellLast(yield, c.illegalOption("Batches", "WaitFor and UpTo are for GetMany"))
			return
		}
		defer c.sub.budget.reuse()()
		for {
			batch, mem, err := c.nextBatch(ctx, o)
			if err != nil && (c.endsLoop(ctx, err) || errors.Is(err, ErrIllegalState) && !ofUserCode(err)) {
				tellLast(yield, err)
				return
			}
			if !c.turn(yield, batch, mem, err) {
				return
			}
		}
	}
}

// nextBatch waits for a batch; mem is what it lends.
func (c *Consumer) nextBatch(ctx context.Context, o getOptions) (batch *Batch, mem *chunk, err error) {
	err = c.get(ctx, "Batches", o, func(only []*partition) bool {
		var tp TopicPartition
		if tp, mem = c.sub.takeBatch(only); mem == nil {
			return false
		}
		c.sub.byIterator = true
		batch = &Batch{tp: tp, msgs: mem.msgs}
		return true
	})
	return batch, mem, err
}

// turn is one turn of a Batches loop. However it ends, the batch ends with it.
func (c *Consumer) turn(yield func(*Batch, error) bool, batch *Batch, mem *chunk, err error) bool {
	if batch != nil {
		defer func() {
			batch.msgs = nil
			mem.letGo(c.sub.budget)
		}()
	}
	return yield(batch, err)
}
