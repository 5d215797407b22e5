package cluster

import (
	"context"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
)

// This file has methods of Client that only tests need.

// CloseConn closes the connection of a kind to a node, if there is one; the next request opens another.
func (c *Client) CloseConn(id int32, k Kind) {
	c.mu.Lock()
	var conn *broker.Conn
	if n := c.nodes[id]; n != nil {
		conn, n.slots[k].conn = n.slots[k].conn, nil
	}
	c.mu.Unlock()
	if conn != nil {
		conn.Close(broker.ErrClosed)
	}
}

// NodeUsable reports whether a request to a node would be tried now; if not, when it would (the zero time:
// the node is not known).
func (c *Client) NodeUsable(id int32) (ok bool, retryAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if n == nil {
		return false, time.Time{}
	}
	if n.connected() || !now().Before(n.retryAt) {
		return true, time.Time{}
	}
	return false, n.retryAt
}

// WaitRefresh waits for an answer to a metadata request that was sent after the call.
func (c *Client) WaitRefresh(ctx context.Context) error {
	c.mu.Lock()
	before := c.refresh.attempt // it may be out yet, and does not count
	c.mu.Unlock()
	c.Refresh("somebody waits for it")
	for {
		c.mu.Lock()
		changed, answered := c.changed, c.refresh.answeredAttempt
		c.mu.Unlock()
		if answered > before {
			return nil
		}
		select {
		case <-changed:
		case <-c.life.Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
