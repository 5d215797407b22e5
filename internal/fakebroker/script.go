package fakebroker

import (
	"context"
	"net"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// Call is a request that a node has got.
type Call struct {
	Node        int32
	Version     int16
	Correlation int32
	ClientID    string
	Request     protocol.Request
	At          time.Time
	// Conn is the connection it came by; a handler may write to it, or close it.
	Conn net.Conn

	ctx context.Context
	c   *Cluster
}

// Default gives the answer that the cluster would give by itself; a Fetch waits for it. Nil when the connection
// has ended meanwhile, or for an API without a default.
func (k *Call) Default() protocol.Response { return k.c.respond(k) }

// Reply says what to do about a Call. The zero Reply leaves it to the default.
type Reply struct {
	// Response is the answer.
	Response protocol.Response
	// Raw is sent instead of a response, as it is: it needs its own size and header.
	Raw []byte
	// Delay comes before the answer, the default one too.
	Delay time.Duration
	// Drop closes the connection, after Raw if there is any.
	Drop bool
	// Hang never answers; the connection stays open, and nothing behind the request is answered either.
	Hang bool
}

// Handler looks at a request before the default handlers do. It runs in the connection's goroutine.
type Handler func(*Call) Reply

// Handle puts a handler before the default one of an API; nil takes it away.
func (c *Cluster) Handle(key protocol.APIKey, h Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h == nil {
		delete(c.handlers, key)
	} else {
		c.handlers[key] = h
	}
}

// HandleN is Handle for the next n requests of an API.
func (c *Cluster) HandleN(key protocol.APIKey, n int, h Handler) {
	c.Handle(key, func(k *Call) Reply {
		c.mu.Lock()
		n--
		left := n
		if left == 0 {
			delete(c.handlers, key)
		}
		c.mu.Unlock()
		if left < 0 {
			return Reply{}
		}
		return h(k)
	})
}

// dispatch records a request and asks its handler.
func (c *Cluster) dispatch(k *Call) Reply {
	c.mu.Lock()
	c.calls = append(c.calls, k)
	h := c.handlers[k.Request.Key()]
	c.changedLocked()
	c.mu.Unlock()
	if h == nil {
		return Reply{}
	}
	return h(k)
}

// Calls gives the requests of an API so far, in the order they were served.
func (c *Cluster) Calls(key protocol.APIKey) []*Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var calls []*Call
	for _, k := range c.calls {
		if k.Request.Key() == key {
			calls = append(calls, k)
		}
	}
	return calls
}

// Count counts the requests of an API so far.
func (c *Cluster) Count(key protocol.APIKey) int { return len(c.Calls(key)) }

// AwaitCount waits until there have been n requests of an API.
func (c *Cluster) AwaitCount(ctx context.Context, key protocol.APIKey, n int) error {
	return c.Await(ctx, func() bool { return c.Count(key) >= n })
}

// versions is what the cluster speaks of an API.
func (c *Cluster) versions(k protocol.APIKey) (lowest, highest int16, ok bool) {
	lowest, highest, ok = protocol.Versions(k)
	if limit, capped := c.opts.MaxVersions[k]; capped && limit < highest {
		highest = limit
	}
	return lowest, highest, ok && highest >= lowest
}

// respond gives the default answer.
func (c *Cluster) respond(k *Call) protocol.Response {
	switch req := k.Request.(type) {
	case *protocol.ApiVersionsRequest:
		return c.apiVersions()
	case *protocol.FetchRequest:
		return c.fetch(k, req)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch req := k.Request.(type) {
	case *protocol.MetadataRequest:
		return c.metadata(req, k.Version)
	case *protocol.ListOffsetsRequest:
		return c.listOffsets(k.Node, req)
	case *protocol.OffsetForLeaderEpochRequest:
		return c.epochEnds(k.Node, req)
	case *protocol.FindCoordinatorRequest:
		return c.findCoordinator(req)
	case *protocol.OffsetCommitRequest:
		return c.commit(k.Node, req, k.Version)
	case *protocol.OffsetFetchRequest:
		return c.committed(k.Node, req, k.Version)
	}
	return nil
}

// allAPIs are the APIs with a default answer.
var allAPIs = []protocol.APIKey{
	protocol.KeyFetch, protocol.KeyListOffsets, protocol.KeyMetadata, protocol.KeyOffsetCommit, protocol.KeyOffsetFetch,
	protocol.KeyFindCoordinator, protocol.KeyApiVersions, protocol.KeyOffsetForLeaderEpoch,
}

// apiVersions lists what the cluster speaks.
func (c *Cluster) apiVersions() protocol.Response {
	resp := protocol.NewApiVersionsResponse()
	for _, k := range allAPIs {
		if lo, hi, ok := c.versions(k); ok {
			resp.ApiKeys = append(resp.ApiKeys, protocol.ApiVersionsResponseKey{ApiKey: k, MinVersion: lo, MaxVersion: hi})
		}
	}
	return resp
}
