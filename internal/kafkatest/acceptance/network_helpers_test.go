package acceptance

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// watchRequests shows a fake cluster's requests of one kind to seen, which must not block.
func watchRequests(c *kafkatest.Cluster, key kmsg.Key, seen func(kmsg.Request)) {
	c.Fake().ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the form kfake wants
		seen(r)
		return nil, nil, false
	})
}

// A wire is a dialer that counts what a consumer sends and gets, and may be cut.
type wire struct {
	via             kafkatest.DialFunc
	dials, received atomic.Int64 // connections tried, bytes of answers
	closed          atomic.Int64 // connections closed by the consumer

	mu       sync.Mutex
	requests map[kmsg.Key]int
	sizes    map[kmsg.Key][]int // of requests, without the size itself
	holds    map[string]bool    // addresses where dialing hangs
	swallows map[kmsg.Key]bool  // requests that get lost on their way
}

func newWire(c *kafkatest.Cluster) *wire {
	return &wire{via: c.Dial, requests: make(map[kmsg.Key]int), sizes: make(map[kmsg.Key][]int),
		holds: make(map[string]bool), swallows: make(map[kmsg.Key]bool)}
}

func (w *wire) option() kafka.ConsumerOption { return kafka.WithDialer(w.dial) }

// of is the number of requests of a kind, sum that of all.
func (w *wire) of(key kmsg.Key) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[key]
}

func (w *wire) sum() (sum int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.requests {
		sum += n
	}
	return sum
}

// sizesOf gives the sizes of all requests of a kind so far, in order.
func (w *wire) sizesOf(key kmsg.Key) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sizes[key])
}

// swallow lets requests of a kind get lost from here on.
func (w *wire) swallow(key kmsg.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.swallows[key] = true
}

// hold lets dialing an address hang until its ctx ends, as a network does that drops what is sent there.
func (w *wire) hold(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds[addr] = true
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.dials.Add(1)
	w.mu.Lock()
	held := w.holds[addr]
	w.mu.Unlock()
	if held {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := w.via(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn, wire: w}, nil
}

// quiet waits until no byte has come for a while.
func (w *wire) quiet(t *testing.T, d time.Duration) {
	t.Helper()
	last, since := w.received.Load(), time.Now()
	eventually(t, func() bool {
		if now := w.received.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > d
	}, "the wire does not come to rest")
}

type countedConn struct {
	net.Conn
	wire *wire
	once sync.Once

	mu   sync.Mutex
	head []byte // of the request being written: its size and its API key
	left int    // bytes of it still to come behind that
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wire.received.Add(int64(n))
	return n, err
}

// Write sends what the consumer writes, which is a whole request each time.
func (c *countedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.count(b)
	c.mu.Unlock()
	if c.wire.lost(b) {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.wire.closed.Add(1) })
	return c.Conn.Close()
}

// lost says whether a request is one of those to be swallowed.
func (w *wire) lost(request []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(request) >= 6 && w.swallows[kmsg.Key(binary.BigEndian.Uint16(request[4:]))]
}

// count follows the stream of requests: each is its size in 4 bytes, and begins with its API key in 2.
func (c *countedConn) count(b []byte) {
	for len(b) > 0 {
		if c.left > 0 {
			n := min(c.left, len(b))
			c.left, b = c.left-n, b[n:]
			continue
		}
		n := min(6-len(c.head), len(b))
		c.head, b = append(c.head, b[:n]...), b[n:]
		if len(c.head) < 6 {
			return
		}
		size, key := int(binary.BigEndian.Uint32(c.head)), kmsg.Key(binary.BigEndian.Uint16(c.head[4:]))
		c.left = size - 2
		c.wire.mu.Lock()
		c.wire.requests[key]++
		c.wire.sizes[key] = append(c.wire.sizes[key], size)
		c.wire.mu.Unlock()
		c.head = c.head[:0]
	}
}
