package protocol

import "time"

// Timestamps with a meaning of their own in a [ListOffsetsRequest].
const (
	LatestTimestamp                int64 = -1 // the high watermark, or the last stable offset under read committed
	EarliestTimestamp              int64 = -2
	MaxTimestamp                   int64 = -3 // 7+, KIP-734: the record with the highest timestamp
	EarliestLocalTimestamp         int64 = -4 // 8+, KIP-405
	LatestTieredTimestamp          int64 = -5 // 9+, KIP-1005
	EarliestPendingUploadTimestamp int64 = -6 // 11+, KIP-1023
)

// ListOffsetsRequest asks partition leaders for offsets by timestamp (API key 2, versions 1–11).
// Version 2 adds the isolation level, version 4 the current leader epoch (KIP-320), version 6 is flexible,
// versions 7, 8, 9 and 11 add special timestamps, version 10 a timeout for tiered storage (KIP-1075).
type ListOffsetsRequest struct {
	ReplicaID      int32 // -1 for a consumer
	IsolationLevel int8  // 2+; 0 read uncommitted, 1 read committed
	Topics         []ListOffsetsRequestTopic
	TimeoutMs      int32 // 10+; how long the answer may wait for tiered storage
}

// ListOffsetsRequestTopic is a topic's partitions to look up.
type ListOffsetsRequestTopic struct {
	Name       string
	Partitions []ListOffsetsRequestPartition
}

// ListOffsetsRequestPartition asks for the first offset whose timestamp is at least Timestamp.
type ListOffsetsRequestPartition struct {
	PartitionIndex     int32
	CurrentLeaderEpoch int32 // 4+; -1: do not check
	Timestamp          int64 // milliseconds since 1970, or one of the special ones
}

// NewListOffsetsRequest gives the request of a consumer.
func NewListOffsetsRequest() *ListOffsetsRequest { return &ListOffsetsRequest{ReplicaID: -1} }

// Key implements Request.
func (*ListOffsetsRequest) Key() APIKey { return KeyListOffsets }

func (m *ListOffsetsRequest) code(c *coder) {
	if c.reading {
		*m = *NewListOffsetsRequest()
	}
	c.int32("ReplicaID", &m.ReplicaID)
	if c.since(2) {
		c.int8("IsolationLevel", &m.IsolationLevel)
	} else if m.IsolationLevel != 0 {
		c.fail("IsolationLevel", "%d, which needs version 2", m.IsolationLevel)
	}
	array(c, "Topics", &m.Topics, (*ListOffsetsRequestTopic).code)
	if c.since(10) {
		c.int32("TimeoutMs", &m.TimeoutMs)
	}
	c.noTags()
}

func (t *ListOffsetsRequestTopic) code(c *coder) {
	c.string("Name", &t.Name)
	array(c, "Partitions", &t.Partitions, (*ListOffsetsRequestPartition).code)
	c.noTags()
}

func (p *ListOffsetsRequestPartition) code(c *coder) {
	if c.reading {
		p.CurrentLeaderEpoch = -1
	}
	c.int32("PartitionIndex", &p.PartitionIndex)
	if c.since(4) {
		c.int32("CurrentLeaderEpoch", &p.CurrentLeaderEpoch)
	}
	c.int64("Timestamp", &p.Timestamp)
	c.noTags()
}

// ListOffsetsResponse answers a [ListOffsetsRequest]. Version 2 adds the throttle time, version 4 the leader epoch.
type ListOffsetsResponse struct {
	ThrottleTimeMs int32 // 2+
	Topics         []ListOffsetsResponseTopic
}

// ListOffsetsResponseTopic is what was found in one topic.
type ListOffsetsResponseTopic struct {
	Name       string
	Partitions []ListOffsetsResponsePartition
}

// ListOffsetsResponsePartition is what was found in one partition: offset and timestamp are -1 for nothing.
type ListOffsetsResponsePartition struct {
	PartitionIndex int32
	ErrorCode      ErrorCode
	Timestamp      int64 // -1 also for the latest and earliest offset
	Offset         int64
	LeaderEpoch    int32 // 4+; -1: unknown
}

// Key implements Response.
func (*ListOffsetsResponse) Key() APIKey { return KeyListOffsets }

// Throttle implements Response.
func (m *ListOffsetsResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *ListOffsetsResponse) code(c *coder) {
	if c.reading {
		*m = ListOffsetsResponse{}
	}
	if c.since(2) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	array(c, "Topics", &m.Topics, (*ListOffsetsResponseTopic).code)
	c.noTags()
}

func (t *ListOffsetsResponseTopic) code(c *coder) {
	c.string("Name", &t.Name)
	array(c, "Partitions", &t.Partitions, (*ListOffsetsResponsePartition).code)
	c.noTags()
}

func (p *ListOffsetsResponsePartition) code(c *coder) {
	if c.reading {
		p.LeaderEpoch = -1
	}
	c.int32("PartitionIndex", &p.PartitionIndex)
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.int64("Timestamp", &p.Timestamp)
	c.int64("Offset", &p.Offset)
	if c.since(4) {
		c.int32("LeaderEpoch", &p.LeaderEpoch)
	}
	c.noTags()
}
