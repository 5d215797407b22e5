package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A RebalanceListener is told when partitions come and go. Calls come one at a time, from one goroutine of the
// consumer's, revoked before assigned, and never with an empty list. While one runs, GetOne and GetMany wait; Commit,
// Seek, Position, Committed, Pause and the offset queries work inside it. Nothing of a new partition is handed out before
// OnPartitionsAssigned has returned. ctx ends when the rebalance timeout does; a Get call, Unsubscribe or Stop made with it
// is ErrIllegalState, where it would wait for itself.
//
// An error or a panic is returned by the next Get call as a [*ListenerError], whose Err has a panic's stack when it is
// printed with %+v. After one in OnPartitionsAssigned the partitions concerned are not consumed until they are sought or
// assigned again.
//
// A listener may also have OnPartitionsLost, of the same form, for partitions that are gone already, so that nothing can
// be committed for them. Without it they go to OnPartitionsRevoked.
type RebalanceListener interface {
	OnPartitionsRevoked(ctx context.Context, c *Consumer, revoked []TopicPartition) error
	OnPartitionsAssigned(ctx context.Context, c *Consumer, assigned []TopicPartition) error
}

// lostListener is the part of a listener that need not be there.
type lostListener interface {
	OnPartitionsLost(ctx context.Context, c *Consumer, lost []TopicPartition) error
}

// RebalanceFuncs is a RebalanceListener made of functions; those that are nil do nothing, and without Lost, lost
// partitions go to Revoked.
type RebalanceFuncs struct {
	Revoked, Assigned, Lost func(ctx context.Context, c *Consumer, tps []TopicPartition) error
}

// OnPartitionsRevoked calls Revoked.
func (f RebalanceFuncs) OnPartitionsRevoked(ctx context.Context, c *Consumer, revoked []TopicPartition) error {
	if f.Revoked == nil {
		return nil
	}
	return f.Revoked(ctx, c, revoked)
}

// OnPartitionsAssigned calls Assigned.
func (f RebalanceFuncs) OnPartitionsAssigned(ctx context.Context, c *Consumer, assigned []TopicPartition) error {
	if f.Assigned == nil {
		return nil
	}
	return f.Assigned(ctx, c, assigned)
}

// OnPartitionsLost calls Lost, or Revoked where there is none.
func (f RebalanceFuncs) OnPartitionsLost(ctx context.Context, c *Consumer, lost []TopicPartition) error {
	if f.Lost == nil {
		return f.OnPartitionsRevoked(ctx, c, lost)
	}
	return f.Lost(ctx, c, lost)
}

// hearsRevoked says whether a listener does anything when partitions are revoked.
func hearsRevoked(l RebalanceListener) bool {
	switch f := l.(type) {
	case RebalanceFuncs:
		return f.Revoked != nil
	case *RebalanceFuncs:
		return f.Revoked != nil
	}
	return true
}

// A SubscribeOption belongs to one call of Subscribe or SubscribePattern.
type SubscribeOption func(*subscribeOptions)

type subscribeOptions struct{ listener RebalanceListener }

// WithListener has l told when partitions of this subscription come and go.
func WithListener(l RebalanceListener) SubscribeOption {
	return func(o *subscribeOptions) { o.listener = l }
}

// The names of the callbacks, as ListenerError has them.
const (
	onRevoked  = "OnPartitionsRevoked"
	onAssigned = "OnPartitionsAssigned"
	onLost     = "OnPartitionsLost"
)

// A listenerCall is one call of a listener, in the queue.
type listenerCall struct {
	ctx      context.Context // what its ctx is made from
	until    time.Time       // when its ctx ends
	listener RebalanceListener
	callback string
	parts    []TopicPartition // sorted
	after    func()           // what its return brings about, with sub.mu held; nil: nothing
	done     chan struct{}    // closed when it has returned
}

// A listenerQueue is the calls that one Start has led to. One that is left behind with a call that hangs goes on with what is in
// it when that returns, and then touches nothing of a later Start; the next queue begins after it, for calls come one at a time.
type listenerQueue struct {
	before *listenerQueue  // nil: none, or it has ended; guarded by sub.mu
	calls  []*listenerCall // guarded by sub.mu
	now    *listenerCall   // that runs; nil: none does; guarded by sub.mu
	work   chan struct{}   // cap 1
	stop   chan struct{}   // closed when no more calls come
	ended  chan struct{}   // closed when the last call has returned
}

