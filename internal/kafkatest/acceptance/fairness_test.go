package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// primed starts a consumer of a topic whose partitions have the given numbers of messages, and takes one from each, so that all have
// some to hand out.
func primed(t *testing.T, c *kafkatest.Cluster, sizes ...int) (*kafka.Consumer, string) {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: len(sizes)})
	for p, n := range sizes {
		produce(t, c, topic, int32(p), numbered(0, n)...)
	}
	consumer := start(t, c, kafka.WithTopics(topic))
	for p := range sizes {
		read(t, consumer, 1, kafka.FromPartitions(tpOf(topic, int32(p))))
	}
	return consumer, topic
}

// Weakness 6.19 of the original: with a limit, one partition is drained before the next has its turn.
func TestWeakness_6_19_LimitedCallsRotateOverPartitions(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, topic := primed(t, c, 200, 200, 200)
		got := make(map[kafka.TopicPartition]int)
		for range 6 {
			batch, err := consumer.GetMany(within(t), kafka.UpTo(40))
			require.NoError(t, err)
			for tp, msgs := range batch {
				got[tp] += len(msgs)
			}
		}
		for p := range int32(3) {
			require.Equal(t, 80, got[tpOf(topic, p)], "partition %d; all: %v", p, got)
		}
	})
}

func TestFairness_OneBusyPartitionStarvesNoOther(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, take := range map[string]func(consumer *kafka.Consumer) []*kafka.Message{
			"GetOne": func(consumer *kafka.Consumer) []*kafka.Message { return read(t, consumer, 1) },
			"GetMany": func(consumer *kafka.Consumer) (all []*kafka.Message) {
				for _, msgs := range readMany(t, consumer, 1) {
					all = append(all, msgs...)
				}
				return all
			},
		} {
			consumer, topic := primed(t, c, 20_000, 50)
			quiet, busy := 1, 1
			for quiet < 50 {
				for _, m := range take(consumer) {
					if m.Partition == 0 {
						busy++
					} else {
						quiet++
					}
				}
			}
			require.Less(t, busy, 2000, "%s: messages of the busy partition before the other was done", name)
			require.EqualValues(t, busy, position(t, consumer, tpOf(topic, 0)))
		}
	})
}

func TestFairness_EveryPartitionOfManyHasItsTurn(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const partitions, each = 30, 100
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
		producer := kafkatest.NewProducer(t, c)
		for p := range int32(partitions) {
			producer.Produce(t, topic, p, kafkatest.Values(numbered(0, each)...)...)
		}
		consumer := start(t, c, kafka.WithTopics(topic))
		got := readMany(t, consumer, partitions*each)
		require.Len(t, got, partitions)
		for tp, msgs := range got {
			consecutive(t, 0, msgs)
			require.Len(t, msgs, each, "%v", tp)
		}
	})
}
