package acceptance

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// onePartition starts a consumer of a topic with one partition of n messages, in batches of perBatch.
func onePartition(t *testing.T, c *kafkatest.Cluster, n, perBatch int, opts ...kafka.ConsumerOption) (*kafka.Consumer, kafka.TopicPartition) {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{})
	kafkatest.Produce(t, c, topic, 0, kafkatest.Values(numbered(0, n)...), kafkatest.PerBatch(perBatch))
	return start(t, c, append(opts, kafka.WithTopics(topic))...), tpOf(topic, 0)
}

func TestPosition_MovesWhenAMessageIsHandedOut(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 10, 10)
		require.EqualValues(t, 0, position(t, consumer, tp))
		for i := range int64(10) {
			read(t, consumer, 1)
			require.Equal(t, i+1, position(t, consumer, tp))
		}
		require.NoError(t, consumer.SeekToBeginning(within(t)))
		batch, err := consumer.GetMany(within(t), kafka.UpTo(4))
		require.NoError(t, err)
		require.Equal(t, int64(count(batch)), position(t, consumer, tp))
	})
}

func TestSeek_BackwardAndForward(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 100, 10)
		consecutive(t, 0, read(t, consumer, 30))
		for _, to := range []int64{10, 60, 0, 99, 55} {
			require.NoError(t, consumer.Seek(tp, to))
			require.Equal(t, to, position(t, consumer, tp), "known at once")
			m := read(t, consumer, 1)[0]
			require.Equal(t, to, m.Offset)
			consecutive(t, to+1, readMany(t, consumer, int(99-to))[tp])
		}
		require.NoError(t, consumer.Seek(tp, 100))
		nothing(t, consumer)
		produce(t, c, tp.Topic, 0, "next")
		require.Equal(t, []string{"next"}, texts(read(t, consumer, 1)))
		require.ErrorIs(t, consumer.Seek(tp, -1), kafka.ErrIllegalState)
		require.EqualValues(t, 101, position(t, consumer, tp))
	})
}

// A seek back asks once for what it brings back: what one answer has held before, one answer holds again.
func TestSeek_BackwardIsOneNewFetch(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	consumer, tp := onePartition(t, c, 100, 10)
	read(t, consumer, 100)
	var behind, others atomic.Int64 // fetches of what is in the log: at the offset sought, and at others
	var sought atomic.Int64
	watchRequests(c, kmsg.Fetch, func(r kmsg.Request) {
		for _, rt := range r.(*kmsg.FetchRequest).Topics {
			for _, rp := range rt.Partitions {
				switch {
				case rp.FetchOffset == sought.Load():
					behind.Add(1)
				case rp.FetchOffset < 100:
					others.Add(1)
				}
			}
		}
	})
	for i, to := range []int64{30, 0, 99} {
		sought.Store(to)
		require.NoError(t, consumer.Seek(tp, to))
		consecutive(t, to, read(t, consumer, int(100-to)))
		nothing(t, consumer)
		require.EqualValues(t, i+1, behind.Load())
		require.Zero(t, others.Load())
	}
}

// A seek must void what is buffered and what is on its way at the same time, however often it comes.
func TestSeek_NothingFromBeforeItIsHandedOutAfterwards(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const n = 300
		consumer, tp := onePartition(t, c, n, 3)
		for i := range int64(200) {
			to := i * 131 % n
			require.NoError(t, consumer.Seek(tp, to))
			require.Equal(t, to, read(t, consumer, 1)[0].Offset)
		}
	})
}

func TestSeek_IntoACompressedBatch(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: len(kafkatest.Codecs)})
		consumer := start(t, c)
		p := int32(0)
		for name, codec := range kafkatest.Codecs {
			tp := tpOf(topic, p)
			kafkatest.Produce(t, c, topic, p, kafkatest.Numbered(100, 200), codec)
			require.NoError(t, consumer.Assign(tp))
			require.NoError(t, consumer.Seek(tp, 57), name)
			require.EqualValues(t, 57, read(t, consumer, 1)[0].Offset, name)
			require.NoError(t, consumer.Seek(tp, 99), name)
			require.EqualValues(t, 99, read(t, consumer, 1)[0].Offset, name)
			require.EqualValues(t, 100, position(t, consumer, tp), name)
			p++
		}
	})
}

func TestSeek_PausedOrUnreadPartitionKeepsThePosition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 20, 20)
		require.NoError(t, consumer.Pause(tp))
		require.NoError(t, consumer.Seek(tp, 15))
		nothing(t, consumer)
		require.EqualValues(t, 15, position(t, consumer, tp))
		require.NoError(t, consumer.Resume(tp))
		consecutive(t, 15, read(t, consumer, 5))
	})
}

func TestSeek_BeforeTheFirstPositionIsKnown(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(0, 10)...)
		for range 20 {
			consumer := newConsumer(t, c)
			require.NoError(t, consumer.Start(within(t)))
			require.NoError(t, consumer.Assign(tpOf(topic, 0)))
			require.NoError(t, consumer.Seek(tpOf(topic, 0), 6)) // while the lookup of the reset policy runs
			require.EqualValues(t, 6, position(t, consumer, tpOf(topic, 0)))
			require.EqualValues(t, 6, read(t, consumer, 1)[0].Offset)
			require.NoError(t, consumer.Close())
		}
	})
}

