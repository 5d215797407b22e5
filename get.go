package kafka

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A GetOption narrows one call of GetOne or GetMany.
type GetOption func(*getOptions)

type getOptions struct {
	partitions []TopicPartition
	wait       time.Duration
	waitSet    bool
	upTo       int
	upToSet    bool
	resolved   []*partition // what partitions stand for, once that is known
}

// FromPartitions takes messages of the named partitions only; others keep their buffered messages. With none named, it
// is all. A named partition that is not assigned once the consumer has an assignment, or is lost while the call waits,
// is an [ErrIllegalState].
func FromPartitions(tps ...TopicPartition) GetOption {
	return func(o *getOptions) { o.partitions = append([]TopicPartition(nil), tps...) }
}

// WaitFor makes GetMany give up after d, with an empty map and a nil error. 0 takes only what is buffered.
func WaitFor(d time.Duration) GetOption {
	return func(o *getOptions) { o.wait, o.waitSet = d, true }
}

// UpTo makes GetMany return at most n messages in all, n at least 1. Default: WithMaxPollRecords.
func UpTo(n int) GetOption {
	return func(o *getOptions) { o.upTo, o.upToSet = n, true }
}

// GetOne hands out the next message. It blocks until there is one, ctx ends, the consumer is stopped, or there is an
// error to tell that does not pass by itself; transient failures are retried inside. Partitions that have messages take
// turns.
func (c *Consumer) GetOne(ctx context.Context, opts ...GetOption) (*Message, error) {
	if len(opts) > 0 {
		return c.getOne(ctx, opts, false)
	}
	return c.next(ctx, false)
}

// next is GetOne without options. iterator says that the message goes to the body of a loop, which settles it by coming
// round.
func (c *Consumer) next(ctx context.Context, iterator bool) (*Message, error) {
	if ctx.Err() != nil {
		return nil, c.endedAtOnce(ctx)
	}
	s := c.sub
	if m := s.mu.run.Load().take(iterator); m != nil {
		return m, nil
	}
	s.mu.Lock()
	if c.state.Load() == stateRunning && s.listening == 0 && !s.parked && (s.calls == 0 || s.warnedOverlap || !s.settles) {
		s.beginTurn()
		if p, m := s.takeOne(nil); m != nil {
			s.byIterator = iterator
			s.beginRun(p, iterator)
			s.mu.Unlock()
			return m, nil
		}
	}
	s.mu.Unlock()
	return c.getOne(ctx, nil, iterator)
}

func (c *Consumer) getOne(ctx context.Context, opts []GetOption, iterator bool) (*Message, error) {
	o, err := c.oneOptions(opts)
	if err != nil {
		return nil, err
	}
	var m *Message
	err = c.get(ctx, oneCall(iterator), o, func(only []*partition) bool {
		_, m = c.sub.takeOne(only)
		c.sub.byIterator = iterator && m != nil
		return m != nil
	})
	return m, err
}

// oneCall names the call that takes a message, for errors.
func oneCall(iterator bool) string {
	if iterator {
		return "All" // or Messages, whose ctx is no listener's
	}
	return "GetOne"
}

// collect applies options. It is apart from its callers so that a call without any allocates nothing for them.
func collect(opts []GetOption) getOptions {
	var o getOptions
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
}

// illegalOption is for an option that makes no sense; what the consumer's state has to say comes first.
func (c *Consumer) illegalOption(call, why string, args ...any) error {
	if err := c.running(); err != nil {
		return err
	}
	return illegalState(call, why, args...)
}

// oneOptions reads the options of a GetOne.
func (c *Consumer) oneOptions(opts []GetOption) (o getOptions, err error) {
	if len(opts) > 0 {
		o = collect(opts)
	}
	if o.waitSet || o.upToSet {
		err = c.illegalOption("GetOne", "WaitFor and UpTo are for GetMany")
	}
	return o, err
}

