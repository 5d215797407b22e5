package acceptance

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Without a reset policy a position that does not exist is told by every kind of call, with all that is needed to act.
func TestResetNone_IsToldUntilSought(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 10)...)
		c.DeleteRecords(t, topic, 0, 4)
		consumer := startOn(t, c, append(byHand(group), quickRetry, kafka.WithAutoOffsetReset(kafka.ResetNone)), tp)
		getOne := func() error { _, err := consumer.GetOne(within(t)); return err }
		getMany := func() error { _, err := consumer.GetMany(within(t)); return err }

		var none *kafka.NoOffsetForPartitionError
		for _, call := range []func() error{getOne, getMany, getOne} {
			require.ErrorAs(t, call(), &none)
			require.Equal(t, tp, none.TopicPartition)
			require.Equal(t, group, none.GroupID)
			require.NotEmpty(t, none.Hint())
		}
		_, err := consumer.Position(within(t), tp)
		require.ErrorAs(t, err, &none)

		for _, at := range []int64{1, 1000} {
			require.NoError(t, consumer.Seek(tp, at))
			var outside *kafka.OffsetOutOfRangeError
			for _, call := range []func() error{getMany, getOne} {
				require.ErrorAs(t, call(), &outside)
				require.Equal(t, kafka.OffsetOutOfRangeError{TopicPartition: tp, Offset: at, LogStart: 4, LogEnd: 10}, *outside)
				require.ErrorIs(t, outside, protocol.OffsetOutOfRange)
			}
			require.Equal(t, at, position(t, consumer, tp), "the position stays where it was put")
		}
		require.NoError(t, consumer.Seek(tp, 6))
		consecutive(t, 6, read(t, consumer, 4))
		nothing(t, consumer)
	})
}

func TestResetNone_CommittedOffsetIsUsed(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp, group := committedAt5(t, c)
		consumer := startOn(t, c, append(byHand(group), kafka.WithAutoOffsetReset(kafka.ResetNone)), tp)
		consecutive(t, 5, read(t, consumer, 5))
	})
}

// An error that lasts never comes ahead of other partitions' messages, and a loop that logs it and goes on does not spin.
func TestResetNone_DoesNotHoldOthersUpNorSpin(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		bad, good := tpOf(topic, 0), tpOf(topic, 1)
		produce(t, c, topic, 1, numbered(0, 100)...)
		consumer := startOn(t, c, []kafka.ConsumerOption{kafka.WithAutoOffsetReset(kafka.ResetNone),
			kafka.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond)}, bad, good)
		require.NoError(t, consumer.Seek(good, 0))
		buffered(t, consumer, good)
		ctx, end := context.WithCancel(within(t))
		defer end()
		got, failed, after := 0, 0, time.Time{}
		for m, err := range consumer.All(ctx) {
			switch {
			case m != nil:
				got++
			case ctx.Err() != nil:
				require.ErrorIs(t, err, context.Canceled, "the last thing it yields")
			default:
				var none *kafka.NoOffsetForPartitionError
				require.ErrorAs(t, err, &none)
				require.Equal(t, bad, none.TopicPartition)
				if failed++; failed == 1 {
					after = time.Now()
				}
				if failed == 5 {
					end()
				}
			}
		}
		require.Equal(t, 100, got)
		require.GreaterOrEqual(t, time.Since(after), 4*100*time.Millisecond, "told again after the backoff's max")
		_, err := consumer.GetOne(within(t), kafka.FromPartitions(bad))
		require.Error(t, err)
		produce(t, c, topic, 1, "more")
		require.Equal(t, []string{"more"}, texts(read(t, consumer, 1, kafka.FromPartitions(good))), "a call for other partitions is not told")
	})
}

// The loop without errors ends at it, Err says why, and the next loop goes on once the application has sought.
func TestResetNone_EndsMessages(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(0, 3)...)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetNone))
		for range consumer.Messages() {
			require.Fail(t, "there is no position")
		}
		var none *kafka.NoOffsetForPartitionError
		require.ErrorAs(t, consumer.Err(), &none)
		require.NoError(t, consumer.SeekToBeginning(within(t)))
		for m := range consumer.Messages() {
			if m.Offset == 2 {
				break
			}
		}
		require.NoError(t, consumer.Err(), "the loop itself ended it")
		require.NoError(t, consumer.Close())
		require.NoError(t, consumer.Err(), "nor does Stop change it")
	})
}

