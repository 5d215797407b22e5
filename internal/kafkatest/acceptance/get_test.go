package acceptance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// twoPartitions starts a consumer of a topic with two partitions of n messages each.
func twoPartitions(t *testing.T, c *kafkatest.Cluster, n int, opts ...kafka.ConsumerOption) (*kafka.Consumer, kafka.TopicPartition, kafka.TopicPartition) {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
	for p := range int32(2) {
		produce(t, c, topic, p, numbered(0, n)...)
	}
	return start(t, c, append(opts, kafka.WithTopics(topic))...), tpOf(topic, 0), tpOf(topic, 1)
}

func TestGet_FromPartitionsLeavesOthersBuffered(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 20)
		require.Equal(t, numbered(0, 5), texts(read(t, consumer, 5, kafka.FromPartitions(p1))))
		got := readMany(t, consumer, 15, kafka.FromPartitions(p1))
		require.Equal(t, []kafka.TopicPartition{p1}, sortedKeys(got))
		consecutive(t, 5, got[p1])
		nothing(t, consumer, kafka.FromPartitions(p1))
		require.EqualValues(t, 0, position(t, consumer, p0))
		buffered(t, consumer, p0)
		eventually(t, func() bool {
			got, err := consumer.GetMany(within(t), kafka.FromPartitions(p0), kafka.WaitFor(0))
			require.NoError(t, err)
			if len(got) > 0 {
				consecutive(t, 0, got[p0])
			}
			return len(got) > 0
		}, "the other partition's messages were not there")
		require.Equal(t, 0, count(readMany(t, consumer, 0, kafka.FromPartitions())))
	})
}

func TestGet_FromPartitionsWithNoneNamedIsAll(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 10)
		got := readMany(t, consumer, 20, kafka.FromPartitions())
		require.Equal(t, []kafka.TopicPartition{p0, p1}, sortedKeys(got))
	})
}

func TestGet_ConcurrentGettersWithDisjointFiltersEachGetTheirOwn(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 100)
		var got [2][]*kafka.Message
		var getters [2]<-chan result
		for i, tp := range []kafka.TopicPartition{p0, p1} {
			getters[i] = inBackground(func() error {
				for len(got[i]) < 100 {
					m, err := consumer.GetOne(within(t), kafka.FromPartitions(tp))
					if err != nil {
						return err
					}
					got[i] = append(got[i], m)
				}
				return nil
			})
		}
		for i, tp := range []kafka.TopicPartition{p0, p1} {
			require.NoError(t, ended(t, getters[i]).err)
			consecutive(t, 0, got[i])
			for _, m := range got[i] {
				require.Equal(t, tp, m.TopicPartition())
			}
		}
		nothing(t, consumer)
	})
}

func TestGet_ManyGoroutinesShareAllMessagesOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const n = 500
		consumer, _, _ := twoPartitions(t, c, n)
		type seen struct {
			tp     kafka.TopicPartition
			offset int64
		}
		messages := make(chan seen, 2*n)
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		var getters []<-chan result
		for i := range 6 {
			getters = append(getters, inBackground(func() error {
				for {
					if i%2 == 0 {
						m, err := consumer.GetOne(ctx)
						if err != nil {
							return err
						}
						messages <- seen{m.TopicPartition(), m.Offset}
						continue
					}
					batch, err := consumer.GetMany(ctx, kafka.UpTo(7))
					if err != nil {
						return err
					}
					for tp, msgs := range batch {
						for _, m := range msgs {
							messages <- seen{tp, m.Offset}
						}
					}
				}
			}))
		}
		all := make(map[seen]bool)
		for range 2 * n {
			select {
			case m := <-messages:
				require.False(t, all[m], "%v twice", m)
				all[m] = true
			case <-ctx.Done():
				require.Fail(t, "messages are missing", "%d of %d", len(all), 2*n)
			}
		}
		cancel()
		for _, g := range getters {
			require.ErrorIs(t, ended(t, g).err, context.Canceled)
		}
		require.Empty(t, messages)
	})
}

