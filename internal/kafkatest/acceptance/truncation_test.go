package acceptance

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// What a fake can show of truncation: a new leader is asked where the epoch that was read ends (KIP-320), and what follows from its
// answer. truncation_kafka_test.go has the real thing.

// movedLog is a partition of 30 messages on a fake of two nodes, whose leader says that epoch 0 ends at an offset.
func movedLog(t *testing.T, end int64) (c *kafkatest.Cluster, tp kafka.TopicPartition, move func() (asked func() int)) {
	t.Helper()
	c = kafkatest.Fake(t, kafkatest.FakeOptions{Nodes: 2})
	tp = tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	kafkatest.Produce(t, c, tp.Topic, 0, kafkatest.Values(numbered(0, 30)...), kafkatest.PerBatch(5))
	return c, tp, func() func() int {
		asked := answerEpochs(c, func(epoch int32) (int32, int64) { return epoch, end })
		moveOn(t, c, tp)
		return asked
	}
}

// moveOn moves the leader to the other node, which begins an epoch.
func moveOn(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition) {
	t.Helper()
	require.NoError(t, c.Fake().MoveTopicPartition(tp.Topic, tp.Partition, 1-c.Leader(t, tp.Topic, tp.Partition)))
}

// answerEpochs makes a fake's leaders say where an epoch ends, and of which epoch that is; it counts the questions.
func answerEpochs(c *kafkatest.Cluster, end func(epoch int32) (int32, int64)) (asked func() int) {
	questions := make(chan struct{}, 1000)
	c.Fake().ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		questions <- struct{}{}
		resp := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, topic := range r.(*kmsg.OffsetForLeaderEpochRequest).Topics {
			rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition = p.Partition
				rp.LeaderEpoch, rp.EndOffset = end(p.LeaderEpoch)
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	return func() int { return len(questions) }
}

func TestTruncation_ReaderIsSetBack(t *testing.T) {
	c, tp, move := movedLog(t, 20)
	var book logBook
	consumer := startOn(t, c, []kafka.ConsumerOption{quick, kafka.WithLogger(book.logger(slog.LevelInfo))}, tp)
	read(t, consumer, 30)
	asked := move()
	consecutive(t, 20, read(t, consumer, 10))
	require.LessOrEqual(t, asked(), 2, "and, at most, whether it is right now")
	book.has(t, 1, "WARN", "the log was cut", "position=30", "end=20")
}

// What was read in the epoch that is still the log's is left alone.
func TestTruncation_NothingIsCutWhereTheLogAgrees(t *testing.T) {
	c, tp, move := movedLog(t, 30)
	var book logBook
	consumer := startOn(t, c, []kafka.ConsumerOption{quick, kafka.WithLogger(book.logger(slog.LevelWarn))}, tp)
	read(t, consumer, 12)
	asked := move()
	consecutive(t, 12, read(t, consumer, 18))
	eventually(t, func() bool { return asked() > 0 }, "the new leader is not asked")
	kafkatest.Produce(t, c, tp.Topic, 0, kafkatest.Values("more"))
	require.EqualValues(t, 30, read(t, consumer, 1)[0].Offset)
	require.Empty(t, book.matching("cut"))
}

// A cut behind the position is none of the application's business, but what is buffered of it is void, and no more than that.
func TestTruncation_OnlyOfWhatIsBuffered(t *testing.T) {
	c, tp, move := movedLog(t, 20)
	consumer := startOn(t, c, []kafka.ConsumerOption{quick}, tp)
	read(t, consumer, 13)
	eventually(t, func() bool { end, _ := consumer.Highwater(tp); return end == 30 }, "fetched to the end")
	asked := move()
	eventually(t, func() bool { return asked() > 0 }, "the new leader is not asked")
	consecutive(t, 13, read(t, consumer, 17))
	require.EqualValues(t, 30, position(t, consumer, tp))
}

func TestTruncation_CommittedOffsetIsCheckedByItsEpoch(t *testing.T) {
	c, tp, move := movedLog(t, 20)
	group := kafkatest.TopicName(t)
	before := startOn(t, c, append(byHand(group), quick), tp)
	read(t, before, 28)
	require.NoError(t, before.Commit(within(t)))
	require.NoError(t, before.Close())
	asked := move()
	for range 3 { // whether metadata or the committed offset is known first
		had := asked()
		after := startOn(t, c, append(byHand(group), quick), tp)
		consecutive(t, 20, read(t, after, 10))
		require.Greater(t, asked(), had)
		require.LessOrEqual(t, asked(), had+2)
		require.NoError(t, after.Close())
	}
}

// Without a policy the cut is an error. The range it names is what the log has; where it was cut is in its text.
func TestTruncation_WithoutAPolicyIsToldWithWhatTheLogHas(t *testing.T) {
	c, tp, move := movedLog(t, 20)
	consumer := startOn(t, c, []kafka.ConsumerOption{quick, quickRetry, kafka.WithAutoOffsetReset(kafka.ResetNone)}, tp)
	require.NoError(t, consumer.Seek(tp, 0))
	read(t, consumer, 30)
	c.DeleteRecords(t, tp.Topic, 0, 5)
	move()
	for range 2 {
		_, err := consumer.GetOne(within(t))
		var outside *kafka.OffsetOutOfRangeError
		require.ErrorAs(t, err, &outside)
		require.Equal(t, tp, outside.TopicPartition)
		require.Equal(t, []int64{30, 5, 30}, []int64{outside.Offset, outside.LogStart, outside.LogEnd})
		require.ErrorContains(t, err, "cut at 20")
		require.Contains(t, outside.Hint(), "20")
		require.ErrorIs(t, err, protocol.OffsetOutOfRange)
	}
	require.EqualValues(t, 30, position(t, consumer, tp), "an error moves nothing")
	require.NoError(t, consumer.Seek(tp, 20))
	consecutive(t, 20, read(t, consumer, 10))
}

// After two unclean elections the log may have been cut twice: within what is buffered, and below the position, whose epoch is older.
// Only the second answer tells.
func TestTruncation_PositionInAnOlderEpochThanTheBufferIsAskedAboutToo(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{Nodes: 2})
	tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	produce(t, c, tp.Topic, 0, numbered(0, 10)...) // epoch 0
	moveOn(t, c, tp)
	moveOn(t, c, tp)
	produce(t, c, tp.Topic, 0, numbered(10, 30)...) // epoch 2
	var book logBook
	consumer := startOn(t, c, []kafka.ConsumerOption{quick, kafka.WithLogger(book.logger(slog.LevelWarn))}, tp)
	read(t, consumer, 8)
	eventually(t, func() bool { end, _ := consumer.Highwater(tp); return end == 30 }, "fetched to the end")
	// The new leader has epoch 0 to 5 and epoch 1, which nobody here has seen, to 12; it never had epoch 2.
	answerEpochs(c, func(epoch int32) (int32, int64) {
		if epoch == 0 {
			return 0, 5
		}
		return 1, 12
	})
	moveOn(t, c, tp)
	book.has(t, 1, "WARN", "the log was cut", "position=8", "end=5")
	book.has(t, 1, "WARN", "the log was cut", "position=8", "end=12")
	consecutive(t, 5, read(t, consumer, 7))
}
