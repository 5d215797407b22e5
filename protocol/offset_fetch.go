package protocol

import "time"

// OffsetFetchRequest asks for the committed offsets of a group (API key 9, versions 1–10). Version 2 lets topics be null for
// all, version 6 is flexible, version 7 adds RequireStable (KIP-447), version 8 asks for many groups at once
// (KIP-709), version 9 adds the member (KIP-848), version 10 has topic ids for names.
// A request that is to work in any version sets GroupID and Topics, and Groups, with names and ids.
type OffsetFetchRequest struct {
	GroupID       string                    // 1–7
	Topics        []OffsetFetchRequestTopic // 1–7; nil (2+): all
	Groups        []OffsetFetchRequestGroup // 8+
	RequireStable bool                      // 7+; UnstableOffsetCommit where a transaction's offsets are open
}

// OffsetFetchRequestTopic is a topic's partitions to look up.
type OffsetFetchRequestTopic struct {
	Name             string
	PartitionIndexes []int32
}

// OffsetFetchRequestGroup is a group to look up.
type OffsetFetchRequestGroup struct {
	GroupID     string
	MemberID    *string                    // 9+; nil: not a member
	MemberEpoch int32                      // 9+; -1: not a member of a KIP-848 group
	Topics      []OffsetFetchRequestTopics // nil: all
}

// OffsetFetchRequestTopics is a topic's partitions to look up, from version 8 on.
type OffsetFetchRequestTopics struct {
	Name             string // 8–9
	TopicID          UUID   // 10+
	PartitionIndexes []int32
}

// NewOffsetFetchRequestGroup gives a group with the schema's defaults: asked for by no member.
func NewOffsetFetchRequestGroup() OffsetFetchRequestGroup {
	return OffsetFetchRequestGroup{MemberEpoch: -1}
}

// Key implements Request.
func (*OffsetFetchRequest) Key() APIKey { return KeyOffsetFetch }

func (m *OffsetFetchRequest) code(c *coder) {
	if c.reading {
		*m = OffsetFetchRequest{}
	}
	if c.until(7) {
		c.either("GroupID", m.GroupID != "", "Groups", len(m.Groups) > 0)
		c.string("GroupID", &m.GroupID)
		if c.since(2) {
			nullableArray(c, "Topics", &m.Topics, (*OffsetFetchRequestTopic).code)
		} else {
			array(c, "Topics", &m.Topics, (*OffsetFetchRequestTopic).code)
		}
	} else {
		c.either("Groups", len(m.Groups) > 0, "GroupID", m.GroupID != "")
		array(c, "Groups", &m.Groups, (*OffsetFetchRequestGroup).code)
	}
	if c.since(7) {
		c.bool("RequireStable", &m.RequireStable)
	}
	c.noTags()
}

func (t *OffsetFetchRequestTopic) code(c *coder) {
	c.string("Name", &t.Name)
	c.int32s("PartitionIndexes", &t.PartitionIndexes)
	c.noTags()
}

func (g *OffsetFetchRequestGroup) code(c *coder) {
	if c.reading {
		*g = NewOffsetFetchRequestGroup()
	}
	c.string("GroupID", &g.GroupID)
	if c.since(9) {
		c.nullableString("MemberID", &g.MemberID, 9)
		c.int32("MemberEpoch", &g.MemberEpoch)
	}
	nullableArray(c, "Topics", &g.Topics, (*OffsetFetchRequestTopics).code)
	c.noTags()
}

func (t *OffsetFetchRequestTopics) code(c *coder) {
	c.nameOrID("Name", 9, &t.Name, &t.TopicID)
	c.int32s("PartitionIndexes", &t.PartitionIndexes)
	c.noTags()
}

// OffsetFetchResponse answers an [OffsetFetchRequest]: in Topics and ErrorCode up to version 7, in Groups from version 8
// on. Version 2 adds the error code, version 3 the throttle time, version 5 leader epochs.
type OffsetFetchResponse struct {
	ThrottleTimeMs int32                      // 3+
	Topics         []OffsetFetchResponseTopic // 1–7
	ErrorCode      ErrorCode                  // 2–7
	Groups         []OffsetFetchResponseGroup // 8+
}

// OffsetFetchResponseTopic is what is committed in one topic.
type OffsetFetchResponseTopic struct {
	Name       string
	Partitions []OffsetFetchResponsePartition
}

// OffsetFetchResponseGroup is what one group has committed.
type OffsetFetchResponseGroup struct {
	GroupID   string
	Topics    []OffsetFetchResponseTopics
	ErrorCode ErrorCode
}

// OffsetFetchResponseTopics is what is committed in one topic, from version 8 on.
type OffsetFetchResponseTopics struct {
	Name       string // 8–9
	TopicID    UUID   // 10+
	Partitions []OffsetFetchResponsePartition
}

// OffsetFetchResponsePartition is what is committed in one partition. In every version it has the same fields
// (OffsetFetchResponsePartition and OffsetFetchResponsePartitions in the schema).
type OffsetFetchResponsePartition struct {
	PartitionIndex       int32
	CommittedOffset      int64 // below 0: nothing committed
	CommittedLeaderEpoch int32 // 5+; -1: unknown
	Metadata             *string
	ErrorCode            ErrorCode
}

// Key implements Response.
func (*OffsetFetchResponse) Key() APIKey { return KeyOffsetFetch }

// Throttle implements Response.
func (m *OffsetFetchResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *OffsetFetchResponse) code(c *coder) {
	if c.reading {
		*m = OffsetFetchResponse{}
	}
	if c.since(3) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	if c.until(7) {
		array(c, "Topics", &m.Topics, (*OffsetFetchResponseTopic).code)
		if c.since(2) {
			c.errorCode("ErrorCode", &m.ErrorCode)
		}
	} else {
		array(c, "Groups", &m.Groups, (*OffsetFetchResponseGroup).code)
	}
	c.noTags()
}

func (t *OffsetFetchResponseTopic) code(c *coder) {
	c.string("Name", &t.Name)
	array(c, "Partitions", &t.Partitions, (*OffsetFetchResponsePartition).code)
	c.noTags()
}

func (g *OffsetFetchResponseGroup) code(c *coder) {
	c.string("GroupID", &g.GroupID)
	array(c, "Topics", &g.Topics, (*OffsetFetchResponseTopics).code)
	c.errorCode("ErrorCode", &g.ErrorCode)
	c.noTags()
}

func (t *OffsetFetchResponseTopics) code(c *coder) {
	c.nameOrID("Name", 9, &t.Name, &t.TopicID)
	array(c, "Partitions", &t.Partitions, (*OffsetFetchResponsePartition).code)
	c.noTags()
}

func (p *OffsetFetchResponsePartition) code(c *coder) {
	if c.reading {
		p.CommittedLeaderEpoch = -1
	}
	c.int32("PartitionIndex", &p.PartitionIndex)
	c.int64("CommittedOffset", &p.CommittedOffset)
	if c.since(5) {
		c.int32("CommittedLeaderEpoch", &p.CommittedLeaderEpoch)
	}
	c.nullableString("Metadata", &p.Metadata, 0)
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.noTags()
}
