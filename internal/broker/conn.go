package broker

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// Conn is one connection to one broker. It is safe for concurrent use: requests are written in the order they
// come and answered in that order (Kafka serves one at a time). Once it has failed, every request fails.
type Conn struct {
	cfg  Config
	addr string
	nc   net.Conn
	// transport is what Close closes: nc, or the connection under TLS, whose own farewell could block.
	transport net.Conn
	// br and sock belong to the reading goroutine.
	br   *bufio.Reader
	sock *socket
	// versions is what the broker speaks; written by negotiate, before the Conn is handed out.
	versions map[protocol.APIKey]versionRange

	correlation atomic.Int32
	kick        chan struct{} // capacity 1: something is queued
	done        chan struct{} // closed with err set
	loops       sync.WaitGroup

	mu       sync.Mutex // guards what follows; never held across I/O, channels or callbacks
	queue    []*call    // to be written
	pending  []*call    // written, unanswered, oldest first
	err      error      // why the connection ended
	reading  bool       // in the middle of a response: the reader has set its own deadline
	resumeAt time.Time  // throttled until then
	lastUsed time.Time
}

// versionRange is what a broker speaks of one API.
type versionRange struct{ min, max int16 }

// CallOptions bounds one request. The zero value is fine.
type CallOptions struct {
	// Timeout bounds the request from its write to its last byte; past it the connection is closed. 0: the
	// connection's RequestTimeout. A Fetch is bounded by it only until its first byte, see Conn.Fetch.
	Timeout time.Duration
	// FirstByteTimeout bounds a Fetch until its response begins. 0: the request's own max wait plus Timeout.
	FirstByteTimeout time.Duration
	// MaxVersion caps the version negotiated. 0: no cap.
	MaxVersion int16
}

// call is one request on its way. Its fields are written before it is queued, except as noted.
type call struct {
	key         protocol.APIKey
	version     int16
	correlation int32
	frame       *[]byte
	timeout     time.Duration
	resp        protocol.Response // filled by the reader; nil for a streamed Fetch
	visitor     *guard            // a streamed Fetch

	deadline  time.Time // guarded by Conn.mu; set when written
	abandoned bool      // guarded by Conn.mu: nobody waits any more
	streaming bool      // guarded by Conn.mu: the reader has begun to call the visitor
	err       error     // written before done is closed
	done      chan struct{}
}

// newConn starts a connection over nc, which is over transport. Close ends it.
func newConn(cfg Config, addr string, nc, transport net.Conn) *Conn {
	c := &Conn{
		cfg: cfg, addr: addr, nc: nc, transport: transport,
		kick: make(chan struct{}, 1), done: make(chan struct{}),
		lastUsed: time.Now(),
	}
	c.sock = &socket{nc: nc, timeout: cfg.RequestTimeout}
	c.br = newReader(c.sock)
	c.loops.Go(c.readLoop)  // ended by fail, which closes the transport
	c.loops.Go(c.writeLoop) // ended by fail, which closes done and the transport
	return c
}

// Addr is the address dialed, as given to Dial.
func (c *Conn) Addr() string { return c.addr }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended; nil while it works.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// LastUsed is when the last request was queued or answered.
func (c *Conn) LastUsed() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastUsed
}

// InFlight counts the requests not yet answered.
func (c *Conn) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlightLocked()
}

func (c *Conn) inFlightLocked() int {
	n := len(c.queue) + len(c.pending)
	if c.reading {
		n++
	}
	return n
}

// Close ends the connection: requests in flight fail with cause (nil: ErrClosed). It does not wait; Wait does.
func (c *Conn) Close(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	c.fail(cause)
}

// CloseIfIdle closes the connection with ErrIdle if nothing has been asked on it since before, and says whether
// it did. A request that comes at the same moment is either served or fails with ErrIdle, unsent.
func (c *Conn) CloseIfIdle(before time.Time) bool {
	c.mu.Lock()
	idle := c.err == nil && c.inFlightLocked() == 0 && !c.lastUsed.After(before)
	if idle {
		c.err = ErrIdle
	}
	c.mu.Unlock()
	if idle {
		c.end(nil)
	}
	return idle
}

