package acceptance

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A simNet is the network of one simulated member: it loses and delays what its seed says, may be cut or go silent, and shows the
// answers to commits as they leave the broker, also those that get lost.
type simNet struct {
	via      kafkatest.DialFunc
	commit   func(*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse)
	told     func(code int16) // by the coordinator, of its membership
	called   func(id string)  // by the coordinator, in an answer to a JoinGroup
	faults   int              // of a thousand answers, how many get lost or come late
	lostWith func(what string, key kmsg.Key)

	mu    sync.Mutex
	rand  *rand.Rand
	calm  bool
	cut   bool // connections are broken, and new ones refused
	quiet bool // nothing passes
	conns map[*simConn]struct{}
}

// A simConn is one connection: what passes goes frame by frame.
type simConn struct {
	net    *simNet
	client net.Conn // the far end of what the member holds
	broker net.Conn

	mu   sync.Mutex
	asks map[int32]simAsk
	dumb bool // an answer got lost, and so does all that follows
}

type simAsk struct {
	key     kmsg.Key
	version int16
	commit  *kmsg.OffsetCommitRequest
}

func (n *simNet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := n.reach(ctx, network); err != nil {
		return nil, err
	}
	broker, err := n.via(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	c := &simConn{net: n, client: far, broker: broker, asks: make(map[int32]simAsk)}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	way := make(chan simAnswer, 100)
	go c.up() // ends with either connection, as the others do
	go c.down(way)
	go c.deliver(way)
	return near, nil
}

// reach waits while the network is silent, as a dial does whose packets get lost.
func (n *simNet) reach(ctx context.Context, network string) error {
	for {
		n.mu.Lock()
		cut, quiet := n.cut, n.quiet
		n.mu.Unlock()
		if cut {
			return &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		if !quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond): // packets are sent again
		}
	}
}

// set cuts the network, silences it, or mends it.
func (n *simNet) set(cut, quiet bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut, n.quiet = cut, quiet
	for c := range n.conns {
		if cut {
			c.close()
		} else if quiet {
			c.lose()
		}
	}
}

// still ends the faults.
func (n *simNet) still() {
	n.set(false, false)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calm = true
}

func (c *simConn) close() {
	_ = c.client.Close()
	_ = c.broker.Close()
}

// lose lets everything from here on get lost.
func (c *simConn) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dumb = true
}

func (c *simConn) lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dumb
}

// up carries requests.
func (c *simConn) up() {
	defer c.close()
	for {
		frame, err := readFrame(c.client)
		if err != nil {
			return
		}
		if c.lost() {
			continue
		}
		c.note(frame[4:])
		if _, err := c.broker.Write(frame); err != nil {
			return
		}
	}
}

// A simAnswer is an answer on its way.
type simAnswer struct {
	key   kmsg.Key
	frame []byte
}

// down takes in answers as soon as the broker gives them, whatever becomes of them then.
func (c *simConn) down(way chan<- simAnswer) {
	defer close(way)
	for {
		frame, err := readFrame(c.broker)
		if err != nil {
			return
		}
		way <- simAnswer{c.answered(frame[4:]).key, frame}
	}
}

// deliver carries answers the rest of their way.
func (c *simConn) deliver(way <-chan simAnswer) {
	defer func() {
		c.close()
		for range way { // down has noticed
		}
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		delete(c.net.conns, c)
	}()
	for answer := range way {
		if broken := c.net.harm(c, answer.key); broken {
			return
		}
		if c.lost() {
			continue
		}
		if _, err := c.client.Write(answer.frame); err != nil {
			return
		}
	}
}

// harm does what is wrong about an answer, and tells whether the connection breaks.
func (n *simNet) harm(c *simConn, key kmsg.Key) (broken bool) {
	n.mu.Lock()
	if n.calm || key == kmsg.ApiVersions || n.rand.IntN(1000) >= n.faults {
		n.mu.Unlock()
		return false
	}
	what, delay := n.rand.IntN(4), time.Duration(n.rand.IntN(3000))*time.Millisecond
	n.mu.Unlock()
	switch what {
	case 0:
		n.lostWith("breaks", key)
		return true
	case 1:
		n.lostWith("goes silent", key)
		c.lose()
	default:
		n.lostWith("is late by "+delay.String(), key)
		time.Sleep(delay)
	}
	return false
}

func readFrame(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(frame, size[:])
	_, err := io.ReadFull(from, frame[4:])
	return frame, err
}

// note keeps what is asked.
func (c *simConn) note(request []byte) {
	ask := simAsk{key: kmsg.Key(binary.BigEndian.Uint16(request)), version: int16(binary.BigEndian.Uint16(request[2:]))}
	if ask.key == kmsg.OffsetCommit {
		ask.commit = parseCommit(request, ask.version)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks[int32(binary.BigEndian.Uint32(request[4:]))] = ask
}

// answered finds what an answer is to, and shows those of coordinators.
func (c *simConn) answered(response []byte) simAsk {
	id := int32(binary.BigEndian.Uint32(response))
	c.mu.Lock()
	ask := c.asks[id]
	delete(c.asks, id)
	c.mu.Unlock()
	switch ask.key {
	case kmsg.OffsetCommit, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup:
	default:
		return ask
	}
	answer := kmsg.ResponseForKey(int16(ask.key))
	answer.SetVersion(ask.version)
	body := response[4:]
	if answer.IsFlexible() {
		body = body[1:] // no tags
	}
	if err := answer.ReadFrom(body); err != nil {
		panic(errors.Join(errors.New("an answer cannot be read"), err))
	}
	switch answer := answer.(type) {
	case *kmsg.OffsetCommitResponse:
		c.net.commit(ask.commit, answer)
	case *kmsg.HeartbeatResponse:
		c.net.told(answer.ErrorCode)
	case *kmsg.JoinGroupResponse:
		c.net.told(answer.ErrorCode)
		c.net.called(answer.MemberID)
	case *kmsg.SyncGroupResponse:
		c.net.told(answer.ErrorCode)
	}
	return ask
}

func parseCommit(request []byte, version int16) *kmsg.OffsetCommitRequest {
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.SetVersion(version)
	body := request[8:]
	client := int(int16(binary.BigEndian.Uint16(body)))
	body = body[2+max(client, 0):]
	if commit.IsFlexible() {
		body = body[1:] // no tags
	}
	if err := commit.ReadFrom(body); err != nil {
		panic(errors.Join(errors.New("a commit cannot be read"), err))
	}
	return commit
}
