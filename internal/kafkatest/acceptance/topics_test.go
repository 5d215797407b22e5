package acceptance

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// quick makes a consumer look at metadata often.
var quick = kafka.WithMetadataMaxAge(200 * time.Millisecond)

// A topic that does not exist is waited for, with one line at WARN, and never created.
func TestTopics_MissingAtStartAndAppearingLater(t *testing.T) {
	for name, reset := range map[string]kafka.OffsetReset{"earliest": kafka.ResetEarliest, "latest": kafka.ResetLatest} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				there, missing := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
				var book logBook
				consumer := start(t, c, quick, kafka.WithTopics(there, missing), kafka.WithAutoOffsetReset(reset), kafka.WithLogger(book.logger(slog.LevelWarn)))
				require.Equal(t, []kafka.TopicPartition{tpOf(there, 0)}, consumer.Assignment())
				require.Equal(t, 2, len(consumer.Subscription()))
				position(t, consumer, tpOf(there, 0)) // under latest, what comes from now on is read
				produce(t, c, there, 0, "meanwhile")
				require.Equal(t, []string{"meanwhile"}, texts(read(t, consumer, 1)))
				book.hasSome(t, "WARN", missing)
				topics, err := c.Admin().ListTopics(within(t))
				require.NoError(t, err)
				require.False(t, topics.Has(missing), "asking for it has created it")

				c.CreateTopic(t, missing, kafkatest.Topic{Partitions: 2})
				produce(t, c, missing, 0, "first")
				produce(t, c, missing, 1, "first")
				got := readMany(t, consumer, 2)
				require.Equal(t, []kafka.TopicPartition{tpOf(missing, 0), tpOf(missing, 1)}, sortedKeys(got), "also under latest: nothing of it is lost")
				require.Len(t, consumer.Assignment(), 3)
				book.has(t, 1, "WARN", missing)
				book.has(t, 1, "")
			})
		})
	}
}

func TestTopics_OnlyMissingTopicsAreAnEmptyAssignment(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		missing := kafkatest.TopicName(t)
		consumer := start(t, c, quick, kafka.WithTopics(missing))
		require.Empty(t, consumer.Assignment())
		_, err := consumer.GetOne(within(t), kafka.FromPartitions(tpOf(missing, 0)))
		require.ErrorIs(t, err, kafka.ErrIllegalState, "the empty assignment is a first assignment")
		began := time.Now()
		nothing(t, consumer)
		require.Less(t, time.Since(began), soon)
		one := inBackground(func() error { _, err := consumer.GetOne(context.Background()); return err })
		c.CreateTopic(t, missing, kafkatest.Topic{})
		produce(t, c, missing, 0, "a")
		require.NoError(t, ended(t, one).err)
	})
}

// A partition assigned by hand that is not there is waited for, with one line at WARN, and read from its first record.
func TestTopics_AssignedPartitionThatAppearsLater(t *testing.T) {
	for name, reset := range map[string]kafka.OffsetReset{"earliest": kafka.ResetEarliest, "latest": kafka.ResetLatest} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				topic := c.NewTopic(t, kafkatest.Topic{})
				produce(t, c, topic, 0, "old")
				var book logBook
				consumer := start(t, c, quick, kafka.WithAutoOffsetReset(reset), kafka.WithLogger(book.logger(slog.LevelWarn)))
				require.NoError(t, consumer.Assign(tpOf(topic, 0), tpOf(topic, 1)))
				if reset == kafka.ResetEarliest {
					require.Equal(t, []string{"old"}, texts(read(t, consumer, 1)))
				}
				require.EqualValues(t, 1, position(t, consumer, tpOf(topic, 0)), "what was there is not new")
				book.hasSome(t, "WARN", topic, "partitions=[1]")
				for range 3 {
					nothing(t, consumer, kafka.FromPartitions(tpOf(topic, 1)))
				}
				c.AddPartitions(t, topic, 2)
				produce(t, c, topic, 1, "first")
				require.Equal(t, []string{"first"}, texts(read(t, consumer, 1)))
				book.has(t, 1, "")

				c.AddPartitions(t, topic, 3)
				produce(t, c, topic, 2, "first of the next")
				require.NoError(t, consumer.Assign(tpOf(topic, 0), tpOf(topic, 2)))
				require.Equal(t, []string{"first of the next"}, texts(read(t, consumer, 1)), "it has appeared while the topic was watched")
			})
		})
	}
}

