package acceptance

import (
	"context"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestSubscribe_KindsExcludeOneAnotherAndChangeNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, other := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(0, 4)...)
		produce(t, c, other, 0, "other")
		consumer := start(t, c, kafka.WithTopics(topic))
		both := []kafka.TopicPartition{tpOf(topic, 0), tpOf(topic, 1)}
		require.Equal(t, numbered(0, 2), texts(read(t, consumer, 2)))

		require.ErrorIs(t, consumer.Assign(tpOf(other, 0)), kafka.ErrIllegalState)
		require.Equal(t, both, consumer.Assignment())
		require.Equal(t, []string{topic}, consumer.Subscription())
		require.Equal(t, numbered(2, 3), texts(read(t, consumer, 1)), "it goes on as if nothing had been asked")

		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.Empty(t, consumer.Assignment())
		require.Empty(t, consumer.Subscription())
		nothing(t, consumer)
		require.NoError(t, consumer.Assign(tpOf(other, 0)))
		require.Equal(t, []kafka.TopicPartition{tpOf(other, 0)}, consumer.Assignment())
		require.Empty(t, consumer.Subscription(), "partitions assigned by hand are no subscription")
		require.ErrorIs(t, consumer.Subscribe([]string{topic}), kafka.ErrIllegalState)
		require.Equal(t, []string{"other"}, texts(read(t, consumer, 1)))
		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.NoError(t, consumer.Subscribe([]string{topic}))
		require.Equal(t, numbered(0, 4), texts(read(t, consumer, 4)), "Unsubscribe forgets positions")
	})
}

func TestSubscribe_SenselessArgumentsAreErrorsAndChangeNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, kafka.WithTopics(topic))
		for _, topics := range [][]string{nil, {}, {""}, {topic, "a topic"}, {".."}} {
			require.ErrorIs(t, consumer.Subscribe(topics), kafka.ErrIllegalState, "%q", topics)
		}
		require.Equal(t, []string{topic}, consumer.Subscription())
		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.ErrorIs(t, consumer.Assign(), kafka.ErrIllegalState)
		require.ErrorIs(t, consumer.Assign(tpOf(topic, -1)), kafka.ErrIllegalState)
		require.ErrorIs(t, consumer.Assign(tpOf("", 0)), kafka.ErrIllegalState)
		require.Empty(t, consumer.Assignment())
		require.NoError(t, consumer.Assign(tpOf(topic, 0), tpOf(topic, 0)), "naming one twice is no error")
		require.Len(t, consumer.Assignment(), 1)
	})
}

// In the original, any change to the subscription takes positions, pauses and buffers of all partitions along.
func TestSubscribe_PartitionsThatStayAreNotDisturbed(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		stays, goes, comes := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
		for p := range int32(2) {
			produce(t, c, stays, p, numbered(0, 50)...)
		}
		produce(t, c, goes, 0, numbered(0, 50)...)
		produce(t, c, comes, 0, "new")
		consumer := start(t, c, kafka.WithTopics(stays, goes))
		only0, only1 := kafka.FromPartitions(tpOf(stays, 0)), kafka.FromPartitions(tpOf(stays, 1))
		consecutive(t, 0, read(t, consumer, 10, only0))
		consecutive(t, 0, read(t, consumer, 5, only1))
		require.NoError(t, consumer.Pause(tpOf(stays, 1)))
		polled, ok := consumer.LastPollTimestamp(tpOf(stays, 0))
		require.True(t, ok)

		require.NoError(t, consumer.Subscribe([]string{comes, stays}))
		require.NotContains(t, consumer.Assignment(), tpOf(goes, 0), "dropped topics are gone at once")
		require.Equal(t, []kafka.TopicPartition{tpOf(stays, 1)}, consumer.Paused())
		require.EqualValues(t, 10, position(t, consumer, tpOf(stays, 0)))
		require.EqualValues(t, 5, position(t, consumer, tpOf(stays, 1)))
		_, ok = consumer.Highwater(tpOf(stays, 0))
		require.True(t, ok, "what is known of it stays known")
		after, _ := consumer.LastPollTimestamp(tpOf(stays, 0))
		require.False(t, after.Before(polled))

		got := readMany(t, consumer, 41)
		consecutive(t, 10, got[tpOf(stays, 0)])
		require.Len(t, got[tpOf(stays, 0)], 40)
		require.Equal(t, []string{"new"}, texts(got[tpOf(comes, 0)]))
		require.Len(t, got, 2)
		require.NoError(t, consumer.Resume(tpOf(stays, 1)))
		consecutive(t, 5, read(t, consumer, 45))
	})
}

