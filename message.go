package kafka

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// A TopicPartition names one partition of a topic. It is comparable, so it serves as a map key.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String gives the form Kafka's own tools print: "orders-3".
func (tp TopicPartition) String() string {
	return tp.Topic + "-" + strconv.Itoa(int(tp.Partition))
}

// compareTopicPartitions orders by topic, then by partition number.
func compareTopicPartitions(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// TimestampType tells who set a message's timestamp (KIP-32).
type TimestampType int8

const (
	// NoTimestamp: the record was written in message format 0, which has no timestamps.
	NoTimestamp TimestampType = -1
	// CreateTime: the producer set the timestamp.
	CreateTime TimestampType = 0
	// LogAppendTime: the broker set the timestamp when it appended the batch.
	LogAppendTime TimestampType = 1
)

// String gives Kafka's name of the type.
func (t TimestampType) String() string {
	switch t {
	case NoTimestamp:
		return "NoTimestampType"
	case CreateTime:
		return "CreateTime"
	case LogAppendTime:
		return "LogAppendTime"
	}
	return "TimestampType(" + strconv.Itoa(int(t)) + ")"
}

// A Header is one header of a message (KIP-82). Keys may repeat; the order is the producer's.
type Header struct {
	Key   string
	Value []byte // nil is Kafka's null
}

// A Message is one record of a partition, as the consumer hands it out.
//
// Key, Value and header values point into the memory of the batch they came in, with cap equal to len, so that
// appending to one copies it. A message that is kept therefore keeps that batch in memory, with others if it is small; where it was not
// compressed, its partition's part of one fetch. [Message.Clone] makes one that stands alone.
type Message struct {
	Topic       string
	Partition   int32
	LeaderEpoch int32 // of the batch's leader (KIP-320); -1 when the broker gave none. Behind Offset it would take 8 bytes more.
	Offset      int64
	// Timestamp is in UTC with a precision of milliseconds; the zero time for NoTimestamp.
	Timestamp     time.Time
	TimestampType TimestampType
	Key, Value    []byte // nil is Kafka's null
	Headers       []Header
}

// TopicPartition gives the partition the message came from.
func (m *Message) TopicPartition() TopicPartition {
	return TopicPartition{Topic: m.Topic, Partition: m.Partition}
}

// Clone gives a copy that shares no memory with the batch the message came in.
func (m *Message) Clone() *Message {
	c := *m
	size := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += len(h.Value)
	}
	mem := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(mem)
		mem = append(mem, b...)
		return mem[start:len(mem):len(mem)]
	}
	c.Key, c.Value = keep(m.Key), keep(m.Value)
	if m.Headers != nil {
		c.Headers = make([]Header, len(m.Headers))
		for i, h := range m.Headers {
			c.Headers[i] = Header{Key: h.Key, Value: keep(h.Value)}
		}
	}
	return &c
}

// An OffsetAndMetadata is an offset to commit, or one that is committed: that of the next message to read.
type OffsetAndMetadata struct {
	Offset int64
	// LeaderEpoch is that of the record before the offset; 0 and below: unknown. With it, a consumer that resumes there
	// finds out when the log was cut since (KIP-320).
	LeaderEpoch int32
	Metadata    string // the application's own words, kept by the brokers
}

// An OffsetAndTimestamp is the first offset with a timestamp at or after the one asked for.
type OffsetAndTimestamp struct {
	Offset      int64
	LeaderEpoch int32 // 0 and below: unknown
	Timestamp   time.Time
}