// GetMany hands out the messages that are there, up to WithMaxPollRecords or UpTo, as soon as there is at least one;
// each partition's are in order. Without WaitFor it blocks as GetOne does.
func (c *Consumer) GetMany(ctx context.Context, opts ...GetOption) (map[TopicPartition][]*Message, error) {
	o, n, err := c.manyOptions(opts)
	if err != nil {
		return nil, err
	}
	out := make(map[TopicPartition][]*Message)
	err = c.get(ctx, "GetMany", o, func(only []*partition) bool {
		c.sub.takeMany(only, n, out)
		return len(out) > 0
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// manyOptions reads the options of a GetMany; n is how many messages it may return.
func (c *Consumer) manyOptions(opts []GetOption) (o getOptions, n int, err error) {
	if len(opts) > 0 {
		o = collect(opts)
	}
	n = c.cfg.maxPollRecords
	switch {
	case o.upToSet && o.upTo < 1:
		err = c.illegalOption("GetMany", "UpTo(%d): must be at least 1", o.upTo)
	case o.waitSet && o.wait < 0:
		err = c.illegalOption("GetMany", "WaitFor(%v): must not be negative", o.wait)
	case o.upToSet:
		n = o.upTo
	case n == 0:
		n = math.MaxInt
	}
	return o, n, err
}

// get runs take until it has something, or there is a reason to stop.
func (c *Consumer) get(ctx context.Context, call string, o getOptions, take func(only []*partition) bool) error {
	if ctx.Err() != nil {
		return c.endedAtOnce(ctx)
	}
	s := c.sub
	var w *waiter // made when there is nothing: sleeping costs more than taking
	s.mu.Lock()
	if s.listening > 0 && c.insideListener(ctx) {
		s.mu.Unlock()
		return illegalState(call, "it was called from a rebalance listener, for which it would wait")
	}
	overlap := c.callBegins()
	for {
		done, again, err := c.tryGet(ctx, call, &o, take)
		if done {
			s.calls--
			s.dismiss(w)
			s.mu.Unlock()
			if overlap {
				c.warnOverlap()
			}
			return err
		}
		if w == nil {
			w = s.newWaiter(&o)
		}
		w.only, w.woken = o.resolved, false
		s.waiters = append(s.waiters, w)
		s.callWaits()
		s.mu.Unlock()
		if overlap {
			c.warnOverlap()
			overlap = false
		}
		err, done = w.sleep(ctx, c.stopping, again)
		s.mu.Lock()
		s.waiters = slices.DeleteFunc(s.waiters, func(x *waiter) bool { return x == w })
		if done {
			s.calls--
			s.dismiss(w)
			s.mu.Unlock()
			return err
		}
	}
}

// endedAtOnce is for a call whose ctx has ended before it began. It takes nothing, but it is a call: what was handed out
// before is settled, so that a loop whose ctx ends while its body runs has that message settled by coming round. A listener's calls
// settle nothing: the application may be in the middle of a message.
func (c *Consumer) endedAtOnce(ctx context.Context) error {
	if err := c.running(); err != nil {
		return err
	}
	if c.insideListener(ctx) {
		return ctx.Err()
	}
	c.sub.mu.Lock()
	c.sub.beginTurn()
	c.sub.mu.Unlock()
	return ctx.Err()
}

// tryGet is one look at what there is; again is when to look next at the latest, for an error to be told again. Called
// with the mutex held.
func (c *Consumer) tryGet(ctx context.Context, call string, o *getOptions, take func(only []*partition) bool) (done bool, again time.Duration, err error) {
	s := c.sub
	if err := c.running(); err != nil {
		return true, 0, err
	}
	known, err := s.resolve(call, o)
	if err != nil {
		return true, 0, err
	}
	if known && take(o.resolved) {
		return true, 0, nil
	}
	again, err = s.tell(o.resolved, time.Now(), c.cfg.backoffMax)
	if err != nil {
		return true, 0, err
	}
	if o.waitSet && o.wait == 0 {
		s.polled = &waiter{only: o.resolved}
		s.callWaits()
		return true, 0, nil
	}
	return false, again, nil
}

// newWaiter makes the waiter of a call that is about to sleep for the first time, of one that another call has left. Called with the
// mutex held.
func (s *subscription) newWaiter(o *getOptions) *waiter {
	w := s.idle
	if s.idle = nil; w == nil {
		w = &waiter{ch: make(chan struct{}, 1)}
	}
	w.until = time.Time{}
	if o.waitSet {
		w.until = time.Now().Add(o.wait)
	}
	return w
}

// dismiss leaves a waiter that is in waiters no more to the next call. Called with the mutex held.
func (s *subscription) dismiss(w *waiter) {
	if w == nil {
		return
	}
	select {
	case <-w.ch: // a wake that came too late
	default:
	}
	w.only = nil
	s.idle = w
}

// callBegins settles what was handed out before. Where calls overlap that cannot be right, as each settles what another's
// caller still works on: it reports whether that is to be warned of now. Called with the mutex held.
func (c *Consumer) callBegins() (overlap bool) {
	s := c.sub
	s.beginTurn()
	s.polled = nil
	s.calls++
	if s.parked {
		s.parked = false
		c.group.post(evPolled{})
	}
	overlap = s.calls > 1 && s.settles && !s.warnedOverlap
	s.warnedOverlap = s.warnedOverlap || overlap
	return overlap
}

func (c *Consumer) warnOverlap() {
	c.log.Warn("kafka: Get calls overlap while autocommit is on: each settles the messages of the others, and a crash may lose them; turn WithAutoCommit off and commit by hand",
		"group", c.cfg.groupID)
}

// sleep waits until the call is woken; done says that it is to end, with err.
func (w *waiter) sleep(ctx context.Context, stopping <-chan struct{}, again time.Duration) (err error, done bool) {
	var retell, giveUp <-chan time.Time
	if again > 0 {
		t := time.NewTimer(again)
		defer t.Stop()
		retell = t.C
	}
	if !w.until.IsZero() {
		t := time.NewTimer(time.Until(w.until))
		defer t.Stop()
		giveUp = t.C
	}
	select {
	case <-w.ch:
	case <-retell:
	case <-giveUp:
		return nil, true
	case <-ctx.Done():
		return ctx.Err(), true
	case <-stopping:
		return ErrConsumerStopped, true
	}
	return nil, false
}

// resolve finds the partitions that a call names, unless an earlier round of it has; false until there is a first assignment: the call
// waits.
func (s *subscription) resolve(call string, o *getOptions) (known bool, err error) {
	switch {
	case len(o.partitions) == 0:
		return true, nil
	case o.resolved != nil:
		for _, p := range o.resolved {
			if p.gone {
				return false, illegalState(call, "partition %v was lost while the call waited", p.tp)
			}
		}
		return true, nil
	case !s.assigned:
		return false, nil
	}
	o.resolved, err = s.named(call, o.partitions)
	return err == nil, err
}

// Messages ranges over messages, waiting for them as GetOne does. The loop ends at the first error or on Stop;
// [Consumer.Err] tells why.
func (c *Consumer) Messages() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		c.setErr(nil)
		for {
			m, err := c.next(context.Background(), true)
			if err != nil {
				if err != ErrConsumerStopped {
					c.setErr(err)
				}
				return
			}
			if !yield(m) {
				return
			}
		}
	}
}

// Err is why the last Messages loop ended: nil if that was Stop, or the loop itself.
func (c *Consumer) Err() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return c.loopErr
}