// Wait returns when the connection's goroutines have ended, after Close or a failure.
func (c *Conn) Wait() { c.loops.Wait() }

// fail ends the connection for the given reason, the first time it is called.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	calls := append(c.pending, c.queue...)
	c.pending, c.queue = nil, nil
	c.mu.Unlock()
	c.end(calls)
}

// end carries out what fail or CloseIfIdle decided by setting err.
func (c *Conn) end(calls []*call) {
	close(c.done)
	_ = c.transport.Close() // the reason is err; what closing adds to it helps nobody
	for _, call := range calls {
		call.finish(c.err)
	}
}

// finish gives the call its outcome, exactly once: whoever took it off queue and pending does so.
func (k *call) finish(err error) {
	k.err = err
	close(k.done)
}

// version gives the highest version of an API that both sides speak, up to limit (0: any), or why there is none.
func (c *Conn) version(k protocol.APIKey, limit int16) (int16, error) {
	lo, hi, ok := protocol.Versions(k)
	if !ok {
		return 0, &UnsupportedVersionError{API: k}
	}
	if limit > 0 && limit < hi {
		hi = limit
	}
	b, ok := c.versions[k]
	if !ok {
		return 0, &UnsupportedVersionError{API: k, Min: lo, Max: hi}
	}
	if max(lo, b.min) > min(hi, b.max) {
		return 0, &UnsupportedVersionError{API: k, Min: lo, Max: hi, BrokerMin: b.min, BrokerMax: b.max, Known: true}
	}
	return min(hi, b.max), nil
}

// Do sends a request and gives its response with the version both are in. When ctx ends first, the wait is
// abandoned and the response, if it still comes, is dropped: other requests are not disturbed. When the request's
// own time is up the connection is closed, since nothing behind it would be answered either. Errors are
// *RequestError.
func (c *Conn) Do(ctx context.Context, req protocol.Request, o CallOptions) (protocol.Response, int16, error) {
	version, err := c.version(req.Key(), o.MaxVersion)
	if err != nil {
		return nil, 0, c.requestError(req.Key(), err)
	}
	resp, err := c.roundTrip(ctx, req, version, o.Timeout)
	return resp, version, err
}

// roundTrip is Do at a given version.
func (c *Conn) roundTrip(ctx context.Context, req protocol.Request, version int16, timeout time.Duration) (protocol.Response, error) {
	key := req.Key()
	call := &call{key: key, version: version, timeout: c.timeout(timeout), resp: protocol.NewResponse(key)}
	if err := c.submit(ctx, call, req); err != nil {
		return nil, c.requestError(key, err)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		if c.abandon(call) {
			return nil, c.requestError(key, ctx.Err())
		}
		<-call.done
	}
	if call.err != nil {
		return nil, c.requestError(key, call.err)
	}
	return call.resp, nil
}

// submit encodes the request and queues the call.
func (c *Conn) submit(ctx context.Context, k *call, req protocol.Request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.done = make(chan struct{})
	k.correlation = c.correlation.Add(1)
	k.frame = takeFrame()
	frame, err := protocol.AppendRequest((*k.frame)[:0], c.cfg.ClientID, k.correlation, k.version, req)
	if err != nil {
		return err
	}
	*k.frame = frame
	c.mu.Lock()
	err = c.err
	if err == nil {
		c.queue = append(c.queue, k)
		c.lastUsed = time.Now()
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case c.kick <- struct{}{}:
	default: // the writer knows already
	}
	return nil
}

// abandon marks the call as one nobody waits for. It is false for a Fetch whose visitor is being called.
func (c *Conn) abandon(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.abandoned = true
	return !k.streaming
}

// timeout is d, or the connection's own.
func (c *Conn) timeout(d time.Duration) time.Duration {
	if d <= 0 {
		return c.cfg.RequestTimeout
	}
	return d
}

// requestError names the request and the broker, once.
func (c *Conn) requestError(k protocol.APIKey, err error) error {
	if _, ok := errors.AsType[*RequestError](err); ok {
		return err
	}
	return &RequestError{API: k, Addr: c.addr, Err: err}
}