func TestTopics_AssignedPartitionThatAppearsLaterUnderNone(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, quick, kafka.WithAutoOffsetReset(kafka.ResetNone))
		require.NoError(t, consumer.Assign(tpOf(topic, 1)))
		c.AddPartitions(t, topic, 2)
		_, err := consumer.GetOne(within(t))
		var none *kafka.NoOffsetForPartitionError
		require.ErrorAs(t, err, &none)
		require.ErrorContains(t, err, "no group id")
	})
}

// Partitions that a topic made again does not have leave the assignment; calls that name none go on working.
func TestTopics_MadeAgainWithOtherPartitions(t *testing.T) {
	for name, n := range map[string]struct{ before, after int }{"fewer": {3, 1}, "more": {1, 3}} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				prefix, pattern := family(t)
				topic, other := prefix+"-1", prefix+"-2"
				c.CreateTopic(t, other, kafkatest.Topic{})
				for kind, subscribe := range map[string]func(j *journal, consumer *kafka.Consumer) error{
					"topics": func(j *journal, consumer *kafka.Consumer) error {
						return consumer.Subscribe([]string{topic, other}, kafka.WithListener(withLoss{j}))
					},
					"pattern": func(j *journal, consumer *kafka.Consumer) error {
						return consumer.SubscribePattern(pattern, kafka.WithListener(withLoss{j}))
					},
				} {
					c.CreateTopic(t, topic, kafkatest.Topic{Partitions: n.before})
					j := newJournal(t)
					consumer := start(t, c, quick, kafka.WithAutoOffsetReset(kafka.ResetLatest))
					require.NoError(t, subscribe(j, consumer), kind)
					eventually(t, func() bool { return len(consumer.Assignment()) == n.before+1 }, "%s: the first assignment", kind)
					for _, tp := range consumer.Assignment() {
						position(t, consumer, tp)
					}
					c.DeleteTopic(t, topic)
					c.CreateTopic(t, topic, kafkatest.Topic{Partitions: n.after})
					for p := range int32(n.after) {
						produce(t, c, topic, p, "first")
					}
					require.Len(t, readMany(t, consumer, n.after), n.after, kind)
					eventually(t, func() bool { return len(consumer.Assignment()) == n.after+1 }, "%s: the vanished ones stay", kind)
					ends, err := consumer.EndOffsets(within(t))
					require.NoError(t, err, kind)
					require.Len(t, ends, n.after+1, kind)
					require.NoError(t, consumer.SeekToBeginning(within(t)), kind)
					require.NoError(t, consumer.Stop(within(t)))
					c.DeleteTopic(t, topic)
					if kind == "topics" && n.after < n.before {
						require.Contains(t, drained(j), fmt.Sprintf("lost %s-1 %s-2", topic, topic))
					}
				}
			})
		})
	}
}

// drained gives the calls that a listener has had.
func drained(j *journal) (calls []string) {
	for len(j.calls) > 0 {
		calls = append(calls, <-j.calls)
	}
	return calls
}

// A topic that is merely missing keeps its partitions: it may come back, and a broker that lags may just not know it.
func TestTopics_DeletedOneIsWaitedFor(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		goes, stays := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), c.NewTopic(t, kafkatest.Topic{})
		var book logBook
		consumer := start(t, c, quick, kafka.WithTopics(goes, stays), kafka.WithLogger(book.logger(slog.LevelWarn)))
		position(t, consumer, tpOf(goes, 0))
		c.DeleteTopic(t, goes)
		book.hasSome(t, "WARN", "does not exist", goes)
		require.Len(t, consumer.Assignment(), 3)
		_, err := consumer.EndOffsets(within(t), tpOf(goes, 0))
		require.ErrorIs(t, err, protocol.UnknownTopicOrPartition)
		_, err = consumer.EndOffsets(within(t), tpOf(stays, 0))
		require.NoError(t, err)
		book.has(t, 1, "does not exist")
	})
}

