package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// releaseGrace is how long a cancelled Fetch waits for the reader to let go of its visitor before it closes the
// connection to make it.
const releaseGrace = 250 * time.Millisecond

// errAbandoned ends the visiting of a response nobody waits for any more.
var errAbandoned = errors.New("the fetch was abandoned")

// Fetch sends a Fetch request and hands its response to v as it arrives. v is called in the connection's reading
// goroutine: while it works nothing else is read. Record sets are read straight into the memory v gives; an error
// of v drops the rest of the response and is returned, the connection lives on.
//
// Until its first byte the response is bounded by o.FirstByteTimeout; then by progress: 64 KiB or the rest within
// each RequestTimeout. When ctx ends the wait is abandoned; v is not called after Fetch has returned, nor is memory
// it gave written to. If that cannot be had within a quarter of a second because a record set is still
// arriving, the connection is closed.
func (c *Conn) Fetch(ctx context.Context, req *protocol.FetchRequest, o CallOptions, v protocol.FetchVisitor) (int16, error) {
	version, err := c.version(protocol.KeyFetch, o.MaxVersion)
	if err != nil {
		return 0, c.requestError(protocol.KeyFetch, err)
	}
	timeout := o.FirstByteTimeout
	if timeout <= 0 {
		timeout = c.timeout(o.Timeout) + time.Duration(max(req.MaxWaitMs, 0))*time.Millisecond
	}
	both := &struct { // in one allocation
		call  call
		guard guard
	}{guard: guard{v: v, released: make(chan struct{})}}
	call := &both.call
	call.key, call.version, call.timeout, call.visitor = protocol.KeyFetch, version, timeout, &both.guard
	if err := c.submit(ctx, call, req); err != nil {
		return version, c.requestError(protocol.KeyFetch, err)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		if !c.abandon(call) {
			c.awaitRelease(call)
		}
		return version, c.requestError(protocol.KeyFetch, ctx.Err())
	}
	if call.err != nil {
		return version, c.requestError(protocol.KeyFetch, call.err)
	}
	return version, nil
}

// awaitRelease returns when the reader has let go of the call's visitor.
func (c *Conn) awaitRelease(k *call) {
	k.visitor.abandoned.Store(true)
	t := time.NewTimer(releaseGrace)
	defer t.Stop()
	select {
	case <-k.visitor.released:
		return
	case <-k.done:
		return
	case <-t.C:
	}
	c.fail(ErrClosed)
	<-k.done // the reader finds the socket closed, unless it is inside the visitor, which must return
}

// guard stands before a visitor: it remembers the visitor's own error, to tell it from a malformed response, and
// calls it no more once the fetch is abandoned. Apart from abandoned and released it belongs to the reading goroutine.
type guard struct {
	v         protocol.FetchVisitor
	err       error // the visitor's
	throttle  time.Duration
	abandoned atomic.Bool
	once      sync.Once
	released  chan struct{} // closed when the visitor will not be called again
}

// stop reports whether the visitor is not to be called any more.
func (g *guard) stop() bool {
	if g.abandoned.Load() && g.err == nil {
		g.err = errAbandoned
	}
	if g.err != nil {
		g.release()
	}
	return g.err != nil
}

// release tells that the visitor will not be called again.
func (g *guard) release() { g.once.Do(func() { close(g.released) }) }

// visit calls the visitor unless it is done with.
func (g *guard) visit(call func() error) error {
	if !g.stop() {
		g.err = call()
		g.stop()
	}
	return g.err
}

// Response implements protocol.FetchVisitor.
func (g *guard) Response(h *protocol.FetchResponse) error {
	g.throttle = h.Throttle()
	return g.visit(func() error { return g.v.Response(h) })
}

// Aborted implements protocol.FetchVisitor.
func (g *guard) Aborted(p *protocol.FetchedPartition, n int) []protocol.FetchResponseAbortedTransaction {
	if g.stop() {
		return nil
	}
	return g.v.Aborted(p, n)
}

// Records implements protocol.FetchVisitor.
func (g *guard) Records(p *protocol.FetchedPartition, batch, left int) []byte {
	if g.stop() {
		return nil
	}
	return g.v.Records(p, batch, left)
}

// Partition implements protocol.FetchVisitor.
func (g *guard) Partition(p *protocol.FetchedPartition) error {
	return g.visit(func() error { return g.v.Partition(p) })
}

// End implements protocol.FetchVisitor.
func (g *guard) End(endpoints []protocol.FetchResponseNodeEndpoint) error {
	return g.visit(func() error { return g.v.End(endpoints) })
}

// readFetch streams a Fetch response to its visitor, or drains it when nobody waits.
func (c *Conn) readFetch(k *call, b *body) (throttle time.Duration, fatal, err error) {
	g := k.visitor
	if k.streaming { // written by begin, in this goroutine
		err = protocol.ReadFetchResponse(b, b.left, k.version, g)
		g.release()
		if err != nil && g.err == nil {
			return 0, c.bodyError(k, err), nil
		}
	}
	if err := b.drain(); err != nil {
		return 0, c.bodyError(k, err), nil
	}
	return g.throttle, nil, g.err
}
