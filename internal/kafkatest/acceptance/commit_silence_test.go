package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Commits to a coordinator that says nothing, which any cluster can show behind a proxy; commit_errors_test.go has the answers that only a
// fake gives.

// silencing starts a consumer that has committed 1 through the proxies; commit begins another commit.
func silencing(t *testing.T, c *kafkatest.Cluster) (consumer *kafka.Consumer, tp kafka.TopicPartition, group string, commit func(offset int64) <-chan result) {
	t.Helper()
	tp, group = tpOf(c.NewTopic(t, kafkatest.Topic{}), 0), kafkatest.TopicName(t)
	consumer = startOn(t, c, append(byHand(group), quickRetry, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...)), tp)
	commit = func(offset int64) <-chan result {
		return inBackground(func() error {
			return consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: offset}})
		})
	}
	require.NoError(t, ended(t, commit(1)).err)
	return consumer, tp, group, commit
}

func silence(c *kafkatest.Cluster, ways kafkatest.Direction) {
	for _, n := range c.Nodes() {
		n.Proxy.Silence(ways)
	}
}

// The first's answer is lost with its connection, and it is sent again: the second still comes behind it.
func TestCommit_NeverOvertakesOneThatIsNotAnswered(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, ways := range map[string]kafkatest.Direction{"requests do not arrive": kafkatest.BothWays, "answers do not": kafkatest.ToClient} {
			t.Run(name, func(t *testing.T) {
				consumer, tp, group, commit := silencing(t, c)
				silence(c, ways)
				first := commit(2)
				blocked(t, first)
				second := commit(3)
				blocked(t, second)
				err := consumer.CommitOffsets(until(t, short), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 4}})
				require.ErrorContains(t, err, "context deadline exceeded", "one that waits for its turn has its own ctx")
				blocked(t, first)
				require.Less(t, storedAt(t, c, group, tp), int64(3), "the second is not sent before the first is answered")
				for _, n := range c.Nodes() {
					n.Proxy.Drop()
				}
				silence(c, 0)
				require.NoError(t, ended(t, first).err)
				require.NoError(t, ended(t, second).err)
				require.EqualValues(t, 3, storedAt(t, c, group, tp), "and what was given up is not committed later")
			})
		}
	})
}

func TestCommit_StopEndsOneThatIsNotAnswered(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, _, _, commit := silencing(t, c)
		silence(c, kafkatest.BothWays)
		defer silence(c, 0)
		first, second := commit(2), commit(3)
		blocked(t, first)
		began := time.Now()
		require.NoError(t, consumer.Stop(until(t, testTime/2)))
		require.Less(t, time.Since(began), soon)
		for _, one := range []<-chan result{first, second} {
			require.ErrorIs(t, ended(t, one).err, kafka.ErrConsumerStopped)
		}
	})
}
