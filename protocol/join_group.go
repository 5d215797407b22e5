package protocol

import "time"

// JoinGroupRequest joins a classic group or rejoins it (API key 11, versions 0–9). Version 1 adds the rebalance timeout,
// from version 4 on a new member is first given its id with [MemberIDRequired] (KIP-394), version 5 adds the
// instance id (KIP-345), version 6 is flexible, version 8 adds the reason (KIP-800).
type JoinGroupRequest struct {
	GroupID            string
	SessionTimeoutMs   int32
	RebalanceTimeoutMs int32 // 1+; -1: the session timeout
	MemberID           string
	GroupInstanceID    *string // 5+
	ProtocolType       string  // "consumer"
	Protocols          []JoinGroupRequestProtocol
	Reason             *string // 8+
}

// JoinGroupRequestProtocol is an assignor the member supports, with its subscription ([ConsumerProtocolSubscription]); the
// first is preferred.
type JoinGroupRequestProtocol struct {
	Name     string
	Metadata []byte
}

// NewJoinGroupRequest gives a request with the schema's defaults.
func NewJoinGroupRequest() *JoinGroupRequest { return &JoinGroupRequest{RebalanceTimeoutMs: -1} }

// Key implements Request.
func (*JoinGroupRequest) Key() APIKey { return KeyJoinGroup }

func (m *JoinGroupRequest) code(c *coder) {
	if c.reading {
		*m = *NewJoinGroupRequest()
	}
	c.string("GroupID", &m.GroupID)
	c.int32("SessionTimeoutMs", &m.SessionTimeoutMs)
	if c.since(1) {
		c.int32("RebalanceTimeoutMs", &m.RebalanceTimeoutMs)
	}
	c.string("MemberID", &m.MemberID)
	codeInstanceID(c, 5, &m.GroupInstanceID)
	c.string("ProtocolType", &m.ProtocolType)
	array(c, "Protocols", &m.Protocols, (*JoinGroupRequestProtocol).code)
	if c.since(8) {
		c.nullableString("Reason", &m.Reason, 8)
	}
	c.noTags()
}

func (p *JoinGroupRequestProtocol) code(c *coder) {
	c.string("Name", &p.Name)
	c.bytes("Metadata", &p.Metadata, false)
	c.noTags()
}

// JoinGroupResponse answers a [JoinGroupRequest]. Version 2 adds the throttle time, version 7 the protocol type
// (KIP-559), version 9 SkipAssignment (KIP-814).
type JoinGroupResponse struct {
	ThrottleTimeMs int32 // 2+
	ErrorCode      ErrorCode
	GenerationID   int32
	ProtocolType   *string // 7+
	ProtocolName   *string // the assignor chosen; may be nil from 7 on
	Leader         string  // the leader's member id
	SkipAssignment bool    // 9+; the leader must not assign
	MemberID       string
	Members        []JoinGroupResponseMember // empty but for the leader
}

// JoinGroupResponseMember is a member of the group, with its metadata for the assignor chosen.
type JoinGroupResponseMember struct {
	MemberID        string
	GroupInstanceID *string // 5+
	Metadata        []byte
}

// NewJoinGroupResponse gives a response with the schema's defaults.
func NewJoinGroupResponse() *JoinGroupResponse { return &JoinGroupResponse{GenerationID: -1} }

// Key implements Response.
func (*JoinGroupResponse) Key() APIKey { return KeyJoinGroup }

// Throttle implements Response.
func (m *JoinGroupResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *JoinGroupResponse) code(c *coder) {
	if c.reading {
		*m = *NewJoinGroupResponse()
	}
	if c.since(2) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	c.errorCode("ErrorCode", &m.ErrorCode)
	c.int32("GenerationID", &m.GenerationID)
	if c.since(7) {
		c.nullableString("ProtocolType", &m.ProtocolType, 7)
	}
	c.nullableString("ProtocolName", &m.ProtocolName, 7)
	c.string("Leader", &m.Leader)
	if c.since(9) {
		c.bool("SkipAssignment", &m.SkipAssignment)
	}
	c.string("MemberID", &m.MemberID)
	array(c, "Members", &m.Members, (*JoinGroupResponseMember).code)
	c.noTags()
}

func (p *JoinGroupResponseMember) code(c *coder) {
	c.string("MemberID", &p.MemberID)
	if c.since(5) {
		c.nullableString("GroupInstanceID", &p.GroupInstanceID, 5)
	}
	c.bytes("Metadata", &p.Metadata, false)
	c.noTags()
}