func newListenerQueue(before *listenerQueue) *listenerQueue {
	return &listenerQueue{before: before, work: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
}

// listenerKey marks the ctx that a listener is called with.
type listenerKey struct{}

// insideListener says whether ctx is one that a listener of this consumer was called with.
func (c *Consumer) insideListener(ctx context.Context) bool {
	owner, _ := ctx.Value(listenerKey{}).(*Consumer)
	return owner == c
}

// callListener queues a call, or gives nil where there is nobody to call or nothing to tell. Get calls hand nothing out
// until it has returned. Called with sub.mu held.
func (c *Consumer) callListener(l RebalanceListener, callback string, parts []TopicPartition) *listenerCall {
	return c.callListenerUntil(context.Background(), time.Now().Add(c.rebalanceTimeout()), l, callback, parts)
}

// callListenerUntil is callListener for a call whose time has begun before, or may end sooner. Called with sub.mu held.
func (c *Consumer) callListenerUntil(ctx context.Context, until time.Time, l RebalanceListener, callback string, parts []TopicPartition) *listenerCall {
	q := c.listeners
	if l == nil || len(parts) == 0 || q == nil {
		return nil
	}
	call := &listenerCall{ctx: ctx, until: until, listener: l, callback: callback, parts: slices.Clone(parts), done: make(chan struct{})}
	slices.SortFunc(call.parts, compareTopicPartitions)
	c.sub.listening++
	q.calls = append(q.calls, call)
	kick(q.work)
	return call
}

// listenerLoop makes the calls of a queue. It ends with the queue once the consumer has stopped; a callback that hangs is left
// behind with it.
func (c *Consumer) listenerLoop(q *listenerQueue) {
	ended := false
	defer func() {
		if ended {
			close(q.ended)
		} else {
			go c.listenerLoop(q) // a callback has ended its goroutine (runtime.Goexit); it ends as this one would have
		}
	}()
	if !c.followsBefore(q) {
		ended = true
		return
	}
	for {
		c.sub.mu.Lock()
		var call *listenerCall
		if len(q.calls) > 0 {
			call = q.calls[0]
			q.calls = q.calls[1:]
			q.now = call
		}
		c.sub.mu.Unlock()
		if call == nil {
			select {
			case <-q.work:
				continue
			case <-q.stop:
				ended = true
				return
			}
		}
		c.runListener(q, call)
	}
}

// startListener makes the queue of a Start, and starts its goroutine.
func (c *Consumer) startListener() {
	q := newListenerQueue(c.listenersPast)
	c.sub.mu.Lock()
	c.listeners, c.listenersPast = q, nil
	c.sub.mu.Unlock()
	go c.listenerLoop(q) // ends after q.stop is closed; stopListener waits for it
}

// stopListener waits for the listener's goroutine; one that hangs in user code is named and left behind.
func (c *Consumer) stopListener(ctx context.Context) error {
	c.sub.mu.Lock()
	q := c.listeners
	c.sub.mu.Unlock()
	close(q.stop)
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
	}
	c.sub.mu.Lock()
	hangs, follows := q.now, q.before != nil
	c.sub.mu.Unlock()
	if hangs == nil && !follows && endsSoon(ctx, q.ended) { // it only has to notice
		return nil
	}
	c.callback.Store(false) // it lets no call in any more
	if hangs == nil {
		return fmt.Errorf("the rebalance listener of an earlier start hangs: %w", ctx.Err())
	}
	return fmt.Errorf("%s of the rebalance listener hangs and is left behind: %w", hangs.callback, ctx.Err())
}

// awaitListener waits until no call of the listener is out; its error names one that still is when ctx ends.
func (c *Consumer) awaitListener(ctx context.Context) error {
	c.sub.mu.Lock()
	calls := c.callsOut()
	c.sub.mu.Unlock()
	for _, call := range calls {
		select {
		case <-call.done:
		case <-ctx.Done():
			return fmt.Errorf("%s of the rebalance listener has not returned: %w", call.callback, ctx.Err())
		}
	}
	return nil
}

// loseWhatWasTold tells the listener that the partitions of which it was told are gone, when nothing can be committed for them
// any more. Called with sub.mu held.
func (c *Consumer) loseWhatWasTold(ctx context.Context, until time.Time) []*listenerCall {
	if !c.sub.kind.following() {
		return nil
	}
	lost := make(map[TopicPartition]*partition)
	for tp, p := range c.sub.partitions {
		if told := c.group == nil && p.dropped != nil; !p.revoking && !told {
			lost[tp] = p
		}
	}
	return c.tellGone(ctx, until, onLost, lost)
}

// callsOut gives the calls that have not returned yet. Called with sub.mu held.
func (c *Consumer) callsOut() (calls []*listenerCall) {
	q := c.listeners
	if q == nil {
		return nil
	}
	if q.now != nil {
		calls = append(calls, q.now)
	}
	return append(calls, q.calls...)
}

