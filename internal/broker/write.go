package broker

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// frames holds request buffers between requests.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// maxKeptFrame is the largest request buffer worth keeping.
const maxKeptFrame = 64 << 10

func takeFrame() *[]byte { return frames.Get().(*[]byte) }

func giveFrame(b *[]byte) {
	if cap(*b) <= maxKeptFrame {
		frames.Put(b)
	}
}

// writeLoop writes queued requests, one at a time, not while the broker has asked for silence.
func (c *Conn) writeLoop() {
	for c.waitThrottle() {
		call := c.next()
		if call == nil {
			select {
			case <-c.kick:
			case <-c.done:
				return
			}
			continue
		}
		err := c.nc.SetWriteDeadline(time.Now().Add(c.cfg.RequestTimeout))
		if err == nil {
			_, err = c.nc.Write(*call.frame)
		}
		giveFrame(call.frame)
		if err != nil {
			c.writeFailed(err)
			return
		}
	}
}

// lastWords is how long after a failed write the reader may still find out why: what the broker sent before it closed,
// a TLS alert for one, says more than the broken pipe.
const lastWords = 100 * time.Millisecond

// writeFailed ends the connection after a failed write.
func (c *Conn) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.fail(fmt.Errorf("%w: the broker took no bytes for %v", ErrTimeout, c.cfg.RequestTimeout))
		return
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
		c.fail(peerError(err))
	}
}

// waitThrottle waits until the broker may be spoken to; false when the connection has ended.
func (c *Conn) waitThrottle() bool {
	for {
		c.mu.Lock()
		wait, err := time.Until(c.resumeAt), c.err
		c.mu.Unlock()
		if err != nil {
			return false
		}
		if wait <= 0 {
			return true
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.done:
			t.Stop()
			return false
		}
	}
}

// next moves the oldest queued call that is still wanted to pending and starts its clock.
func (c *Conn) next() *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && c.err == nil {
		k := c.queue[0]
		c.queue = slices.Delete(c.queue, 0, 1)
		if k.abandoned {
			continue // its buffer goes with it; nobody waits on done
		}
		k.deadline = time.Now().Add(k.timeout)
		c.pending = append(c.pending, k)
		c.armLocked()
		return k
	}
	return nil
}

// armLocked sets the read deadline to the earliest among the pending requests, unless a response is being read.
func (c *Conn) armLocked() {
	if c.reading {
		return
	}
	// An error means that the connection is closed; the reader sees that itself.
	_ = c.nc.SetReadDeadline(earliest(c.pending))
}

// earliest is the first deadline among the calls; the zero time (no deadline) if there are none.
func earliest(calls []*call) time.Time {
	var first time.Time
	for _, k := range calls {
		if first.IsZero() || k.deadline.Before(first) {
			first = k.deadline
		}
	}
	return first
}
