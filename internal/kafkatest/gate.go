package kafkatest

import (
	"net"
	"sync"
)

// gateState is what a fake node's door does.
type gateState int

const (
	gateOpen   gateState = iota
	gatePaused           // as SIGSTOP: connections are accepted, bytes go nowhere
	gateDown             // as kill -9: connections are reset, new ones refused
	gateClosed           // the fake broker has closed its listener for good
)

// gate is the listener of one fake node. The node does not notice what the gate does to its clients. All waiting is on channels, so
// that gates work inside testing/synctest.
type gate struct {
	listen listenFunc
	addr   net.Addr // where it listens
	public net.Addr // what the broker advertises: addr, or a proxy's

	mu       sync.Mutex // guards what follows
	listener net.Listener
	state    gateState
	changed  chan struct{} // closed and replaced when state changes
	conns    map[*gateConn]struct{}
}

// listenFunc opens a listener: the form of net.Listen.
type listenFunc = func(network, address string) (net.Listener, error)

func newGate(listen listenFunc, network, address string) (*gate, error) {
	l, err := listen(network, address)
	if err != nil {
		return nil, err
	}
	return &gate{listen: listen, addr: l.Addr(), public: l.Addr(), listener: l, changed: make(chan struct{}), conns: make(map[*gateConn]struct{})}, nil
}

// Addr is what the fake broker takes for its address, and advertises.
func (g *gate) Addr() net.Addr { return g.public }

// Accept waits through times when the node is down.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		state, listener, changed := g.state, g.listener, g.changed
		g.mu.Unlock()
		if state == gateClosed {
			return nil, net.ErrClosed
		}
		if state == gateDown {
			<-changed
			continue
		}
		conn, err := listener.Accept()
		if err == nil {
			if c := g.admit(conn); c != nil {
				return c, nil
			}
			continue
		}
		g.mu.Lock()
		same := g.state == state && g.listener == listener
		g.mu.Unlock()
		if same {
			return nil, err
		}
	}
}

// admit tracks a new connection; nil when the node went down meanwhile.
func (g *gate) admit(conn net.Conn) *gateConn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == gateDown || g.state == gateClosed {
		conn.Close()
		return nil
	}
	ownSockets.add(conn)
	c := &gateConn{Conn: conn, gate: g, closed: make(chan struct{})}
	g.conns[c] = struct{}{}
	return c
}

// Close is the fake broker ending; the gate does not open again.
func (g *gate) Close() error {
	_, err := g.set(gateClosed)
	return err
}

// set changes the state. Going down or closing takes the listener and all connections along; coming up again listens at the
// same address. It tells whether anything changed.
func (g *gate) set(state gateState) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == state || g.state == gateClosed {
		return false, nil
	}
	var err error
	switch {
	case state == gateDown || state == gateClosed:
		if g.state != gateDown {
			err = g.listener.Close()
		}
		for c := range g.conns {
			c.drop()
		}
		clear(g.conns)
	case g.state == gateDown:
		if g.listener, err = g.listen("tcp", g.addr.String()); err != nil {
			return false, err
		}
		ownSockets.add(g.listener)
	}
	g.state = state
	close(g.changed)
	g.changed = make(chan struct{})
	return true, err
}

// gateConn is a connection that a pause of its gate silences.
type gateConn struct {
	net.Conn
	gate      *gate
	closeOnce sync.Once
	closed    chan struct{}
}

func (c *gateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wait() // what arrives during a pause is seen after it
	return n, err
}

func (c *gateConn) Write(b []byte) (int, error) {
	c.wait()
	return c.Conn.Write(b)
}

// wait blocks while the gate is paused and the connection open.
func (c *gateConn) wait() {
	for {
		c.gate.mu.Lock()
		paused, changed := c.gate.state == gatePaused, c.gate.changed
		c.gate.mu.Unlock()
		if !paused {
			return
		}
		select {
		case <-changed:
		case <-c.closed:
			return
		}
	}
}

func (c *gateConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.drop()
}

// drop closes the connection without touching the gate, whose lock the caller may hold.
func (c *gateConn) drop() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		close(c.closed)
		err = reset(c.Conn)
	})
	return err
}

// reset closes a TCP connection the hard way, as a process that is killed with unread data does.
func reset(conn net.Conn) error {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only on a connection that is closed
	}
	return conn.Close()
}