// tellGone queues the calls for partitions that go. What a Subscribe has dropped, the listener of before it is to hear, and first.
// Called with sub.mu held.
func (c *Consumer) tellGone(ctx context.Context, until time.Time, callback string, parts map[TopicPartition]*partition) (calls []*listenerCall) {
	type hearer struct {
		l   RebalanceListener
		tps []TopicPartition
	}
	stay, dropped := hearer{l: c.sub.listener}, make(map[uint64]*hearer)
	for tp, p := range parts {
		h := &stay
		if d := p.dropped; d != nil {
			if h = dropped[d.seq]; h == nil {
				h = &hearer{l: d.told}
				dropped[d.seq] = h
			}
		}
		h.tps = append(h.tps, tp)
	}
	hearers := make([]*hearer, 0, len(dropped)+1)
	for _, seq := range slices.Sorted(maps.Keys(dropped)) {
		hearers = append(hearers, dropped[seq])
	}
	for _, h := range append(hearers, &stay) {
		if call := c.callListenerUntil(ctx, until, h.l, callback, h.tps); call != nil {
			calls = append(calls, call)
		}
	}
	return calls
}

// followsBefore waits for the queue before to end. False: this one has ended sooner, with nothing in it.
func (c *Consumer) followsBefore(q *listenerQueue) bool {
	c.sub.mu.Lock()
	before := q.before
	c.sub.mu.Unlock()
	if before == nil {
		return true
	}
	select {
	case <-before.ended:
	case <-q.stop:
		c.sub.mu.Lock()
		empty := len(q.calls) == 0
		c.sub.mu.Unlock()
		if empty {
			return false
		}
		<-before.ended
	}
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	q.before = nil // nor is what it holds in memory needed
	return true
}

// runListener makes one call and takes in how it ended.
func (c *Consumer) runListener(q *listenerQueue, call *listenerCall) {
	ctx, cancel := context.WithDeadline(context.WithValue(call.ctx, listenerKey{}, c), call.until)
	defer cancel()
	half := time.Until(call.until) / 2
	watch := time.AfterFunc(half, func() { c.warnDeadlock(call, half) })
	defer watch.Stop()
	err := errGoexit // unless it returns
	defer func() { c.listenerReturned(q, call, err) }()
	c.callback.Store(true)
	err = c.guarded(ctx, call)
}

// errGoexit is of a callback that neither returned nor panicked.
var errGoexit = errors.New("it has ended its goroutine (runtime.Goexit, which FailNow of a test calls, too)")

// listenerReturned takes in how a call ended.
func (c *Consumer) listenerReturned(q *listenerQueue, call *listenerCall, err error) {
	c.callback.Store(false)
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	defer close(call.done)
	q.now = nil
	if err != nil {
		err = &ListenerError{Callback: call.callback, Partitions: call.parts, Err: err}
	}
	if c.listeners != q {
		if err != nil {
			c.sub.failOnce(err) // its partitions are gone
		}
		return
	}
	c.sub.listening--
	if err != nil {
		c.listenerFailed(call, err)
	}
	for _, tp := range call.parts {
		if p := c.sub.partitions[tp]; p != nil && call.callback == onAssigned {
			c.sub.open(p)
		}
	}
	if call.after != nil {
		call.after()
	}
	if c.group == nil && call.callback == onRevoked {
		c.sub.removeDropped(call.parts)
		c.sub.wakeTopics() // a topic that was subscribed again meanwhile starts over
	}
	c.sub.wake(nil)
	c.sub.signal()
}

// guarded calls user code; a panic becomes an error.
func (c *Consumer) guarded(ctx context.Context, call *listenerCall) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	switch call.callback {
	case onAssigned:
		return call.listener.OnPartitionsAssigned(ctx, c, call.parts)
	case onLost:
		if l, ok := call.listener.(lostListener); ok {
			return l.OnPartitionsLost(ctx, c, call.parts)
		}
	}
	return call.listener.OnPartitionsRevoked(ctx, c, call.parts)
}

// listenerFailed makes Get calls tell of it: once where partitions went, until they are sought or assigned again where
// they came. Called with sub.mu held.
func (c *Consumer) listenerFailed(call *listenerCall, err error) {
	s := c.sub
	if call.callback != onAssigned {
		s.failOnce(err)
		return
	}
	for _, tp := range call.parts {
		if p := s.partitions[tp]; p != nil && p.gated {
			p.buf.dropFrom(0, s.budget)
			s.fail(p, err)
			p.refused = true
		}
	}
}

// warnDeadlock is for a listener that has run for half of its time, ran, while a Get call waits: it may be waiting for what that
// call's caller holds.
func (c *Consumer) warnDeadlock(call *listenerCall, ran time.Duration) {
	c.sub.mu.Lock()
	waits := len(c.sub.waiters) > 0
	c.sub.mu.Unlock()
	if waits {
		c.log.Warn("kafka: a rebalance listener is still running while a Get call waits for it: likely a deadlock, if the listener waits for a lock that the caller of GetOne or GetMany holds",
			"callback", call.callback, "partitions", fmt.Sprint(call.parts), "running_for", ran)
	}
}
