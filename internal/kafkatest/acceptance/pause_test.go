package acceptance

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestPause_NothingOfThePartitionIsHandedOutUntilResume(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, p0, p1 := twoPartitions(t, c, 20)
		require.NoError(t, consumer.Pause(p0))
		require.NoError(t, consumer.Pause(p0), "twice is no error")
		require.NoError(t, consumer.Pause(), "of none does nothing")
		require.Equal(t, []kafka.TopicPartition{p0}, consumer.Paused())
		got := readMany(t, consumer, 20)
		require.Equal(t, []kafka.TopicPartition{p1}, sortedKeys(got))
		nothing(t, consumer)
		nothing(t, consumer, kafka.FromPartitions(p0))
		require.EqualValues(t, 0, position(t, consumer, p0))
		require.NoError(t, consumer.Resume())
		require.Equal(t, []kafka.TopicPartition{p0}, consumer.Paused())
		require.NoError(t, consumer.Resume(p0, p1))
		require.Empty(t, consumer.Paused())
		consecutive(t, 0, readMany(t, consumer, 20)[p0])
	})
}

func TestPause_ResumeWakesACallThatWaits(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 3, 3)
		read(t, consumer, 1)
		require.NoError(t, consumer.Pause(tp))
		one := inBackground(func() error { _, err := consumer.GetOne(context.Background()); return err })
		blocked(t, one)
		require.NoError(t, consumer.Resume(tp))
		require.NoError(t, ended(t, one).err)
		require.EqualValues(t, 2, position(t, consumer, tp))
	})
}

// Weakness 6.18 of the original: pausing throws prefetched messages away. Here they are handed out after Resume without the broker.
func TestWeakness_6_18_PauseKeepsTheBuffer(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 100)...)
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic))
		read(t, consumer, 1)
		require.NoError(t, consumer.Pause(tp))
		for _, n := range c.Nodes() {
			n.Proxy.Silence(kafkatest.BothWays)
		}
		require.NoError(t, consumer.Resume(tp))
		ctx := until(t, soon)
		for i := range int64(99) {
			m, err := consumer.GetOne(ctx)
			require.NoError(t, err)
			require.Equal(t, i+1, m.Offset)
		}
	})
}

// A paused partition is left out of fetches once its buffer is what it is.
func TestPause_PausedPartitionIsNotFetched(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
	consumer := start(t, c, kafka.WithTopics(topic))
	produce(t, c, topic, 0, "a")
	produce(t, c, topic, 1, "b")
	readMany(t, consumer, 2)
	require.NoError(t, consumer.Pause(tpOf(topic, 0)))
	var asked [2]atomic.Int64 // by partition
	watchRequests(c, kmsg.Fetch, func(r kmsg.Request) {
		for _, rt := range r.(*kmsg.FetchRequest).Topics {
			for _, rp := range rt.Partitions {
				asked[rp.Partition].Add(1)
			}
		}
	})
	for i := range 20 {
		produce(t, c, topic, 0, "paused")
		produce(t, c, topic, 1, "flows")
		require.EqualValues(t, i+1, read(t, consumer, 1)[0].Offset)
	}
	// At most the poll that was on its way when it was paused names it, and nobody has asked again.
	require.LessOrEqual(t, asked[0].Load(), int64(1))
	require.NotZero(t, asked[1].Load())
	end, _ := consumer.Highwater(tpOf(topic, 0))
	require.LessOrEqual(t, end, int64(2))
}

// The same as it looks on the wire, also of a real broker: what is written to a paused partition does not come.
func TestPause_NothingOfAPausedPartitionIsSent(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const rounds, size = 20, 20_000
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithTopics(topic))
		produce(t, c, topic, 0, "a")
		produce(t, c, topic, 1, "b")
		readMany(t, consumer, 2)
		require.NoError(t, consumer.Pause(tpOf(topic, 0)))
		producer := kafkatest.NewProducer(t, c)
		before := w.received.Load()
		for i := range rounds {
			producer.Produce(t, topic, 0, kafkatest.Numbered(1, size)...)
			producer.Produce(t, topic, 1, kafkatest.Values("flows")...)
			require.EqualValues(t, i+1, read(t, consumer, 1)[0].Offset)
		}
		// At most the poll that was on its way when it was paused brings some.
		require.Less(t, w.received.Load()-before, int64(3*size), "bytes, of %d written", rounds*size)
		end, _ := consumer.Highwater(tpOf(topic, 0))
		require.LessOrEqual(t, end, int64(2))
		require.NoError(t, consumer.Resume(tpOf(topic, 0)))
		consecutive(t, 1, read(t, consumer, rounds))
	})
}
