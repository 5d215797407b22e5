package acceptance

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReset_EarliestBeginsAtTheLogStart(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values(numbered(0, 10)...), kafkatest.PerBatch(5))
		c.DeleteRecords(t, topic, 0, 7) // into the middle of a batch
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetEarliest))
		require.EqualValues(t, 7, position(t, consumer, tpOf(topic, 0)))
		require.Equal(t, numbered(7, 10), texts(read(t, consumer, 3)))
	})
}

func TestReset_LatestBeginsAtTheEnd(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, numbered(0, 10)...)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetLatest))
		require.EqualValues(t, 10, position(t, consumer, tpOf(topic, 0)))
		nothing(t, consumer)
		produce(t, c, topic, 0, "next")
		require.Equal(t, []string{"next"}, texts(read(t, consumer, 1)))
	})
}

// The position may fall out of the log while a consumer is away, or paused, and be past its end after a seek. Every reset is logged
// with both offsets.
func TestReset_OutOfRangeGoesWhereThePolicySays(t *testing.T) {
	for _, policy := range []struct {
		name  string
		reset kafka.OffsetReset
		want  int64
	}{{"earliest", kafka.ResetEarliest, 30}, {"latest", kafka.ResetLatest, 50}} {
		t.Run(policy.name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				topic := c.NewTopic(t, kafkatest.Topic{})
				tp := tpOf(topic, 0)
				kafkatest.Produce(t, c, topic, 0, kafkatest.Values(numbered(0, 50)...), kafkatest.PerBatch(10))
				c.DeleteRecords(t, topic, 0, 30)
				var book logBook
				consumer := start(t, c, kafka.WithAutoOffsetReset(policy.reset), kafka.WithLogger(book.logger(slog.LevelInfo)))
				require.NoError(t, consumer.Assign(tp))
				for _, from := range []int64{12, 1000} {
					require.NoError(t, consumer.Seek(tp, from))
					eventually(t, func() bool { return position(t, consumer, tp) == policy.want }, "not reset from %d", from)
				}
				produce(t, c, topic, 0, "next")
				require.Equal(t, policy.want, read(t, consumer, 1)[0].Offset)
				book.has(t, 1, "position reset", "topic="+topic, "partition=0", "from=12")
				book.has(t, 1, "position reset", "from=1000")
			})
		})
	}
}

// Retention may overtake a reader that is slow: what it has buffered is still handed out, then it goes on at the log's start.
func TestReset_RetentionPastThePosition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values(numbered(0, 100)...), kafkatest.PerBatch(10))
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithMaxPartitionFetchBytes(400)) // a batch or two at a time
		require.EqualValues(t, 0, read(t, consumer, 1)[0].Offset)
		c.DeleteRecords(t, topic, 0, 80)
		var got []*kafka.Message
		for len(got) == 0 || got[len(got)-1].Offset != 99 {
			got = append(got, read(t, consumer, 1)...)
		}
		gap := 0
		for i, m := range got[1:] {
			before := got[i].Offset
			require.Greater(t, m.Offset, before)
			if m.Offset != before+1 {
				require.EqualValues(t, 80, m.Offset, "after %d", before)
				gap++
			}
		}
		require.Equal(t, 1, gap)
		require.EqualValues(t, 100, position(t, consumer, tp))
	})
}
