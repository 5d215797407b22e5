//go:build kafka

package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// The last release line before 4.0 speaks other versions of most APIs: a consumer's whole life on a real broker of it.
func TestRelease39_EverythingWorks(t *testing.T) {
	c := kafkatest.StartCluster(t, launch.Options{Version: "3.9.1"})
	t.Run("codecs", func(t *testing.T) { codecsAreRead(t, c) })
	t.Run("transactions and positions", func(t *testing.T) { transactionsAndPositions(t, c) })
	t.Run("group", func(t *testing.T) { groupSharesAndCommits(t, c) })
	t.Run("restart", func(t *testing.T) { restartIsNotSeen(t, c) })
}

func codecsAreRead(t *testing.T, c *kafkatest.Cluster) {
	topic := c.NewTopic(t, kafkatest.Topic{})
	const each = 100
	n := 0
	for _, codec := range kafkatest.Codecs {
		for _, r := range kafkatest.Produce(t, c, topic, 0, kafkatest.Values(numbered(n, n+each)...), codec, kafkatest.PerBatch(30)) {
			require.EqualValues(t, n, r.Offset)
			n++
		}
	}
	consumer := start(t, c, kafka.WithTopics(topic))
	got := read(t, consumer, n)
	consecutive(t, 0, got)
	require.Equal(t, numbered(0, n), texts(got))
}

func transactionsAndPositions(t *testing.T, c *kafkatest.Cluster) {
	topic := c.NewTopic(t, kafkatest.Topic{})
	tp := tpOf(topic, 0)
	txn := kafkatest.BeginTxn(t, c)
	txn.Produce(t, topic, 0, kafkatest.Values("committed")...) // 0
	txn.Commit(t)                                              // 1
	txn.Begin(t)
	txn.Produce(t, topic, 0, kafkatest.Values("aborted")...) // 2
	txn.Abort(t)                                             // 3
	c.AwaitStable(t, topic, 0)
	produce(t, c, topic, 0, numbered(0, 10)...) // 4 to 13
	txn.Begin(t)
	txn.Produce(t, topic, 0, kafkatest.Values("open")...) // 14

	consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
	require.Equal(t, append([]string{"committed"}, numbered(0, 10)...), texts(read(t, consumer, 11)))
	nothing(t, consumer)
	ends, err := consumer.EndOffsets(within(t))
	require.NoError(t, err)
	require.Equal(t, map[kafka.TopicPartition]int64{tp: 14}, ends, "the last stable offset")
	require.NoError(t, consumer.Seek(tp, 9))
	consecutive(t, 9, read(t, consumer, 5))
	require.NoError(t, consumer.SeekToBeginning(within(t), tp))
	require.EqualValues(t, 0, read(t, consumer, 1)[0].Offset)
	require.NoError(t, consumer.SeekToEnd(within(t), tp))
	require.EqualValues(t, 14, position(t, consumer, tp))
	txn.Commit(t)
	require.Equal(t, []string{"open"}, texts(read(t, consumer, 1)))
}

func groupSharesAndCommits(t *testing.T, c *kafkatest.Cluster) {
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
	for p := range int32(2) {
		produce(t, c, topic, p, numbered(0, 10)...)
	}
	opts := append(groupOptions(topic), noAutoCommit, kafka.WithTopics(topic))
	first := start(t, c, opts...)
	for _, msgs := range readMany(t, first, 20) {
		consecutive(t, 0, msgs)
	}
	require.NoError(t, first.Commit(within(t)))
	second := start(t, c, opts...)
	both := func() bool {
		for _, consumer := range []*kafka.Consumer{first, second} {
			got, err := consumer.GetMany(within(t), kafka.WaitFor(short))
			require.NoError(t, err)
			require.Empty(t, got, "what was committed does not come again")
		}
		return len(first.Assignment()) == 1 && len(second.Assignment()) == 1
	}
	for ctx := within(t); !both(); {
		require.NoError(t, ctx.Err(), "the group does not settle")
	}
	produce(t, c, topic, second.Assignment()[0].Partition, "for the second")
	require.Equal(t, []string{"for the second"}, texts(read(t, second, 1)))
}

func restartIsNotSeen(t *testing.T, c *kafkatest.Cluster) {
	topic := c.NewTopic(t, kafkatest.Topic{})
	consumer := start(t, c, kafka.WithTopics(topic))
	produce(t, c, topic, 0, "before")
	read(t, consumer, 1)
	c.Nodes()[0].Restart(t)
	produce(t, c, topic, 0, "after")
	require.Equal(t, []string{"after"}, texts(read(t, consumer, 1)))
}
