package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

var isolations = map[string]kafka.IsolationLevel{"read_committed": kafka.ReadCommitted, "read_uncommitted": kafka.ReadUncommitted}

// eachIsolation runs a test for both isolation levels.
func eachIsolation(t *testing.T, test func(t *testing.T, c *kafkatest.Cluster, level kafka.IsolationLevel)) {
	for name, level := range isolations {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) { test(t, c, level) })
		})
	}
}

func TestTransactions_CommittedAndAborted(t *testing.T) {
	eachIsolation(t, func(t *testing.T, c *kafkatest.Cluster, level kafka.IsolationLevel) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		txn := kafkatest.BeginTxn(t, c)
		all, committed := map[int32][]string{}, map[int32][]string{}
		for round, commit := range []bool{true, false, false, true, false} {
			for p := range int32(2) {
				values := numbered(round*10, round*10+3)
				txn.Produce(t, topic, p, kafkatest.Values(values...)...)
				all[p] = append(all[p], values...)
				if commit {
					committed[p] = append(committed[p], values...)
				}
			}
			if commit {
				txn.Commit(t)
			} else {
				txn.Abort(t)
			}
			if round < 4 {
				txn.Begin(t)
			}
		}
		for p := range int32(2) {
			c.AwaitStable(t, topic, p)
			produce(t, c, topic, p, "plain")
			all[p], committed[p] = append(all[p], "plain"), append(committed[p], "plain")
		}
		want := all
		if level == kafka.ReadCommitted {
			want = committed
		}
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(level))
		got := readMany(t, consumer, len(want[0])+len(want[1]))
		for p := range int32(2) {
			require.Equal(t, want[p], texts(got[tpOf(topic, p)]), "partition %d", p)
		}
		nothing(t, consumer)
	})
}

// Behind an open transaction nothing is handed out to readers of committed records, other producers' records included.
func TestTransactions_OpenOneHoldsReadersOfCommittedRecords(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, "before")
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values("in it")...)
		produce(t, c, topic, 0, "behind it")
		committed := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
		dirty := start(t, c, kafka.WithTopics(topic))

		require.Equal(t, []string{"before", "in it", "behind it"}, texts(read(t, dirty, 3)))
		require.Equal(t, []string{"before"}, texts(read(t, committed, 1)))
		nothing(t, committed)
		eventually(t, func() bool { end, ok := committed.Highwater(tp); return ok && end == 3 }, "the highwater")
		stable, ok := committed.LastStableOffset(tp)
		require.True(t, ok)
		require.EqualValues(t, 1, stable)
		lag, ok := committed.Lag(tp)
		require.True(t, ok)
		require.Zero(t, lag, "to the last stable offset")
		eventually(t, func() bool { stable, ok := dirty.LastStableOffset(tp); return ok && stable == 1 }, "brokers tell it to readers of uncommitted records, too")
		lag, ok = dirty.Lag(tp)
		require.True(t, ok)
		require.Zero(t, lag, "to the highwater")

		ctx := within(t)
		ends, err := committed.EndOffsets(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, ends[tp], "the last stable offset")
		ends, err = dirty.EndOffsets(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 3, ends[tp])
		require.NoError(t, committed.SeekToEnd(ctx))
		require.EqualValues(t, 1, position(t, committed, tp))
		require.NoError(t, dirty.SeekToEnd(ctx))
		require.EqualValues(t, 3, position(t, dirty, tp))

		txn.Commit(t)
		require.Equal(t, []string{"in it", "behind it"}, texts(read(t, committed, 2)), "as soon as it ends")
		nothing(t, dirty)
		eventually(t, func() bool { stable, _ := committed.LastStableOffset(tp); return stable == 4 }, "the last stable offset")
	})
}

func TestTransactions_AbortOfAnOpenOneLetsTheRestThrough(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values(numbered(0, 5)...)...)
		produce(t, c, topic, 0, "behind it")
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
		nothing(t, consumer)
		txn.Abort(t)
		m := read(t, consumer, 1)[0]
		require.Equal(t, "behind it", string(m.Value))
		require.EqualValues(t, 5, m.Offset)
	})
}

// Interleaved transactions of two producers: an abort marker is for its own producer's records only.
func TestTransactions_Interleaved(t *testing.T) {
	eachIsolation(t, func(t *testing.T, c *kafkatest.Cluster, level kafka.IsolationLevel) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		one, two := kafkatest.BeginTxn(t, c), kafkatest.BeginTxn(t, c)
		for i := range 5 {
			one.Produce(t, topic, 0, kafkatest.Values("one "+numbered(i, i+1)[0])...)
			two.Produce(t, topic, 0, kafkatest.Values("two "+numbered(i, i+1)[0])...)
			produce(t, c, topic, 0, "plain "+numbered(i, i+1)[0])
		}
		one.Abort(t)
		one.Begin(t)
		one.Produce(t, topic, 0, kafkatest.Values("one again")...)
		two.Commit(t)
		one.Commit(t)
		c.AwaitStable(t, topic, 0)
		var want []string
		for i := range 5 {
			if level == kafka.ReadUncommitted {
				want = append(want, "one "+numbered(i, i+1)[0])
			}
			want = append(want, "two "+numbered(i, i+1)[0], "plain "+numbered(i, i+1)[0])
		}
		want = append(want, "one again")
		// Small fetches: each answer has its own list of aborted transactions.
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(level), kafka.WithMaxPartitionFetchBytes(200))
		require.Equal(t, want, texts(read(t, consumer, len(want))))
		nothing(t, consumer)
	})
}