func TestAssign_ReplacesAndLeavesTheRestAlone(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		for p := range int32(3) {
			produce(t, c, topic, p, numbered(0, 20)...)
		}
		consumer := start(t, c)
		require.NoError(t, consumer.Assign(tpOf(topic, 1), tpOf(topic, 0)))
		require.Equal(t, []kafka.TopicPartition{tpOf(topic, 0), tpOf(topic, 1)}, consumer.Assignment(), "sorted")
		consecutive(t, 0, read(t, consumer, 3, kafka.FromPartitions(tpOf(topic, 0))))
		consecutive(t, 0, read(t, consumer, 4, kafka.FromPartitions(tpOf(topic, 1))))

		require.NoError(t, consumer.Assign(tpOf(topic, 2), tpOf(topic, 1)))
		require.ErrorIs(t, consumer.Seek(tpOf(topic, 0), 0), kafka.ErrIllegalState)
		_, err := consumer.Position(within(t), tpOf(topic, 0))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		got := readMany(t, consumer, 36)
		consecutive(t, 4, got[tpOf(topic, 1)])
		consecutive(t, 0, got[tpOf(topic, 2)])
		require.Len(t, got, 2, "nothing of a partition that has left")

		require.NoError(t, consumer.Assign(tpOf(topic, 0)))
		consecutive(t, 0, read(t, consumer, 20))
	})
}

// Everything that is asked of a partition that is not assigned is an error, and not a hang or a crash.
func TestAssign_CallsOnOthersAreIllegal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		produce(t, c, topic, 0, numbered(0, 3)...)
		consumer := start(t, c)
		require.NoError(t, consumer.Assign(tpOf(topic, 0)))
		other := tpOf(topic, 1)
		ctx := within(t)
		calls := remoteCalls(consumer, other)
		delete(calls, "GetOne")
		delete(calls, "GetMany")
		delete(calls, "GetMany, waiting for nothing")
		delete(calls, "SeekToEnd")
		delete(calls, "BeginningOffsets")
		delete(calls, "EndOffsets")
		for name, call := range calls {
			require.ErrorIs(t, call(ctx), kafka.ErrIllegalState, name)
		}
		require.ErrorIs(t, consumer.Pause(tpOf(topic, 0), other), kafka.ErrIllegalState)
		require.Empty(t, consumer.Paused(), "none of them is paused then")
		require.ErrorIs(t, consumer.SeekToEnd(ctx, tpOf(topic, 0), other), kafka.ErrIllegalState)
		zeroValues(t, consumer, other)
		require.Equal(t, numbered(0, 3), texts(read(t, consumer, 3)))
	})
}

func TestSubscribe_NothingSubscribedWaitsForASubscription(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a", "b")
		consumer := start(t, c)
		var got *kafka.Message
		one := inBackground(func() (err error) { got, err = consumer.GetOne(context.Background()); return err })
		blocked(t, one)
		require.NoError(t, consumer.Subscribe([]string{topic}))
		require.NoError(t, ended(t, one).err)
		require.Equal(t, "a", string(got.Value))
	})
}

