package protocol

import "time"

// OffsetCommitRequest commits offsets of a group (API key 8, versions 2–10). Version 5 drops the retention time,
// version 6 adds leader epochs (KIP-320), version 7 the instance id (KIP-345), version 8 is flexible, version 9 is for
// KIP-848 groups, too, version 10 has topic ids for names. A request that is to work in any version sets both.
type OffsetCommitRequest struct {
	GroupID                   string
	GenerationIDOrMemberEpoch int32 // -1: not a member
	MemberID                  string
	GroupInstanceID           *string // 7+
	RetentionTimeMs           int64   // 2–4; -1: the broker's own
	Topics                    []OffsetCommitRequestTopic
}

// OffsetCommitRequestTopic is a topic's offsets to commit.
type OffsetCommitRequestTopic struct {
	Name       string // 2–9
	TopicID    UUID   // 10+
	Partitions []OffsetCommitRequestPartition
}

// OffsetCommitRequestPartition is one offset to commit: that of the next record to read.
type OffsetCommitRequestPartition struct {
	PartitionIndex       int32
	CommittedOffset      int64
	CommittedLeaderEpoch int32 // 6+; of the record before the offset, -1: unknown
	CommittedMetadata    *string
}

// NewOffsetCommitRequest gives a request with the schema's defaults: of no member of the group.
func NewOffsetCommitRequest() *OffsetCommitRequest {
	return &OffsetCommitRequest{GenerationIDOrMemberEpoch: -1, RetentionTimeMs: -1}
}

// Key implements Request.
func (*OffsetCommitRequest) Key() APIKey { return KeyOffsetCommit }

func (m *OffsetCommitRequest) code(c *coder) {
	if c.reading {
		*m = *NewOffsetCommitRequest()
	}
	c.string("GroupID", &m.GroupID)
	c.int32("GenerationIDOrMemberEpoch", &m.GenerationIDOrMemberEpoch)
	c.string("MemberID", &m.MemberID)
	codeInstanceID(c, 7, &m.GroupInstanceID)
	if c.until(4) {
		c.int64("RetentionTimeMs", &m.RetentionTimeMs)
	}
	array(c, "Topics", &m.Topics, (*OffsetCommitRequestTopic).code)
	c.noTags()
}

// codeInstanceID codes a static member's id (KIP-345) from version since on. Before, a request that has one
// must not be sent: the broker would take the member for a dynamic one.
func codeInstanceID(c *coder, since int16, id **string) {
	if c.since(since) {
		c.nullableString("GroupInstanceID", id, since)
	} else if *id != nil {
		c.fail("GroupInstanceID", "%q, which needs version %d", **id, since)
	}
}

func (t *OffsetCommitRequestTopic) code(c *coder) {
	c.nameOrID("Name", 9, &t.Name, &t.TopicID)
	array(c, "Partitions", &t.Partitions, (*OffsetCommitRequestPartition).code)
	c.noTags()
}

func (p *OffsetCommitRequestPartition) code(c *coder) {
	if c.reading {
		p.CommittedLeaderEpoch = -1
	}
	c.int32("PartitionIndex", &p.PartitionIndex)
	c.int64("CommittedOffset", &p.CommittedOffset)
	if c.since(6) {
		c.int32("CommittedLeaderEpoch", &p.CommittedLeaderEpoch)
	}
	c.nullableString("CommittedMetadata", &p.CommittedMetadata, 0)
	c.noTags()
}

// OffsetCommitResponse answers an [OffsetCommitRequest]. Version 3 adds the throttle time.
type OffsetCommitResponse struct {
	ThrottleTimeMs int32 // 3+
	Topics         []OffsetCommitResponseTopic
}

// OffsetCommitResponseTopic is the outcome for one topic.
type OffsetCommitResponseTopic struct {
	Name       string // 2–9
	TopicID    UUID   // 10+
	Partitions []OffsetCommitResponsePartition
}

// OffsetCommitResponsePartition is the outcome for one partition.
type OffsetCommitResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
}

// Key implements Response.
func (*OffsetCommitResponse) Key() APIKey { return KeyOffsetCommit }

// Throttle implements Response.
func (m *OffsetCommitResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *OffsetCommitResponse) code(c *coder) {
	if c.reading {
		*m = OffsetCommitResponse{}
	}
	if c.since(3) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	array(c, "Topics", &m.Topics, (*OffsetCommitResponseTopic).code)
	c.noTags()
}

func (t *OffsetCommitResponseTopic) code(c *coder) {
	c.nameOrID("Name", 9, &t.Name, &t.TopicID)
	array(c, "Partitions", &t.Partitions, (*OffsetCommitResponsePartition).code)
	c.noTags()
}

func (p *OffsetCommitResponsePartition) code(c *coder) {
	c.int32("PartitionIndex", &p.PartitionIndex)
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.noTags()
}
