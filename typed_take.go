package kafka

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// This file hands out decoded messages. User code decodes them without a lock, while they are still in the buffers; they
// are taken afterwards, under the same check as all others, so that nothing of a partition is handed out that was revoked,
// sought or paused meanwhile.

// A peek is messages of one partition that can be handed out.
type peek struct {
	p    *partition
	msgs []*Message
	// What must still hold when they are taken.
	epoch    uint64
	position int64
}

// peekOwed gives the next message of a partition owed, without taking it; where there is none, what next gives.
func (s *subscription) peekOwed(only []*partition, owed []TopicPartition, next func(only []*partition) []peek) []peek {
	if s.listening > 0 {
		return nil
	}
	s.release(only)
	for _, tp := range owed {
		if p := s.partitions[tp]; p != nil && p.deliverable() && (only == nil || slices.Contains(only, p)) {
			p.turn--
			return []peek{p.peek(1)}
		}
	}
	return next(only)
}

// peekOne gives the message that takeOne would take. Here and below, what is peeked counts as given for the partition's turn, so that the
// turns are those of the other calls.
func (s *subscription) peekOne(only []*partition) []peek {
	p := s.nextInTurn(only)
	if p == nil {
		return nil
	}
	p.turn--
	return []peek{p.peek(1)}
}

// peekMany gives the messages that takeMany would take.
func (s *subscription) peekMany(only []*partition, n int) []peek {
	var parts []*partition // in turn
	counts := make(map[*partition]int)
	s.shareOut(only, n, func(p *partition, n int) int {
		have := counts[p]
		if have == 0 {
			parts = append(parts, p)
		}
		got := min(n, p.buf.ahead()-have)
		counts[p] += got
		p.gated = got < n // as it would be out of messages
		return got
	})
	out := make([]peek, len(parts))
	for i, p := range parts {
		if p.gated {
			p.gated = false
			s.enqueue(p)
		}
		out[i] = p.peek(counts[p])
	}
	return out
}

// peek gives up to n messages from the front of the buffer.
func (p *partition) peek(n int) peek {
	out := peek{p: p, epoch: p.epoch, position: p.position}
	next := p.position
	for _, seg := range p.buf.segments {
		for _, c := range seg.chunks {
			c.kept = true // user code reads it without a lock
			for i := c.taken; i < len(c.msgs) && len(out.msgs) < n; i++ {
				if m := &c.msgs[i]; m.Offset >= next { // as when they are taken
					out.msgs = append(out.msgs, m)
					next = m.Offset + 1
				}
			}
		}
		if len(out.msgs) >= n || !seg.parsed || seg.err != nil {
			break
		}
	}
	return out
}

// take hands out the first n messages of a peek, if nothing has come between; it reports whether it did.
func (s *subscription) take(k peek, n int) bool {
	p := k.p
	if n == 0 || p.epoch != k.epoch || p.position != k.position || !p.deliverable() || s.listening > 0 {
		return false
	}
	if len(p.peek(n).msgs) < n {
		return false // the rest was given up for room meanwhile
	}
	for range n {
		s.takeFrom(p)
	}
	return true
}

// GetOne is Consumer.GetOne, decoded.
func (t *TypedConsumer[K, V]) GetOne(ctx context.Context, opts ...GetOption) (*TypedMessage[K, V], error) {
	o, err := t.c.oneOptions(opts)
	if err != nil {
		return nil, err
	}
	return t.getOne(ctx, o, false)
}

func (t *TypedConsumer[K, V]) getOne(ctx context.Context, o getOptions, iterator bool) (*TypedMessage[K, V], error) {
	got, err := t.get(ctx, oneCall(iterator), o, t.c.sub.peekOne, iterator)
	if err != nil {
		return nil, err
	}
	for _, msgs := range got {
		return msgs[0], nil
	}
	return nil, errors.New("kafka: GetOne: no message") // not reached: get has one where it has no error
}

// GetMany is Consumer.GetMany, decoded. Of a partition with a message that cannot be decoded, those before it come first,
// and the error with the next call.
func (t *TypedConsumer[K, V]) GetMany(ctx context.Context, opts ...GetOption) (map[TopicPartition][]*TypedMessage[K, V], error) {
	o, n, err := t.c.manyOptions(opts)
	if err != nil {
		return nil, err
	}
	return t.get(ctx, "GetMany", o, func(only []*partition) []peek { return t.c.sub.peekMany(only, n) }, false)
}

