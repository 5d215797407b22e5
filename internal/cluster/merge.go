package cluster

import (
	"slices"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// epochsSince is the first Metadata version whose leader epochs can be trusted: before it a broker may tell stale
// ones during a reassignment (KAFKA-9212).
const epochsSince = 9

// sparePartitions bounds how far a partition's index may lie beyond the number of partitions in the answer:
// a broker lists all of them, a hostile one names index 2^31-1.
const sparePartitions = 1024

// answer is a Metadata response with what is needed to read it.
type answer struct {
	resp    *protocol.MetadataResponse
	version int16
	all     bool   // all topics were asked for
	from    string // the broker that gave it: its node id, or the bootstrap address
}

// usable says whether the answer can be used at all. One without brokers says nothing; a broker gives it
// while it starts.
func (a answer) usable() error {
	if err := a.resp.ErrorCode.Err(); err != nil {
		return err
	}
	if len(brokersOf(a.resp)) == 0 {
		return errNoBrokers
	}
	return nil
}

// merge gives the view after a usable answer. keep says which topics are still tracked.
func merge(old *Metadata, a answer, keep func(topic string) bool) *Metadata {
	m := emptyMetadata()
	m.All, m.From = a.all, a.from
	if a.resp.ClusterID != nil {
		m.ClusterID = *a.resp.ClusterID
	}
	m.Brokers = brokersOf(a.resp)
	if !a.all {
		for _, t := range old.Topics {
			if keep(t.Name) {
				m.put(t)
			}
		}
	}
	for i := range a.resp.Topics {
		t := &a.resp.Topics[i]
		if t.Name == nil || !keep(*t.Name) {
			continue
		}
		m.put(mergeTopic(old.Topics[*t.Name], t, a))
	}
	m.keepLeaders(old)
	return m
}

// brokersOf reads the brokers of an answer, sorted, without those that cannot be dialed.
func brokersOf(resp *protocol.MetadataResponse) []Broker {
	brokers := make([]Broker, 0, len(resp.Brokers))
	for _, b := range resp.Brokers {
		if n, ok := brokerOf(b.NodeID, b.Host, b.Port, b.Rack); ok {
			brokers = append(brokers, n)
		}
	}
	slices.SortStableFunc(brokers, func(a, b Broker) int { return int(a.ID) - int(b.ID) })
	return slices.CompactFunc(brokers, func(a, b Broker) bool { return a.ID == b.ID })
}

// brokerOf reads a broker of an answer; false: it cannot be dialed. rack is nil for none.
func brokerOf(id int32, host string, port int32, rack *string) (Broker, bool) {
	if id < 0 || host == "" || port <= 0 || port > 65535 {
		return Broker{}, false
	}
	b := Broker{ID: id, Host: host, Port: port}
	if rack != nil {
		b.Rack = *rack
	}
	return b, true
}

// mergeTopic gives a topic after an answer. With an error, what was known stays: the topic may be moving or, on a
// broker that lags, not be there yet. A new topic id is another topic, of which nothing old is true.
func mergeTopic(old *Topic, t *protocol.MetadataResponseTopic, a answer) *Topic {
	n := &Topic{Name: *t.Name, ID: t.TopicID, Internal: t.IsInternal, Err: t.ErrorCode, From: a.from}
	if t.ErrorCode != protocol.None {
		if old != nil {
			n.ID, n.Internal, n.Partitions = old.ID, old.Internal, old.Partitions
		}
		return n
	}
	n.Partitions = partitionsOf(t, a.version)
	if old == nil || old.ID != n.ID {
		return n
	}
	if n.ID == (protocol.UUID{}) && old.Err == protocol.UnknownTopicOrPartition {
		return n // it was gone and has been made again; without ids nothing else shows it, and its epochs start anew
	}
	for i, p := range old.Partitions {
		switch {
		case i >= len(n.Partitions):
			// Partitions of one topic are never taken away: the broker has not heard of them yet. Without ids
			// it may as well be another topic of that name.
			if n.ID != (protocol.UUID{}) {
				n.Partitions = append(n.Partitions, p)
			}
		case p.LeaderEpoch > n.Partitions[i].LeaderEpoch && n.Partitions[i].LeaderEpoch >= 0:
			n.Partitions[i] = p // the broker lags behind what another one, or a hint, has told us
		}
	}
	return n
}

// partitionsOf reads a topic's partitions into a dense slice.
func partitionsOf(t *protocol.MetadataResponseTopic, version int16) []Partition {
	n := 0
	for _, p := range t.Partitions {
		if i := int(p.PartitionIndex); i >= n && i < len(t.Partitions)+sparePartitions {
			n = i + 1
		}
	}
	parts := make([]Partition, n)
	for i := range parts {
		parts[i] = Partition{Leader: -1, LeaderEpoch: -1, Err: protocol.LeaderNotAvailable}
	}
	for _, p := range t.Partitions {
		if p.PartitionIndex < 0 || int(p.PartitionIndex) >= n {
			continue
		}
		epoch := p.LeaderEpoch
		if version < epochsSince {
			epoch = -1
		}
		leader := max(p.LeaderID, -1)
		parts[p.PartitionIndex] = Partition{
			Leader: leader, LeaderEpoch: epoch, Err: p.ErrorCode,
			Replicas: slices.Clone(p.ReplicaNodes),
		}
	}
	return parts
}

// keepLeaders keeps brokers that a partition kept from the old view is led by, should the answer not know them.
func (m *Metadata) keepLeaders(old *Metadata) {
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Leader < 0 || p.Err == protocol.LeaderNotAvailable {
				continue
			}
			if _, known := m.Broker(p.Leader); known {
				continue
			}
			if b, ok := old.Broker(p.Leader); ok {
				m.addBroker(b)
			}
		}
	}
}

// Hint is a leader that a broker has named in an answer of another kind (KIP-951).
type Hint struct {
	Topic       string
	Partition   int32
	Leader      int32
	LeaderEpoch int32
}

// applyHint gives the view after a hint, or nil when it changes nothing: its epoch is not newer, or its leader is
// neither known nor among the endpoints.
func applyHint(old *Metadata, h Hint, endpoints []Broker) *Metadata {
	p, ok := old.Partition(h.Topic, h.Partition)
	if !ok || h.Leader < 0 || h.LeaderEpoch < 0 || h.LeaderEpoch <= p.LeaderEpoch {
		return nil
	}
	at := slices.IndexFunc(endpoints, func(b Broker) bool { return b.ID == h.Leader })
	if _, known := old.Broker(h.Leader); !known && at < 0 {
		return nil
	}
	m := old.clone()
	if at >= 0 {
		m.addBroker(endpoints[at])
	}
	t := *old.Topics[h.Topic]
	t.Partitions = slices.Clone(t.Partitions)
	p.Leader, p.LeaderEpoch, p.Err = h.Leader, h.LeaderEpoch, protocol.None
	t.Partitions[h.Partition] = p
	m.put(&t)
	return m
}

// endpointsOf reads the brokers that come with a leader hint.
func endpointsOf(endpoints []protocol.FetchResponseNodeEndpoint) []Broker {
	brokers := make([]Broker, 0, len(endpoints))
	for _, e := range endpoints {
		if b, ok := brokerOf(e.NodeID, e.Host, e.Port, e.Rack); ok {
			brokers = append(brokers, b)
		}
	}
	return brokers
}
