package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Client knows a cluster. It is safe for concurrent use. New makes one, Start connects it, Close ends it.
type Client struct {
	cfg Config

	// life ends with Close and bounds everything the client does by itself.
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup // every goroutine of the client; grows only through spawn

	wakeRefresh chan struct{} // capacity 1: the refresh loop has something to look at
	wakeReaper  chan struct{} // capacity 1: a connection has come up

	mu         sync.Mutex // guards what follows; never held across I/O, channels or callbacks
	state      lifecycle
	nodes      map[int32]*node
	meta       *Metadata
	changed    chan struct{} // closed and replaced with meta
	topics     map[string]bool
	all        bool // all topics are tracked
	refresh    refreshState
	refreshErr error            // why the last attempt failed; nil: it has not
	groups     map[string]int32 // coordinators by group
	refusers   map[string]int32 // by group, who could not name its coordinator the last time
	dialing    map[*dial]string // addresses of the dials that run, for what Close has to say
	lastSeen   map[string]error // latest failure per bootstrap address
}

// lifecycle is where a Client stands.
type lifecycle int

const (
	idle lifecycle = iota
	starting
	running
	closed
)

// New makes a Client. It touches no network.
func New(cfg Config) *Client {
	c := &Client{
		cfg:         cfg.withDefaults(),
		wakeRefresh: make(chan struct{}, 1),
		wakeReaper:  make(chan struct{}, 1),
		nodes:       map[int32]*node{},
		meta:        emptyMetadata(),
		changed:     make(chan struct{}),
		topics:      map[string]bool{},
		groups:      map[string]int32{},
		refusers:    map[string]int32{},
		dialing:     map[*dial]string{},
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Metadata gives the current view; never nil.
func (c *Client) Metadata() *Metadata {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.meta
}

// Changed gives a channel that is closed when the view is next replaced. Take it before Metadata to miss nothing.
func (c *Client) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// spawn runs f in a goroutine that Close waits for; false, and nothing, after Close.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spawnLocked(f)
}

func (c *Client) spawnLocked(f func()) bool {
	if c.state == closed {
		return false
	}
	c.work.Go(f)
	return true
}

// closeTime is what the client's goroutines get to end in where the caller's time is over: they wait for no broker. It is less than what
// a dialer that hangs has before it is left behind, which is to be told.
const closeTime = 50 * time.Millisecond

// Close ends everything: connections are closed, requests fail, and the client's goroutines are waited for until ctx
// ends, and closeTime more. An error means that one of them hangs in a user's dialer; it is named. A second Close is nil.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return nil
	}
	c.state = closed
	conns := c.dropNodesLocked()
	c.mu.Unlock()
	c.end()
	done := make(chan struct{})
	// Ends when the client's goroutines and connections have.
	go func() {
		closeConns(conns, broker.ErrClosed)
		for _, conn := range conns {
			conn.Wait()
		}
		c.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	t := time.NewTimer(closeTime)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if addrs := slices.Sorted(maps.Values(c.dialing)); len(addrs) > 0 {
		return fmt.Errorf("closing the cluster client: dialing %v has not ended: %w", addrs, ctx.Err())
	}
	return fmt.Errorf("closing the cluster client: %w", ctx.Err())
}

// dropNodesLocked forgets every broker and gives their connections, to be closed outside the lock.
func (c *Client) dropNodesLocked() []*broker.Conn {
	var conns []*broker.Conn
	for _, n := range c.nodes {
		n.gone = true
		conns = append(conns, n.takeConns()...)
	}
	clear(c.nodes)
	return conns
}

// closeConns closes connections; their requests fail with cause.
func closeConns(conns []*broker.Conn, cause error) {
	for _, conn := range conns {
		conn.Close(cause)
	}
}

// publishLocked puts up a new view and makes the brokers match it. It gives the connections of brokers that are no more or
// have moved, to be closed outside the lock.
func (c *Client) publishLocked(m *Metadata) (gone []*broker.Conn) {
	if c.state == closed {
		return nil
	}
	c.meta = m
	for id, n := range c.nodes {
		if b, ok := m.Broker(id); !ok || b.Addr() != n.Addr() {
			n.gone = true
			gone = append(gone, n.takeConns()...)
			delete(c.nodes, id)
		}
	}
	for _, b := range m.Brokers {
		if n := c.nodes[b.ID]; n != nil {
			n.Rack = b.Rack // the rest is the same, and read without the lock
		} else {
			c.nodes[b.ID] = &node{Broker: b}
		}
	}
	close(c.changed) // wakes waiters; does not block
	c.changed = make(chan struct{})
	return gone
}

// Hint applies a leader that an answer of another kind has named, with the endpoints that came with it, at once
// (KIP-951). It is false when that changed nothing: its epoch is not newer, or the leader's address is not known.
func (c *Client) Hint(topic string, partition, leader, epoch int32, endpoints []protocol.FetchResponseNodeEndpoint) bool {
	h := Hint{Topic: topic, Partition: partition, Leader: leader, LeaderEpoch: epoch}
	brokers := endpointsOf(endpoints)
	c.mu.Lock()
	m := applyHint(c.meta, h, brokers)
	var gone []*broker.Conn
	if m != nil {
		gone = c.publishLocked(m)
	}
	c.mu.Unlock()
	closeConns(gone, errBrokerGone)
	return m != nil
}

// now is the clock; synctest's inside a bubble.
func now() time.Time { return time.Now() }

// kick wakes the loop behind a channel of capacity 1.
func kick(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it is awake already
	}
}
