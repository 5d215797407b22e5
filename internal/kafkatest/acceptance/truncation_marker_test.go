package acceptance

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A transaction whose leader moves before it ends has its marker in a newer epoch than its records. The position behind the marker is
// of the marker's epoch: committed with the records', it would look cut to the next consumer, whose leader says that their epoch ends
// before the marker.
func TestTruncation_MarkerInANewerEpochIsNoCut(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		commits := map[string]func(t *testing.T, group string, tp kafka.TopicPartition){
			"Commit": func(t *testing.T, group string, tp kafka.TopicPartition) {
				consumer := startOn(t, c, byHand(group), tp)
				read(t, consumer, 2)
				eventually(t, func() bool { return position(t, consumer, tp) == 3 }, "past the marker")
				require.NoError(t, consumer.Commit(within(t)))
				require.NoError(t, consumer.Close())
			},
			"autocommit": func(t *testing.T, group string, tp kafka.TopicPartition) {
				consumer := startOn(t, c, autocommits(group), tp)
				read(t, consumer, 2)
				nothing(t, consumer)
				awaitStored(t, c, group, tp, 3)
				require.NoError(t, consumer.Close())
			},
		}
		for how, commit := range commits {
			t.Run(how, func(t *testing.T) {
				tp := tpOf(c.NewTopic(t, kafkatest.Topic{Replicas: 3}), 0)
				txn := kafkatest.BeginTxn(t, c)
				txn.Produce(t, tp.Topic, 0, kafkatest.Values("a", "b")...)
				c.MoveLeader(t, tp.Topic, 0, otherNode(t, c, c.Leader(t, tp.Topic, 0)).ID)
				txn.Commit(t)
				c.AwaitStable(t, tp.Topic, 0)
				resets := map[string]kafka.OffsetReset{"earliest": kafka.ResetEarliest, "none": kafka.ResetNone}
				groups := make(map[string]string)
				for name := range resets {
					groups[name] = kafkatest.TopicName(t)
					commit(t, groups[name], tp)
				}
				c.MoveLeader(t, tp.Topic, 0, otherNode(t, c, c.Leader(t, tp.Topic, 0)).ID)
				produce(t, c, tp.Topic, 0, "next")
				for name, reset := range resets {
					t.Run(name, func(t *testing.T) {
						var book logBook
						consumer := startOn(t, c, append(byHand(groups[name]), kafka.WithAutoOffsetReset(reset), kafka.WithLogger(book.logger(slog.LevelWarn))), tp)
						require.EqualValues(t, 3, read(t, consumer, 1)[0].Offset)
						require.NoError(t, consumer.SeekToCommitted(within(t)))
						require.EqualValues(t, 3, read(t, consumer, 1)[0].Offset)
						require.Empty(t, book.matching("cut"))
					})
				}
			})
		}
	})
}
