package acceptance

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
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
					rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, p.LeaderEpoch, end
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp, nil, true
		})
		require.NoError(t, c.Fake().MoveTopicPartition(tp.Topic, 0, 1-c.Leader(t, tp.Topic, 0)))
		return func() int { return len(questions) }
	}
}

func TestTruncation_ReaderIsSetBack(t *testing.T) {
	c, tp, move := movedLog(t, 20)
	var book logBook
	consumer := startOn(t, c, []kafka.ConsumerOption{quick, kafka.WithLogger(book.logger(slog.LevelInfo))}, tp)
	read(t, consumer, 30)
	asked := move()
	consecutive(t, 20, read(t, consumer, 10))
	require.LessOrEqual(t, asked(), 2, "and, at most, whether it is right now")
	require.Len(t, book.matching("WARN", "the log was cut", "position=30", "end=20"), 1)
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
