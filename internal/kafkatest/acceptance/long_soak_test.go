//go:build kafka && long

package acceptance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

const (
	soakValue = 100                    // bytes: partition, number within it, and the number again at the end
	soakStall = 500 * time.Millisecond // from here on a pause is told
)

// A soak is a stream of numbered records, and who writes and reads it.
type soak struct {
	topic  string
	total  int64
	rest   int64         // where the application takes nothing for a while
	holdAt int64         // where the producer waits for goOn
	goOn   chan struct{} // closed by the test
	began  time.Time

	acked  [soakPartitions]atomic.Int64
	got    atomic.Int64
	marks  [soakPartitions]atomic.Pointer[soakMark]
	failed atomic.Pointer[error] // the producer's or the reader's end

	mu sync.Mutex // guards the fault's figures that the producer and the reader note

	// The reader's and the producer's own, until they have ended.
	next        [soakPartitions]int64
	stalls      []soakPause
	ahead       int64         // bytes that came while the application took nothing
	rested      time.Duration // how long that was
	wrote, took time.Duration
}

// A soakPause is a time in which the reader got nothing.
type soakPause struct {
	from, length time.Duration
	records      int64
}

// A soakMark waits for the first record of a partition that a new leader acknowledges, and then for that record to be read.
type soakMark struct {
	fault   *soakFault
	elected time.Time
	offset  atomic.Int64 // −1 until there is one
	at      atomic.Int64 // when it was acknowledged, since began
}

// A soakFault is a leader killed and what came of it.
type soakFault struct {
	soak       *soak
	cluster    *kafkatest.Cluster
	node       int32
	partitions int // that it led
	at         time.Time
	elected    time.Duration // until all of them had new leaders
	back       time.Duration

	// Guarded by soak.mu.
	resumed, behind time.Duration
	noted           int
}

// fault kills the leader of a partition and waits for its partitions to have others.
func (s *soak) fault(t *testing.T, c *kafkatest.Cluster, partition int32) *soakFault {
	t.Helper()
	f := &soakFault{soak: s, cluster: c, node: c.Leader(t, s.topic, partition)}
	var led []int32
	for p := range int32(soakPartitions) {
		if c.Leader(t, s.topic, p) == f.node {
			led = append(led, p)
		}
	}
	f.partitions = len(led)
	f.at = time.Now()
	c.Node(t, f.node).Kill(t)
	for _, p := range led {
		c.AwaitNewLeader(t, s.topic, p, f.node)
		f.elected = time.Since(f.at)
		m := &soakMark{fault: f, elected: time.Now()}
		m.offset.Store(-1)
		s.marks[p].Store(m)
	}
	return f
}

// inBackground runs the producer or the reader, whose failure ends what the test waits for.
func (s *soak) inBackground(run func() error) <-chan result {
	return inBackground(func() error {
		err := run()
		if err != nil {
			s.failed.CompareAndSwap(nil, &err)
		}
		return err
	})
}

// await waits until so many records have been read; it fails when the producer or the reader has, or the reader stands still for too long.
func (s *soak) await(t *testing.T, n int64) {
	t.Helper()
	last, since := int64(-1), time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.got.Load() < n {
		<-tick.C
		if err := s.failed.Load(); err != nil {
			require.NoError(t, *err, "with %d of %d read", s.got.Load(), s.total)
		}
		if now := s.got.Load(); now != last {
			last, since = now, time.Now()
		}
		require.Less(t, time.Since(since), soakPatience, "the reader stands still at %d of %d", last, s.total)
	}
}

