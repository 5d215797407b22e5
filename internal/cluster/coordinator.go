package cluster

import (
	"context"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Coordinator gives the broker that coordinates a group: the one known, or else what a broker says. One attempt; the error is a
// *CoordinatorError.
func (c *Client) Coordinator(ctx context.Context, group string) (int32, error) {
	c.mu.Lock()
	id, ok := c.groups[group]
	ok = ok && c.nodes[id] != nil
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	req := &protocol.FindCoordinatorRequest{
		CoordinatorKey: group, CoordinatorKeys: []string{group}, KeyType: protocol.CoordinatorGroup,
	}
	resp, version, node, err := c.DoAny(ctx, req, broker.CallOptions{})
	if err != nil {
		return 0, &CoordinatorError{Group: group, Node: -1, Err: err}
	}
	b, message, err := coordinatorOf(resp.(*protocol.FindCoordinatorResponse), version, group)
	if err != nil {
		return 0, &CoordinatorError{Group: group, Node: node, Message: message, Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed {
		return 0, ErrClosed
	}
	c.groups[group] = b.ID
	if c.nodes[b.ID] == nil {
		m := c.meta.clone()
		m.addBroker(b)
		c.publishLocked(m) // adds only: nothing to close
	}
	return b.ID, nil
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
	if found.NodeID < 0 || found.Host == "" || found.Port <= 0 || found.Port > 65535 {
		return Broker{}, message, protocol.CoordinatorNotAvailable
	}
	return Broker{ID: found.NodeID, Host: found.Host, Port: found.Port}, message, nil
}

// ForgetCoordinator drops what is known of a group's coordinator if that is still node.
func (c *Client) ForgetCoordinator(group string, node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[group] == node {
		delete(c.groups, group)
	}
}
