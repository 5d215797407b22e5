//go:build kafka

package acceptance

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// spoil changes one byte of a record that a stopped broker has on disk. A broker that was stopped in good order does not look its logs
// through when it starts, and sends what is there.
func spoil(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition, from, to string) {
	t.Helper()
	segment := firstSegment(t, c, tp)
	log, err := os.ReadFile(segment)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(log, []byte(from)))
	require.Len(t, to, len(from))
	require.NoError(t, os.WriteFile(segment, bytes.Replace(log, []byte(from), []byte(to), 1), 0o600))
}

// A byte that has changed on a broker's disk: what is good before it comes first, the batch is fetched once more, then told until it is
// sought past; without the checks it is read as it is.
func TestCorrupt_ByteOnTheBrokersDisk(t *testing.T) {
	c := kafkatest.StartCluster(t, launch.Options{})
	tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	values := []string{"a", "b", "it was good", "beside it", "e", "f"}
	kafkatest.Produce(t, c, tp.Topic, 0, kafkatest.Values(values...), kafkatest.PerBatch(2))
	node := c.Nodes()[0]
	node.Stop(t)
	spoil(t, c, tp, "it was good", "it was g0od")
	node.Start(t)

	w := newWire(c)
	consumer := start(t, c, w.option(), kafka.WithTopics(tp.Topic), kafka.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond))
	require.Equal(t, values[:2], texts(read(t, consumer, 2)), "the good ones come first")
	var corrupt *kafka.CorruptRecordError
	tell := func(at int64) {
		_, err := consumer.GetOne(within(t))
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, tp, corrupt.TopicPartition)
		require.Equal(t, at, corrupt.Offset)
		require.EqualValues(t, 4, corrupt.NextOffset)
		require.Contains(t, corrupt.Hint(), "4")
		require.ErrorContains(t, err, corrupt.Hint())
	}
	tell(2)
	require.GreaterOrEqual(t, w.of(kmsg.Fetch), 2, "fetched once more")
	fetches := w.of(kmsg.Fetch)
	for range 3 {
		tell(2)
	}
	require.Equal(t, fetches, w.of(kmsg.Fetch), "and once is enough")
	t.Logf("%d fetches", fetches)
	require.EqualValues(t, 2, position(t, consumer, tp), "nothing is skipped unasked")

	require.NoError(t, consumer.Seek(tp, corrupt.NextOffset))
	require.Equal(t, values[4:], texts(read(t, consumer, 2)))
	require.NoError(t, consumer.Seek(tp, 3))
	tell(3) // which is in the same batch
	require.NoError(t, consumer.SeekToBeginning(within(t)))
	require.Equal(t, values[:2], texts(read(t, consumer, 2)))
	tell(2)

	trusting := start(t, c, kafka.WithTopics(tp.Topic), kafka.WithCheckCRCs(false))
	require.Equal(t, []string{"a", "b", "it was g0od", "beside it", "e", "f"}, texts(read(t, trusting, 6)))
}
