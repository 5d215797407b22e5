package kafka

import (
	"context"
	"time"
)

// This file is how goroutines wait for one another, and wake one another.

// kick wakes who waits on a channel of capacity 1. It never blocks.
func kick(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it is awake already
	}
}

// waitFor waits for work or the time at (zero: none); false when ctx ends first.
func waitFor(ctx context.Context, work <-chan struct{}, at time.Time) bool {
	var timer <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-work:
		return true
	case <-timer:
		return true
	case <-ctx.Done():
		return false
	}
}

// sleep waits for d; false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// closeTime is what goroutines that have been told to end get for that where the caller's time is over: they wait for no broker.
const closeTime = 200 * time.Millisecond

// endsSoon waits for done until ctx ends, and then for closeTime more; false when that was not enough.
func endsSoon(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	t := time.NewTimer(closeTime)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// sooner gives the earlier of two times, of which a zero one is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// A notice tells of changes to those who wait for one. It is guarded by the mutex of what it is part of.
type notice struct {
	changed chan struct{} // closed at the next change; nil: nobody waits
}

// watch gives a channel that is closed at the next change.
func (n *notice) watch() <-chan struct{} {
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// signal tells of a change.
func (n *notice) signal() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}
