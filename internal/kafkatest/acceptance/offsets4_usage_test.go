package acceptance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// What the user guide of the original says, as programs do it.

// Position is the offset of the next message, and committed offsets are a thing apart.
func TestUsage_PositionAndCommittedPosition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp, group := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0), kafkatest.TopicName(t)
		produce(t, c, tp.Topic, 0, numbered(0, 5)...)
		consumer := startOn(t, c, byHand(group), tp)
		m := read(t, consumer, 1)[0]
		require.Equal(t, m.Offset+1, position(t, consumer, tp))
		committed, err := consumer.Committed(within(t), tp)
		require.NoError(t, err)
		require.Empty(t, committed)
		require.NoError(t, consumer.Seek(tp, m.Offset))
		again := read(t, consumer, 1)[0]
		require.Equal(t, m.Offset, again.Offset)
		require.Equal(t, m.Value, again.Value)
	})
}

// A batch is dealt with and committed partition by partition; what was not comes again.
func TestUsage_CommitPerPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		p0, p1 := tpOf(topic, 0), tpOf(topic, 1)
		for p := range int32(2) {
			produce(t, c, topic, p, numbered(0, 5)...)
		}
		consumer := startOn(t, c, byHand(group), p0, p1)
		got := readMany(t, consumer, 10)
		msgs := got[p0]
		require.NoError(t, consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{p0: {Offset: msgs[len(msgs)-1].Offset + 1}}))
		crash(t, consumer) // before it came to the other partition
		next := startOn(t, c, byHand(group), p0, p1)
		got = readMany(t, next, 5)
		require.NotContains(t, got, p0)
		consecutive(t, 0, got[p1])
	})
}

// Offsets kept with the results, outside Kafka: whatever happens between, each message counts once.
func TestUsage_OffsetsStoredWithTheResults(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
		const n = 50
		kafkatest.Produce(t, c, tp.Topic, 0, kafkatest.Numbered(n, 10), kafkatest.PerBatch(7))
		counts, saved := make(map[string]int), int64(-1) // saved together
		for saved < n-1 {
			consumer := startOn(t, c, []kafka.ConsumerOption{kafka.WithAutoCommit(false)}, tp)
			require.NoError(t, consumer.Seek(tp, saved+1))
			for i := range 9 {
				m := read(t, consumer, 1)[0]
				if i == 8 || m.Offset == n-1 && counts[string(m.Value)] > 0 {
					break // the process ends with a message in hand
				}
				counts[string(m.Value)]++
				if saved = m.Offset; saved == n-1 {
					break
				}
			}
			crash(t, consumer)
		}
		require.Len(t, counts, n)
		for value, times := range counts {
			require.Equal(t, 1, times, value)
		}
	})
}

// Partitions that lag are read alone until they have caught up; the others have lost nothing.
func TestUsage_FlowControlByLag(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		amount := []int{400, 30, 100}
		for p, n := range amount {
			kafkatest.Produce(t, c, topic, int32(p), kafkatest.Numbered(n, 20), kafkatest.PerBatch(10))
		}
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithMaxPollRecords(40), kafka.WithFetchMaxWait(50*time.Millisecond))
		got := make(map[kafka.TopicPartition]int64)
		var only []kafka.TopicPartition
		for total := 0; total < 530; {
			batch, err := consumer.GetMany(within(t), kafka.FromPartitions(only...), kafka.WaitFor(time.Second))
			require.NoError(t, err)
			for tp, msgs := range batch {
				if len(only) > 0 {
					require.Contains(t, only, tp)
				}
				consecutive(t, got[tp], msgs)
				got[tp] += int64(len(msgs))
				total += len(msgs)
			}
			only = nil
			for _, tp := range consumer.Assignment() {
				lag, known := consumer.Lag(tp)
				end, _ := consumer.Highwater(tp)
				if known {
					require.Equal(t, end-position(t, consumer, tp), lag)
				}
				if lag > 50 {
					only = append(only, tp)
				}
			}
		}
		for p, n := range amount {
			require.EqualValues(t, n, got[tpOf(topic, int32(p))])
		}
	})
}

func TestUsage_ConsumersWithoutAGroupEachGetEverything(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		for p := range int32(2) {
			produce(t, c, topic, p, numbered(0, 20)...)
		}
		one, two := start(t, c, kafka.WithTopics(topic)), start(t, c, kafka.WithTopics(topic))
		for _, consumer := range []*kafka.Consumer{one, two} {
			for _, msgs := range readMany(t, consumer, 40) {
				consecutive(t, 0, msgs)
			}
		}
	})
}

// A Position that waits ends when its partition goes.
func TestUsage_PositionOfAPartitionThatGoes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		missing := tpOf(kafkatest.TopicName(t), 0)
		consumer := startOn(t, c, nil, missing)
		for name, leave := range map[string]func() error{
			"Assign":      func() error { return consumer.Assign(tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)) },
			"Unsubscribe": func() error { return consumer.Unsubscribe(within(t)) },
		} {
			require.NoError(t, consumer.Assign(missing))
			waiting := inBackground(func() error { _, err := consumer.Position(within(t), missing); return err })
			blocked(t, waiting)
			require.NoError(t, leave())
			require.ErrorIs(t, ended(t, waiting).err, kafka.ErrIllegalState, name)
		}
		_, err := consumer.Position(within(t), missing)
		require.ErrorIs(t, err, kafka.ErrIllegalState)
	})
}

// A topic that is deleted and made again is new: its first record is next, whatever the policy, and whatever was committed of the old one.
func TestUsage_TopicMadeAgainBeginsAtItsFirstRecord(t *testing.T) {
	for name, reset := range map[string]kafka.OffsetReset{"latest": kafka.ResetLatest, "earliest": kafka.ResetEarliest, "by duration": kafka.ResetByDuration(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				topic, group := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
				tp := tpOf(topic, 0)
				produce(t, c, topic, 0, numbered(0, 10)...)
				consumer := startOn(t, c, append(byHand(group), quick, kafka.WithAutoOffsetReset(reset)), tp)
				require.NoError(t, consumer.SeekToBeginning(within(t)))
				read(t, consumer, 10)
				require.NoError(t, consumer.Commit(within(t)))
				c.DeleteTopic(t, topic)
				c.CreateTopic(t, topic, kafkatest.Topic{})
				produce(t, c, topic, 0, numbered(100, 103)...)
				got := read(t, consumer, 3)
				require.Equal(t, numbered(100, 103), texts(got))
				consecutive(t, 0, got)
				require.NoError(t, consumer.Commit(within(t)))
				require.EqualValues(t, 3, storedAt(t, c, group, tp))
			})
		})
	}
}

func TestUsage_TopicMadeAgainWithoutAPolicyIsAnError(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 10)...)
		consumer := startOn(t, c, []kafka.ConsumerOption{quick, quickRetry, kafka.WithAutoOffsetReset(kafka.ResetNone)}, tp)
		require.NoError(t, consumer.SeekToBeginning(within(t)))
		read(t, consumer, 10)
		c.DeleteTopic(t, topic)
		c.CreateTopic(t, topic, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(100, 120)...)
		ctx, cancel := context.WithTimeout(context.Background(), testTime)
		defer cancel()
		_, err := consumer.GetOne(ctx)
		var none *kafka.NoOffsetForPartitionError
		require.ErrorAs(t, err, &none)
		require.NoError(t, consumer.SeekToBeginning(within(t)))
		require.Equal(t, numbered(100, 120), texts(read(t, consumer, 20)))
	})
}
