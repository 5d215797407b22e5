package acceptance

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Ten thousand partitions: the start, a read of a few, and standing by cost what can be counted.
func TestMany_TenThousandPartitions(t *testing.T) {
	const n = 10_000
	c := kafkatest.Fake(t, kafkatest.FakeOptions{Nodes: 3})
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: n, Replicas: 1})
	some := []int32{0, 17, 4999, 5000, n - 1}
	for _, p := range some {
		produce(t, c, topic, p, numbered(0, 20)...)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, goroutines, began := heap(), runtime.NumGoroutine(), time.Now()
	consumer := start(t, c, kafka.WithTopics(topic))
	require.Len(t, consumer.Assignment(), n)
	got := readMany(t, consumer, 20*len(some))
	require.Len(t, got, len(some))
	for _, p := range some {
		require.Equal(t, numbered(0, 20), texts(got[tpOf(topic, p)]), "partition %d", p)
	}
	require.Less(t, time.Since(began), testTime/2)
	require.Less(t, (heap()-before)>>20, int64(150), "MiB, the fake's own and the answers' included")
	require.Less(t, runtime.NumGoroutine()-goroutines, 100, "goroutines do not grow with partitions")

	// Steady: what is written comes soon, and of a partition that is sought or resumed.
	p := tpOf(topic, 7777)
	began = time.Now()
	produce(t, c, topic, p.Partition, "one more")
	require.Equal(t, []string{"one more"}, texts(read(t, consumer, 1)))
	require.Less(t, time.Since(began), 2*soon)
	require.NoError(t, consumer.Seek(p, 0))
	require.Equal(t, []string{"one more"}, texts(read(t, consumer, 1)))
	ends, err := consumer.EndOffsets(within(t))
	require.NoError(t, err)
	require.Len(t, ends, n)
	require.NoError(t, consumer.SeekToEnd(within(t)))
	nothing(t, consumer)
}

// One partition that cannot go on beside ones that flow.
func TestMany_StuckPartitionHoldsNobodyUp(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 4})
		const perPartition = 2000
		for p := range int32(4) {
			kafkatest.Produce(t, c, topic, p, kafkatest.Numbered(perPartition, 100), kafkatest.PerBatch(50))
		}
		for name, stick := range map[string]func(*kafka.Consumer, kafka.TopicPartition) error{
			"paused":       func(consumer *kafka.Consumer, tp kafka.TopicPartition) error { return consumer.Pause(tp) },
			"out of range": func(consumer *kafka.Consumer, tp kafka.TopicPartition) error { return consumer.Seek(tp, 1<<40) },
		} {
			t.Run(name, func(t *testing.T) {
				consumer := start(t, c, quickRetry, kafka.WithTopics(topic), kafka.WithAutoOffsetReset(kafka.ResetNone))
				require.NoError(t, consumer.SeekToBeginning(within(t)))
				stuck := tpOf(topic, 2)
				require.NoError(t, stick(consumer, stuck))
				got := make(map[kafka.TopicPartition]int64)
				for left := 3 * perPartition; left > 0; {
					batch, err := consumer.GetMany(within(t))
					if err != nil {
						require.Equal(t, "out of range", name)
						continue
					}
					for tp, msgs := range batch {
						consecutive(t, got[tp], msgs)
						got[tp] += int64(len(msgs))
						left -= len(msgs)
					}
				}
				require.Len(t, got, 3)
				require.NotContains(t, got, stuck)
			})
		}
	})
}

// Partitions that nobody wants now fill the bound: what a call does want comes all the same, and afterwards theirs, each once.
func TestMany_UnwantedPartitionsThatFillTheBound(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const n, size, partitions = 60, 10_000, 6
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
		for p := range int32(partitions) {
			kafkatest.Produce(t, c, topic, p, kafkatest.Numbered(n, size), kafkatest.PerBatch(5))
		}
		var paused, others []kafka.TopicPartition
		for p := range int32(partitions) {
			if p < 3 {
				paused = append(paused, tpOf(topic, p))
			} else {
				others = append(others, tpOf(topic, p))
			}
		}
		consumer := startOn(t, c, []kafka.ConsumerOption{kafka.WithMaxBatchBytes(128 << 10), kafka.WithMaxBufferedBytes(768 << 10),
			kafka.WithMaxPartitionFetchBytes(128 << 10), kafka.WithFetchMaxWait(50 * time.Millisecond)}, paused...)
		eventually(t, func() bool {
			return slices.ContainsFunc(paused, func(tp kafka.TopicPartition) bool { _, fetched := consumer.Highwater(tp); return fetched })
		}, "nothing is fetched ahead")
		require.NoError(t, consumer.Pause(paused...))
		require.NoError(t, consumer.Assign(append(others, paused...)...))
		for _, wanted := range others { // one after the other: those behind it fill the bound too
			for at := position(t, consumer, wanted); at < n; at++ {
				m := read(t, consumer, 1, kafka.FromPartitions(wanted))[0]
				require.Equal(t, at, m.Offset)
			}
		}
		require.Equal(t, paused, consumer.Paused())
		require.NoError(t, consumer.Resume(paused...))
		rest := readMany(t, consumer, 3*n)
		require.True(t, slices.Equal(paused, sortedKeys(rest)))
		for _, tp := range paused {
			consecutive(t, 0, rest[tp])
		}
		nothing(t, consumer)
	})
}
