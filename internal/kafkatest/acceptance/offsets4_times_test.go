package acceptance

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// base is when the first message of timed was written; each next is 10 ms later.
var base = time.UnixMilli(time.Now().UnixMilli()).Add(-time.Hour).UTC()

// timed writes n messages, 10 ms apart, perBatch to a batch.
func timed(t *testing.T, c *kafkatest.Cluster, topic string, partition int32, n, perBatch int, options ...kafkatest.ProduceOption) {
	t.Helper()
	var records []*kafkatest.Record
	for i := range n {
		records = append(records, &kafkatest.Record{Value: []byte("x"), Timestamp: base.Add(time.Duration(i) * 10 * time.Millisecond)})
	}
	kafkatest.Produce(t, c, topic, partition, records, append(options, kafkatest.PerBatch(perBatch))...)
}

func TestOffsetsForTimes_FirstMessageAtOrAfter(t *testing.T) {
	kafkatest.EachVersion(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		timed(t, c, topic, 0, 20, 5)
		timed(t, c, topic, 1, 20, 20, kafkatest.Gzip)
		consumer := start(t, c) // nothing is assigned
		for _, search := range []struct {
			name string
			at   time.Time
			want int64 // -1: no key
		}{
			{"exact", base.Add(70 * time.Millisecond), 7},
			{"between two", base.Add(71 * time.Millisecond), 8},
			{"within a millisecond", base.Add(70*time.Millisecond + time.Microsecond), 8},
			{"the first", base, 0},
			{"before all", time.UnixMilli(0), 0},
			{"the last", base.Add(190 * time.Millisecond), 19},
			{"nothing that late", base.Add(191 * time.Millisecond), -1},
		} {
			for p := range int32(2) {
				tp := tpOf(topic, p)
				asked := map[kafka.TopicPartition]time.Time{tp: search.at}
				found, err := consumer.OffsetsForTimes(within(t), asked)
				require.NoError(t, err, search.name)
				require.Equal(t, map[kafka.TopicPartition]time.Time{tp: search.at}, asked, "the original changes its argument (6.24)")
				if search.want < 0 {
					require.Empty(t, found, "%s in partition %d", search.name, p)
					continue
				}
				require.Equal(t, search.want, found[tp].Offset, "%s in partition %d", search.name, p)
				require.Equal(t, base.Add(time.Duration(search.want)*10*time.Millisecond), found[tp].Timestamp, "%s: its own, in UTC", search.name)
			}
		}
	})
}

func TestOffsetsForTimes_ManyPartitionsAtOnce(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 12})
		consumer := start(t, c)
		asked := make(map[kafka.TopicPartition]time.Time)
		want := make(map[kafka.TopicPartition]int64)
		for p := range int32(12) {
			timed(t, c, topic, p, int(p), 3)
			asked[tpOf(topic, p)] = base.Add(40 * time.Millisecond)
			if p > 4 {
				want[tpOf(topic, p)] = 4
			}
		}
		found, err := consumer.OffsetsForTimes(within(t), asked)
		require.NoError(t, err)
		got := make(map[kafka.TopicPartition]int64)
		for tp, o := range found {
			got[tp] = o.Offset
		}
		require.Equal(t, want, got)
	})
}

func TestOffsetsForTimes_Senseless(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
		consumer := startOn(t, c, nil, tp)
		ask := func(tp kafka.TopicPartition, at time.Time) error {
			_, err := consumer.OffsetsForTimes(within(t), map[kafka.TopicPartition]time.Time{tp: at})
			return err
		}
		require.ErrorIs(t, ask(tp, time.UnixMilli(-1)), kafka.ErrIllegalState)
		require.ErrorIs(t, ask(tp, time.Unix(0, -1)), kafka.ErrIllegalState, "also within the last millisecond")
		require.ErrorIs(t, ask(tp, time.Time{}), kafka.ErrIllegalState)
		require.ErrorIs(t, consumer.SeekToTime(within(t), time.UnixMilli(-1)), kafka.ErrIllegalState)
		require.ErrorIs(t, consumer.SeekToTime(within(t), time.Unix(0, -1)), kafka.ErrIllegalState)
		require.ErrorIs(t, ask(tpOf(tp.Topic, -1), base), kafka.ErrIllegalState)
		began := time.Now()
		unknown := tpOf(tp.Topic, 7)
		require.ErrorIs(t, ask(unknown, base), protocol.UnknownTopicOrPartition)
		require.ErrorContains(t, ask(unknown, base), unknown.String())
		require.Less(t, time.Since(began), soon, "the original asks until its timeout")
		found, err := consumer.OffsetsForTimes(within(t), nil)
		require.NoError(t, err)
		require.Empty(t, found)
	})
}

