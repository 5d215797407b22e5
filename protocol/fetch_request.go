package protocol

// FetchRequest asks a broker for records (API key 1, versions 4–18). Version 5 adds log start offsets, version 7
// sessions (KIP-227), version 9 the current leader epoch (KIP-320), version 10 allows zstd in the answer (KIP-110), version 11 adds
// the rack (KIP-392), version 12 is flexible and adds the last fetched epoch (KIP-595), version 13 has topic ids for
// names (KIP-516), version 15 moves the replica id (KIP-903), version 17 adds the replica's
// directory (KIP-853), version 18 its high watermark (KIP-1166).
type FetchRequest struct {
	ClusterID           *string                   // 12+, tagged; for replicas
	ReplicaID           int32                     // 4–14; -1 for a consumer
	ReplicaState        *FetchRequestReplicaState // 15+, tagged; nil for a consumer
	MaxWaitMs           int32
	MinBytes            int32
	MaxBytes            int32
	IsolationLevel      int8  // 0 read uncommitted, 1 read committed
	SessionID           int32 // 7+; 0: none yet
	SessionEpoch        int32 // 7+; 0: full fetch and a new session, -1: full fetch and none
	Topics              []FetchRequestTopic
	ForgottenTopicsData []FetchRequestForgottenTopic // 7+
	RackID              string                       // 11+
}

// FetchRequestReplicaState is what a replica says of itself.
type FetchRequestReplicaState struct {
	ReplicaID    int32
	ReplicaEpoch int64
}

// FetchRequestTopic is a topic's partitions to fetch.
type FetchRequestTopic struct {
	Topic      string // 4–12
	TopicID    UUID   // 13+
	Partitions []FetchRequestPartition
}

// FetchRequestPartition is a partition and where to fetch it from.
type FetchRequestPartition struct {
	Partition          int32
	CurrentLeaderEpoch int32 // 9+; -1: do not check
	FetchOffset        int64
	LastFetchedEpoch   int32 // 12+; -1: do not look for a diverging epoch
	LogStartOffset     int64 // 5+; -1 for a consumer
	PartitionMaxBytes  int32
	ReplicaDirectoryID UUID   // 17+, tagged; zero for a consumer
	HighWatermark      *int64 // 18+, tagged; nil for a consumer
}

// FetchRequestForgottenTopic is a topic's partitions to take out of the session.
type FetchRequestForgottenTopic struct {
	Topic      string // 7–12
	TopicID    UUID   // 13+
	Partitions []int32
}

// NewFetchRequest gives the request of a consumer that wants no session and sets no limit.
func NewFetchRequest() *FetchRequest {
	return &FetchRequest{ReplicaID: -1, MaxBytes: 1<<31 - 1, SessionEpoch: -1}
}

// NewFetchRequestPartition gives a partition with the schema's defaults: no leader epoch is known.
func NewFetchRequestPartition() FetchRequestPartition {
	return FetchRequestPartition{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1}
}

// Key implements Request.
func (*FetchRequest) Key() APIKey { return KeyFetch }

func (m *FetchRequest) code(c *coder) {
	if c.reading {
		*m = *NewFetchRequest()
	}
	if c.until(14) {
		c.int32("ReplicaID", &m.ReplicaID)
	}
	c.int32("MaxWaitMs", &m.MaxWaitMs)
	c.int32("MinBytes", &m.MinBytes)
	c.int32("MaxBytes", &m.MaxBytes)
	c.int8("IsolationLevel", &m.IsolationLevel)
	if c.since(7) {
		c.int32("SessionID", &m.SessionID)
		c.int32("SessionEpoch", &m.SessionEpoch)
	}
	array(c, "Topics", &m.Topics, (*FetchRequestTopic).code)
	if c.since(7) {
		array(c, "ForgottenTopicsData", &m.ForgottenTopicsData, (*FetchRequestForgottenTopic).code)
	}
	if c.since(11) {
		c.string("RackID", &m.RackID)
	}
	if !c.reading && m.ClusterID == nil && m.ReplicaState == nil {
		c.noTags() // of a consumer: what there is to write is not worth the closures
		return
	}
	c.tags(
		taggedField{0, "ClusterID", 12, m.ClusterID != nil, func() { c.nullableString("ClusterID", &m.ClusterID, 12) }},
		taggedField{1, "ReplicaState", 15, m.ReplicaState != nil, func() {
			pointer(c, "ReplicaState", &m.ReplicaState, (*FetchRequestReplicaState).code)
		}},
	)
}

func (s *FetchRequestReplicaState) code(c *coder) {
	c.int32("ReplicaID", &s.ReplicaID)
	c.int64("ReplicaEpoch", &s.ReplicaEpoch)
	c.noTags()
}

func (t *FetchRequestTopic) code(c *coder) {
	c.nameOrID("Topic", 12, &t.Topic, &t.TopicID)
	array(c, "Partitions", &t.Partitions, (*FetchRequestPartition).code)
	c.noTags()
}

func (p *FetchRequestPartition) code(c *coder) {
	if c.reading {
		*p = NewFetchRequestPartition()
	}
	c.int32("Partition", &p.Partition)
	if c.since(9) {
		c.int32("CurrentLeaderEpoch", &p.CurrentLeaderEpoch)
	}
	c.int64("FetchOffset", &p.FetchOffset)
	if c.since(12) {
		c.int32("LastFetchedEpoch", &p.LastFetchedEpoch)
	}
	if c.since(5) {
		c.int64("LogStartOffset", &p.LogStartOffset)
	}
	c.int32("PartitionMaxBytes", &p.PartitionMaxBytes)
	if !c.reading && p.ReplicaDirectoryID.IsZero() && p.HighWatermark == nil {
		c.noTags() // as above, for each partition
		return
	}
	c.tags(
		taggedField{0, "ReplicaDirectoryID", 17, !p.ReplicaDirectoryID.IsZero(), func() {
			c.uuid("ReplicaDirectoryID", &p.ReplicaDirectoryID)
		}},
		taggedField{1, "HighWatermark", 18, p.HighWatermark != nil, func() {
			pointer(c, "HighWatermark", &p.HighWatermark, func(v *int64, c *coder) { c.int64("", v) })
		}},
	)
}

func (t *FetchRequestForgottenTopic) code(c *coder) {
	c.nameOrID("Topic", 12, &t.Topic, &t.TopicID)
	c.int32s("Partitions", &t.Partitions)
	c.noTags()
}
