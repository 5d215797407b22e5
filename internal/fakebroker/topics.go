package fakebroker

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// partitionKey names a partition in maps.
type partitionKey struct {
	topic     string
	partition int32
}

// topic is a seeded topic.
type topic struct {
	name       string
	id         protocol.UUID
	partitions []*partition
}

// partition is a log and who leads it.
type partition struct {
	leader    int32 // -1: none
	epoch     int32
	batches   []batch
	start     int64
	end       int64
	stable    int64 // the last stable offset; -1: the end
	aborted   []protocol.FetchResponseAbortedTransaction
	epochEnds []epochStart
}

// batch is a stored record batch, or message of magic 0 or 1.
type batch struct {
	base, next   int64
	maxTimestamp int64
	epoch        int32
	bytes        []byte
}

// epochStart is where a leader epoch began.
type epochStart struct {
	epoch int32
	start int64
}

// lastStable is the last stable offset.
func (p *partition) lastStable() int64 {
	if p.stable >= 0 {
		return p.stable
	}
	return p.end
}

// CreateTopic makes a topic with a new id; its leaders go round the nodes. One of that name is replaced, as if
// deleted before.
func (c *Cluster) CreateTopic(name string, partitions int) protocol.UUID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.topics[name]; old != nil {
		delete(c.topicIDs, old.id)
	}
	c.topicsMade++
	t := &topic{name: name}
	copy(t.id[:], "fake topic")
	binary.BigEndian.PutUint32(t.id[12:], uint32(c.topicsMade))
	c.topics[name], c.topicIDs[t.id] = t, t
	c.growLocked(t, partitions)
	return t.id
}

// GrowTopic gives a topic more partitions.
func (c *Cluster) GrowTopic(name string, partitions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.growLocked(c.topics[name], partitions)
}

func (c *Cluster) growLocked(t *topic, partitions int) {
	for i := len(t.partitions); i < partitions; i++ {
		p := &partition{leader: int32(i%c.opts.Nodes) + 1, stable: -1}
		p.epochEnds = []epochStart{{0, 0}}
		t.partitions = append(t.partitions, p)
	}
	c.changedLocked()
}

// DeleteTopic takes a topic away.
func (c *Cluster) DeleteTopic(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[name]; t != nil {
		delete(c.topics, name)
		delete(c.topicIDs, t.id)
		c.changedLocked()
	}
}

// edit changes a partition. It panics on one that does not exist: that is a mistake in the test.
func (c *Cluster) edit(topic string, n int32, change func(p *partition)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[topic]
	if t == nil || int(n) >= len(t.partitions) {
		panic(fmt.Sprintf("fakebroker: no partition %s-%d", topic, n))
	}
	change(t.partitions[n])
	c.changedLocked()
}

// MoveLeader makes a node the leader of a partition, in a new epoch; -1: none. Others do not hear of it but
// from Metadata and refused requests.
func (c *Cluster) MoveLeader(topic string, index, node int32) {
	c.edit(topic, index, func(p *partition) {
		p.leader = node
		p.epoch++
		p.epochEnds = append(p.epochEnds, epochStart{p.epoch, p.end})
	})
}

// Leader gives a partition's leader and its epoch.
func (c *Cluster) Leader(topic string, index int32) (node, epoch int32) {
	c.edit(topic, index, func(p *partition) { node, epoch = p.leader, p.epoch })
	return node, epoch
}

// Append adds one batch of records to a partition, with the present time as its base timestamp, and gives the
// offset of the first. Offset deltas are numbered anew.
func (c *Cluster) Append(topic string, index int32, records ...protocol.RecordData) int64 {
	var base int64
	c.edit(topic, index, func(p *partition) {
		base = p.end
		h := protocol.NewBatchHeader(base)
		h.PartitionLeaderEpoch = p.epoch
		h.BaseTimestamp = time.Now().UnixMilli()
		numbered := make([]protocol.RecordData, len(records))
		for i, r := range records {
			r.OffsetDelta = int32(i)
			numbered[i] = r
		}
		b, err := protocol.AppendBatch(nil, h, nil, numbered...)
		if err != nil {
			panic("fakebroker: " + err.Error())
		}
		p.add(b)
	})
	return base
}

// AppendValues is Append with one record for each value.
func (c *Cluster) AppendValues(topic string, index int32, values ...string) int64 {
	records := make([]protocol.RecordData, len(values))
	for i, v := range values {
		records[i].Value = []byte(v)
	}
	return c.Append(topic, index, records...)
}

// AppendRaw adds bytes that are record batches (or old messages) to a partition as they are: their offsets, epochs,
// checksums and faults too. Bytes that cannot be read as batches are stored as one record at the end.
func (c *Cluster) AppendRaw(topic string, index int32, set []byte) {
	c.edit(topic, index, func(p *partition) { p.add(set) })
}

// add stores the batches of a set.
func (p *partition) add(set []byte) {
	s := protocol.ScanBatches(set)
	stored := 0
	for s.Next() {
		b := batch{bytes: s.Bytes(), next: s.NextOffset(), base: int64(binary.BigEndian.Uint64(s.Bytes())), maxTimestamp: -1, epoch: -1}
		if s.Magic() == 2 {
			b.maxTimestamp, b.epoch = s.Header().MaxTimestamp, s.Header().PartitionLeaderEpoch
		} else {
			b.maxTimestamp = s.Message().Timestamp
		}
		p.batches = append(p.batches, b)
		p.end = max(p.end, b.next)
		stored += len(b.bytes)
	}
	if stored < len(set) {
		p.batches = append(p.batches, batch{base: p.end, next: p.end + 1, maxTimestamp: -1, epoch: -1, bytes: set[stored:]})
		p.end++
	}
}

// SetLogStart makes a partition begin at an offset, as retention and DeleteRecords do.
func (c *Cluster) SetLogStart(topic string, index int32, offset int64) {
	c.edit(topic, index, func(p *partition) {
		p.start = offset
		for len(p.batches) > 0 && p.batches[0].next <= offset {
			p.batches = p.batches[1:]
		}
	})
}

// Truncate takes away what a partition has from an offset on, as an unclean leader election does.
func (c *Cluster) Truncate(topic string, index int32, offset int64) {
	c.edit(topic, index, func(p *partition) {
		for n := len(p.batches); n > 0 && p.batches[n-1].next > offset; n-- {
			p.batches = p.batches[:n-1]
		}
		p.end = offset
		for i := range p.epochEnds {
			p.epochEnds[i].start = min(p.epochEnds[i].start, offset)
		}
	})
}

// SetLastStable sets a partition's last stable offset; -1: the end of the log.
func (c *Cluster) SetLastStable(topic string, index int32, offset int64) {
	c.edit(topic, index, func(p *partition) { p.stable = offset })
}

// SetAborted sets a partition's aborted transactions, given to read committed fetches as they are.
func (c *Cluster) SetAborted(topic string, index int32, aborted ...protocol.FetchResponseAbortedTransaction) {
	c.edit(topic, index, func(p *partition) { p.aborted = aborted })
}
