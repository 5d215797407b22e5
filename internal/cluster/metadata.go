package cluster

import (
	"net"
	"slices"
	"strconv"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// Metadata is one view of the cluster. It is immutable: changes make a new one.
type Metadata struct {
	ClusterID string
	// Brokers is sorted by id.
	Brokers []Broker
	// Topics holds the tracked topics that an answer has spoken of, also those that do not exist (see Topic.Err).
	Topics map[string]*Topic
	// ByID finds topics by id, those that have one.
	ByID map[protocol.UUID]*Topic
	// All says that the last answer was about every topic of the cluster.
	All bool
	// From is the broker that gave the last answer: its node id, or the bootstrap address.
	From string
}

// Broker is a broker as it advertises itself.
type Broker struct {
	ID   int32
	Host string
	Port int32
	Rack string // "" for none
}

// Addr is host:port.
func (b Broker) Addr() string { return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) }

// Topic is a topic, or why it could not be had.
type Topic struct {
	Name string
	// ID is zero where the brokers know no topic ids.
	ID       protocol.UUID
	Internal bool
	// Err is the topic's error in the last answer. Partitions known from before are kept beside it.
	Err protocol.ErrorCode
	// From is the broker that gave that answer, as in Metadata.
	From string
	// Partitions is dense: Partitions[i] is partition i.
	Partitions []Partition
}

// Partition is a partition and who leads it.
type Partition struct {
	// Leader is -1 while there is none.
	Leader int32
	// LeaderEpoch is -1 when not known, or not to be trusted (before Metadata version 9).
	LeaderEpoch int32
	Replicas    []int32
	Err         protocol.ErrorCode
}

// Partition gives a partition of a topic; false when it is not known.
func (m *Metadata) Partition(topic string, partition int32) (Partition, bool) {
	t := m.Topics[topic]
	if t == nil || partition < 0 || int(partition) >= len(t.Partitions) {
		return Partition{Leader: -1, LeaderEpoch: -1}, false
	}
	return t.Partitions[partition], true
}

// Broker gives a broker by id.
func (m *Metadata) Broker(id int32) (Broker, bool) {
	i, ok := slices.BinarySearchFunc(m.Brokers, id, func(b Broker, id int32) int { return int(b.ID) - int(id) })
	if !ok {
		return Broker{}, false
	}
	return m.Brokers[i], true
}

// Racks gives the racks of the partition's replicas, in their order, "" where a broker has none.
func (m *Metadata) Racks(p Partition) []string {
	racks := make([]string, len(p.Replicas))
	for i, id := range p.Replicas {
		b, _ := m.Broker(id)
		racks[i] = b.Rack
	}
	return racks
}

// emptyMetadata is what a Client has before the first answer.
func emptyMetadata() *Metadata {
	return &Metadata{Topics: map[string]*Topic{}, ByID: map[protocol.UUID]*Topic{}}
}

// clone copies what hints and merges change: the maps and the broker list. Topics are replaced, never changed.
func (m *Metadata) clone() *Metadata {
	n := *m
	n.Brokers = slices.Clone(m.Brokers)
	n.Topics = make(map[string]*Topic, len(m.Topics))
	n.ByID = make(map[protocol.UUID]*Topic, len(m.ByID))
	for _, t := range m.Topics {
		n.put(t)
	}
	return &n
}

// put adds or replaces a topic in a Metadata under construction.
func (m *Metadata) put(t *Topic) {
	if old := m.Topics[t.Name]; old != nil && m.ByID[old.ID] == old {
		delete(m.ByID, old.ID)
	}
	m.Topics[t.Name] = t
	if t.ID != (protocol.UUID{}) {
		m.ByID[t.ID] = t
	}
}

// addBroker adds a broker in its place, if its id is new.
func (m *Metadata) addBroker(b Broker) {
	i, ok := slices.BinarySearchFunc(m.Brokers, b.ID, func(b Broker, id int32) int { return int(b.ID) - int(id) })
	if !ok {
		m.Brokers = slices.Insert(m.Brokers, i, b)
	}
}