// A partition that appears is read from its first record whatever the policy; but with none, nobody but the application says where.
func TestResetNone_NewPartitionIsAnError(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "old")
		consumer := start(t, c, quick, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetNone))
		require.NoError(t, consumer.SeekToBeginning(within(t)))
		c.AddPartitions(t, topic, 2)
		produce(t, c, topic, 1, "new")
		require.Equal(t, []string{"old"}, texts(read(t, consumer, 1)))
		_, err := consumer.GetOne(within(t))
		var none *kafka.NoOffsetForPartitionError
		require.ErrorAs(t, err, &none)
		require.Equal(t, tpOf(topic, 1), none.TopicPartition)
		require.NoError(t, consumer.SeekToBeginning(within(t), tpOf(topic, 1)))
		require.Equal(t, []string{"new"}, texts(read(t, consumer, 1)))
	})
}

// aged writes a message for each age, one batch each.
func aged(t *testing.T, c *kafkatest.Cluster, topic string, partition int32, ages ...time.Duration) {
	t.Helper()
	var records []*kafkatest.Record
	for _, age := range ages {
		records = append(records, &kafkatest.Record{Value: []byte(age.String()), Timestamp: time.Now().Add(-age)})
	}
	kafkatest.Produce(t, c, topic, partition, records, kafkatest.PerBatch(1))
}

// KIP-1106: not in the original.
func TestResetByDuration_BeginsWithWhatIsYoungEnough(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		aged(t, c, topic, 0, 3*time.Hour, 2*time.Hour, 30*time.Minute, time.Minute)
		aged(t, c, topic, 1, 3*time.Hour, 2*time.Hour) // nothing that young
		var book logBook
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetByDuration(time.Hour)),
			kafka.WithLogger(book.logger(slog.LevelInfo)))
		require.EqualValues(t, 2, position(t, consumer, tpOf(topic, 0)))
		require.EqualValues(t, 2, position(t, consumer, tpOf(topic, 1)), "the end")
		require.EqualValues(t, 0, position(t, consumer, tpOf(topic, 2)), "of an empty partition too")
		for p, at := range []string{"offset=2", "offset=2", "offset=0"} {
			book.has(t, 1, "INFO", "position reset", "topic="+topic, "partition="+string(rune('0'+p)), at)
		}
		require.Equal(t, []string{"30m0s", "1m0s"}, texts(read(t, consumer, 2)))
		produce(t, c, topic, 1, "next")
		require.Equal(t, []string{"next"}, texts(read(t, consumer, 1)))

		c.DeleteRecords(t, topic, 0, 1)
		require.NoError(t, consumer.Seek(tpOf(topic, 0), 0))
		require.Equal(t, []string{"30m0s", "1m0s"}, texts(read(t, consumer, 2)), "out of range goes there too")
		book.has(t, 1, "WARN", "position reset", "from=0", "offset=2")
	})
}

func TestResetByDuration_WithoutADurationIsAConfigError(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Second} {
		_, err := kafka.NewConsumer(kafka.WithAutoOffsetReset(kafka.ResetByDuration(d)))
		var bad *kafka.ConfigError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, "WithAutoOffsetReset", bad.Option)
	}
}

// Where the log has lost what comes next, nobody finds out but by the log: each such reset is a WARN with both offsets; a first
// position is only INFO.
func TestReset_EveryOneIsLoggedWithBothOffsets(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 10)...)
		var book logBook
		consumer := startOn(t, c, []kafka.ConsumerOption{kafka.WithLogger(book.logger(slog.LevelInfo))}, tp)
		consecutive(t, 0, read(t, consumer, 10))
		book.has(t, 1, "INFO", "position reset", "offset=0")
		require.Empty(t, book.matching("WARN"))
		produce(t, c, topic, 0, numbered(10, 20)...)
		c.DeleteRecords(t, topic, 0, 15)
		require.NoError(t, consumer.Seek(tp, 2))
		consecutive(t, 15, read(t, consumer, 5))
		book.has(t, 1, "WARN", "position reset", "topic="+topic, "partition=0", "from=2", "offset=15")
	})
}
