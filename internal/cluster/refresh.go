package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// SetTopics says which topics the view is about. New ones are asked for soon; ones no longer named leave it with
// the next answer. Topics are never created by asking for them.
func (c *Client) SetTopics(names []string) {
	c.mu.Lock()
	grown := false
	topics := make(map[string]bool, len(names))
	for _, name := range names {
		topics[name] = true
		grown = grown || c.meta.Topics[name] == nil
	}
	c.topics, c.all = topics, false
	if grown {
		c.refresh.want("new topics")
	}
	c.mu.Unlock()
	if grown {
		kick(c.wakeRefresh)
	}
}

// SetAllTopics makes the view be about every topic of the cluster.
func (c *Client) SetAllTopics() {
	c.mu.Lock()
	grown := !c.all
	c.topics, c.all = map[string]bool{}, true
	if grown {
		c.refresh.want("all topics")
	}
	c.mu.Unlock()
	if grown {
		kick(c.wakeRefresh)
	}
}

// Refresh asks for fresh metadata soon. Calls are collected, and spaced so that they never make a hot loop.
func (c *Client) Refresh(reason string) {
	c.mu.Lock()
	c.refresh.want(reason)
	c.mu.Unlock()
	kick(c.wakeRefresh)
}

// RefreshFailure is why the last attempt to refresh the view failed; nil where it has not.
func (c *Client) RefreshFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refreshErr
}

// FetchMetadata asks for topics (nil: all of them) and gives the answer by itself; the tracked topics and the
// shared view stay as they are. One attempt over all brokers that can be asked.
func (c *Client) FetchMetadata(ctx context.Context, topics []string) (*Metadata, error) {
	a, err := c.askMetadata(ctx, metadataRequest(topics, topics == nil))
	if err != nil {
		return nil, err
	}
	return merge(emptyMetadata(), a, func(string) bool { return true }), nil
}

// metadataRequest asks for topics by name. It never lets the broker create one.
func metadataRequest(topics []string, all bool) *protocol.MetadataRequest {
	req := protocol.NewMetadataRequest()
	req.AllowAutoTopicCreation = false
	if all {
		return req
	}
	req.Topics = make([]protocol.MetadataRequestTopic, len(topics))
	for i := range topics {
		req.Topics[i].Name = &topics[i]
	}
	return req
}

// trackedRequest asks for the tracked topics.
func (c *Client) trackedRequest() *protocol.MetadataRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.topics))
	for name := range c.topics {
		names = append(names, name)
	}
	return metadataRequest(names, c.all)
}

// askMetadata puts a metadata request to the known brokers.
func (c *Client) askMetadata(ctx context.Context, req *protocol.MetadataRequest) (answer, error) {
	return firstOf(ctx, c, noRefuser, func(ctx context.Context, id int32) (answer, error) {
		resp, version, err := c.Do(ctx, id, KindGeneral, req, broker.CallOptions{})
		if err != nil {
			return answer{}, err
		}
		return readAnswer(req, resp, version, strconv.Itoa(int(id)))
	})
}

// readAnswer judges a metadata response of the broker from.
func readAnswer(req *protocol.MetadataRequest, resp protocol.Response, version int16, from string) (answer, error) {
	a := answer{resp: resp.(*protocol.MetadataResponse), version: version, all: req.Topics == nil, from: from}
	return a, a.usable()
}

// refreshLoop keeps the view fresh. Close ends it.
func (c *Client) refreshLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.mu.Lock()
		c.refresh.look(c.judgeLocked(), now())
		due := c.refresh.next(c.cfg.backoff(), now())
		c.mu.Unlock()
		timer.Reset(time.Until(due))
		select {
		case <-c.life.Done():
			return
		case <-c.wakeRefresh:
			// Look again: it may be due earlier now.
		case <-timer.C:
			c.refreshOnce()
		}
	}
}

