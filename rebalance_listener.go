package kafka

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// A RebalanceListener is told when partitions come and go. Calls come one at a time, from one goroutine of the
// consumer's, revoked before assigned, and never with an empty list. While one runs, GetOne and GetMany wait; Commit,
// Seek, Position, Committed, Pause and the offset queries work inside it. Nothing of a new partition is handed out before
// OnPartitionsAssigned has returned. ctx ends when the rebalance timeout does; a Get call, Unsubscribe or Stop made with it
// is ErrIllegalState, where it would wait for itself.
//
// An error or a panic is returned by the next Get call as a [*ListenerError]. After one in OnPartitionsAssigned the
// partitions concerned are not consumed until they are sought or assigned again.
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
	listener RebalanceListener
	callback string
	parts    []TopicPartition // sorted
	done     chan struct{}    // closed when it has returned
	err      error            // a *ListenerError; set before done is closed
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
	if l == nil || len(parts) == 0 {
		return nil
	}
	call := &listenerCall{listener: l, callback: callback, parts: slices.Clone(parts), done: make(chan struct{})}
	slices.SortFunc(call.parts, compareTopicPartitions)
	c.sub.listening++
	c.listenerCalls = append(c.listenerCalls, call)
	select {
	case c.listenerWork <- struct{}{}:
	default:
	}
	return call
}

// listenerLoop makes the calls. It ends with the queue once the consumer has stopped; a callback that hangs is left behind
// with it.
func (c *Consumer) listenerLoop(stop <-chan struct{}) {
	defer close(c.listenerEnded)
	for {
		c.sub.mu.Lock()
		var call *listenerCall
		if len(c.listenerCalls) > 0 {
			call = c.listenerCalls[0]
			c.listenerCalls = c.listenerCalls[1:]
			c.listenerNow = call.callback
		}
		c.sub.mu.Unlock()
		if call == nil {
			select {
			case <-c.listenerWork:
				continue
			case <-stop:
				return
			}
		}
		c.runListener(call)
	}
}

// runListener makes one call and takes in how it ended.
func (c *Consumer) runListener(call *listenerCall) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), listenerKey{}, c), c.rebalanceTimeout())
	defer cancel()
	watch := time.AfterFunc(c.rebalanceTimeout()/2, func() { c.warnDeadlock(call) })
	defer watch.Stop()
	c.callback.Store(true)
	err := c.guarded(ctx, call)
	c.callback.Store(false)
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	c.listenerNow = ""
	c.sub.listening--
	if err != nil {
		call.err = &ListenerError{Callback: call.callback, Partitions: call.parts, Err: err}
		c.listenerFailed(call)
	}
	for _, tp := range call.parts {
		if p := c.sub.partitions[tp]; p != nil && call.callback == onAssigned {
			c.sub.open(p)
		}
	}
	if c.group == nil && call.callback == onRevoked {
		c.sub.removeDropped(call.parts)
		c.sub.assignment() // a topic that was subscribed again meanwhile starts over
	}
	close(call.done)
	c.sub.wake(nil)
	c.sub.signal()
}

// guarded calls user code; a panic becomes an error.
func (c *Consumer) guarded(ctx context.Context, call *listenerCall) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
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
func (c *Consumer) listenerFailed(call *listenerCall) {
	s := c.sub
	if call.callback != onAssigned {
		s.failOnce(call.err)
		return
	}
	for _, tp := range call.parts {
		if p := s.partitions[tp]; p != nil && p.gated {
			p.buf.dropFrom(0, s.budget)
			s.fail(p, call.err)
			p.refused = true
		}
	}
}

// warnDeadlock is for a listener that has run for half of its time while a Get call waits: it may be waiting for what that
// call's caller holds.
func (c *Consumer) warnDeadlock(call *listenerCall) {
	c.sub.mu.Lock()
	waits := len(c.sub.waiters) > 0
	c.sub.mu.Unlock()
	if waits {
		c.log.Warn("kafka: a rebalance listener is still running while a Get call waits for it: likely a deadlock, if the listener waits for a lock that the caller of GetOne or GetMany holds",
			"callback", call.callback, "partitions", fmt.Sprint(call.parts), "running_for", c.rebalanceTimeout()/2)
	}
}
