package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// produceBatch writes a batch as it is to a partition and gives its base offset. A real broker looks into it; the fake only
// checks its header and checksum.
func produceBatch(t *testing.T, c *kafkatest.Cluster, topic string, partition int32, batch []byte) int64 {
	t.Helper()
	return produceTo(t, c, c.Leader(t, topic, partition), topic, topicID(t, c, topic), partition, batch)
}

func topicID(t *testing.T, c *kafkatest.Cluster, topic string) kadm.TopicID {
	t.Helper()
	topics, err := c.Admin().ListTopics(within(t), topic)
	require.NoError(t, err)
	return topics[topic].ID
}

// produceTo is produceBatch to a node that is known to lead: no other is asked anything.
func produceTo(t *testing.T, c *kafkatest.Cluster, node int32, topic string, id kadm.TopicID, partition int32, batch []byte) int64 {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := c.Client().Broker(int(node)).Request(within(t), req)
	require.NoError(t, err)
	answer := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	require.NoError(t, kerr.ErrorForCode(answer.ErrorCode))
	return answer.BaseOffset
}

// batchOf builds a batch with the given attributes, uncompressed.
func batchOf(t *testing.T, attributes int16, timestamp int64, values ...string) []byte {
	t.Helper()
	h := protocol.NewBatchHeader(0)
	h.Attributes, h.BaseTimestamp = attributes, timestamp
	var records []protocol.RecordData
	for i, v := range values {
		records = append(records, protocol.RecordData{OffsetDelta: int32(i), TimestampDelta: int64(i), Value: []byte(v)})
	}
	batch, err := protocol.AppendBatch(nil, h, nil, records...)
	require.NoError(t, err)
	return batch
}

// unreadable builds a batch of n records with a good header and checksum around bytes that no codec can read.
func unreadable(n int32) []byte {
	h := protocol.NewBatchHeader(0)
	h.Attributes, h.LastOffsetDelta, h.NumRecords = 4, n-1, n // zstd
	return protocol.AppendRawBatch(nil, h, []byte("these are not the bytes of a zstd frame"))
}