// judgeLocked is judge for the present view: a leader that cannot be dialed, or hangs, is as bad as none.
func (c *Client) judgeLocked() trouble {
	return judge(c.meta, c.topics, c.all, func(id int32) bool {
		n := c.nodes[id]
		return n == nil || n.failures > 0 || n.suspect
	})
}

// refreshOnce asks for the tracked topics: the known brokers first; when none of them can be used, or has been able
// to answer for long, the bootstrap list (KIP-899, KIP-1102).
func (c *Client) refreshOnce() {
	req := c.trackedRequest()
	c.mu.Lock()
	c.refresh.began(now(), 2*c.cfg.BackoffMax)
	overdue := c.refresh.overdue(c.cfg.RebootstrapAfter, now())
	c.mu.Unlock()

	var a answer
	var seed *broker.Conn
	err := errRebootstrap
	if !overdue {
		a, err = c.askMetadata(c.life, req)
	}
	if err != nil && c.life.Err() == nil {
		anew := overdue || errors.Is(err, protocol.RebootstrapRequired)
		a, seed, err = c.rebootstrap(req, err)
		if err == nil && anew {
			c.forgetNodes()
		}
	}
	c.refreshed(a, seed, err)
}

// rebootstrap asks the bootstrap list after the known brokers have failed with why. The round gets longer the more have
// failed: while it lasts the known brokers are not looked at.
func (c *Client) rebootstrap(req *protocol.MetadataRequest, why error) (answer, *broker.Conn, error) {
	c.mu.Lock()
	bound := c.cfg.BackoffMax << min(c.refresh.failures+1, 10)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.life, bound)
	defer cancel()
	r, err := c.bootstrapRound(ctx, req, nil)
	if err != nil {
		return answer{}, nil, fmt.Errorf("%w; %w", why, err)
	}
	return r.answer, r.conn, nil
}

// errRebootstrap is why the known brokers are not asked.
var errRebootstrap = errors.New("no metadata for too long")

// forgetNodes drops every broker learned, and the coordinators among them, for the brokers of a cluster found anew.
func (c *Client) forgetNodes() {
	c.mu.Lock()
	conns := c.dropNodesLocked()
	clear(c.groups)
	clear(c.refusers)
	c.mu.Unlock()
	closeConns(conns, errBrokerGone)
}

// refreshed carries out what an attempt has brought.
func (c *Client) refreshed(a answer, seed *broker.Conn, err error) {
	at := now()
	maxAge := time.Duration(float64(c.cfg.MetadataMaxAge) * (0.9 + 0.2*c.cfg.Rand()))
	c.mu.Lock()
	c.refresh.done(at, err, maxAge, c.cfg.backoff())
	c.refreshErr = err
	var gone []*broker.Conn
	if err == nil {
		if old := c.meta.ClusterID; old != "" && a.resp.ClusterID != nil && *a.resp.ClusterID != old {
			// Leader epochs of another cluster mean nothing here.
			c.meta = emptyMetadata()
		}
		topics, all := c.topics, c.all
		gone = c.publishLocked(merge(c.meta, a, func(topic string) bool { return all || topics[topic] }))
		gone = append(gone, c.adoptLocked(seed)...)
	}
	c.mu.Unlock()
	closeConns(gone, errBrokerGone)
}

// adoptLocked gives a bootstrap connection to the broker at whose address it was made; one that is nobody's is
// returned, to be closed.
func (c *Client) adoptLocked(seed *broker.Conn) []*broker.Conn {
	if seed == nil {
		return nil
	}
	if c.spawnLocked(seed.Wait) { // ends with the connection
		for _, n := range c.nodes {
			if s := &n.slots[KindGeneral]; n.Addr() == seed.Addr() && s.conn == nil && s.dial == nil {
				s.conn, s.proven = seed, true
				n.succeeded()
				return nil
			}
		}
	}
	return []*broker.Conn{seed}
}
