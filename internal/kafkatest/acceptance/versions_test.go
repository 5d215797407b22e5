package acceptance

import (
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A consumer's whole life, against brokers as old as 2.1: without topic ids, with and without flexible versions and leader hints.
func TestVersions_EverythingWorksOnOldBrokers(t *testing.T) {
	for _, version := range append([]string{""}, kafkatest.OldVersions...) {
		t.Run("as "+cmp.Or(version, "the newest"), func(t *testing.T) {
			c := kafkatest.Fake(t, kafkatest.FakeOptions{Nodes: 3, Version: version})
			topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
			tp := tpOf(topic, 0)
			txn := kafkatest.BeginTxn(t, c)
			txn.Produce(t, topic, 0, kafkatest.Values("committed")...) // 0
			txn.Commit(t)                                              // 1
			txn.Begin(t)
			txn.Produce(t, topic, 0, kafkatest.Values("aborted")...) // 2
			txn.Abort(t)                                             // 3
			c.AwaitStable(t, topic, 0)
			produce(t, c, topic, 0, numbered(0, 10)...) // 4 to 13

			consumer := start(t, c, quick, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
			require.Equal(t, append([]string{"committed"}, numbered(0, 10)...), texts(read(t, consumer, 11)))
			require.NoError(t, consumer.Seek(tp, 9))
			consecutive(t, 9, read(t, consumer, 5))

			for i, n := range c.Nodes() { // the leader goes through all nodes
				c.MoveLeader(t, topic, 0, n.ID)
				produce(t, c, topic, 0, numbered(i, i+1)...)
				require.EqualValues(t, 14+i, read(t, consumer, 1)[0].Offset)
			}
			ctx := within(t)
			ends, err := consumer.EndOffsets(ctx)
			require.NoError(t, err)
			require.Equal(t, map[kafka.TopicPartition]int64{tp: 17, tpOf(topic, 1): 0}, ends)
			require.NoError(t, consumer.SeekToBeginning(ctx, tp))
			require.EqualValues(t, 0, read(t, consumer, 1)[0].Offset)
			require.NoError(t, consumer.SeekToEnd(ctx))

			c.AddPartitions(t, topic, 3)
			produce(t, c, topic, 2, "in the new partition")
			require.Equal(t, []string{"in the new partition"}, texts(read(t, consumer, 1)))

			c.DeleteRecords(t, topic, 0, 15)
			require.NoError(t, consumer.Seek(tp, 2))
			consecutive(t, 15, read(t, consumer, 2))

			node := c.Node(t, c.Leader(t, topic, 0))
			node.Kill(t)
			c.AwaitNewLeader(t, topic, 0, node.ID)
			produce(t, c, topic, 0, "after a kill")
			require.Equal(t, []string{"after a kill"}, texts(read(t, consumer, 1)))
		})
	}
}

// Compaction leaves gaps: offsets rise all the same, and the position reaches the end.
func TestVersions_CompactedLogsHaveGaps(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{}) // a real broker compacts when it sees fit
	topic := c.NewTopic(t, kafkatest.Topic{Configs: map[string]string{"cleanup.policy": "compact"}})
	var records []*kafkatest.Record
	for _, value := range numbered(0, 60) {
		records = append(records, kafkatest.Keyed(value[len(value)-1:], value)) // ten keys
	}
	kafkatest.Produce(t, c, topic, 0, records, kafkatest.PerBatch(7), kafkatest.LZ4)
	c.Fake().Compact()
	consumer := start(t, c, kafka.WithTopics(topic))
	last := make(map[string]string)
	at, n := int64(-1), 0
	for position(t, consumer, tpOf(topic, 0)) < 60 {
		batch, err := consumer.GetMany(within(t), kafka.WaitFor(short))
		require.NoError(t, err)
		for _, msgs := range batch {
			for _, m := range msgs {
				require.Greater(t, m.Offset, at)
				at, n = m.Offset, n+1
				last[string(m.Key)] = string(m.Value)
			}
		}
	}
	require.Less(t, n, 60, "the fake has not compacted anything")
	require.Len(t, last, 10)
	for key, value := range last {
		require.Equal(t, "message 5"+key, value)
	}
}
