package acceptance

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// compacted makes a log with holes: many keys written over, whole batches and transactions that nothing is left of. It gives the values
// that are left, by offset; behind them are records with the key "roll".
func compacted(t *testing.T, c *kafkatest.Cluster) (tp kafka.TopicPartition, left map[int64]string) {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{Configs: map[string]string{
		"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "400",
		"min.compaction.lag.ms": "0", "delete.retention.ms": "0",
	}})
	tp = tpOf(topic, 0)
	last := make(map[string]*kafkatest.Record)
	n := 0
	write := func(perBatch int, keys ...string) {
		var records []*kafkatest.Record
		for _, key := range keys {
			records = append(records, kafkatest.Keyed(key, fmt.Sprint("value ", n)))
			n++
		}
		// Each by a producer of its own: of the last batch of each its header stays, with nothing in it.
		for _, r := range kafkatest.Produce(t, c, topic, 0, records, kafkatest.PerBatch(perBatch)) {
			last[string(r.Key)] = r
		}
	}
	write(4, "a", "b", "c", "d", "a", "b", "c", "e")
	write(3, "a", "b", "c")
	txn := kafkatest.BeginTxn(t, c)
	txn.Produce(t, topic, 0, kafkatest.Keyed("a", "aborted"), kafkatest.Keyed("z", "aborted"))
	txn.Abort(t)
	write(2, "a", "b", "f", "c") // of the second batch only f stays
	write(3, "c", "a", "b")
	c.AwaitStable(t, topic, 0)
	left = make(map[int64]string)
	for _, r := range last {
		left[r.Offset] = string(r.Value)
	}
	awaitCompaction(t, c, tp, len(left))
	return tp, left
}

// awaitCompaction waits until a reader of committed records finds no more than n. The segment that is written to is never
// compacted: what rolls it is written here.
func awaitCompaction(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition, n int) {
	t.Helper()
	for deadline := time.Now().Add(50 * time.Second); ; <-time.After(300 * time.Millisecond) {
		kafkatest.Produce(t, c, tp.Topic, 0, []*kafkatest.Record{kafkatest.Keyed("roll", "")})
		if c.Fake() != nil {
			c.Fake().Compact()
			return
		}
		got := 0
		for _, r := range otherReader(t, c, tp, true) {
			if string(r.Key) != "roll" {
				got++
			}
		}
		if got == n {
			return
		}
		require.True(t, time.Now().Before(deadline), "%d records are left, not %d", got, n)
	}
}

// otherReader gives what another client reads of a partition, to its end.
func otherReader(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition, committed bool) (out []*kgo.Record) {
	t.Helper()
	level := kgo.ReadUncommitted()
	end := c.EndOffset(t, tp.Topic, tp.Partition)
	if committed {
		level = kgo.ReadCommitted()
	}
	client, err := kgo.NewClient(c.ClientOptions(kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{tp.Topic: {tp.Partition: kgo.NewOffset().AtStart()}}))...)
	require.NoError(t, err)
	defer client.Close()
	for { // the log ends with a record, or a marker
		fetches := client.PollFetches(within(t))
		require.NoError(t, fetches.Err0())
		for r := range fetches.RecordsAll() {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset == end-1 {
				return out
			}
		}
	}
}

// Compaction leaves holes within batches, batches without a record, and offsets that no record is at. All of it is passed, and the
// position with it.
func TestCompaction_HolesAndEmptyBatchesArePassed(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp, left := compacted(t, c)
		offsets := slices.Sorted(maps.Keys(left))
		consumer := startOn(t, c, []kafka.ConsumerOption{kafka.WithIsolationLevel(kafka.ReadCommitted)}, tp)
		for _, at := range offsets {
			m := read(t, consumer, 1)[0]
			require.Equal(t, at, m.Offset)
			require.Equal(t, left[at], string(m.Value))
		}
		eventually(t, func() bool {
			got, err := consumer.GetMany(within(t), kafka.WaitFor(0))
			require.NoError(t, err)
			for _, m := range got[tp] {
				require.Equal(t, "roll", string(m.Key))
			}
			lag, ok := consumer.Lag(tp)
			return ok && lag == 0
		}, "the position does not reach the end")

		next := 0
		for at := int64(0); at <= offsets[len(offsets)-1]; at++ { // into every hole
			if at > offsets[next] {
				next++
			}
			require.NoError(t, consumer.Seek(tp, at))
			require.Equal(t, offsets[next], read(t, consumer, 1)[0].Offset, "from %d", at)
		}
		require.NoError(t, consumer.SeekToBeginning(within(t)))
		require.Equal(t, offsets[0], read(t, consumer, 1)[0].Offset)
	})
}
