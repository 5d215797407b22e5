package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
)

// errBrokerGone ends connections to a broker that has left the cluster or changed its address.
var errBrokerGone = errors.New("the broker has left the cluster or moved")

// conn gives the connection of a kind to a node, dialing when there is none. A fetch does not wait for longer than Config.Hedge: the
// broker may hang, and its partitions have other leaders soon. The dial goes on for whoever comes next.
func (c *Client) conn(ctx context.Context, id int32, k Kind) (*node, *broker.Conn, error) {
	c.mu.Lock()
	n, conn, d, err := c.connLocked(id, k)
	c.mu.Unlock()
	if d == nil {
		return n, conn, err
	}
	var patience <-chan time.Time
	if k == KindFetch || k == KindFetchSide {
		t := time.NewTimer(c.cfg.Hedge)
		defer t.Stop()
		patience = t.C
	}
	select {
	case <-d.done:
		return n, d.conn, d.err
	case <-patience:
		err = fmt.Errorf("%w: still connecting after %v", broker.ErrTimeout, c.cfg.Hedge)
		return n, nil, &BrokerDownError{Node: id, Addr: d.addr, RetryAt: now(), Err: err}
	case <-ctx.Done():
		return n, nil, ctx.Err()
	}
}

// connLocked gives the connection that stands, or the dial to wait for, or why there is neither.
func (c *Client) connLocked(id int32, k Kind) (*node, *broker.Conn, *dial, error) {
	switch c.state {
	case closed:
		return nil, nil, nil, ErrClosed
	case idle:
		return nil, nil, nil, ErrNotStarted
	}
	n := c.nodes[id]
	if n == nil {
		return nil, nil, nil, &UnknownBrokerError{Node: id}
	}
	s := &n.slots[k]
	if s.conn != nil {
		if s.conn.Err() == nil {
			return n, s.conn, nil, nil
		}
		s.conn = nil
	}
	if s.dial == nil {
		if now().Before(n.retryAt) {
			return n, nil, nil, &BrokerDownError{Node: id, Addr: n.Addr(), RetryAt: n.retryAt, Err: n.lastErr}
		}
		d := &dial{addr: n.Addr(), done: make(chan struct{})}
		s.dial = d
		c.dialing[d] = d.addr
		c.spawnLocked(func() { c.dial(n, k, d) }) // ends with its dial, which Close and ConnectTimeout bound
	}
	return n, nil, s.dial, nil
}

// dial connects to a node and puts the connection in its place.
func (c *Client) dial(n *node, k Kind, d *dial) {
	slow := time.AfterFunc(c.cfg.Hedge, func() { c.Avoid(n.ID) }) // a broker that hangs takes connections all the same
	conn, err := broker.Dial(c.life, c.cfg.Broker, d.addr)
	slow.Stop()
	at := now()
	c.mu.Lock()
	delete(c.dialing, d)
	s := &n.slots[k]
	s.dial = nil
	warn := false
	switch {
	case err != nil:
		if c.state != closed && !n.gone {
			warn = n.failed(err, c.cfg.backoff(), at)
		}
		d.err = &BrokerDownError{Node: n.ID, Addr: d.addr, RetryAt: n.retryAt, Err: err}
	case c.state == closed:
		d.err = ErrClosed
	case n.gone:
		d.err = &UnknownBrokerError{Node: n.ID}
	default:
		s.conn, s.proven = conn, false
		d.conn = conn
		c.spawnLocked(conn.Wait) // ends with the connection
	}
	c.mu.Unlock()
	close(d.done)
	if d.conn == nil && conn != nil {
		conn.Close(errBrokerGone)
		conn.Wait()
	}
	if warn {
		c.cfg.Logger.Warn("broker cannot be reached", "broker", n.ID, "addr", d.addr, "err", err)
	}
	if d.conn != nil {
		kick(c.wakeReaper)
	} else if err != nil {
		c.Refresh("a broker cannot be reached")
	}
}

// succeeded notes an answer from a node.
func (c *Client) succeeded(n *node, k Kind, conn *broker.Conn) {
	c.mu.Lock()
	if s := &n.slots[k]; s.conn == conn {
		s.proven = true
	}
	back := n.succeeded()
	c.mu.Unlock()
	if back {
		c.cfg.Logger.Info("broker is back", "broker", n.ID, "addr", conn.Addr())
	}
}

// failed notes that a request to a node failed, if its connection did and that was not our own doing.
func (c *Client) failed(n *node, k Kind, conn *broker.Conn) {
	err := conn.Err()
	if err == nil || errors.Is(err, broker.ErrClosed) || errors.Is(err, broker.ErrIdle) || errors.Is(err, errBrokerGone) {
		return
	}
	at := now()
	c.mu.Lock()
	if errors.Is(err, broker.ErrTimeout) {
		n.suspect = true
	}
	// A broker that takes connections and drops them unanswered is as good as down: without backoff that would be
	// a hot loop.
	warn := false
	if s := &n.slots[k]; s.conn == conn {
		s.conn = nil
		if !s.proven {
			warn = n.failed(err, c.cfg.backoff(), at)
		}
	}
	c.mu.Unlock()
	if warn {
		c.cfg.Logger.Warn("broker drops connections", "broker", n.ID, "addr", conn.Addr(), "err", err)
	}
	c.Refresh("a connection was lost")
}

// Avoid marks a broker as one that may hang: questions any broker can answer are put to it last, until it
// answers something.
func (c *Client) Avoid(id int32) {
	c.mu.Lock()
	if n := c.nodes[id]; n != nil {
		n.suspect = true
	}
	c.mu.Unlock()
	kick(c.wakeRefresh)
}
