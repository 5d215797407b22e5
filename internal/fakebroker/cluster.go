package fakebroker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// Options describe a Cluster. The zero value is one node on loopback that speaks everything.
type Options struct {
	// Nodes is how many brokers there are; their ids count from 1. Default 1.
	Nodes int
	// InMemory makes Cluster.Dial connect over net.Pipe; there are no listeners.
	InMemory bool
	// MaxVersions caps the versions of APIs; an API capped below its lowest version is not spoken at all.
	MaxVersions map[protocol.APIKey]int16
	// Racks gives nodes a rack, by id.
	Racks map[int32]string
	// NoSessions refuses fetch sessions.
	NoSessions bool
}

// Cluster is a scripted Kafka cluster. It is safe for concurrent use.
type Cluster struct {
	opts Options
	work sync.WaitGroup

	mu          sync.Mutex // guards what follows and everything below; not held while waiting or writing
	closed      bool
	nodes       map[int32]*node
	topics      map[string]*topic
	topicIDs    map[protocol.UUID]*topic
	topicsMade  int
	groups      map[string]map[partitionKey]Offset
	coordinator int32
	sessions    map[int32]*session
	sessionSeq  int32
	handlers    map[protocol.APIKey]Handler
	calls       []*Call
	changed     chan struct{} // closed and replaced whenever something has changed
}

// node is one broker.
type node struct {
	id       int32
	host     string
	port     int
	listener net.Listener // nil when stopped, or in memory
	running  bool
	hung     bool
	conns    map[*conn]bool
}

func (n *node) addr() string { return net.JoinHostPort(n.host, strconv.Itoa(n.port)) }

// TB is what Start needs of a testing.TB.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Start is New for tests: it fails the test on an error and closes the cluster at its end.
func Start(t TB, o Options) *Cluster {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// New starts a cluster. Close ends it.
func New(o Options) (*Cluster, error) {
	o.Nodes = max(o.Nodes, 1)
	c := &Cluster{
		opts:        o,
		nodes:       map[int32]*node{},
		topics:      map[string]*topic{},
		topicIDs:    map[protocol.UUID]*topic{},
		groups:      map[string]map[partitionKey]Offset{},
		coordinator: 1,
		sessions:    map[int32]*session{},
		handlers:    map[protocol.APIKey]Handler{},
		changed:     make(chan struct{}),
	}
	for id := int32(1); id <= int32(o.Nodes); id++ {
		c.nodes[id] = &node{id: id, host: fmt.Sprintf("broker-%d.fake", id), port: 9092, conns: map[*conn]bool{}}
		if err := c.StartNode(id); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close stops every node and waits for the cluster's goroutines.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	ids := make([]int32, 0, len(c.nodes))
	for id := range c.nodes {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	for _, id := range ids {
		c.StopNode(id)
	}
	c.work.Wait()
}

// Addrs gives the address of every node, in the order of their ids.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, c.opts.Nodes)
	for i := range addrs {
		addrs[i] = c.Addr(int32(i + 1))
	}
	return addrs
}

// Addr gives the address of a node.
func (c *Cluster) Addr(id int32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id].addr()
}

// StartNode starts a node that was stopped, at the address it had.
func (c *Cluster) StartNode(id int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if n.running || c.closed {
		return nil
	}
	n.hung = false
	if !c.opts.InMemory {
		addr := "127.0.0.1:0"
		if n.host == "127.0.0.1" {
			addr = n.addr()
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		n.host, n.port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
		n.listener = l
		c.work.Go(func() { c.accept(n, l) }) // ended by StopNode, which closes the listener
	}
	n.running = true
	c.changedLocked()
	return nil
}

// StopNode closes a node's listener and connections, as a kill does. Its partitions keep their leader
// until MoveLeader.
func (c *Cluster) StopNode(id int32) {
	c.mu.Lock()
	n := c.nodes[id]
	n.running = false
	l := n.listener
	n.listener = nil
	c.changedLocked()
	c.mu.Unlock()
	if l != nil {
		_ = l.Close() // a second close changes nothing
	}
	c.DropConns(id)
}

// DropConns closes the connections to a node; the node stays up.
func (c *Cluster) DropConns(id int32) {
	c.mu.Lock()
	conns := make([]*conn, 0, len(c.nodes[id].conns))
	for s := range c.nodes[id].conns {
		conns = append(conns, s)
	}
	c.mu.Unlock()
	for _, s := range conns {
		s.close()
	}
}

// HangNode makes a node accept connections and requests but answer nothing, as one that was sent SIGSTOP.
func (c *Cluster) HangNode(id int32) { c.setHung(id, true) }

// ResumeNode ends HangNode: requests that came meanwhile are answered.
func (c *Cluster) ResumeNode(id int32) { c.setHung(id, false) }

func (c *Cluster) setHung(id int32, hung bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[id].hung = hung
	c.changedLocked()
}

// Connections counts the open connections to a node.
func (c *Cluster) Connections(id int32) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.nodes[id].conns)
}

// MoveNode gives a node another address (in memory: another host name); it must be stopped.
func (c *Cluster) MoveNode(id int32, host string, port int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[id].host, c.nodes[id].port = host, port
}

// Dial connects to the node at addr: what to give a client as its dialer.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !c.opts.InMemory {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.addr() == addr && n.running && !c.closed {
			client, server := net.Pipe()
			c.serveLocked(n, server)
			return client, nil
		}
	}
	return nil, fmt.Errorf("dial %s: connection refused", addr)
}

// accept serves the connections that come to a listener.
func (c *Cluster) accept(n *node, l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		if n.running && n.listener == l {
			c.serveLocked(n, nc)
		} else {
			_ = nc.Close()
		}
		c.mu.Unlock()
	}
}

// changedLocked wakes everybody who waits for something to change.
func (c *Cluster) changedLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Await waits until cond is true. cond is called again whenever something in the cluster has changed.
func (c *Cluster) Await(ctx context.Context, cond func() bool) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
