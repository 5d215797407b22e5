//go:build kafka

package acceptance

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Weakness 6.1 as it happens: the group's coordinator is killed and comes back, its successor and then itself load the offsets, and all
// the while consumers start. None takes a coordinator that does not know yet for one where nothing is committed.
func TestWeakness_6_1_CoordinatorsThatLoad(t *testing.T) {
	c := kafkatest.Shared3(t)
	tp, group := committedAt5(t, c)
	manyOffsets(t, c, group)
	var book logBook
	w := newWire(c)
	starts := 0
	begin := func() <-chan result {
		starts++
		opts := append(byHand(group), quickRetry, w.option(), kafka.WithAutoOffsetReset(kafka.ResetLatest), kafka.WithLogger(book.logger(slog.LevelInfo)))
		consumer := newConsumer(t, c, opts...)
		t.Cleanup(func() { consumer.Close() })
		return inBackground(func() error {
			if err := consumer.Assign(tp); err != nil {
				return err
			}
			if err := consumer.Start(within(t)); err != nil {
				return err
			}
			at, err := consumer.Position(within(t), tp)
			if err == nil && at != 5 {
				err = fmt.Errorf("the position is %d, not the committed one", at)
			}
			return err
		})
	}
	for round := range 2 {
		coordinator := c.Node(t, coordinatorOf(t, c, group))
		coordinator.Kill(t)
		var consumers []<-chan result
		for range 10 { // over the time that it takes to miss the node
			consumers = append(consumers, begin())
			<-time.After(400 * time.Millisecond)
		}
		back := inBackground(func() error { return c.Real().Node(coordinator.ID).Start(within(t)) })
		for range 10 { // and to count it in again
			consumers = append(consumers, begin())
			<-time.After(200 * time.Millisecond)
		}
		require.NoError(t, ended(t, back).err)
		for i, one := range consumers {
			require.NoError(t, ended(t, one).err, "round %d, consumer %d", round, i)
		}
	}
	require.Empty(t, book.matching("reset"))
	t.Logf("%d consumers began: %d looked for the coordinator, %d for the offset", starts, w.of(kmsg.FindCoordinator), w.of(kmsg.OffsetFetch))
	require.EqualValues(t, 5, storedAt(t, c, group, tp), "and nothing else was committed")
}

// manyOffsets gives a coordinator something to load: thousands of commits of the group, of other partitions. They go on until the test ends,
// as a coordinator needs them: one whose high watermark moves while it loads may miss that, takes what it has loaded for not yet
// replicated until the next write, and lets every OffsetFetch time out, for which it says NOT_COORDINATOR (4.3.1 listens
// for the high watermark only when it has loaded).
func manyOffsets(t *testing.T, c *kafkatest.Cluster, group string) {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 50})
	offsets := make(map[kafka.TopicPartition]kafka.OffsetAndMetadata)
	var tps []kafka.TopicPartition
	for p := range int32(50) {
		tps = append(tps, tpOf(topic, p))
		offsets[tps[p]] = kafka.OffsetAndMetadata{Offset: 1, Metadata: string(make([]byte, 500))}
	}
	consumer := startOn(t, c, byHand(group), tps...)
	for range 100 {
		require.NoError(t, consumer.CommitOffsets(within(t), offsets))
	}
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			_ = consumer.CommitOffsets(t.Context(), offsets) // whether it succeeds is not what is tested
			select {
			case <-tick.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
}
