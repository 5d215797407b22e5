package cluster

import (
	"context"
	"errors"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Coordinator gives the broker that coordinates a group: the one known, or else what a broker says. One attempt; the error is a
// *CoordinatorError.
func (c *Client) Coordinator(ctx context.Context, group string) (int32, error) {
	c.mu.Lock()
	id, ok := c.groups[group]
	ok = ok && c.nodes[id] != nil
	refuser, refused := c.refusers[group]
	if !refused {
		refuser = noRefuser
	}
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	req := &protocol.FindCoordinatorRequest{
		CoordinatorKey: group, CoordinatorKeys: []string{group}, KeyType: protocol.CoordinatorGroup,
	}
	resp, version, asked, err := c.doAny(ctx, refuser, req, broker.CallOptions{})
	if err != nil {
		return 0, &CoordinatorError{Group: group, Node: -1, Err: err}
	}
	b, message, err := coordinatorOf(resp.(*protocol.FindCoordinatorResponse), version, group)
	if err != nil {
		c.coordinatorRefused(group, asked)
		return 0, &CoordinatorError{Group: group, Node: asked, Message: message, Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed {
		return 0, ErrClosed
	}
	c.groups[group] = b.ID
	delete(c.refusers, group)
	if c.nodes[b.ID] == nil {
		m := c.meta.clone()
		m.addBroker(b)
		c.publishLocked(m) // adds only: nothing to close
	}
	return b.ID, nil
}

// coordinatorRefused notes who could not name a group's coordinator: the next time another broker, whose view may be newer,
// is asked first.
func (c *Client) coordinatorRefused(group string, node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusers[group] = node
}

// coordinatorMayPass says of the error codes of FindCoordinator whether asking again can help; for others it is
// [protocol.ErrorCode.Retriable] that says so.
var coordinatorMayPass = map[protocol.ErrorCode]bool{
	protocol.CoordinatorNotAvailable:   true,
	protocol.CoordinatorLoadInProgress: true,
	protocol.RequestTimedOut:           true,
	protocol.UnknownServerError:        true,
	protocol.InvalidGroupID:            false,
	protocol.GroupAuthorizationFailed:  false,
	protocol.InvalidRequest:            false,
}

// retriable says whether finding the coordinator may succeed when tried again.
func (e *CoordinatorError) retriable() bool {
	if code, ok := errors.AsType[protocol.ErrorCode](e.Err); ok {
		if may, known := coordinatorMayPass[code]; known {
			return may
		}
	}
	return IsRetriable(e.Err)
}

// coordinatorOf reads the answer for one group: a list from version 4 on (KIP-699), a single one before.
func coordinatorOf(r *protocol.FindCoordinatorResponse, version int16, group string) (Broker, string, error) {
	found := protocol.FindCoordinatorResponseCoordinator{
		NodeID: r.NodeID, Host: r.Host, Port: r.Port, ErrorCode: r.ErrorCode, ErrorMessage: r.ErrorMessage,
	}
	if version >= 4 {
		found.ErrorCode = protocol.CoordinatorNotAvailable // unless the answer speaks of the group
		for _, k := range r.Coordinators {
			if k.Key == group {
				found = k
			}
		}
	}
	message := ""
	if found.ErrorMessage != nil {
		message = *found.ErrorMessage
	}
	if err := found.ErrorCode.Err(); err != nil {
		return Broker{}, message, err
	}
	b, ok := brokerOf(found.NodeID, found.Host, found.Port, nil)
	if !ok {
		return Broker{}, message, protocol.CoordinatorNotAvailable
	}
	return b, message, nil
}

// ForgetCoordinator drops what is known of a group's coordinator if that is still node.
func (c *Client) ForgetCoordinator(group string, node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[group] == node {
		delete(c.groups, group)
	}
}
