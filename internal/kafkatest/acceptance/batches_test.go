package acceptance

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// batchesOf reads n messages by Batches, and gives copies of them by partition.
func batchesOf(t *testing.T, consumer *kafka.Consumer, n int, opts ...kafka.GetOption) map[kafka.TopicPartition][]*kafka.Message {
	t.Helper()
	got := make(map[kafka.TopicPartition][]*kafka.Message)
	for b, err := range consumer.Batches(within(t), opts...) {
		require.NoError(t, err)
		for m := range b.Messages() {
			require.Equal(t, b.TopicPartition(), m.TopicPartition())
			got[b.TopicPartition()] = append(got[b.TopicPartition()], m.Clone())
		}
		if n -= b.Len(); n <= 0 {
			require.Zero(t, n)
			break
		}
	}
	return got
}

// Batches gives what the other ways give: every message once, in order, of every codec, with keys, headers and timestamps.
func TestBatches_GiveWhatTheOthersGive(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: len(kafkatest.Codecs)})
		const n = 3000
		p := int32(0)
		for _, codec := range kafkatest.Codecs {
			records := kafkatest.Numbered(n, 200)
			for i, r := range records {
				r.Key = []byte{byte(i)}
				kafkatest.WithHeaders(r, "a", "1", "b", string(r.Key))
			}
			kafkatest.Produce(t, c, topic, p, records, codec)
			p++
		}
		byBatch := start(t, c, kafka.WithTopics(topic))
		byMany := start(t, c, kafka.WithTopics(topic))
		for range 2 { // the second time out of memory that was used before
			got, want := batchesOf(t, byBatch, n*int(p)), readMany(t, byMany, n*int(p))
			for tp, msgs := range want {
				require.Equal(t, msgs, got[tp])
				require.EqualValues(t, n, position(t, byBatch, tp))
			}
			require.NoError(t, byBatch.SeekToBeginning(within(t)))
			require.NoError(t, byMany.SeekToBeginning(within(t)))
		}
	})
}

// A batch is settled when the loop asks for the next one, not by break: after a crash, and after Stop, it comes again.
func TestBatches_SettleWhenTheLoopComesRound(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for ending, end := range endings {
			t.Run(ending, func(t *testing.T) {
				consumer, tp, group := autocommitted(t, c, 10)
				turns := 0
				for b, err := range consumer.Batches(within(t)) {
					require.NoError(t, err)
					switch turns++; turns {
					case 1:
						require.Equal(t, 10, b.Len())
						require.EqualValues(t, 10, position(t, consumer, tp), "the position moves by the batch")
						awaitStored(t, c, group, tp, 0)
						staysStored(t, c, group, tp, 0)
						produce(t, c, tp.Topic, 0, numbered(10, 15)...)
					case 2:
						awaitStored(t, c, group, tp, 10)
						for range b.Messages() {
							break
						}
					}
					if turns == 2 {
						break
					}
				}
				require.NoError(t, end(t, consumer))
				resumes(t, c, group, tp, 10)
			})
		}
	})
}

// A batch stays valid through a revoke and a seek that come while its turn runs; nothing of its partition is stale afterwards.
func TestBatches_StayValidThroughARevoke(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		tps := allOf(topic, 2)
		for _, tp := range tps {
			produce(t, c, topic, tp.Partition, numbered(0, 50)...)
		}
		a := start(t, c, append(groupOptions(group), kafka.WithTopics(topic))...)
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		turns := 0
		for b, err := range a.Batches(ctx) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			if turns++; turns > 1 {
				require.Contains(t, a.Assignment(), b.TopicPartition())
				continue
			}
			before := texts(batchMessages(b))
			other := start(t, c, append(groupOptions(group), kafka.WithTopics(topic))...)
			shared(t, tps, a, other)
			require.Equal(t, before, texts(batchMessages(b)))
			cancel()
		}
		require.Positive(t, turns)
	})
}

func batchMessages(b *kafka.Batch) (out []*kafka.Message) {
	for m := range b.Messages() {
		out = append(out, m.Clone())
	}
	return out
}