func (c *Consumer) setErr(err error) {
	c.errMu.Lock()
	c.loopErr = err
	c.errMu.Unlock()
}

// All ranges over messages and errors. An error comes with a nil message, and the loop may go on after it: what passes
// by itself is retried inside, what lasts is told again, never faster than WithRetryBackoff's max. When ctx ends, it
// yields ctx.Err() last; a fenced group instance id is the last, too; on Stop it just ends.
func (c *Consumer) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := c.next(ctx, true)
			if err != nil && c.endsLoop(ctx, err) {
				tellLast(yield, err)
				return
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// endsLoop says whether a loop over messages and errors ends with the error, as every later call would tell the same. The sentinels are
// compared as they are: the error of a listener or a deserializer may wrap those of another consumer.
func (c *Consumer) endsLoop(ctx context.Context, err error) bool {
	return err == ErrConsumerStopped || err == ErrNotStarted || err == ctx.Err() || fatal(err) || c.insideListener(ctx)
}

// tellLast yields the error that ends a loop; Stop just ends it.
func tellLast[T any](yield func(T, error) bool, err error) {
	if err != ErrConsumerStopped {
		var none T
		yield(none, err)
	}
}

// fatal says whether the membership ended for good.
func fatal(err error) bool { return errors.Is(err, protocol.FencedInstanceID) && !ofUserCode(err) }

// ofUserCode says whether err is what user code failed with: what it wraps says nothing of this consumer.
func ofUserCode(err error) bool {
	var listener *ListenerError
	var deserialization *DeserializationError
	return errors.As(err, &listener) || errors.As(err, &deserialization)
}