// 3 calls with a limit of 48 over 100 messages give 48, 48 and 4; with a limit of 10 from the options, 10; 0 is no limit.
func TestGetMany_LimitsAreKept(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 100)...)
		limited := start(t, c, kafka.WithTopics(topic), kafka.WithMaxPollRecords(48))
		read(t, limited, 1) // all of one batch is there now
		require.NoError(t, limited.SeekToBeginning(within(t)))
		var got []*kafka.Message
		next := func(opts ...kafka.GetOption) int {
			batch, err := limited.GetMany(within(t), opts...)
			require.NoError(t, err)
			got = append(got, batch[tp]...)
			return count(batch)
		}
		require.Equal(t, 48, next())
		require.Equal(t, 42, next(kafka.UpTo(42)), "UpTo goes before the option")
		require.Equal(t, 10, next())
		consecutive(t, 0, got)
		require.Len(t, got, 100)

		require.NoError(t, limited.SeekToBeginning(within(t)))
		got = nil
		require.Equal(t, 60, next(kafka.UpTo(60)), "also upwards")
		require.Equal(t, 1, next(kafka.UpTo(1)))
	})
}

func TestGetMany_MaxPollRecordsZeroIsNoLimit(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const n = 3000
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, n)...)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithMaxPollRecords(0))
		most, got := 0, 0
		for got < n {
			batch, err := consumer.GetMany(within(t))
			require.NoError(t, err)
			consecutive(t, int64(got), batch[tp])
			got += count(batch)
			most = max(most, count(batch))
		}
		require.Greater(t, most, 500, "more than the default limit in one call")
	})
}

func TestGet_OptionsThatMakeNoSenseAreIllegal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, _ := twoPartitions(t, c, 3)
		stranger := tpOf(p0.Topic, 5)
		ctx := within(t)
		for name, opts := range map[string][]kafka.GetOption{
			"WaitFor":        {kafka.WaitFor(time.Second)},
			"UpTo":           {kafka.UpTo(3)},
			"not assigned":   {kafka.FromPartitions(stranger)},
			"partly foreign": {kafka.FromPartitions(p0, stranger)},
		} {
			_, err := consumer.GetOne(ctx, opts...)
			require.ErrorIs(t, err, kafka.ErrIllegalState, "GetOne, %s", name)
		}
		for name, opts := range map[string][]kafka.GetOption{
			"UpTo(0)":          {kafka.UpTo(0)},
			"UpTo(-1)":         {kafka.UpTo(-1)},
			"negative WaitFor": {kafka.WaitFor(-time.Second)},
			"not assigned":     {kafka.FromPartitions(stranger), kafka.WaitFor(0)},
		} {
			_, err := consumer.GetMany(ctx, opts...)
			require.ErrorIs(t, err, kafka.ErrIllegalState, "GetMany, %s", name)
		}
		require.Equal(t, numbered(0, 3), texts(read(t, consumer, 3, kafka.FromPartitions(p0))), "nothing was taken")
	})
}

func TestGet_FilteredPartitionLostWhileWaitingIsIllegal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		consumer := start(t, c)
		require.NoError(t, consumer.Assign(tpOf(topic, 0), tpOf(topic, 1)))
		one := inBackground(func() error {
			_, err := consumer.GetOne(context.Background(), kafka.FromPartitions(tpOf(topic, 1)))
			return err
		})
		blocked(t, one)
		require.NoError(t, consumer.Assign(tpOf(topic, 0)))
		require.ErrorIs(t, ended(t, one).err, kafka.ErrIllegalState)
	})
}

func TestGet_FilterNamedBeforeAnythingIsSubscribedWaits(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c)
		one := inBackground(func() error {
			_, err := consumer.GetOne(context.Background(), kafka.FromPartitions(tpOf(topic, 0)))
			return err
		})
		blocked(t, one)
		require.NoError(t, consumer.Assign(tpOf(topic, 0)))
		require.NoError(t, ended(t, one).err)
	})
}

func TestGet_ContextEndsTheCall(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, kafka.WithTopics(topic))
		for name, call := range map[string]func(ctx context.Context) error{
			"GetOne":  func(ctx context.Context) error { _, err := consumer.GetOne(ctx); return err },
			"GetMany": func(ctx context.Context) error { _, err := consumer.GetMany(ctx); return err },
			"GetMany, waiting longer": func(ctx context.Context) error {
				_, err := consumer.GetMany(ctx, kafka.WaitFor(time.Hour))
				return err
			},
		} {
			began := time.Now()
			require.ErrorIs(t, call(until(t, 50*time.Millisecond)), context.DeadlineExceeded, name)
			require.Less(t, time.Since(began), soon, name)
			over, cancel := context.WithCancel(context.Background())
			cancel()
			require.ErrorIs(t, call(over), context.Canceled, name)
		}
		// A call that was cancelled has taken nothing with it.
		produce(t, c, topic, 0, numbered(0, 3)...)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		buffered(t, consumer, tpOf(topic, 0))
		_, err := consumer.GetOne(over)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, numbered(0, 3), texts(read(t, consumer, 3)))
	})
}

