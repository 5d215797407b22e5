package protocol

import "time"

// OffsetForLeaderEpochRequest asks partition leaders where a leader epoch ended, to detect truncation
// (API key 23, versions 2–4, KIP-320). Version 3 adds the replica id, version 4 is flexible.
type OffsetForLeaderEpochRequest struct {
	ReplicaID int32 // 3+; -1 for a consumer
	Topics    []OffsetForLeaderEpochRequestTopic
}

// OffsetForLeaderEpochRequestTopic is a topic's partitions to look up.
type OffsetForLeaderEpochRequestTopic struct {
	Topic      string
	Partitions []OffsetForLeaderEpochRequestPartition
}

// OffsetForLeaderEpochRequestPartition asks for the end of one epoch.
type OffsetForLeaderEpochRequestPartition struct {
	Partition          int32
	CurrentLeaderEpoch int32 // -1: do not check
	LeaderEpoch        int32 // the epoch to look up
}

// NewOffsetForLeaderEpochRequest gives the request of a consumer. The schema's default for ReplicaID
// is -2, a debugging consumer that sees offsets beyond the high watermark.
func NewOffsetForLeaderEpochRequest() *OffsetForLeaderEpochRequest {
	return &OffsetForLeaderEpochRequest{ReplicaID: -1}
}

// Key implements Request.
func (*OffsetForLeaderEpochRequest) Key() APIKey { return KeyOffsetForLeaderEpoch }

func (m *OffsetForLeaderEpochRequest) code(c *coder) {
	if c.reading {
		*m = OffsetForLeaderEpochRequest{ReplicaID: -2}
	}
	if c.since(3) {
		c.int32("ReplicaID", &m.ReplicaID)
	}
	array(c, "Topics", &m.Topics, (*OffsetForLeaderEpochRequestTopic).code)
	c.noTags()
}

func (t *OffsetForLeaderEpochRequestTopic) code(c *coder) {
	c.string("Topic", &t.Topic)
	array(c, "Partitions", &t.Partitions, (*OffsetForLeaderEpochRequestPartition).code)
	c.noTags()
}

func (p *OffsetForLeaderEpochRequestPartition) code(c *coder) {
	c.int32("Partition", &p.Partition)
	c.int32("CurrentLeaderEpoch", &p.CurrentLeaderEpoch)
	c.int32("LeaderEpoch", &p.LeaderEpoch)
	c.noTags()
}

// OffsetForLeaderEpochResponse answers an [OffsetForLeaderEpochRequest].
type OffsetForLeaderEpochResponse struct {
	ThrottleTimeMs int32
	Topics         []OffsetForLeaderEpochResponseTopic
}

// OffsetForLeaderEpochResponseTopic is what was found in one topic.
type OffsetForLeaderEpochResponseTopic struct {
	Topic      string
	Partitions []OffsetForLeaderEpochResponsePartition
}

// OffsetForLeaderEpochResponsePartition is the largest epoch up to the one asked for, and where it ends.
type OffsetForLeaderEpochResponsePartition struct {
	ErrorCode   ErrorCode
	Partition   int32
	LeaderEpoch int32 // -1: unknown
	EndOffset   int64 // -1: unknown
}

// Key implements Response.
func (*OffsetForLeaderEpochResponse) Key() APIKey { return KeyOffsetForLeaderEpoch }

// Throttle implements Response.
func (m *OffsetForLeaderEpochResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *OffsetForLeaderEpochResponse) code(c *coder) {
	if c.reading {
		*m = OffsetForLeaderEpochResponse{}
	}
	c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	array(c, "Topics", &m.Topics, (*OffsetForLeaderEpochResponseTopic).code)
	c.noTags()
}

func (t *OffsetForLeaderEpochResponseTopic) code(c *coder) {
	c.string("Topic", &t.Topic)
	array(c, "Partitions", &t.Partitions, (*OffsetForLeaderEpochResponsePartition).code)
	c.noTags()
}

func (p *OffsetForLeaderEpochResponsePartition) code(c *coder) {
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.int32("Partition", &p.Partition)
	c.int32("LeaderEpoch", &p.LeaderEpoch)
	c.int64("EndOffset", &p.EndOffset)
	c.noTags()
}