// get peeks, decodes and takes, until there is something, or a reason to stop.
func (t *TypedConsumer[K, V]) get(ctx context.Context, call string, o getOptions, next func(only []*partition) []peek, iterator bool) (map[TopicPartition][]*TypedMessage[K, V], error) {
	s := t.c.sub
	for giveUp := time.Now().Add(o.wait); ; o.wait = max(0, min(o.wait, time.Until(giveUp))) {
		var peeks []peek
		owed := t.takeOwed()
		err := t.c.get(ctx, call, o, func(only []*partition) bool {
			o.resolved = only
			peeks = s.peekOwed(only, owed, next)
			return len(peeks) > 0
		})
		if err != nil || len(peeks) == 0 {
			t.owe(owed...)
			return map[TopicPartition][]*TypedMessage[K, V]{}, err
		}
		out := make(map[TopicPartition][]*TypedMessage[K, V], len(peeks))
		var failed *DeserializationError
		for _, k := range peeks {
			msgs, bad := t.decode(ctx, k.msgs)
			if bad != nil && ctx.Err() != nil { // as likely the caller's doing as the message's: it stays where it is
				t.owe(owed...)
				return nil, ctx.Err()
			}
			if bad != nil && len(msgs) == 0 && len(peeks) == 1 {
				failed = bad
				break
			}
			if bad != nil {
				t.owe(k.p.tp)
			}
			if len(msgs) > 0 {
				out[k.p.tp] = msgs
			}
		}
		if taken := t.takeDecoded(peeks, out, failed != nil, iterator); failed != nil && taken {
			return nil, failed
		}
		if len(out) > 0 {
			return out, nil
		}
	}
}

// takeDecoded takes what was decoded, and drops from out what has gone meanwhile; with failed, the one message that could
// not be decoded, so that the position is past it. It reports whether anything was taken.
func (t *TypedConsumer[K, V]) takeDecoded(peeks []peek, out map[TopicPartition][]*TypedMessage[K, V], failed, iterator bool) bool {
	s := t.c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed {
		taken := s.take(peeks[0], 1)
		s.byIterator = iterator && taken
		return taken
	}
	for _, k := range peeks {
		if !s.take(k, len(out[k.p.tp])) {
			delete(out, k.p.tp)
		}
	}
	s.byIterator = iterator && len(out) > 0
	return len(out) > 0
}

// decode decodes messages up to the first that cannot be.
func (t *TypedConsumer[K, V]) decode(ctx context.Context, msgs []*Message) (out []*TypedMessage[K, V], bad *DeserializationError) {
	for _, m := range msgs {
		k, err := deserialize(ctx, t.key, m, KeySide, m.Key)
		var v V
		if err == nil {
			v, err = deserialize(ctx, t.value, m, ValueSide, m.Value)
		}
		if err != nil {
			bad, _ = errors.AsType[*DeserializationError](err) // deserialize gives no others
			return out, bad
		}
		out = append(out, &TypedMessage[K, V]{Message: m, Key: k, Value: v})
	}
	return out, nil
}

// takeOwed takes the one that is owed longest; none, where none is.
func (t *TypedConsumer[K, V]) takeOwed() []TopicPartition {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(1, len(t.owed))
	owed := t.owed[:n:n]
	t.owed = t.owed[n:]
	return owed
}

func (t *TypedConsumer[K, V]) owe(tps ...TopicPartition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tp := range tps {
		if !slices.Contains(t.owed, tp) {
			t.owed = append(t.owed, tp)
		}
	}
}

// All is Consumer.All, decoded.
func (t *TypedConsumer[K, V]) All(ctx context.Context) iter.Seq2[*TypedMessage[K, V], error] {
	return t.all(ctx)
}

func (t *TypedConsumer[K, V]) all(ctx context.Context) iter.Seq2[*TypedMessage[K, V], error] {
	return func(yield func(*TypedMessage[K, V], error) bool) {
		for {
			m, err := t.getOne(ctx, getOptions{}, true)
			if err != nil && t.c.endsLoop(ctx, err) {
				tellLast(yield, err)
				return
			}
			if !yield(m, err) {
				return
			}
		}
	}
}