func TestGetMany_WaitForGivesUpWithAnEmptyMap(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, kafka.WithTopics(topic))
		for _, wait := range []time.Duration{0, 100 * time.Millisecond} {
			began := time.Now()
			got, err := consumer.GetMany(within(t), kafka.WaitFor(wait))
			require.NoError(t, err)
			require.NotNil(t, got)
			require.Empty(t, got)
			require.GreaterOrEqual(t, time.Since(began), wait)
			require.Less(t, time.Since(began), wait+soon)
		}
		produce(t, c, topic, 0, "a")
		got, err := consumer.GetMany(within(t), kafka.WaitFor(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, count(got), "it returns with the first message")
	})
}

func TestAll_YieldsMessagesAndEndsWithItsContext(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(0, 10)...)
		consumer := start(t, c, kafka.WithTopics(topic))
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		var got []*kafka.Message
		var errs []error
		for m, err := range consumer.All(ctx) {
			if err != nil {
				require.Nil(t, m)
				errs = append(errs, err)
				continue
			}
			if got = append(got, m); len(got) == 10 {
				cancel()
			}
		}
		require.Equal(t, numbered(0, 10), texts(got))
		require.Equal(t, []error{context.Canceled}, errs, "its end is told last")
	})
}

// A loop left by break has handed out what its body saw, and nothing more.
func TestMessages_GoesOnWhereTheLastLoopEnded(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(0, 9)...)
		consumer := start(t, c, kafka.WithTopics(topic))
		var got []*kafka.Message
		for range 3 {
			n := 0
			for m := range consumer.Messages() {
				got = append(got, m)
				if n++; n == 3 {
					break
				}
			}
			require.NoError(t, consumer.Err())
		}
		require.Equal(t, numbered(0, 9), texts(got))
		require.EqualValues(t, 9, position(t, consumer, tpOf(topic, 0)))
	})
}

// Messages ends at the first error, and Err keeps its cause until the next loop, also through Stop.
func TestMessages_EndsAtTheFirstErrorAndErrTellsIt(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{}) // a real broker takes no batch that cannot be read
	topic := c.NewTopic(t, kafkatest.Topic{})
	produce(t, c, topic, 0, "a")
	produceBatch(t, c, topic, 0, unreadable(1))
	consumer := start(t, c, kafka.WithTopics(topic))
	var corrupt *kafka.CorruptRecordError
	for range 2 {
		var got []*kafka.Message
		for m := range consumer.Messages() {
			got = append(got, m)
		}
		require.ErrorAs(t, consumer.Err(), &corrupt)
		require.LessOrEqual(t, len(got), 1)
	}
	require.NoError(t, consumer.Stop(within(t)))
	require.ErrorAs(t, consumer.Err(), &corrupt)
	for range consumer.Messages() {
		require.Fail(t, "a message after Stop")
	}
	require.NoError(t, consumer.Err(), "the last loop ended by Stop")
}

// The same of a state that any broker can show: an offset that the log does not have, and no policy that says where else to go.
func TestMessages_EndsAtTheFirstErrorOfAnyBroker(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 3, kafka.WithAutoOffsetReset(kafka.ResetNone), quickRetry)
		require.NoError(t, consumer.Seek(p0, 0))
		require.NoError(t, consumer.Seek(p1, 100))
		var got []*kafka.Message
		var outside *kafka.OffsetOutOfRangeError
		for loops := 0; loops == 0 || len(got) < 3; loops++ { // the error may be there before the other partition's messages
			require.Less(t, loops, 10_000)
			for m := range consumer.Messages() {
				got = append(got, m)
			}
			require.ErrorAs(t, consumer.Err(), &outside)
			require.Equal(t, p1, outside.TopicPartition)
			require.EqualValues(t, 100, outside.Offset)
			require.EqualValues(t, 3, outside.LogEnd)
		}
		require.Equal(t, numbered(0, 3), texts(got))
		for _, m := range got {
			require.Equal(t, p0, m.TopicPartition())
		}
		require.NoError(t, consumer.Seek(p1, 2))
		for m := range consumer.Messages() {
			require.Equal(t, p1, m.TopicPartition())
			break
		}
		require.NoError(t, consumer.Err(), "it is that of the last loop")
		require.NoError(t, consumer.Seek(p1, 100))
		for range consumer.Messages() {
			require.Fail(t, "there is none")
		}
		require.NoError(t, consumer.Stop(within(t)))
		require.ErrorAs(t, consumer.Err(), &outside, "a later Stop does not clear it")
	})
}
