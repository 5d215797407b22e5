package protocol

import "time"

// LeaveGroupRequest takes members out of their classic group (API key 13, versions 0–5). Version 3 takes many
// members (KIP-345), version 4 is flexible, version 5 adds the reason (KIP-800).
// A request that is to work in any version sets MemberID and Members.
type LeaveGroupRequest struct {
	GroupID  string
	MemberID string                    // 0–2
	Members  []LeaveGroupRequestMember // 3+
}

// LeaveGroupRequestMember is a member that leaves (MemberIdentity in the schema).
type LeaveGroupRequestMember struct {
	MemberID        string
	GroupInstanceID *string
	Reason          *string // 5+
}

// Key implements Request.
func (*LeaveGroupRequest) Key() APIKey { return KeyLeaveGroup }

func (m *LeaveGroupRequest) code(c *coder) {
	if c.reading {
		*m = LeaveGroupRequest{}
	}
	c.string("GroupID", &m.GroupID)
	if c.until(2) {
		c.either("MemberID", m.MemberID != "", "Members", len(m.Members) > 0)
		c.string("MemberID", &m.MemberID)
	} else {
		c.either("Members", len(m.Members) > 0, "MemberID", m.MemberID != "")
		array(c, "Members", &m.Members, (*LeaveGroupRequestMember).code)
	}
	c.noTags()
}

func (p *LeaveGroupRequestMember) code(c *coder) {
	c.string("MemberID", &p.MemberID)
	c.nullableString("GroupInstanceID", &p.GroupInstanceID, 3)
	if c.since(5) {
		c.nullableString("Reason", &p.Reason, 5)
	}
	c.noTags()
}

// LeaveGroupResponse answers a [LeaveGroupRequest]. Version 1 adds the throttle time, version 3 an outcome per member.
type LeaveGroupResponse struct {
	ThrottleTimeMs int32 // 1+
	ErrorCode      ErrorCode
	Members        []LeaveGroupResponseMember // 3+
}

// LeaveGroupResponseMember is the outcome for one member (MemberResponse in the schema).
type LeaveGroupResponseMember struct {
	MemberID        string
	GroupInstanceID *string
	ErrorCode       ErrorCode
}

// Key implements Response.
func (*LeaveGroupResponse) Key() APIKey { return KeyLeaveGroup }

// Throttle implements Response.
func (m *LeaveGroupResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *LeaveGroupResponse) code(c *coder) {
	if c.reading {
		*m = LeaveGroupResponse{}
	}
	if c.since(1) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	c.errorCode("ErrorCode", &m.ErrorCode)
	if c.since(3) {
		array(c, "Members", &m.Members, (*LeaveGroupResponseMember).code)
	}
	c.noTags()
}

func (p *LeaveGroupResponseMember) code(c *coder) {
	c.string("MemberID", &p.MemberID)
	c.nullableString("GroupInstanceID", &p.GroupInstanceID, 3)
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.noTags()
}
