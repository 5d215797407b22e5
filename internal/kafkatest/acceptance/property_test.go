package acceptance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// The property: whatever is done in whatever order, a partition's messages are handed out in order, none is left out or comes twice
// without a seek, none of a paused partition or one that was not asked for, and the position is always where the next one is.
//
// A run is told by its seed, which the name of the test shows; KAFKA_TEST_SEED=n runs that one alone. The faults and calls are the same
// then; how goroutines interleave is not.

const propertySteps = 250

func TestProperty_OrderNoLossNoDuplicates(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, uint64(time.Now().UnixNano() % 1e6)}
	if seed, err := strconv.ParseUint(os.Getenv("KAFKA_TEST_SEED"), 10, 64); err == nil {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
				w := newWorld(t, c, seed)
				for w.step = range propertySteps {
					w.act()
					w.checkPositions()
				}
				w.drain()
			})
		})
	}
}

// A world is the consumer under test and a model of what it should be.
type world struct {
	t        *testing.T
	c        *kafkatest.Cluster
	rand     *rand.Rand
	consumer *kafka.Consumer
	typed    *kafka.TypedConsumer[[]byte, string]
	topics   []string
	parts    map[kafka.TopicPartition]*modelled

	committed  bool                   // it reads committed records only
	subscribed []string               // the topics subscribed; none while partitions are assigned by hand
	assigned   []kafka.TopicPartition // those
	step       int
	did        []string // the last steps, for the report
}

// A modelled partition is its log and where the consumer is in it.
type modelled struct {
	log    []string // "" for what is never handed out
	times  []int64  // in ms, as those of the log; -1 for a marker, whose time the test does not know
	next   int64    // nothing below it is to come without a seek
	paused bool
}

// live gives the first offset from at on that has something to hand out, or the log's end.
func (m *modelled) live(at int64) int64 {
	for at < int64(len(m.log)) && m.log[at] == "" {
		at++
	}
	return at
}

func newWorld(t *testing.T, c *kafkatest.Cluster, seed uint64) *world {
	w := &world{t: t, c: c, rand: rand.New(rand.NewPCG(seed, 0)), parts: make(map[kafka.TopicPartition]*modelled)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last steps of %d:\n%s", w.step, strings.Join(w.did[max(0, len(w.did)-30):], "\n"))
		}
	})
	for i := range 2 {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 1 + 2*i, Replicas: 1})
		w.topics = append(w.topics, topic)
		w.grown(topic, 1+2*i)
	}
	w.subscribed = w.topics
	opts := []kafka.ConsumerOption{quick, kafka.WithTopics(w.topics...), kafka.WithMaxPartitionFetchBytes(16 << 10)}
	if w.committed = w.rand.IntN(3) == 0; w.committed {
		// An answer must not be full: kfake leaves aborted transactions out of one that is.
		opts = append(opts, kafka.WithIsolationLevel(kafka.ReadCommitted))
	} else {
		// Little memory and small fetches: batches are dropped and fetched again.
		opts = append(opts, kafka.WithMaxBatchBytes(64<<10), kafka.WithMaxBufferedBytes(256<<10))
	}
	w.consumer = start(t, c, opts...)
	w.typed = kafka.Typed(w.consumer, kafka.Bytes, fussy)
	return w
}

func (w *world) grown(topic string, partitions int) {
	for p := range int32(partitions) {
		if tp := tpOf(topic, p); w.parts[tp] == nil {
			w.parts[tp] = &modelled{}
		}
	}
}

// pick gives one of the assigned partitions.
func (w *world) pick() (kafka.TopicPartition, *modelled) {
	assigned := w.consumer.Assignment()
	tp := assigned[w.rand.IntN(len(assigned))]
	return tp, w.parts[tp]
}

func (w *world) note(format string, args ...any) {
	w.did = append(w.did, fmt.Sprintf("%d: ", w.step)+fmt.Sprintf(format, args...))
}

// act does one thing.
func (w *world) act() {
	switch n := w.rand.IntN(100); {
	case n < 32:
		w.getMany()
	case n < 40:
		w.getTyped()
	case n < 47:
		w.getOne()
	case n < 50:
		w.subscribeOrAssign()
	case n < 70:
		w.produce()
	case n < 78:
		w.seek()
	case n < 86:
		w.pauseOrResume()
	case n < 92:
		w.moveLeader()
	case n < 95:
		w.grow()
	case n < 96:
		w.loseNode()
	case n < 98:
		w.trouble()
	default:
		d := time.Duration(w.rand.IntN(2000)) * time.Millisecond
		w.note("wait %v", d)
		time.Sleep(d)
	}
}

