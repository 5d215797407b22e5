package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A rawTxn is a transaction made of its requests, for what franz-go's producer does only together with a consumer, or not at all.
type rawTxn struct {
	client *kgo.Client
	id     string
	pid    int64
	epoch  int16
}

// beginRawTxn gets a producer id; a transaction of it begins with what is added first.
func beginRawTxn(t *testing.T, c *kafkatest.Cluster) *rawTxn {
	t.Helper()
	// As clients before Kafka 4 speak, which name to the coordinator what they add (later ones leave that to brokers, KIP-890).
	client, err := kgo.NewClient(c.ClientOptions(kgo.MaxVersions(kversion.V2_8_0()))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	x := &rawTxn{client: client, id: kafkatest.TopicName(t)}
	req := kmsg.NewInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &x.id, 60_000
	x.retry(t, "InitProducerId", func() int16 {
		resp, err := req.RequestWith(within(t), client)
		require.NoError(t, err)
		x.pid, x.epoch = resp.ProducerID, resp.ProducerEpoch
		return resp.ErrorCode
	})
	return x
}

// retry asks until a coordinator that is new, or still writes the markers of the last transaction, has done it.
func (x *rawTxn) retry(t *testing.T, what string, ask func() int16) {
	t.Helper()
	require.Eventually(t, func() bool {
		code := ask()
		switch err := kerr.ErrorForCode(code); err {
		case nil:
			return true
		case kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator:
			return false
		default:
			require.NoError(t, err, what)
			return false
		}
	}, 20*time.Second, 10*time.Millisecond, what)
}

// addPartition makes a partition part of the transaction: it gets a marker.
func (x *rawTxn) addPartition(t *testing.T, tp kafka.TopicPartition) {
	t.Helper()
	req := kmsg.NewAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.pid, x.epoch
	topic := kmsg.NewAddPartitionsToTxnRequestTopic()
	topic.Topic, topic.Partitions = tp.Topic, []int32{tp.Partition}
	req.Topics = append(req.Topics, topic)
	x.retry(t, "AddPartitionsToTxn", func() int16 {
		resp, err := req.RequestWith(within(t), x.client)
		require.NoError(t, err)
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

// sendOffset commits an offset of a group inside the transaction.
func (x *rawTxn) sendOffset(t *testing.T, group string, tp kafka.TopicPartition, offset int64) {
	t.Helper()
	add := kmsg.NewAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = x.id, x.pid, x.epoch, group
	x.retry(t, "AddOffsetsToTxn", func() int16 {
		resp, err := add.RequestWith(within(t), x.client)
		require.NoError(t, err)
		return resp.ErrorCode
	})
	req := kmsg.NewTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = x.id, x.pid, x.epoch, group, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = tp.Topic
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = tp.Partition, offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	x.retry(t, "TxnOffsetCommit", func() int16 {
		resp, err := req.RequestWith(within(t), x.client)
		require.NoError(t, err)
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

func (x *rawTxn) end(t *testing.T, commit bool) {
	t.Helper()
	req := kmsg.NewEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.pid, x.epoch, commit
	x.retry(t, "EndTxn", func() int16 {
		resp, err := req.RequestWith(within(t), x.client)
		require.NoError(t, err)
		return resp.ErrorCode
	})
}
