package protocol

import "time"

// FetchResponse answers a [FetchRequest]. Version 5 adds log start offsets, version 7 error code and session, version 11
// the preferred read replica (KIP-392), version 12 is flexible and adds the diverging epoch (KIP-595) and the
// current leader, version 13 has topic ids for names, version 16 adds the leaders' addresses (KIP-951).
//
// This is the whole response in memory; a consumer reads it with [ReadFetchResponse].
type FetchResponse struct {
	ThrottleTimeMs int32
	ErrorCode      ErrorCode // 7+
	SessionID      int32     // 7+; 0: no session
	Responses      []FetchResponseTopic
	NodeEndpoints  []FetchResponseNodeEndpoint // 16+, tagged; of the leaders named in CurrentLeader
}

// FetchResponseTopic is what was fetched of one topic.
type FetchResponseTopic struct {
	Topic      string // 4–12
	TopicID    UUID   // 13+
	Partitions []FetchResponsePartition
}

// FetchResponsePartition is what was fetched of one partition.
type FetchResponsePartition struct {
	PartitionIndex       int32
	ErrorCode            ErrorCode
	HighWatermark        int64
	LastStableOffset     int64
	LogStartOffset       int64                             // 5+; -1: unknown
	DivergingEpoch       *FetchResponseEpochEndOffset      // 12+, tagged
	CurrentLeader        *FetchResponseLeaderIDAndEpoch    // 12+, tagged
	SnapshotID           *FetchResponseSnapshotID          // 12+, tagged; for replicas of KRaft metadata
	AbortedTransactions  []FetchResponseAbortedTransaction // nil: null, under read uncommitted
	PreferredReadReplica int32                             // 11+; -1: none
	Records              []byte                            // record batches, the last one perhaps cut short; nil: null
}

// FetchResponseEpochEndOffset is where the log of an epoch ends that diverges from what was asked for.
type FetchResponseEpochEndOffset struct {
	Epoch     int32 // -1: unknown
	EndOffset int64 // -1: unknown
}

// FetchResponseLeaderIDAndEpoch is who leads a partition now.
type FetchResponseLeaderIDAndEpoch struct {
	LeaderID    int32 // -1: unknown
	LeaderEpoch int32 // -1: unknown
}

// FetchResponseSnapshotID names a snapshot to fetch instead of a log.
type FetchResponseSnapshotID struct {
	EndOffset int64
	Epoch     int32
}

// FetchResponseAbortedTransaction is an aborted transaction that overlaps the records fetched.
type FetchResponseAbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// FetchResponseNodeEndpoint is the address of a broker.
type FetchResponseNodeEndpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   *string
}

// NewFetchResponsePartition gives a partition with the schema's defaults.
func NewFetchResponsePartition() FetchResponsePartition {
	return FetchResponsePartition{LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1}
}

// Key implements Response.
func (*FetchResponse) Key() APIKey { return KeyFetch }

// Throttle implements Response.
func (m *FetchResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *FetchResponse) code(c *coder) {
	if c.reading {
		*m = FetchResponse{}
	}
	m.codeHead(c)
	array(c, "Responses", &m.Responses, (*FetchResponseTopic).code)
	m.codeTags(c)
}

// codeHead codes the fields of fixed length the response begins with. It is apart for the streaming reader.
func (m *FetchResponse) codeHead(c *coder) {
	c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	if c.since(7) {
		c.errorCode("ErrorCode", &m.ErrorCode)
		c.int32("SessionID", &m.SessionID)
	}
}

// headSize is how many bytes codeHead takes.
func (*FetchResponse) headSize(version int16) int {
	if version >= 7 {
		return 4 + 2 + 4
	}
	return 4
}

// codeTags codes the tagged fields of the response itself. It is apart for the streaming reader.
func (m *FetchResponse) codeTags(c *coder) {
	c.tags(taggedField{0, "NodeEndpoints", 16, len(m.NodeEndpoints) > 0, func() {
		array(c, "NodeEndpoints", &m.NodeEndpoints, (*FetchResponseNodeEndpoint).code)
	}})
}

func (t *FetchResponseTopic) code(c *coder) {
	c.nameOrID("Topic", 12, &t.Topic, &t.TopicID)
	array(c, "Partitions", &t.Partitions, (*FetchResponsePartition).code)
	c.noTags()
}

func (p *FetchResponsePartition) code(c *coder) {
	if c.reading {
		*p = NewFetchResponsePartition()
	}
	p.codeHead(c)
	nullableArray(c, "AbortedTransactions", &p.AbortedTransactions, (*FetchResponseAbortedTransaction).code)
	if c.since(11) {
		c.int32("PreferredReadReplica", &p.PreferredReadReplica)
	}
	c.bytes("Records", &p.Records, true)
	p.codeTags(c)
}

// codeHead codes the fields of fixed length a partition begins with. It is apart for the streaming reader.
func (p *FetchResponsePartition) codeHead(c *coder) {
	c.int32("PartitionIndex", &p.PartitionIndex)
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.int64("HighWatermark", &p.HighWatermark)
	c.int64("LastStableOffset", &p.LastStableOffset)
	if c.since(5) {
		c.int64("LogStartOffset", &p.LogStartOffset)
	}
}

// headSize is how many bytes codeHead takes.
func (*FetchResponsePartition) headSize(version int16) int {
	if version >= 5 {
		return 4 + 2 + 8 + 8 + 8
	}
	return 4 + 2 + 8 + 8
}

// codeTags codes the tagged fields of a partition. It is apart for the streaming reader.
func (p *FetchResponsePartition) codeTags(c *coder) {
	c.tags(
		taggedField{0, "DivergingEpoch", 12, p.DivergingEpoch != nil, func() {
			pointer(c, "DivergingEpoch", &p.DivergingEpoch, (*FetchResponseEpochEndOffset).code)
		}},
		taggedField{1, "CurrentLeader", 12, p.CurrentLeader != nil, func() {
			pointer(c, "CurrentLeader", &p.CurrentLeader, (*FetchResponseLeaderIDAndEpoch).code)
		}},
		taggedField{2, "SnapshotID", 12, p.SnapshotID != nil, func() {
			pointer(c, "SnapshotID", &p.SnapshotID, (*FetchResponseSnapshotID).code)
		}},
	)
}

func (e *FetchResponseEpochEndOffset) code(c *coder) {
	c.int32("Epoch", &e.Epoch)
	c.int64("EndOffset", &e.EndOffset)
	c.noTags()
}

func (l *FetchResponseLeaderIDAndEpoch) code(c *coder) {
	c.int32("LeaderID", &l.LeaderID)
	c.int32("LeaderEpoch", &l.LeaderEpoch)
	c.noTags()
}

func (s *FetchResponseSnapshotID) code(c *coder) {
	c.int64("EndOffset", &s.EndOffset)
	c.int32("Epoch", &s.Epoch)
	c.noTags()
}

func (t *FetchResponseAbortedTransaction) code(c *coder) {
	c.int64("ProducerID", &t.ProducerID)
	c.int64("FirstOffset", &t.FirstOffset)
	c.noTags()
}

func (e *FetchResponseNodeEndpoint) code(c *coder) {
	c.int32("NodeID", &e.NodeID)
	c.string("Host", &e.Host)
	c.int32("Port", &e.Port)
	c.nullableString("Rack", &e.Rack, 0)
	c.noTags()
}
