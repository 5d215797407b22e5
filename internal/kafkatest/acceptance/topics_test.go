package acceptance

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
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
				eventually(t, func() bool { return len(book.matching("WARN", missing)) > 0 }, "nobody says that the topic is missing")
				topics, err := c.Admin().ListTopics(within(t))
				require.NoError(t, err)
				require.False(t, topics.Has(missing), "asking for it has created it")

				c.CreateTopic(t, missing, kafkatest.Topic{Partitions: 2})
				produce(t, c, missing, 0, "first")
				produce(t, c, missing, 1, "first")
				got := readMany(t, consumer, 2)
				require.Equal(t, []kafka.TopicPartition{tpOf(missing, 0), tpOf(missing, 1)}, sortedKeys(got), "also under latest: nothing of it is lost")
				require.Len(t, consumer.Assignment(), 3)
				require.Len(t, book.matching("WARN", missing), 1)
				require.Len(t, book.matching(""), 1)
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

func TestTopics_AssignedPartitionThatAppearsLater(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, quick)
		require.NoError(t, consumer.Assign(tpOf(topic, 0), tpOf(topic, 1)))
		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
		nothing(t, consumer, kafka.FromPartitions(tpOf(topic, 1)))
		c.AddPartitions(t, topic, 2)
		produce(t, c, topic, 1, "b")
		require.Equal(t, []string{"b"}, texts(read(t, consumer, 1)))
	})
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