// produce writes the stream, in batches, with the acknowledgement of all replicas, each record once (an idempotent producer).
func (s *soak) produce(t *testing.T, c *kafkatest.Cluster) <-chan result {
	t.Helper()
	client, err := kgo.NewClient(c.ClientOptions(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(10*time.Millisecond), kgo.ProducerBatchMaxBytes(256<<10),
		kgo.MaxBufferedRecords(100_000), kgo.MetadataMinAge(250*time.Millisecond),
	)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return s.inBackground(func() error {
		var failed atomic.Pointer[error]
		promise := func(r *kgo.Record, err error) {
			if err == nil {
				err = s.wasAcked(r)
			}
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
		for i := range s.total {
			if i == s.holdAt {
				select {
				case <-s.goOn:
				case <-ctx.Done():
				}
			}
			if failed.Load() != nil || ctx.Err() != nil {
				break
			}
			partition := int32(i % soakPartitions)
			client.Produce(ctx, &kgo.Record{Topic: s.topic, Partition: partition, Value: soakRecord(partition, i/soakPartitions)}, promise)
		}
		err := client.Flush(ctx)
		if first := failed.Load(); first != nil {
			err = errors.Join(*first, err)
		}
		s.wrote = time.Since(s.began)
		return err
	})
}

// soakRecord is the value of a partition's record.
func soakRecord(partition int32, number int64) []byte {
	value := make([]byte, soakValue)
	binary.BigEndian.PutUint32(value, uint32(partition))
	binary.BigEndian.PutUint64(value[4:], uint64(number))
	binary.BigEndian.PutUint64(value[soakValue-8:], uint64(number))
	return value
}

// wasAcked notes an acknowledgement. They come in order within a partition, and a record's offset is its number.
func (s *soak) wasAcked(r *kgo.Record) error {
	if number := s.acked[r.Partition].Add(1) - 1; r.Offset != number {
		return fmt.Errorf("record %d of partition %d was written at offset %d", number, r.Partition, r.Offset)
	}
	if m := s.marks[r.Partition].Load(); m != nil && m.offset.Load() < 0 {
		now := time.Now()
		m.at.Store(int64(now.Sub(s.began)))
		m.offset.Store(r.Offset)
		s.mu.Lock()
		defer s.mu.Unlock()
		m.fault.resumed = max(m.fault.resumed, now.Sub(m.elected))
	}
	return nil
}

// read takes the stream in both of the usual ways by turns, and then sees that there is nothing more.
func (s *soak) read(consumer *kafka.Consumer, w *wire) <-chan result {
	return s.inBackground(func() error {
		err := s.readMany(consumer, s.rest)
		if err == nil {
			s.takeNothing(w)
			err = s.readMany(consumer, s.total/3)
		}
		if err == nil {
			err = s.readMessages(consumer, s.total*2/3)
		}
		if err == nil {
			err = s.readMany(consumer, s.total)
		}
		s.took = time.Since(s.began)
		if err != nil {
			return err
		}
		batch, err := consumer.GetMany(context.Background(), kafka.WaitFor(time.Second))
		if err == nil && len(batch) > 0 {
			err = fmt.Errorf("%d messages come after the last", count(batch))
		}
		return err
	})
}

func (s *soak) readMany(consumer *kafka.Consumer, until int64) error {
	for last := time.Now(); s.got.Load() < until; {
		ctx, cancel := context.WithTimeout(context.Background(), soakPatience)
		batch, err := consumer.GetMany(ctx, kafka.UpTo(2000))
		cancel()
		if err != nil {
			return err
		}
		last = s.progress(last)
		for _, msgs := range batch {
			for _, m := range msgs {
				if err := s.take(m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *soak) readMessages(consumer *kafka.Consumer, until int64) error {
	last := time.Now()
	for m := range consumer.Messages() {
		last = s.progress(last)
		if err := s.take(m); err != nil {
			return err
		}
		if s.got.Load() >= until {
			return nil
		}
	}
	return errors.Join(errors.New("the Messages loop ended"), consumer.Err())
}

// take sees that a message is the next of its partition, whole.
func (s *soak) take(m *kafka.Message) error {
	p := m.Partition
	if p < 0 || p >= soakPartitions || m.Topic != s.topic {
		return fmt.Errorf("a message of %v", m.TopicPartition())
	}
	if m.Offset != s.next[p] {
		return fmt.Errorf("partition %d: offset %d where %d comes next", p, m.Offset, s.next[p])
	}
	if v := m.Value; len(v) != soakValue || binary.BigEndian.Uint32(v) != uint32(p) ||
		binary.BigEndian.Uint64(v[4:]) != uint64(m.Offset) || binary.BigEndian.Uint64(v[soakValue-8:]) != uint64(m.Offset) {
		return fmt.Errorf("partition %d: offset %d has the value %x", p, m.Offset, v)
	}
	s.next[p]++
	s.got.Add(1)
	if mark := s.marks[p].Load(); mark != nil {
		s.afterFault(p, mark, m.Offset)
	}
	return nil
}

// afterFault notes how long after its acknowledgement the first record of a new leader was read.
func (s *soak) afterFault(p int32, mark *soakMark, offset int64) {
	first := mark.offset.Load()
	if first < 0 || offset < first {
		return
	}
	s.marks[p].Store(nil)
	behind := time.Since(s.began) - time.Duration(mark.at.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	mark.fault.behind = max(mark.fault.behind, behind)
	mark.fault.noted++
}

// progress notes how long it was since something came, where that was long.
func (s *soak) progress(last time.Time) time.Time {
	now := time.Now()
	if pause := now.Sub(last); pause > soakStall {
		s.stalls = append(s.stalls, soakPause{from: last.Sub(s.began), length: pause, records: s.got.Load()})
	}
	return now
}

// takeNothing lets the consumer fetch ahead while the producer goes on, until nothing more comes.
func (s *soak) takeNothing(w *wire) {
	const rest, most = time.Second, 20 * time.Second
	began, before := time.Now(), w.received.Load()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	const answer = 1 << 10 // empty answers go on
	for last, since := before, began; time.Since(since) < rest && time.Since(began) < most; <-tick.C {
		if now := w.received.Load(); now > last+answer {
			last, since = now, time.Now()
		}
	}
	s.rested, s.ahead = time.Since(began), w.received.Load()-before
}
