package acceptance

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Weakness 6.21 of the original: what is fetched ahead grows with the partitions. Here it stays within WithMaxBufferedBytes, however
// many there are, and a partition that is wanted flows all the same.
func TestWeakness_6_21_FetchingAheadStaysWithinTheBound(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const partitions, each, bound = 8, 1000, 1 << 20
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
		producer := kafkatest.NewProducer(t, c, kafkatest.PerBatch(16))
		for p := range int32(partitions) {
			producer.Produce(t, topic, p, kafkatest.Numbered(each, 1000)...)
		}
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithTopics(topic),
			kafka.WithMaxBufferedBytes(bound), kafka.WithMaxBatchBytes(bound/4), kafka.WithMaxPartitionFetchBytes(bound/4))
		w.quiet(t, 300*time.Millisecond)
		require.LessOrEqual(t, w.received.Load(), int64(bound*5/4), "of %d bytes there are", partitions*each*1000)
		require.Greater(t, w.received.Load(), int64(bound/8), "it does fetch ahead")

		last := tpOf(topic, partitions-1)
		consecutive(t, 0, read(t, consumer, each, kafka.FromPartitions(last)))
		w.quiet(t, 300*time.Millisecond)
		// And one that is wanted after it, while the others hold what they have.
		first := tpOf(topic, 0)
		require.NoError(t, consumer.Pause(consumer.Assignment()[1:]...))
		consecutive(t, 0, read(t, consumer, each))
		require.EqualValues(t, each, position(t, consumer, first))
		require.NoError(t, consumer.Resume(consumer.Assignment()...))
		got := readMany(t, consumer, (partitions-2)*each)
		for p := int32(1); p < partitions-1; p++ {
			consecutive(t, 0, got[tpOf(topic, p)])
			require.Len(t, got[tpOf(topic, p)], each)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first one only ages what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Records that are small on the wire and large in memory count for what they are in memory.
func TestMemory_DecompressedBytesCount(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const partitions, each, size, bound, upTo = 4, 40, 900_000, 16 << 20, 5
		const besides = 2 << 20 // connections, codecs, what the embedded broker has in hand
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
		producer := kafkatest.NewProducer(t, c, kafkatest.Zstd, kafkatest.PerBatch(1), kafkatest.BatchBytes(1<<20))
		record := &kafkatest.Record{Value: make([]byte, size)}
		for p := range int32(partitions) {
			for range each {
				producer.Produce(t, topic, p, record)
			}
		}
		consumer := start(t, c, kafka.WithMaxBufferedBytes(bound), kafka.WithMaxBatchBytes(2<<20))
		before := heap()
		require.NoError(t, consumer.Subscribe([]string{topic}))
		got, most := 0, uint64(0)
		for got < partitions*each {
			batch, err := consumer.GetMany(within(t), kafka.UpTo(upTo))
			require.NoError(t, err)
			for _, msgs := range batch {
				for _, m := range msgs {
					require.Len(t, m.Value, size)
					got++
				}
			}
			clear(batch)
			if got%20 == 0 {
				most = max(most, heap())
			}
		}
		grown := max(most, before) - before
		t.Logf("the heap grew by %d KiB; there were %d KiB in all", grown>>10, partitions*each*size>>10)
		require.Less(t, grown, uint64(bound+upTo*size+besides), "the bound, what is handed out, and little else")
	})
}

// Paused partitions that fill the bound give up their newest batches for one that is wanted, and get them again.
func TestMemory_PausedPartitionsMakeRoom(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const partitions, each, bound = 6, 500, 256 << 10
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
		producer := kafkatest.NewProducer(t, c, kafkatest.PerBatch(8))
		for p := range int32(partitions) {
			producer.Produce(t, topic, p, kafkatest.Numbered(each, 1000)...)
		}
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithMaxBufferedBytes(bound),
			kafka.WithMaxBatchBytes(bound/4), kafka.WithMaxPartitionFetchBytes(bound/4))
		for p := range int32(partitions) {
			tp := tpOf(topic, p)
			read(t, consumer, 1, kafka.FromPartitions(tp))
			require.NoError(t, consumer.Pause(tp))
		}
		for p := range int32(partitions) {
			tp := tpOf(topic, p)
			require.NoError(t, consumer.Resume(tp))
			consecutive(t, 1, read(t, consumer, each-1, kafka.FromPartitions(tp)))
		}
		nothing(t, consumer)
	})
}

// Weakness 6.20 of the original: one answer per partition is buffered, and the next asked for when it is drained. Here the next has
// come while the application is still at the one before.
func TestWeakness_6_20_TheNextAnswerIsThereBeforeTheLastIsDrained(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		const fetch = 20 << 10
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(100, 1000), kafkatest.PerBatch(1))
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic), kafka.WithMaxPartitionFetchBytes(fetch))
		read(t, consumer, 1)
		w.quiet(t, 200*time.Millisecond)
		for _, n := range c.Nodes() {
			n.Proxy.Silence(kafkatest.BothWays)
		}
		n := 0
		for {
			batch, err := consumer.GetMany(within(t), kafka.WaitFor(short))
			require.NoError(t, err)
			if len(batch) == 0 {
				break
			}
			n += count(batch)
		}
		require.Greater(t, n, fetch/1000, "more than one answer has")
		require.LessOrEqual(t, n, 4*fetch/1000)
	})
}
