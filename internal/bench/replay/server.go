// Package replay is a server that speaks enough of Kafka's protocol for any consumer to read generated topics from it, and
// does so little for it that the consumer is what a benchmark measures: a Fetch response is a writev of
// batches that lie ready in memory, with only their 61-byte headers copied to place them in the log.
package replay

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const maxRequestBytes = 16 << 20

// Server is a cluster of brokers, each a listener on the loopback interface. Partition p of every topic is led by broker
// p modulo the number of brokers, until it is moved.
type Server struct {
	listeners []net.Listener
	began     time.Time
	growth    Growth
	moved     moves
	traffic   traffic
	topics    map[string]*servedTopic
	byID      map[[16]byte]*servedTopic
	sessions  sessions
	closing   chan struct{}
	fetches   atomic.Int64
	fetched   atomic.Int64 // bytes
	wg        sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

type servedTopic struct {
	name string
	id   [16]byte
	log  *topic.Log
	seen seen
}

// Start serves the logs, under the names of their specs, until Close.
func Start(brokers int, logs ...*topic.Log) (*Server, error) {
	return StartGrowing(brokers, Growth{}, logs...)
}

// StartGrowing is Start with topics that grow from now on.
func StartGrowing(brokers int, g Growth, logs ...*topic.Log) (*Server, error) {
	s := &Server{
		began:   time.Now(),
		growth:  g,
		topics:  map[string]*servedTopic{},
		byID:    map[[16]byte]*servedTopic{},
		closing: make(chan struct{}),
		conns:   map[net.Conn]struct{}{},
	}
	for _, l := range logs {
		t := &servedTopic{name: l.Spec.Name(), id: topicID(l.Spec.Name()), log: l, seen: newSeen(l.Spec.Partitions)}
		s.topics[t.name], s.byID[t.id] = t, t
	}
	for range brokers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("listening for a broker: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	for node := range s.listeners {
		s.wg.Go(func() { s.accept(int32(node)) })
	}
	return s, nil
}

// topicID is the same in every run.
func topicID(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:16])
}

// Addrs are the addresses of the brokers.
func (s *Server) Addrs() []string {
	var addrs []string
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// Stats says what has been done so far; the CPU time is the caller's to fill in.
func (s *Server) Stats() Stats {
	return Stats{Fetches: s.fetches.Load(), FetchBytes: s.fetched.Load()}
}

// Close closes every listener and connection and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	if s.conns == nil {
		s.mu.Unlock()
		return
	}
	close(s.closing)
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

// accept ends when its listener is closed.
func (s *Server) accept(node int32) {
	for {
		nc, err := s.listeners[node].Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.conns[nc] = struct{}{}
		s.mu.Unlock()
		s.traffic.connections.Add(1)
		s.wg.Go(func() { s.serve(node, nc) })
	}
}

// serve answers the requests of one connection, in order, until it ends.
func (s *Server) serve(node int32, nc net.Conn) {
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	c := conn{srv: s, node: node, nc: nc}
	in := bufio.NewReaderSize(nc, 64<<10)
	var frame []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxRequestBytes {
			return
		}
		if uint32(cap(frame)) < n {
			frame = make([]byte, n)
		}
		if _, err := io.ReadFull(in, frame[:n]); err != nil {
			return
		}
		s.traffic.in.Add(int64(n) + 4)
		if err := c.handle(frame[:n]); err != nil {
			return
		}
	}
}

// conn is one client connection to one broker.
type conn struct {
	srv   *Server
	node  int32
	nc    net.Conn
	fetch fetchWriter

	fetches bool // has been asked for records
}

var errMalformed = errors.New("malformed request")

func (c *conn) handle(frame []byte) error {
	if len(frame) < 10 {
		return errMalformed
	}
	key, version, correlation := int16(be.Uint16(frame)), int16(be.Uint16(frame[2:])), int32(be.Uint32(frame[4:]))
	r, known := apis[key]
	if key == int16(kmsg.ApiVersions) && version > r.max {
		// KIP-511: the answer is in version 0, with the error that says so.
		resp := c.srv.apiVersions()
		resp.ErrorCode = 35 // UNSUPPORTED_VERSION
		return c.respond(correlation, resp)
	}
	if !known || version < r.min || version > r.max {
		return fmt.Errorf("API %d version %d is not served", key, version)
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	body, err := skipHeader(frame[8:], req.IsFlexible())
	if err != nil {
		return err
	}
	if err := req.ReadFrom(body); err != nil {
		return err
	}
	if f, ok := req.(*kmsg.FetchRequest); ok {
		return c.handleFetch(correlation, f)
	}
	resp := r.answer(c, req)
	resp.SetVersion(version)
	return c.respond(correlation, resp)
}

// skipHeader skips what is left of a request header behind the correlation id: client id and, in flexible versions, tags.
func skipHeader(b []byte, flexible bool) ([]byte, error) {
	n := max(0, int(int16(binary.BigEndian.Uint16(b))))
	if len(b) < 2+n {
		return nil, errMalformed
	}
	b = b[2+n:]
	if !flexible {
		return b, nil
	}
	if len(b) == 0 || b[0] != 0 {
		return nil, fmt.Errorf("%w: tags in the header", errMalformed) // no client sends any
	}
	return b[1:], nil
}

func (c *conn) respond(correlation int32, resp kmsg.Response) error {
	out := make([]byte, 4, 512)
	out = binary.BigEndian.AppendUint32(out, uint32(correlation))
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		out = append(out, 0)
	}
	out = resp.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	c.srv.traffic.out.Add(int64(len(out)))
	_, err := c.nc.Write(out)
	return err
}