// Not in the original, where it takes offsets_for_times and seek.
func TestSeekToTime_GoesToTheFirstMessageOrTheEnd(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		p0, p1 := tpOf(topic, 0), tpOf(topic, 1)
		timed(t, c, topic, 0, 20, 5)
		timed(t, c, topic, 1, 3, 5)
		consumer := start(t, c, kafka.WithTopics(topic))
		readMany(t, consumer, 23)
		require.NoError(t, consumer.Pause(p1))
		require.NoError(t, consumer.SeekToTime(within(t), base.Add(120*time.Millisecond)))
		require.EqualValues(t, 12, position(t, consumer, p0))
		require.EqualValues(t, 3, position(t, consumer, p1), "nothing that late: the end")
		require.Equal(t, []kafka.TopicPartition{p1}, consumer.Paused())
		consecutive(t, 12, readMany(t, consumer, 8)[p0])
		require.NoError(t, consumer.SeekToTime(within(t), base, p1))
		require.EqualValues(t, 20, position(t, consumer, p0), "only what is named")
		require.NoError(t, consumer.Resume(p1))
		consecutive(t, 0, readMany(t, consumer, 3)[p1])
		require.ErrorIs(t, consumer.SeekToTime(within(t), base, p0, tpOf(topic, 9)), kafka.ErrIllegalState)
		require.EqualValues(t, 20, position(t, consumer, p0), "and nothing is sought then")
	})
}

// Behind an open transaction the end is the last stable offset.
func TestSeekToTime_EndsAtTheLastStableOffset(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		timed(t, c, topic, 0, 3, 3)
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values("open")...)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
		require.NoError(t, consumer.SeekToTime(within(t), time.Now().Add(time.Hour)))
		require.EqualValues(t, 3, position(t, consumer, tpOf(topic, 0)))
	})
}

// The original answers both from what it happens to know (6.24).
func TestTopics_AndPartitionsForTopicAskTheBroker(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		one := c.NewTopic(t, kafkatest.Topic{})
		store(t, c, kafkatest.TopicName(t), tpOf(one, 0), 0) // the internal topic of offsets exists now
		consumer := start(t, c, kafka.WithTopics(one))
		ctx := within(t)
		two := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		topics, err := consumer.Topics(ctx)
		require.NoError(t, err)
		require.True(t, slices.IsSorted(topics))
		require.Contains(t, topics, one)
		require.Contains(t, topics, two, "made after Start, not subscribed")
		require.NotContains(t, topics, "__consumer_offsets", "internal")
		partitions, err := consumer.PartitionsForTopic(ctx, two)
		require.NoError(t, err)
		require.Equal(t, []int32{0, 1, 2}, partitions)
		c.AddPartitions(t, two, 5)
		partitions, err = consumer.PartitionsForTopic(ctx, two)
		require.NoError(t, err)
		require.Len(t, partitions, 5)

		missing := kafkatest.TopicName(t)
		_, err = consumer.PartitionsForTopic(ctx, missing)
		require.ErrorIs(t, err, protocol.UnknownTopicOrPartition)
		require.ErrorContains(t, err, missing)
		_, err = consumer.PartitionsForTopic(ctx, "not a topic name")
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		var all kadm.TopicDetails
		all, err = c.Admin().ListTopics(ctx)
		require.NoError(t, err)
		require.NotContains(t, slices.Collect(maps.Keys(all)), missing, "asking creates nothing")
		require.Equal(t, []string{one}, consumer.Subscription())
	})
}
