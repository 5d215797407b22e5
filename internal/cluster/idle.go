package cluster

import (
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
)

// usage is what the choice of idle connections depends on.
type usage struct {
	lastUsed time.Time
	inFlight int
}

// idleConns gives the indexes of connections to close now, and when to look again (at most maxIdle from now).
func idleConns(conns []usage, maxIdle time.Duration, now time.Time) (idle []int, next time.Time) {
	next = now.Add(maxIdle)
	for i, u := range conns {
		if u.inFlight > 0 {
			continue
		}
		end := u.lastUsed.Add(maxIdle)
		if !end.After(now) {
			idle = append(idle, i)
		} else if end.Before(next) {
			next = end
		}
	}
	return idle, next
}

// reapLoop closes idle connections, before the broker does so under a request. Close ends it.
func (c *Client) reapLoop() {
	timer := time.NewTimer(c.cfg.ConnectionsMaxIdle)
	defer timer.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-timer.C:
		case <-c.wakeReaper:
		}
		timer.Reset(time.Until(c.reap()))
	}
}

// reap closes what is idle and says when to look again.
func (c *Client) reap() time.Time {
	var conns []*broker.Conn
	c.mu.Lock()
	for _, n := range c.nodes {
		for i := range n.slots {
			if conn := n.slots[i].conn; conn != nil {
				conns = append(conns, conn)
			}
		}
	}
	c.mu.Unlock()
	at := now()
	uses := make([]usage, len(conns))
	for i, conn := range conns {
		uses[i] = usage{conn.LastUsed(), conn.InFlight()}
	}
	idle, next := idleConns(uses, c.cfg.ConnectionsMaxIdle, at)
	for _, i := range idle {
		conns[i].CloseIfIdle(at.Add(-c.cfg.ConnectionsMaxIdle))
	}
	return next
}
