package fakebroker

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// maxRequest bounds one request frame, as socket.request.max.bytes does.
const maxRequest = 100 << 20

// conn is one connection to a node. Like Kafka it serves one request at a time, in order.
type conn struct {
	c      *Cluster
	node   *node
	nc     net.Conn
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	frames chan []byte
}

// serveLocked starts serving a connection.
func (c *Cluster) serveLocked(n *node, nc net.Conn) {
	s := &conn{c: c, node: n, nc: nc, frames: make(chan []byte, 1024)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	n.conns[s] = true
	c.changedLocked()
	c.work.Go(s.read)  // ended by close
	c.work.Go(s.serve) // ended by close
}

// close ends the connection.
func (s *conn) close() {
	s.cancel()
	_ = s.nc.Close() // a second close changes nothing
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.node.conns[s] {
		delete(s.node.conns, s)
		s.c.changedLocked()
	}
}

// read takes requests off the wire while others are being served, so that a client never blocks on writing.
func (s *conn) read() {
	defer s.close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(s.nc, size[:]); err != nil {
			return
		}
		n := protocol.FrameSize(size)
		if n < 8 || n > maxRequest {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(s.nc, frame); err != nil {
			return
		}
		select {
		case s.frames <- frame:
		case <-s.ctx.Done():
			return
		}
	}
}

// serve answers requests in order.
func (s *conn) serve() {
	defer s.close()
	for {
		select {
		case frame := <-s.frames:
			if !s.answer(frame) {
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// answer answers one request; false ends the connection.
func (s *conn) answer(frame []byte) bool {
	awake := func() bool {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		return !s.node.hung
	}
	if s.c.Await(s.ctx, awake) != nil {
		return false
	}
	h, req, err := protocol.DecodeRequest(frame)
	if lo, hi, ok := s.c.versions(h.Key); !ok || h.Version < lo || h.Version > hi || err != nil {
		// Kafka closes the connection on what it does not know, but for ApiVersions (KIP-511).
		return h.Key == protocol.KeyApiVersions && s.write(s.c.apiVersionsTooNew(h.CorrelationID))
	}
	call := &Call{Node: s.node.id, Version: h.Version, Correlation: h.CorrelationID, Request: req, At: time.Now(), Conn: s.nc, ctx: s.ctx, c: s.c}
	if h.ClientID != nil {
		call.ClientID = *h.ClientID
	}
	reply := s.c.dispatch(call)
	if s.c.Await(s.ctx, awake) != nil {
		return false
	}
	if reply.Delay > 0 {
		t := time.NewTimer(reply.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
			return false
		}
	}
	switch {
	case reply.Hang:
		<-s.ctx.Done()
		return false
	case reply.Raw != nil:
		return s.write(reply.Raw) && !reply.Drop
	case reply.Drop:
		return false
	case reply.Response == nil:
		reply.Response = call.Default()
	}
	if reply.Response == nil {
		return false
	}
	out, err := protocol.AppendResponse(nil, h.CorrelationID, h.Version, reply.Response)
	return err == nil && s.write(out)
}

func (s *conn) write(b []byte) bool {
	_, err := s.nc.Write(b)
	return err == nil
}

// apiVersionsTooNew is the answer, in version 0, to an ApiVersions request of an unknown version.
func (c *Cluster) apiVersionsTooNew(correlation int32) []byte {
	resp := protocol.NewApiVersionsResponse()
	resp.ErrorCode = protocol.UnsupportedVersion
	lo, hi, _ := c.versions(protocol.KeyApiVersions)
	resp.ApiKeys = []protocol.ApiVersionsResponseKey{{ApiKey: protocol.KeyApiVersions, MinVersion: lo, MaxVersion: hi}}
	out, err := protocol.AppendResponse(nil, correlation, 0, resp)
	if err != nil {
		return binary.BigEndian.AppendUint32(nil, 0)
	}
	return out
}
