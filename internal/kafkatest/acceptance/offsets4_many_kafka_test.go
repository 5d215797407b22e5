//go:build kafka

package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// What offsets4_many_test.go has of ten thousand on a fake, with as many as a small broker makes in seconds.
func TestMany_ThousandPartitionsOfABroker(t *testing.T) {
	const n, each = 1000, 20
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: n})
	began := time.Now()
	require.Eventually(t, func() bool { // metadata is ahead of the broker's folders and files
		offsets, err := c.Admin().ListEndOffsets(within(t), topic)
		return err == nil && offsets.Error() == nil
	}, testTime, 100*time.Millisecond, "the broker does not make its logs")
	t.Logf("the broker has its logs after %v", time.Since(began))

	began = time.Now()
	consumer := start(t, c, kafka.WithTopics(topic))
	all := consumer.Assignment()
	require.Len(t, all, n)
	for p, tp := range all {
		require.Equal(t, tpOf(topic, int32(p)), tp, "sorted by number")
		require.Zero(t, position(t, consumer, tp))
	}
	t.Logf("all %d positions are known after %v", n, time.Since(began))
	require.Less(t, time.Since(began), 2*soon)
	some := []int32{0, 17, n / 2, n - 1}
	producer := kafkatest.NewProducer(t, c, kafkatest.PerBatch(7))
	for _, p := range some {
		producer.Produce(t, topic, p, kafkatest.Values(numbered(0, each)...)...)
	}
	got := readMany(t, consumer, each*len(some))
	require.Len(t, got, len(some))
	for _, p := range some {
		consecutive(t, 0, got[tpOf(topic, p)])
		require.Equal(t, numbered(0, each), texts(got[tpOf(topic, p)]), "partition %d", p)
	}
	began = time.Now()
	producer.Produce(t, topic, 777, kafkatest.Values("one more")...)
	require.Equal(t, []string{"one more"}, texts(read(t, consumer, 1)))
	require.Less(t, time.Since(began), 2*soon)
	ends, err := consumer.EndOffsets(within(t))
	require.NoError(t, err)
	require.Len(t, ends, n)
	require.EqualValues(t, each, ends[tpOf(topic, n-1)])
	require.NoError(t, consumer.SeekToEnd(within(t)))
	for _, tp := range all {
		require.Equal(t, ends[tp], position(t, consumer, tp))
	}
	nothing(t, consumer)
}
