package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// progressChunk is how many bytes of a streamed response must arrive within each RequestTimeout: slow links pass,
// a broker that sends a byte a second does not.
const progressChunk = 64 << 10

// socket is the transport under the read buffer. While a Fetch is streamed it renews the read deadline with every
// progressChunk received; otherwise deadlines are set elsewhere. It belongs to the reading goroutine.
type socket struct {
	nc        net.Conn
	timeout   time.Duration
	streaming bool
	credit    int // bytes until the deadline is renewed
}

func (s *socket) Read(p []byte) (int, error) {
	if s.streaming && s.credit <= 0 {
		s.credit = progressChunk
		if err := s.nc.SetReadDeadline(time.Now().Add(s.timeout)); err != nil {
			return 0, err
		}
	}
	n, err := s.nc.Read(p)
	s.credit -= n
	return n, err
}

// newReader sizes the read buffer: small responses come in one read, record sets of its size and above are read
// past it, straight into their own memory.
func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 16<<10) }

// readLoop reads responses until the connection ends.
func (c *Conn) readLoop() {
	for {
		if err := c.readResponse(); err != nil {
			c.fail(err)
			return
		}
	}
}

// readResponse reads one response and finishes its call.
func (c *Conn) readResponse() error {
	if err := c.awaitFrame(); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.br, head[:4]); err != nil {
		return c.readError(err)
	}
	size := int32(binary.BigEndian.Uint32(head[:4]))
	limit := c.cfg.MaxResponseBytes
	if int(size) > limit && c.fetchIsDue() {
		limit = math.MaxInt32
	}
	if err := checkFrame(head[:4], limit); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.br, head[4:]); err != nil {
		return c.readError(err)
	}
	call, err := c.begin(int32(binary.BigEndian.Uint32(head[4:])))
	if err != nil {
		return err
	}
	started := time.Now()
	body := &body{r: c.br, left: int(size) - 4}
	throttle, fatal, err := c.readBody(call, body)
	if fatal != nil {
		c.fail(fatal) // first, so that whoever the call wakes finds the connection ended
		err = c.Err()
	}
	c.answered(call, throttle, time.Since(started))
	call.finish(err)
	return fatal
}

// awaitFrame waits for the first bytes of a response, whichever request is due first.
func (c *Conn) awaitFrame() error {
	for {
		_, err := c.br.Peek(1)
		if err == nil {
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.overdue() {
			continue // the deadline was moved while it fired
		}
		return c.readError(err)
	}
}

// overdue reports whether a request's time is up; if none is, the read deadline is set anew.
func (c *Conn) overdue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := earliest(c.pending)
	if !first.IsZero() && !time.Now().Before(first) {
		return true
	}
	c.armLocked()
	return false
}

// fetchIsDue says whether the next response is that of a Fetch: what it has goes into memory of the visitor's, who has limits of
// its own, or is dropped, and a single batch may be larger than any limit.
func (c *Conn) fetchIsDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0 && c.pending[0].visitor != nil
}

// checkFrame judges the four size bytes of a frame before anything is allocated for it.
func checkFrame(b []byte, limit int) error {
	size := int32(binary.BigEndian.Uint32(b))
	if size >= 4 && int(size) <= limit {
		return nil
	}
	e := &FrameError{Reason: fmt.Sprintf("response size %d is not between 4 and %d", size, limit)}
	switch {
	case b[0] == 0x15 && b[1] == 0x03 && b[2] <= 0x04:
		// A TLS record of type alert, RFC 8446 section 5.1.
		e.Advice, e.Foreign = "the bytes are a TLS alert; the listener expects TLS", true
	case b[0] == 0x16 && b[1] == 0x03 && b[2] <= 0x04:
		e.Advice, e.Foreign = "the bytes are a TLS handshake; the listener expects TLS", true
	case string(b) == "HTTP":
		e.Advice, e.Foreign = "the bytes are an HTTP answer; this is not a Kafka listener", true
	case string(b[:3]) == "SSH":
		e.Advice, e.Foreign = "the bytes are an SSH banner; this is not a Kafka listener", true
	case size > int32(limit):
		e.Advice = "either not a Kafka listener, or a response above the limit"
	}
	return e
}

// begin takes the oldest pending call, which the response must be for, and gives the reader its deadline.
func (c *Conn) begin(correlation int32) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		if c.err != nil {
			return nil, c.err
		}
		return nil, &FrameError{Reason: fmt.Sprintf("response with correlation id %d to no request", correlation)}
	}
	k := c.pending[0]
	if k.correlation != correlation {
		return nil, &FrameError{Reason: fmt.Sprintf("response with correlation id %d, expected %d for %v", correlation, k.correlation, k.key)}
	}
	c.pending = slices.Delete(c.pending, 0, 1)
	c.reading = true
	if k.visitor != nil && !k.abandoned {
		k.streaming = true
		c.sock.streaming, c.sock.credit = true, 0
	} else {
		_ = c.nc.SetReadDeadline(k.deadline) // an error shows in the next read
	}
	return k, nil
}

// answered ends what begin began. The clocks of the requests behind did not run while this one was read, and do not while the broker
// keeps the silence that it asked for.
func (c *Conn) answered(k *call, throttle, took time.Duration) {
	now := time.Now()
	if throttle > MaxThrottle {
		c.cfg.Logger.Warn("the broker asks for more silence than it gets", "addr", c.addr, "api", k.key.String(), "asked", throttle, "kept", MaxThrottle)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sock.streaming = false
	c.reading = false
	c.lastUsed = now
	held := took
	if until := silence(k.key, k.version, throttle, now); until.After(c.resumeAt) {
		held += min(until.Sub(now), until.Sub(c.resumeAt))
		c.resumeAt = until
	}
	for _, behind := range c.pending {
		behind.deadline = behind.deadline.Add(held)
	}
	c.armLocked()
}

// readBody reads what follows the correlation id. fatal ends the connection; err is the call's alone.
func (c *Conn) readBody(k *call, b *body) (throttle time.Duration, fatal, err error) {
	if _, err := protocol.ReadResponseHeader(b, b.left, protocol.ResponseHeaderVersion(k.key, k.version)); err != nil {
		return 0, c.bodyError(k, err), nil
	}
	if k.visitor != nil {
		return c.readFetch(k, b)
	}
	buf, err := b.readAll()
	if err != nil {
		return 0, c.bodyError(k, err), nil
	}
	if k.key == protocol.KeyApiVersions {
		err = decodeApiVersions(buf, k.version, k.resp)
	} else {
		err = protocol.DecodeResponse(buf, k.version, k.resp)
	}
	if err != nil {
		// The frame is whole, but a broker that sends this is not to be trusted with the next.
		return 0, fmt.Errorf("malformed %v response, version %d: %w", k.key, k.version, err), nil
	}
	return k.resp.Throttle(), nil, nil
}

// bodyError explains a failed read in the middle of a response.
func (c *Conn) bodyError(k *call, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: the response to %v stopped halfway", ErrTimeout, k.key)
	}
	return c.readError(err)
}

// readError explains a failed read.
func (c *Conn) readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, k := range c.pending {
			if !time.Now().Before(k.deadline) {
				return fmt.Errorf("%w: %v went unanswered for %v", ErrTimeout, k.key, k.timeout)
			}
		}
		return ErrTimeout
	}
	return peerError(err)
}

// peerError says that the other side closed, where that is what a transport's error means.
func peerError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("%w: %w", ErrPeerClosed, err)
	}
	return err
}
