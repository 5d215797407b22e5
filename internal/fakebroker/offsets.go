package fakebroker

import (
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Offset is what a group has committed for a partition.
type Offset struct {
	Offset      int64
	LeaderEpoch int32
	Metadata    string
}

// SetCommitted commits for a group; Committed reads it back, also what clients have committed.
func (c *Cluster) SetCommitted(group, topic string, index int32, o Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setCommittedLocked(group, partitionKey{topic, index}, o)
}

func (c *Cluster) setCommittedLocked(group string, key partitionKey, o Offset) {
	if c.groups[group] == nil {
		c.groups[group] = map[partitionKey]Offset{}
	}
	c.groups[group][key] = o
	c.changedLocked()
}

// Committed gives what a group has committed for a partition; false for nothing.
func (c *Cluster) Committed(group, topic string, index int32) (Offset, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.groups[group][partitionKey{topic, index}]
	return o, ok
}

// listOffsets answers the special timestamps -1 (latest) and -2 (earliest), and times.
func (c *Cluster) listOffsets(node int32, req *protocol.ListOffsetsRequest) protocol.Response {
	resp := &protocol.ListOffsetsResponse{}
	for _, t := range req.Topics {
		out := protocol.ListOffsetsResponseTopic{Name: t.Name}
		for _, want := range t.Partitions {
			found := protocol.ListOffsetsResponsePartition{PartitionIndex: want.PartitionIndex, Timestamp: -1, Offset: -1, LeaderEpoch: -1}
			var p *partition
			p, found.ErrorCode = c.lead(node, c.topics[t.Name], want.PartitionIndex, want.CurrentLeaderEpoch)
			if found.ErrorCode == protocol.None {
				p.lookUp(&found, want.Timestamp, req.IsolationLevel)
			}
			out.Partitions = append(out.Partitions, found)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// lookUp finds the offset for a timestamp.
func (p *partition) lookUp(found *protocol.ListOffsetsResponsePartition, timestamp int64, isolation int8) {
	found.LeaderEpoch = p.epoch
	switch {
	case timestamp == protocol.EarliestTimestamp:
		found.Offset = p.start
	case timestamp == protocol.LatestTimestamp && isolation == 1:
		found.Offset = p.lastStable()
	case timestamp == protocol.LatestTimestamp:
		found.Offset = p.end
	case timestamp < 0:
		found.ErrorCode = protocol.UnsupportedVersion
	default:
		found.LeaderEpoch = -1
		for _, b := range p.batches {
			if b.maxTimestamp >= timestamp {
				found.Offset, found.Timestamp = b.first(timestamp)
				found.LeaderEpoch = b.epoch
				return
			}
		}
	}
}

// first gives the first record at or after a timestamp in a batch that has one. Compressed and old batches are
// not looked into: their first record is given.
func (b batch) first(timestamp int64) (offset, at int64) {
	h, err := protocol.ParseBatchHeader(b.bytes)
	if err != nil || h.Codec() != 0 {
		return b.base, b.maxTimestamp
	}
	records, err := h.ReadRecords(b.bytes[protocol.BatchHeaderSize:])
	if err != nil {
		return b.base, b.maxTimestamp
	}
	var r protocol.Record
	for {
		ok, err := records.Next(&r)
		if !ok || err != nil {
			return b.base, b.maxTimestamp
		}
		if at := h.Timestamp(r.TimestampDelta); at >= timestamp {
			return h.BaseOffset + int64(r.OffsetDelta), at
		}
	}
}

// epochEnds answers OffsetForLeaderEpoch: the largest epoch up to the one asked for, and where it ends.
func (c *Cluster) epochEnds(node int32, req *protocol.OffsetForLeaderEpochRequest) protocol.Response {
	resp := &protocol.OffsetForLeaderEpochResponse{}
	for _, t := range req.Topics {
		out := protocol.OffsetForLeaderEpochResponseTopic{Topic: t.Topic}
		for _, want := range t.Partitions {
			found := protocol.OffsetForLeaderEpochResponsePartition{Partition: want.Partition, LeaderEpoch: -1, EndOffset: -1}
			var p *partition
			p, found.ErrorCode = c.lead(node, c.topics[t.Topic], want.Partition, want.CurrentLeaderEpoch)
			if found.ErrorCode == protocol.None {
				found.LeaderEpoch, found.EndOffset = p.epochEnd(want.LeaderEpoch)
			}
			out.Partitions = append(out.Partitions, found)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// epochEnd is (-1, -1) for an epoch that has not been.
func (p *partition) epochEnd(epoch int32) (int32, int64) {
	if epoch > p.epoch {
		return -1, -1
	}
	found, end := int32(-1), int64(-1)
	for i, e := range p.epochEnds {
		if e.epoch > epoch {
			break
		}
		found, end = e.epoch, p.end
		if i+1 < len(p.epochEnds) {
			end = p.epochEnds[i+1].start
		}
	}
	return found, end
}

// commit stores offsets; only the coordinator does.
func (c *Cluster) commit(node int32, req *protocol.OffsetCommitRequest, version int16) protocol.Response {
	resp := &protocol.OffsetCommitResponse{}
	for _, t := range req.Topics {
		name, known := c.topicName(t.Name, t.TopicID, version >= 10)
		out := protocol.OffsetCommitResponseTopic{Name: t.Name, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			code := known
			if node != c.coordinator {
				code = protocol.NotCoordinator
			}
			if code == protocol.None {
				o := Offset{Offset: p.CommittedOffset, LeaderEpoch: p.CommittedLeaderEpoch}
				if version < 6 {
					o.LeaderEpoch = -1
				}
				if p.CommittedMetadata != nil {
					o.Metadata = *p.CommittedMetadata
				}
				c.setCommittedLocked(req.GroupID, partitionKey{name, p.PartitionIndex}, o)
			}
			out.Partitions = append(out.Partitions, protocol.OffsetCommitResponsePartition{PartitionIndex: p.PartitionIndex, ErrorCode: code})
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// topicName gives a topic's name by name or id, and whether it is known.
func (c *Cluster) topicName(name string, id protocol.UUID, byID bool) (string, protocol.ErrorCode) {
	if byID {
		if t := c.topicIDs[id]; t != nil {
			return t.name, protocol.None
		}
		return "", protocol.UnknownTopicID
	}
	if c.topics[name] == nil {
		return name, protocol.UnknownTopicOrPartition
	}
	return name, protocol.None
}

// committed answers OffsetFetch in the forms of all versions.
func (c *Cluster) committed(node int32, req *protocol.OffsetFetchRequest, version int16) protocol.Response {
	resp := &protocol.OffsetFetchResponse{}
	code := protocol.None
	if node != c.coordinator {
		code = protocol.NotCoordinator
	}
	if version < 8 {
		resp.ErrorCode = code
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, protocol.OffsetFetchResponseTopic{
				Name: t.Name, Partitions: c.committedIn(req.GroupID, t.Name, t.PartitionIndexes, code),
			})
		}
		return resp
	}
	for _, g := range req.Groups {
		out := protocol.OffsetFetchResponseGroup{GroupID: g.GroupID, ErrorCode: code}
		for _, t := range g.Topics {
			name, known := c.topicName(t.Name, t.TopicID, version >= 10)
			if version < 10 {
				known = protocol.None // by name an unknown topic has nothing committed, and no error
			}
			out.Topics = append(out.Topics, protocol.OffsetFetchResponseTopics{
				Name: t.Name, TopicID: t.TopicID, Partitions: c.committedIn(g.GroupID, name, t.PartitionIndexes, known),
			})
		}
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

func (c *Cluster) committedIn(group, topic string, indexes []int32, code protocol.ErrorCode) []protocol.OffsetFetchResponsePartition {
	out := make([]protocol.OffsetFetchResponsePartition, len(indexes))
	for i, index := range indexes {
		none := ""
		out[i] = protocol.OffsetFetchResponsePartition{
			PartitionIndex: index, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: &none, ErrorCode: code,
		}
		if o, ok := c.groups[group][partitionKey{topic, index}]; ok && code == protocol.None {
			out[i].CommittedOffset, out[i].CommittedLeaderEpoch, out[i].Metadata = o.Offset, o.LeaderEpoch, &o.Metadata
		}
	}
	return out
}
