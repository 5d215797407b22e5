package kafkatest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on loopback that a test puts before a broker to harm what goes through. Faults apply to open connections at
// once, and to new ones. What a fault holds back is delivered, in order, when the fault is lifted.
type Proxy struct {
	listener net.Listener

	mu      sync.Mutex // guards what follows
	target  string
	faults  faults
	changed chan struct{} // closed and replaced when faults change
	pairs   map[*pair]struct{}
	closed  bool

	goroutines sync.WaitGroup // accept and two per connection; they end with Close
}

// Direction is one of the ways through a proxy.
type Direction int

// Directions, to be combined with |.
const (
	ToBroker Direction = 1 << iota
	ToClient
	BothWays = ToBroker | ToClient
)

// faults are what a proxy does now.
type faults struct {
	delay  time.Duration
	silent Direction // ways on which nothing moves
	chunk  int       // most bytes per write; 0: as they come
	refuse bool      // reset new connections
}

// NewProxy listens on a loopback port and passes connections on to target, which may be set later. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := startProxy(target)
	if err != nil {
		t.Fatalf("listen for a proxy: %v", err)
	}
	t.Cleanup(p.close)
	return p
}

func startProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ownSockets.add(l)
	p := &Proxy{listener: l, target: target, changed: make(chan struct{}), pairs: make(map[*pair]struct{})}
	p.goroutines.Go(p.accept)
	return p, nil
}

// Addr is what clients are given instead of the broker's address.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget changes where new connections go.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Delay holds every piece of data back for d, each way.
func (p *Proxy) Delay(d time.Duration) { p.change(func(f *faults) { f.delay = d }) }

// Silence stops data on the given ways, while connections stay open and new ones are accepted: a hung broker (BothWays), or a half-open
// connection (ToClient: requests arrive, answers do not). Zero lifts it.
func (p *Proxy) Silence(ways Direction) { p.change(func(f *faults) { f.silent = ways }) }

// Split passes data on in writes of at most n bytes; 0 stops that.
func (p *Proxy) Split(n int) { p.change(func(f *faults) { f.chunk = n }) }

// Refuse resets new connections, as a port nobody listens on does; open ones live on.
func (p *Proxy) Refuse(on bool) { p.change(func(f *faults) { f.refuse = on }) }

// Drop resets all open connections.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.reset()
	}
}

// Conns is the number of open connections.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Heal lifts all faults.
func (p *Proxy) Heal() { p.change(func(f *faults) { *f = faults{} }) }

func (p *Proxy) change(f func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) now() (faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Drop()
	p.goroutines.Wait()
}

// accept runs until the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		ownSockets.add(client)
		p.goroutines.Go(func() { p.connect(client) })
	}
}

// connect dials the target for a client and pumps both ways until one ends.
func (p *Proxy) connect(client net.Conn) {
	p.mu.Lock()
	target, refuse := p.target, p.faults.refuse
	p.mu.Unlock()
	if refuse || target == "" {
		_ = reset(client)
		return
	}
	broker, err := net.Dial("tcp", target)
	if err != nil {
		_ = reset(client)
		return
	}
	ownSockets.add(broker)
	c := &pair{proxy: p, client: client, broker: broker, done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pump(broker, client, ToBroker) })
	pumps.Go(func() { c.pump(client, broker, ToClient) })
	pumps.Wait()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pair is one client's connection and the proxy's own to the broker.
type pair struct {
	proxy          *Proxy
	client, broker net.Conn
	once           sync.Once
	done           chan struct{} // closed with the connections
}

func (c *pair) reset() {
	c.once.Do(func() {
		close(c.done)
		_ = reset(c.client)
		_ = reset(c.broker)
	})
}

func (c *pair) finish() {
	c.once.Do(func() {
		close(c.done)
		c.client.Close()
		c.broker.Close()
	})
}

// pump copies one way until either side ends, minding the faults. An orderly end is passed on as one.
func (c *pair) pump(to, from net.Conn, way Direction) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !c.deliver(to, buf[:n], way) {
			c.reset()
			return
		}
		if err == io.EOF {
			if c.pass(way) {
				c.finish()
			}
			return
		}
		if err != nil {
			c.reset()
			return
		}
	}
}

// deliver writes data as the faults allow; false when the connection has ended.
func (c *pair) deliver(to net.Conn, data []byte, way Direction) bool {
	f, _ := c.proxy.now()
	if f.delay > 0 {
		timer := time.NewTimer(f.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.done:
			return false
		}
	}
	for len(data) > 0 {
		if !c.pass(way) {
			return false
		}
		piece := data
		if f, _ := c.proxy.now(); f.chunk > 0 && f.chunk < len(data) {
			piece = data[:f.chunk]
		}
		if _, err := to.Write(piece); err != nil {
			return false
		}
		data = data[len(piece):]
	}
	return true
}

// pass waits while a way is silenced; false when the connection has ended.
func (c *pair) pass(way Direction) bool {
	for {
		f, changed := c.proxy.now()
		if f.silent&way == 0 {
			return true
		}
		select {
		case <-changed:
		case <-c.done:
			return false
		}
	}
}