// produce writes to one partition, sometimes in a transaction.
func (w *world) produce() {
	tps := w.sorted()
	tp := tps[w.rand.IntN(len(tps))]
	m := w.parts[tp]
	records, values := w.records(tp, m)
	how := w.rand.IntN(4)
	w.note("produce %d to %v, way %d", len(values), tp, how)
	if how > 1 {
		kafkatest.Produce(w.t, w.c, tp.Topic, tp.Partition, records, kafkatest.PerBatch(1+w.rand.IntN(20)))
		m.log = append(m.log, values...)
		return
	}
	txn := kafkatest.BeginTxn(w.t, w.c)
	txn.Produce(w.t, tp.Topic, tp.Partition, records...)
	if how == 1 {
		txn.Commit(w.t)
	} else {
		txn.Abort(w.t)
		if w.committed {
			values = make([]string, len(values))
		}
	}
	w.c.AwaitStable(w.t, tp.Topic, tp.Partition)
	m.log, m.times = append(append(m.log, values...), ""), append(m.times, -1) // the marker
}

// records makes records for the end of a log, each with a time not before that of the last.
func (w *world) records(tp kafka.TopicPartition, m *modelled) (records []*kafkatest.Record, values []string) {
	at := max(time.Now().UnixMilli(), slices.Max(append(m.times, 0)))
	for i := range 1 + w.rand.IntN(60) {
		values = append(values, fmt.Sprintf("%v-%d %s", tp, len(m.log)+i, strings.Repeat("x", w.rand.IntN(800))))
		at += w.rand.Int64N(3)
		records = append(records, &kafkatest.Record{Value: []byte(values[i]), Timestamp: time.UnixMilli(at)})
		m.times = append(m.times, at)
	}
	return records, values
}

func (w *world) getMany() {
	options := []kafka.GetOption{kafka.WaitFor(time.Duration(w.rand.IntN(3)) * 100 * time.Millisecond), kafka.UpTo(1 + w.rand.IntN(100))}
	var only []kafka.TopicPartition
	if w.rand.IntN(3) == 0 {
		for range 1 + w.rand.IntN(3) {
			tp, _ := w.pick()
			only = append(only, tp)
		}
	}
	got, err := w.consumer.GetMany(context.Background(), append(options, kafka.FromPartitions(only...))...)
	w.note("GetMany from %v: %d", only, count(got))
	require.NoError(w.t, err)
	for tp, msgs := range got {
		require.True(w.t, only == nil || slices.Contains(only, tp), "%v was not asked for", tp)
		for _, m := range msgs {
			w.handed(m)
		}
	}
}

func (w *world) getOne() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var only []kafka.TopicPartition
	if w.rand.IntN(3) == 0 {
		tp, _ := w.pick()
		only = append(only, tp)
	}
	m, err := w.consumer.GetOne(ctx, kafka.FromPartitions(only...))
	w.note("GetOne from %v: %v", only, err)
	if errors.Is(err, context.DeadlineExceeded) {
		return
	}
	require.NoError(w.t, err)
	require.True(w.t, only == nil || only[0] == m.TopicPartition(), "%v was not asked for", m.TopicPartition())
	w.handed(m)
}

// handed checks one message against the model.
func (w *world) handed(m *kafka.Message) {
	tp := m.TopicPartition()
	p := w.parts[tp]
	require.NotNil(w.t, p, "%v does not exist", tp)
	require.True(w.t, w.wants(tp), "%v is not assigned", tp)
	require.False(w.t, p.paused, "%v is paused", tp)
	require.Equal(w.t, p.live(p.next), m.Offset, "the next of %v", tp)
	require.Equal(w.t, p.log[m.Offset], string(m.Value))
	p.next = m.Offset + 1
}

// checkPositions sees that every position is where the next message is, or on the way to it.
func (w *world) checkPositions() {
	for _, tp := range w.consumer.Assignment() {
		p := w.parts[tp]
		at := position(w.t, w.consumer, tp)
		require.GreaterOrEqual(w.t, at, p.next, "%v", tp)
		require.LessOrEqual(w.t, at, p.live(p.next), "%v", tp)
	}
}

