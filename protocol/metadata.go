package protocol

import (
	"math"
	"time"
)

// UnknownOperations is the bit field of authorized operations (KIP-430) where they were not asked for.
const UnknownOperations = math.MinInt32

// MetadataRequest asks for brokers, topics and their leaders (API key 3, versions 4–13).
// Version 8 adds authorized operations (KIP-430), version 9 is flexible, version 10 adds topic ids
// (which a broker looks up from version 12 on, KIP-516), version 11 drops the cluster's authorized operations (KIP-700).
type MetadataRequest struct {
	Topics                             []MetadataRequestTopic // nil: all topics; empty: none
	AllowAutoTopicCreation             bool
	IncludeClusterAuthorizedOperations bool // 8–10
	IncludeTopicAuthorizedOperations   bool // 8+
}

// MetadataRequestTopic names a topic by name or, from version 12 on, by id.
type MetadataRequestTopic struct {
	TopicID UUID    // 10+
	Name    *string // may be nil from 10 on
}

// NewMetadataRequest gives a request with the schema's defaults: it lets the broker create topics that do not exist.
func NewMetadataRequest() *MetadataRequest { return &MetadataRequest{AllowAutoTopicCreation: true} }

// Key implements Request.
func (*MetadataRequest) Key() APIKey { return KeyMetadata }

func (m *MetadataRequest) code(c *coder) {
	if c.reading {
		*m = *NewMetadataRequest()
	}
	nullableArray(c, "Topics", &m.Topics, (*MetadataRequestTopic).code)
	c.bool("AllowAutoTopicCreation", &m.AllowAutoTopicCreation)
	if c.since(8) && c.until(10) {
		c.bool("IncludeClusterAuthorizedOperations", &m.IncludeClusterAuthorizedOperations)
	}
	if c.since(8) {
		c.bool("IncludeTopicAuthorizedOperations", &m.IncludeTopicAuthorizedOperations)
	}
	c.noTags()
}

func (t *MetadataRequestTopic) code(c *coder) {
	if c.since(10) {
		c.uuid("TopicID", &t.TopicID)
	}
	c.nullableString("Name", &t.Name, 10)
	c.noTags()
}

// MetadataResponse answers a [MetadataRequest]. Version 5 adds offline replicas, version 7 leader epochs (to be
// trusted from version 9 on), version 8 authorized operations, version 10 topic ids, version 13 an error code of
// its own (KIP-1102).
type MetadataResponse struct {
	ThrottleTimeMs              int32
	Brokers                     []MetadataResponseBroker
	ClusterID                   *string
	ControllerID                int32
	Topics                      []MetadataResponseTopic
	ClusterAuthorizedOperations int32     // 8–10, else UnknownOperations
	ErrorCode                   ErrorCode // 13+
}

// MetadataResponseBroker is a broker and its address on the listener that was asked.
type MetadataResponseBroker struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   *string
}

// MetadataResponseTopic is a topic, or why there is none.
type MetadataResponseTopic struct {
	ErrorCode                 ErrorCode
	Name                      *string // nil (12+) for an unknown topic asked for by id
	TopicID                   UUID    // 10+; zero for an unknown topic asked for by name
	IsInternal                bool
	Partitions                []MetadataResponsePartition
	TopicAuthorizedOperations int32 // 8+, else UnknownOperations
}

// MetadataResponsePartition is a partition and where its replicas are.
type MetadataResponsePartition struct {
	ErrorCode       ErrorCode
	PartitionIndex  int32
	LeaderID        int32 // -1: none
	LeaderEpoch     int32 // 7+; -1: unknown
	ReplicaNodes    []int32
	IsrNodes        []int32
	OfflineReplicas []int32 // 5+
}

// NewMetadataResponse gives a response with the schema's defaults.
func NewMetadataResponse() *MetadataResponse {
	return &MetadataResponse{ControllerID: -1, ClusterAuthorizedOperations: UnknownOperations}
}

// Key implements Response.
func (*MetadataResponse) Key() APIKey { return KeyMetadata }

// Throttle implements Response.
func (m *MetadataResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *MetadataResponse) code(c *coder) {
	if c.reading {
		*m = *NewMetadataResponse()
	}
	c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	array(c, "Brokers", &m.Brokers, (*MetadataResponseBroker).code)
	c.nullableString("ClusterID", &m.ClusterID, 0)
	c.int32("ControllerID", &m.ControllerID)
	array(c, "Topics", &m.Topics, (*MetadataResponseTopic).code)
	if c.since(8) && c.until(10) {
		c.int32("ClusterAuthorizedOperations", &m.ClusterAuthorizedOperations)
	}
	if c.since(13) {
		c.errorCode("ErrorCode", &m.ErrorCode)
	}
	c.noTags()
}

func (b *MetadataResponseBroker) code(c *coder) {
	c.int32("NodeID", &b.NodeID)
	c.string("Host", &b.Host)
	c.int32("Port", &b.Port)
	c.nullableString("Rack", &b.Rack, 0)
	c.noTags()
}

func (t *MetadataResponseTopic) code(c *coder) {
	if c.reading {
		t.TopicAuthorizedOperations = UnknownOperations
	}
	c.errorCode("ErrorCode", &t.ErrorCode)
	c.nullableString("Name", &t.Name, 12)
	if c.since(10) {
		c.uuid("TopicID", &t.TopicID)
	}
	c.bool("IsInternal", &t.IsInternal)
	array(c, "Partitions", &t.Partitions, (*MetadataResponsePartition).code)
	if c.since(8) {
		c.int32("TopicAuthorizedOperations", &t.TopicAuthorizedOperations)
	}
	c.noTags()
}

func (p *MetadataResponsePartition) code(c *coder) {
	if c.reading {
		p.LeaderEpoch = -1
	}
	c.errorCode("ErrorCode", &p.ErrorCode)
	c.int32("PartitionIndex", &p.PartitionIndex)
	c.int32("LeaderID", &p.LeaderID)
	if c.since(7) {
		c.int32("LeaderEpoch", &p.LeaderEpoch)
	}
	c.int32s("ReplicaNodes", &p.ReplicaNodes)
	c.int32s("IsrNodes", &p.IsrNodes)
	if c.since(5) {
		c.int32s("OfflineReplicas", &p.OfflineReplicas)
	}
	c.noTags()
}