// A call that names partitions of topics that are no longer subscribed waits for ever in the original. Here they are not assigned from the
// moment Subscribe returns, whatever is buffered of them.
func TestSubscribe_FilterOnPartitionsGivenUpIsIllegal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, opts := range map[string][]kafka.ConsumerOption{"without a group": nil, "in a group": groupOptions(kafkatest.TopicName(t))} {
			t.Run(name, func(t *testing.T) {
				old, other := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
				produce(t, c, old, 0, numbered(0, 10)...)
				produce(t, c, other, 0, "of the other")
				consumer := start(t, c, append(opts, kafka.WithTopics(old))...)
				read(t, consumer, 3)
				buffered(t, consumer, tpOf(old, 0))
				require.NoError(t, consumer.Subscribe([]string{other}))
				for range 2 { // before its topics are assigned, and then
					_, err := consumer.GetOne(within(t), kafka.FromPartitions(tpOf(old, 0)))
					require.ErrorIs(t, err, kafka.ErrIllegalState)
					_, err = consumer.GetMany(within(t), kafka.FromPartitions(tpOf(old, 0)), kafka.WaitFor(0))
					require.ErrorIs(t, err, kafka.ErrIllegalState)
					eventually(t, func() bool { return len(consumer.Assignment()) == 1 }, "the other topic is not assigned")
				}
				require.Equal(t, []string{"of the other"}, texts(read(t, consumer, 1)))
				nothing(t, consumer)
			})
		}
	})
}

// A call without a filter that waits goes on waiting through whatever becomes of the subscription, and serves the new one.
func TestSubscribe_CallThatWaitsServesTheNextSubscription(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		quiet, first, second := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, first, 0, "first")
		produce(t, c, second, 0, "second")
		consumer := start(t, c, kafka.WithTopics(quiet))
		var got *kafka.Message
		getting := func() <-chan result {
			return inBackground(func() (err error) { got, err = consumer.GetOne(within(t)); return err })
		}
		one := getting()
		blocked(t, one)
		require.NoError(t, consumer.Unsubscribe(within(t)))
		blocked(t, one)
		require.NoError(t, consumer.Assign(tpOf(quiet, 0)))
		blocked(t, one)
		require.NoError(t, consumer.Assign(tpOf(first, 0)))
		require.NoError(t, ended(t, one).err)
		require.Equal(t, "first", string(got.Value))

		one = getting()
		blocked(t, one)
		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.NoError(t, consumer.Subscribe([]string{quiet}))
		blocked(t, one)
		require.NoError(t, consumer.Subscribe([]string{quiet, second}))
		require.NoError(t, ended(t, one).err)
		require.Equal(t, "second", string(got.Value))
	})
}

// What was written before the subscription is not new, however soon the topic comes back: metadata need not have looked between.
func TestSubscribe_AgainAtOnceStartsByTheResetPolicy(t *testing.T) {
	for name, again := range map[string]func(t *testing.T, consumer *kafka.Consumer, topic, other string){
		"after Unsubscribe": func(t *testing.T, consumer *kafka.Consumer, topic, _ string) {
			require.NoError(t, consumer.Unsubscribe(within(t)))
			require.NoError(t, consumer.Subscribe([]string{topic}))
		},
		"after another topic": func(t *testing.T, consumer *kafka.Consumer, topic, other string) {
			require.NoError(t, consumer.Subscribe([]string{other}))
			require.NoError(t, consumer.Subscribe([]string{topic}))
		},
		"by a pattern after Assign": func(t *testing.T, consumer *kafka.Consumer, topic, _ string) {
			require.NoError(t, consumer.Unsubscribe(within(t)))
			require.NoError(t, consumer.Assign(tpOf(topic, 0)))
			require.EqualValues(t, 10, position(t, consumer, tpOf(topic, 0)))
			require.NoError(t, consumer.Unsubscribe(within(t)))
			require.NoError(t, consumer.SubscribePattern(regexp.QuoteMeta(topic)))
			eventually(t, func() bool { return len(consumer.Assignment()) == 1 }, "nothing is assigned")
			require.EqualValues(t, 10, position(t, consumer, tpOf(topic, 0)))
			require.NoError(t, consumer.Unsubscribe(within(t)))
			require.NoError(t, consumer.Subscribe([]string{topic}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				topic, other := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
				produce(t, c, topic, 0, numbered(0, 10)...)
				consumer := start(t, c, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetLatest))
				require.EqualValues(t, 10, position(t, consumer, tpOf(topic, 0)))
				for range 10 {
					again(t, consumer, topic, other)
					eventually(t, func() bool { return slices.Contains(consumer.Assignment(), tpOf(topic, 0)) }, "it is not assigned again")
					require.EqualValues(t, 10, position(t, consumer, tpOf(topic, 0)))
				}
			})
		})
	}
}