func (w *world) seek() {
	tp, p := w.pick()
	ctx := context.Background()
	switch w.rand.IntN(5) {
	case 4:
		w.seekToTime(tp, p)
	case 0:
		w.note("SeekToBeginning %v", tp)
		w.asked(func() error { return w.consumer.SeekToBeginning(ctx, tp) })
		p.next = 0
	case 1:
		w.note("SeekToEnd %v", tp)
		w.asked(func() error { return w.consumer.SeekToEnd(ctx, tp) })
		p.next = int64(len(p.log))
	default:
		p.next = w.rand.Int64N(int64(len(p.log)) + 1)
		w.note("Seek %v to %d of %d", tp, p.next, len(p.log))
		require.NoError(w.t, w.consumer.Seek(tp, p.next))
	}
}

func (w *world) pauseOrResume() {
	tp, p := w.pick()
	p.paused = !p.paused
	w.note("pause %v: %v", tp, p.paused)
	if p.paused {
		require.NoError(w.t, w.consumer.Pause(tp))
	} else {
		require.NoError(w.t, w.consumer.Resume(tp))
	}
}

func (w *world) moveLeader() {
	tp, _ := w.pick()
	to := int32(w.rand.IntN(3))
	w.note("leader of %v: %d", tp, to)
	w.c.MoveLeader(w.t, tp.Topic, tp.Partition, to)
}

func (w *world) grow() {
	topic := w.topics[w.rand.IntN(len(w.topics))]
	n := 0
	for tp := range w.parts {
		if tp.Topic == topic {
			n++
		}
	}
	if n >= 8 {
		return
	}
	w.note("%s grows to %d", topic, n+1)
	w.c.AddPartitions(w.t, topic, n+1)
	w.grown(topic, n+1)
}

// loseNode takes a node away for a while; its partitions have other leaders at once.
func (w *world) loseNode() {
	node := w.c.Nodes()[w.rand.IntN(3)]
	w.note("node %d goes and comes", node.ID)
	node.Kill(w.t)
	w.getMany()
	node.Start(w.t)
}

// trouble makes brokers answer the next requests of a kind with an error that passes.
func (w *world) trouble() {
	kinds := map[kmsg.Key][]*kerr.Error{
		kmsg.Fetch:                {kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.KafkaStorageError, kerr.OffsetNotAvailable, kerr.UnknownServerError},
		kmsg.ListOffsets:          {kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.OffsetNotAvailable, kerr.UnknownServerError},
		kmsg.Metadata:             {kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition},
		kmsg.OffsetForLeaderEpoch: {kerr.NotLeaderForPartition, kerr.UnknownLeaderEpoch, kerr.UnknownServerError},
	}
	key := []kmsg.Key{kmsg.Fetch, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetForLeaderEpoch}[w.rand.IntN(5)]
	code := kinds[key][w.rand.IntN(len(kinds[key]))]
	topic := w.topics[w.rand.IntN(len(w.topics))]
	w.note("%v of %s: %s", key, topic, code.Message)
	w.c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: topic, Err: code, Count: 1 + w.rand.IntN(3)})
}

// drain reads on to the ends of all partitions: nothing was lost.
func (w *world) drain() {
	w.wantAll()
	for tp, p := range w.parts {
		p.paused = false
		eventuallyIn(w.t, func() bool { return slices.Contains(w.consumer.Assignment(), tp) }, "%v is not assigned", tp)
		require.NoError(w.t, w.consumer.Resume(tp))
	}
	behind := func() (left int) {
		for _, p := range w.parts {
			if p.live(p.next) < int64(len(p.log)) {
				left++
			}
		}
		return left
	}
	for tries := 0; behind() > 0; tries++ {
		require.Less(w.t, tries, 3000, "%d partitions are not read to their ends", behind())
		w.getMany()
	}
	eventuallyIn(w.t, func() bool {
		w.getMany()
		for tp, p := range w.parts {
			if position(w.t, w.consumer, tp) != int64(len(p.log)) {
				return false
			}
		}
		return true
	}, "positions do not reach the ends")
}

// eventuallyIn is eventually for a bubble: it waits in the bubble's time.
func eventuallyIn(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	for range 2000 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(t, fmt.Sprintf(what, args...))
}
