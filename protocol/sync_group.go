package protocol

import "time"

// SyncGroupRequest ends a rebalance: the leader hands in the assignments, every member gets its own (API
// key 14, versions 0–5). Version 3 adds the instance id (KIP-345), version 4 is flexible, version 5 adds the protocol (KIP-559).
type SyncGroupRequest struct {
	GroupID         string
	GenerationID    int32
	MemberID        string
	GroupInstanceID *string                      // 3+
	ProtocolType    *string                      // 5+
	ProtocolName    *string                      // 5+
	Assignments     []SyncGroupRequestAssignment // of the leader; else empty
}

// SyncGroupRequestAssignment is one member's assignment ([ConsumerProtocolAssignment]).
type SyncGroupRequestAssignment struct {
	MemberID   string
	Assignment []byte
}

// Key implements Request.
func (*SyncGroupRequest) Key() APIKey { return KeySyncGroup }

func (m *SyncGroupRequest) code(c *coder) {
	if c.reading {
		*m = SyncGroupRequest{}
	}
	c.string("GroupID", &m.GroupID)
	c.int32("GenerationID", &m.GenerationID)
	c.string("MemberID", &m.MemberID)
	codeInstanceID(c, 3, &m.GroupInstanceID)
	if c.since(5) {
		c.nullableString("ProtocolType", &m.ProtocolType, 5)
		c.nullableString("ProtocolName", &m.ProtocolName, 5)
	}
	array(c, "Assignments", &m.Assignments, (*SyncGroupRequestAssignment).code)
	c.noTags()
}

func (a *SyncGroupRequestAssignment) code(c *coder) {
	c.string("MemberID", &a.MemberID)
	c.bytes("Assignment", &a.Assignment, false)
	c.noTags()
}

// SyncGroupResponse answers a [SyncGroupRequest]. Version 1 adds the throttle time, version 5 the protocol.
type SyncGroupResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
	ProtocolType   *string // 5+
	ProtocolName   *string // 5+
	Assignment     []byte  // [ConsumerProtocolAssignment]; empty with an error
}

// Key implements Response.
func (*SyncGroupResponse) Key() APIKey { return KeySyncGroup }

// Throttle implements Response.
func (m *SyncGroupResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *SyncGroupResponse) code(c *coder) {
	if c.reading {
		*m = SyncGroupResponse{}
	}
	if c.since(1) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	c.errorCode("ErrorCode", &m.ErrorCode)
	if c.since(5) {
		c.nullableString("ProtocolType", &m.ProtocolType, 5)
		c.nullableString("ProtocolName", &m.ProtocolName, 5)
	}
	c.bytes("Assignment", &m.Assignment, false)
	c.noTags()
}
