package cluster

import (
	"context"
	"errors"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Do sends a request to a node, dialing when needed: one attempt. A node in backoff fails at once with a
// *BrokerDownError. See IsRetriable for what may be tried again.
func (c *Client) Do(ctx context.Context, id int32, k Kind, req protocol.Request, o broker.CallOptions) (protocol.Response, int16, error) {
	var resp protocol.Response
	var version int16
	err := c.on(ctx, id, k, func(conn *broker.Conn) (err error) {
		resp, version, err = conn.Do(ctx, req, o)
		return err
	})
	return resp, version, err
}

// Fetch sends a Fetch request to a node and streams the response to v, see broker.Conn.Fetch.
func (c *Client) Fetch(ctx context.Context, id int32, k Kind, req *protocol.FetchRequest, o broker.CallOptions, v protocol.FetchVisitor) (int16, error) {
	var version int16
	err := c.on(ctx, id, k, func(conn *broker.Conn) (err error) {
		version, err = conn.Fetch(ctx, req, o, v)
		return err
	})
	return version, err
}

// on runs f with a node's connection and notes how the node did. A connection that was closed for being idle just
// then is replaced, once.
func (c *Client) on(ctx context.Context, id int32, k Kind, f func(*broker.Conn) error) error {
	for again := false; ; again = true {
		n, conn, err := c.conn(ctx, id, k)
		if err != nil {
			return err
		}
		err = f(conn)
		if errors.Is(err, broker.ErrIdle) && !again {
			continue
		}
		if err == nil {
			c.succeeded(n, k, conn)
		} else {
			c.failed(n, k, conn)
		}
		return err
	}
}

// doAny sends a request that any broker can answer: to the best one, to the next when that fails, and to the next
// beside it when it is slow. The first answer counts. The node that gave it is returned, too. A node that has refused
// this question before is asked after all that may be well.
func (c *Client) doAny(ctx context.Context, refuser int32, req protocol.Request, o broker.CallOptions) (protocol.Response, int16, int32, error) {
	type answered struct {
		resp    protocol.Response
		version int16
		node    int32
	}
	a, err := firstOf(ctx, c, refuser, func(ctx context.Context, id int32) (answered, error) {
		resp, version, err := c.Do(ctx, id, KindGeneral, req, o)
		return answered{resp, version, id}, err
	})
	return a.resp, a.version, a.node, err
}