// A log that ends with nothing to hand out: the position passes aborted records and markers by itself, so that nobody
// takes the partition for lagging. In the original it stays until a Get call comes by.
func TestTransactions_PositionPassesWhatIsNotHandedOut(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values(numbered(0, 10)...)...)
		txn.Abort(t)
		txn.Begin(t)
		txn.Produce(t, topic, 0, kafkatest.Values(numbered(10, 12)...)...)
		txn.Abort(t)
		c.AwaitStable(t, topic, 0)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
		eventually(t, func() bool { return position(t, consumer, tp) == 14 }, "only aborted records: the position")
		lag, ok := consumer.Lag(tp)
		require.True(t, ok)
		require.Zero(t, lag)
		nothing(t, consumer)

		dirty := start(t, c, kafka.WithTopics(topic))
		require.Equal(t, numbered(0, 12), texts(read(t, dirty, 12)))
		eventually(t, func() bool { return position(t, dirty, tp) == 14 }, "past the last marker")
	})
}

func TestTransactions_SeekOntoControlRecords(t *testing.T) {
	eachIsolation(t, func(t *testing.T, c *kafkatest.Cluster, level kafka.IsolationLevel) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values("a", "b")...) // 0, 1
		txn.Commit(t)                                           // 2
		txn.Begin(t)
		txn.Produce(t, topic, 0, kafkatest.Values("c")...) // 3
		txn.Abort(t)                                       // 4
		c.AwaitStable(t, topic, 0)
		produce(t, c, topic, 0, "d") // 5
		want := map[int64]int64{2: 3, 3: 3, 4: 5}
		if level == kafka.ReadCommitted {
			want[2], want[3] = 5, 5
		}
		// With little to a fetch each batch comes alone, the marker too.
		limits := map[string][]kafka.ConsumerOption{
			"at once":                nil,
			"batches to a partition": {kafka.WithMaxPartitionFetchBytes(10)},
			"batches to a fetch":     {kafka.WithFetchMaxBytes(10)},
		}
		if c.Fake() != nil && level == kafka.ReadCommitted {
			delete(limits, "batches to a fetch") // kfake leaves out the aborted transactions of an answer that the request's limit ends
		}
		for name, limit := range limits {
			t.Run(name, func(t *testing.T) {
				consumer := start(t, c, append(limit, kafka.WithTopics(topic), kafka.WithIsolationLevel(level))...)
				for _, at := range []int64{2, 4, 3} {
					require.NoError(t, consumer.Seek(tp, at))
					require.Equal(t, want[at], read(t, consumer, 1)[0].Offset, "from %d", at)
				}
			})
		}
	})
}

// An abort marker without a record before it: its transaction has written nothing to the partition.
func TestTransactions_SolitaryAbortMarker(t *testing.T) {
	eachIsolation(t, func(t *testing.T, c *kafkatest.Cluster, level kafka.IsolationLevel) {
		tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
		txn := beginRawTxn(t, c)
		txn.addPartition(t, tp)
		txn.end(t, false)
		eventually(t, func() bool { return c.EndOffset(t, tp.Topic, 0) == 1 }, "the marker")
		c.AwaitStable(t, tp.Topic, 0)
		consumer := startOn(t, c, []kafka.ConsumerOption{kafka.WithIsolationLevel(level)}, tp)
		eventually(t, func() bool { return position(t, consumer, tp) == 1 }, "past the marker, of which nothing is handed out")
		nothing(t, consumer)
		produce(t, c, tp.Topic, 0, "a", "b")
		got := read(t, consumer, 2)
		require.Equal(t, []string{"a", "b"}, texts(got))
		consecutive(t, 1, got)
		for _, at := range []int64{0, 1} {
			require.NoError(t, consumer.Seek(tp, at))
			require.EqualValues(t, 1, read(t, consumer, 1)[0].Offset, "from %d", at)
		}
	})
}

// A seek into the middle of an aborted transaction: its first record is before the position, and still it counts.
func TestTransactions_SeekIntoAnAbortedOne(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		txn := kafkatest.BeginTxn(t, c, kafkatest.PerBatch(1))
		txn.Produce(t, topic, 0, kafkatest.Values(numbered(0, 6)...)...)
		txn.Abort(t)
		c.AwaitStable(t, topic, 0)
		produce(t, c, topic, 0, "plain")
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(kafka.ReadCommitted))
		for _, at := range []int64{3, 5, 0} {
			require.NoError(t, consumer.Seek(tpOf(topic, 0), at))
			require.Equal(t, []string{"plain"}, texts(read(t, consumer, 1)), "from %d", at)
		}
	})
}
