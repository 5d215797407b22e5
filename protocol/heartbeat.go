package protocol

import "time"

// HeartbeatRequest keeps a member in its classic group (API key 12, versions 0–4). Version 3 adds the instance
// id (KIP-345), version 4 is flexible.
type HeartbeatRequest struct {
	GroupID         string
	GenerationID    int32
	MemberID        string
	GroupInstanceID *string // 3+
}

// Key implements Request.
func (*HeartbeatRequest) Key() APIKey { return KeyHeartbeat }

func (m *HeartbeatRequest) code(c *coder) {
	if c.reading {
		*m = HeartbeatRequest{}
	}
	c.string("GroupID", &m.GroupID)
	c.int32("GenerationID", &m.GenerationID)
	c.string("MemberID", &m.MemberID)
	codeInstanceID(c, 3, &m.GroupInstanceID)
	c.noTags()
}

// HeartbeatResponse answers a [HeartbeatRequest]. Version 1 adds the throttle time.
type HeartbeatResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
}

// Key implements Response.
func (*HeartbeatResponse) Key() APIKey { return KeyHeartbeat }

// Throttle implements Response.
func (m *HeartbeatResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *HeartbeatResponse) code(c *coder) {
	if c.reading {
		*m = HeartbeatResponse{}
	}
	if c.since(1) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	c.errorCode("ErrorCode", &m.ErrorCode)
	c.noTags()
}