// Brokers refuse a topic before they say whether it is there. With the right granted, a missing one is waited for.
func TestTopics_RefusalOfAMissingOneEndsWithTheRight(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	missing := kafkatest.TopicName(t)
	refused := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: missing, Err: kerr.TopicAuthorizationFailed, Count: -1})
	consumer := start(t, c, quick, kafka.WithTopics(missing), kafka.WithRetryBackoff(time.Millisecond, 10*time.Millisecond))
	_, err := consumer.GetOne(within(t))
	var denied *kafka.AuthorizationError
	require.ErrorAs(t, err, &denied)
	require.ErrorContains(t, err, "Metadata")
	refused.Remove()
	eventually(t, func() bool {
		_, err := consumer.GetMany(within(t), kafka.WaitFor(short))
		return err == nil
	}, "it is still told")
	c.CreateTopic(t, missing, kafkatest.Topic{})
	produce(t, c, missing, 0, "a")
	require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
}

// Weakness 6.11 of the original: without a group, a topic that grows throws every position and pause away, and under latest the first
// records of the new partition are lost.
func TestWeakness_6_11_GrowthDisturbsNothingAndLosesNothing(t *testing.T) {
	for name, reset := range map[string]kafka.OffsetReset{"earliest": kafka.ResetEarliest, "latest": kafka.ResetLatest} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
				consumer := start(t, c, quick, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(reset))
				for p := range int32(2) {
					position(t, consumer, tpOf(topic, p))
					produce(t, c, topic, p, numbered(0, 20)...)
				}
				only0 := kafka.FromPartitions(tpOf(topic, 0))
				consecutive(t, 0, read(t, consumer, 10, only0))
				require.NoError(t, consumer.Pause(tpOf(topic, 1)))

				c.AddPartitions(t, topic, 4)
				produce(t, c, topic, 2, numbered(0, 5)...)
				produce(t, c, topic, 3, numbered(0, 5)...)
				got := readMany(t, consumer, 20)
				consecutive(t, 10, got[tpOf(topic, 0)])
				for _, p := range []int32{2, 3} {
					require.Equal(t, numbered(0, 5), texts(got[tpOf(topic, p)]), "the new partition %d", p)
				}
				require.Equal(t, []kafka.TopicPartition{tpOf(topic, 1)}, consumer.Paused())
				require.EqualValues(t, 0, position(t, consumer, tpOf(topic, 1)))
				require.NoError(t, consumer.Resume(tpOf(topic, 1)))
				consecutive(t, 0, read(t, consumer, 20))
			})
		})
	}
}

// A topic that is deleted and made again is another topic: its records are read from the first, whatever the position was.
func TestTopics_DeletedAndMadeAgain(t *testing.T) {
	for name, n := range map[string]int{"shorter": 5, "longer": 30} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				topic, other := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
				produce(t, c, topic, 0, numbered(0, 10)...)
				consumer := start(t, c, quick, kafka.WithTopics(topic, other), kafka.WithAutoOffsetReset(kafka.ResetEarliest))
				require.Equal(t, numbered(0, 10), texts(read(t, consumer, 10)))
				c.DeleteTopic(t, topic)
				c.CreateTopic(t, topic, kafkatest.Topic{})
				produce(t, c, topic, 0, numbered(100, 100+n)...)
				require.Equal(t, numbered(100, 100+n), texts(read(t, consumer, n)))
				produce(t, c, other, 0, "still there")
				require.Equal(t, []string{"still there"}, texts(read(t, consumer, 1)))
			})
		})
	}
}

// A topic that is gone hurts nobody else, and is no error: it may come back.
func TestTopics_DeletedWhileOthersFlow(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		goes, stays := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, goes, 0, "a")
		consumer := start(t, c, quick, kafka.WithTopics(goes, stays))
		read(t, consumer, 1)
		c.DeleteTopic(t, goes)
		for i := range 20 {
			produce(t, c, stays, 0, numbered(i, i+1)...)
			require.Equal(t, numbered(i, i+1), texts(read(t, consumer, 1)))
		}
	})
}