func TestSeekToBeginningAndEnd(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 20)
		ctx := within(t)
		readMany(t, consumer, 40)
		require.NoError(t, consumer.SeekToBeginning(ctx, p1))
		require.EqualValues(t, 20, position(t, consumer, p0))
		require.EqualValues(t, 0, position(t, consumer, p1))
		got := readMany(t, consumer, 20)
		consecutive(t, 0, got[p1])
		require.Empty(t, got[p0])

		require.NoError(t, consumer.SeekToBeginning(ctx))
		got = readMany(t, consumer, 40)
		consecutive(t, 0, got[p0])
		consecutive(t, 0, got[p1])

		require.NoError(t, consumer.SeekToBeginning(ctx))
		require.NoError(t, consumer.SeekToEnd(ctx, p0))
		require.EqualValues(t, 20, position(t, consumer, p0))
		consecutive(t, 0, readMany(t, consumer, 20)[p1])
		nothing(t, consumer)
		produce(t, c, p0.Topic, 0, "next")
		require.Equal(t, []string{"next"}, texts(read(t, consumer, 1)), "a reader at the end gets what comes")
		require.NoError(t, consumer.SeekToEnd(ctx), "of all: none named")
	})
}

func TestOffsets_BeginningAndEndOfAnyPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 20)
		foreign := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
		produce(t, c, foreign.Topic, 0, numbered(0, 7)...)
		c.DeleteRecords(t, foreign.Topic, 0, 3)
		ctx := within(t)

		begin, err := consumer.BeginningOffsets(ctx, p0, foreign)
		require.NoError(t, err)
		require.Equal(t, map[kafka.TopicPartition]int64{p0: 0, foreign: 3}, begin)
		end, err := consumer.EndOffsets(ctx, foreign)
		require.NoError(t, err)
		require.Equal(t, map[kafka.TopicPartition]int64{foreign: 7}, end)
		end, err = consumer.EndOffsets(ctx)
		require.NoError(t, err)
		require.Equal(t, map[kafka.TopicPartition]int64{p0: 20, p1: 20}, end, "of all assigned: none named")
		require.NotContains(t, consumer.Assignment(), foreign)
		readMany(t, consumer, 40) // nobody's position has moved
	})
}

func TestOffsets_UnknownTopicOrPartitionIsToldSoon(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, _ := twoPartitions(t, c, 1)
		missing := kafkatest.TopicName(t)
		for name, tp := range map[string]kafka.TopicPartition{
			"topic": tpOf(missing, 0), "partition": tpOf(p0.Topic, 99),
		} {
			began := time.Now()
			_, err := consumer.EndOffsets(within(t), tp)
			require.ErrorIs(t, err, protocol.UnknownTopicOrPartition, name)
			require.ErrorContains(t, err, tp.String())
			_, err = consumer.BeginningOffsets(within(t), tp, p0)
			require.ErrorIs(t, err, protocol.UnknownTopicOrPartition, name)
			require.Less(t, time.Since(began), soon, "one fresh metadata answer is enough")
			var broker *kafka.BrokerError
			require.ErrorAs(t, err, &broker)
			require.Equal(t, tp, broker.TopicPartition)
		}
		_, err := consumer.EndOffsets(within(t), tpOf(p0.Topic, -1))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		topics, err := c.Admin().ListTopics(within(t))
		require.NoError(t, err)
		require.False(t, topics.Has(missing), "asking creates nothing")
	})
}

func TestPosition_WaitsForAPartitionThatDoesNotExistYet(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := kafkatest.TopicName(t)
		tp := tpOf(topic, 0)
		consumer := start(t, c)
		require.NoError(t, consumer.Assign(tp))
		_, err := consumer.Position(until(t, 50*time.Millisecond), tp)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var at int64
		waiting := inBackground(func() (err error) { at, err = consumer.Position(within(t), tp); return err })
		c.CreateTopic(t, topic, kafkatest.Topic{})
		require.NoError(t, ended(t, waiting).err)
		require.EqualValues(t, 0, at)
	})
}

func TestOffsets_HighwaterLagAndPollTimestamp(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		began := time.Now()
		consumer, tp := onePartition(t, c, 10, 5)
		read(t, consumer, 4)
		end, ok := consumer.Highwater(tp)
		require.True(t, ok)
		require.EqualValues(t, 10, end)
		stable, ok := consumer.LastStableOffset(tp)
		require.True(t, ok)
		require.EqualValues(t, 10, stable)
		lag, ok := consumer.Lag(tp)
		require.True(t, ok)
		require.EqualValues(t, 6, lag)
		at, ok := consumer.LastPollTimestamp(tp)
		require.True(t, ok)
		require.WithinRange(t, at, began, time.Now())

		read(t, consumer, 6)
		lag, _ = consumer.Lag(tp)
		require.EqualValues(t, 0, lag)
		produce(t, c, tp.Topic, 0, numbered(10, 13)...)
		eventually(t, func() bool { lag, _ := consumer.Lag(tp); return lag == 3 }, "the lag does not show what was written")
		later, _ := consumer.LastPollTimestamp(tp)
		require.True(t, later.After(at))
	})
}

// An empty answer counts as an answer.
func TestOffsets_AreKnownOfAnEmptyPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithFetchMaxWait(20*time.Millisecond))
		eventually(t, func() bool { _, ok := consumer.Highwater(tp); return ok }, "no highwater")
		at, ok := consumer.LastPollTimestamp(tp)
		require.True(t, ok)
		lag, ok := consumer.Lag(tp)
		require.True(t, ok)
		require.EqualValues(t, 0, lag)
		eventually(t, func() bool { next, _ := consumer.LastPollTimestamp(tp); return next.After(at) }, "polls are not seen")
	})
}
