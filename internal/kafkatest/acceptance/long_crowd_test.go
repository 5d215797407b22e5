//go:build kafka && long

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/checker"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

const (
	crowdRate    = 5000 // records a second, over all partitions
	crowdTick    = 10 * time.Millisecond
	crowdSession = 10 * time.Second
	crowdBatch   = 500                   // that one call gives at most: enough to catch up soon
	crowdWork    = 20 * time.Millisecond // that the application needs for what one call gave it, so that a revoke finds something in hand

	// A record is late that is read longer than this after its acknowledgement (in a transaction: after its commit), whatever the
	// reason. Records of a member that was killed are late until the coordinator has missed it for the session timeout, whoever reads
	// them: those are told apart, as orphans.
	crowdLate = time.Second
)

// A crowd is a group under measurement: its members, what is written, and for each record when it was acknowledged, when it
// was first read, and by whom.
type crowd struct {
	cluster      *kafkatest.Cluster
	topic, group string
	gaps         bool // offsets do not follow one another: there are transactions
	opts         []kafka.ConsumerOption
	begin        func(t *testing.T, m *crowdMember) crowdClient // starts what a member reads with
	journal      *chronicle                                     // what the checker reads; its mu comes after this one

	mu         sync.Mutex // guards what follows
	parts      []*crowdPart
	all        []*crowdMember
	wrong      []string
	duplicates int // but for those of a member that was killed
	redone     int // of what a member had read that was killed before it could give it up
	waiting    int // partitions that held records when they were first given to a member

	back time.Time // when a broker that was killed is started again: a start takes much of a small machine for a while; the test's own
}

// A crowdPart is one partition: for each offset one entry.
type crowdPart struct {
	acked, read []time.Time
	by          []*crowdMember
	aborted     map[int64]bool // of offsets that no reader of committed records may see
	givenUp     int64          // all before it was read and given up in good order
	orphaned    []time.Time    // when its owner was killed
}

// A crowdClient is what a member reads with: a consumer of this library, unless the crowd is there to be compared with it.
type crowdClient interface {
	Assignment() []kafka.TopicPartition
	generation() (int, bool)                                  // the group's, as the client knows it
	take() (map[kafka.TopicPartition][]*kafka.Message, error) // waits for messages; kafka.ErrConsumerStopped when it has ended
	leave(t *testing.T)
	crash(t *testing.T) // ends it as the end of its process would
}

// A crowdMember is a client whose application takes messages all the time. Its recorder is what the client tells of its partitions.
type crowdMember struct {
	crowdClient
	recorder
	name   string
	ended  <-chan result
	next   map[int32]int64 // guarded by crowd.mu
	killed bool            // guarded by crowd.mu
}

func newCrowd(c *kafkatest.Cluster, topic, group string, opts ...kafka.ConsumerOption) *crowd {
	cr := &crowd{cluster: c, topic: topic, group: group, journal: newChronicle(), opts: append([]kafka.ConsumerOption{
		kafka.WithTopics(topic), kafka.WithGroupID(group), cooperative, kafka.WithAutoCommitInterval(time.Second),
		kafka.WithSessionTimeout(crowdSession), kafka.WithHeartbeatInterval(time.Second), kafka.WithMetadataMaxAge(2 * time.Second),
	}, opts...)}
	cr.begin = cr.beginConsumer
	return cr
}

// A crowdConsumer is a consumer of this library.
type crowdConsumer struct{ *kafka.Consumer }

func (cr *crowd) beginConsumer(t *testing.T, m *crowdMember) crowdClient {
	t.Helper()
	opts := append(slices.Clone(cr.opts), kafka.WithClientID(m.name), kafka.WithRebalanceListener(m))
	return crowdConsumer{start(t, cr.cluster, opts...)}
}

func (c crowdConsumer) take() (map[kafka.TopicPartition][]*kafka.Message, error) {
	return c.GetMany(context.Background(), kafka.UpTo(crowdBatch))
}

func (c crowdConsumer) generation() (int, bool) {
	g, ok := c.GroupMetadata()
	return int(g.GenerationID), ok
}

func (c crowdConsumer) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, c.Stop(within(t)))
}

func (c crowdConsumer) crash(t *testing.T) {
	t.Helper()
	crash(t, c.Consumer)
}

// part gives a partition's entries up to an offset. The caller holds mu.
func (cr *crowd) part(p int32, offset int64) *crowdPart {
	for int(p) >= len(cr.parts) {
		cr.parts = append(cr.parts, new(crowdPart))
	}
	part := cr.parts[p]
	if short := int(offset) + 1 - len(part.acked); short > 0 {
		part.acked = append(part.acked, make([]time.Time, short)...)
		part.read = append(part.read, make([]time.Time, short)...)
		part.by = append(part.by, make([]*crowdMember, short)...)
	}
	return part
}

// join starts a member and its application.
func (cr *crowd) join(t *testing.T) *crowdMember {
	t.Helper()
	cr.mu.Lock()
	m := &crowdMember{name: fmt.Sprint("member-", len(cr.all)), next: make(map[int32]int64)}
	cr.all = append(cr.all, m)
	cr.mu.Unlock()
	m.on(func(_ context.Context, _ *kafka.Consumer, call told) error {
		cr.mu.Lock()
		defer cr.mu.Unlock()
		cr.journal.call(m.name, call)
		for _, tp := range call.parts {
			part := cr.part(tp.Partition, -1)
			switch {
			case call.callback == "OnPartitionsAssigned" && len(part.acked) > 0 && part.by[0] == nil:
				cr.waiting++
			case call.callback == "OnPartitionsRevoked" && !m.killed:
				part.givenUp = max(part.givenUp, m.next[tp.Partition])
			}
			delete(m.next, tp.Partition)
		}
		return nil
	})
	m.crowdClient = cr.begin(t, m)
	m.ended = inBackground(func() error { return cr.application(m) })
	return m
}

func (cr *crowd) application(m *crowdMember) error {
	for ; ; <-time.After(crowdWork) {
		batch, err := m.take()
		switch {
		case errors.Is(err, kafka.ErrConsumerStopped):
			return nil
		case err != nil:
			cr.fault("%s: %v", m.name, err)
			return err
		}
		cr.handedOut(m, batch)
	}
}

func (cr *crowd) fault(format string, args ...any) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.wrong = append(cr.wrong, fmt.Sprintf(format, args...))
}

func (cr *crowd) handedOut(m *crowdMember, batch map[kafka.TopicPartition][]*kafka.Message) {
	now := time.Now()
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for tp, msgs := range batch {
		p := tp.Partition
		part := cr.part(p, msgs[len(msgs)-1].Offset)
		for _, msg := range msgs {
			if next, ok := m.next[p]; ok && next != msg.Offset && !(cr.gaps && next < msg.Offset) {
				cr.wrong = append(cr.wrong, fmt.Sprintf("%s got offset %d of %v where %d comes next", m.name, msg.Offset, tp, next))
			}
			m.next[p] = msg.Offset + 1
			cr.journal.delivered(m.name, tp, msg.Offset)
			switch first := part.by[msg.Offset]; {
			case first == nil:
				part.by[msg.Offset], part.read[msg.Offset] = m, now
			case first.killed && msg.Offset >= part.givenUp:
				cr.redone++
			default:
				cr.duplicates++
			}
		}
	}
}

// leave stops a member in good order.
func (cr *crowd) leave(t *testing.T, m *crowdMember) {
	t.Helper()
	m.leave(t)
	require.NoError(t, ended(t, m.ended).err)
}

// kill ends a member as the end of its process would.
func (cr *crowd) kill(t *testing.T, m *crowdMember) {
	t.Helper()
	owned := m.Assignment()
	cr.mu.Lock()
	m.killed = true
	cr.journal.note(checker.Event{Kind: checker.Expired, Member: m.name})
	for _, tp := range owned {
		part := cr.part(tp.Partition, -1)
		part.orphaned = append(part.orphaned, time.Now())
	}
	cr.mu.Unlock()
	m.crash(t)
	require.NoError(t, ended(t, m.ended).err)
}

// settled waits until members share the partitions and know where they begin.
func (cr *crowd) settled(t *testing.T, partitions int, members ...*crowdMember) {
	t.Helper()
	shared(t, allOf(cr.topic, partitions), members...)
	for _, m := range members {
		if own, ok := m.crowdClient.(crowdConsumer); ok { // others are not asked: their first records will tell
			for _, tp := range own.Assignment() {
				position(t, own.Consumer, tp)
			}
		}
	}
}

// A crowdFeed writes to partitions at an even pace.
type crowdFeed struct {
	stop context.CancelFunc
	done <-chan result
}

// write begins to write to partitions [from, to) so many records a second.
func (cr *crowd) write(t *testing.T, from, to int32, rate int) *crowdFeed {
	t.Helper()
	client, err := kgo.NewClient(cr.cluster.ClientOptions(
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(1<<20), // what one broker keeps waiting holds up none of the others
		kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second), kgo.DialTimeout(time.Second), // a broker that hangs is noticed soon
	)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	acked := func(r *kgo.Record, err error) {
		if err != nil {
			cr.fault("write to partition %d: %v", r.Partition, err)
			return
		}
		cr.mu.Lock()
		defer cr.mu.Unlock()
		cr.part(r.Partition, r.Offset).acked[r.Offset] = time.Now()
	}
	done := inBackground(func() error {
		pace := time.NewTicker(crowdTick)
		defer pace.Stop()
		began, value := time.Now(), make([]byte, 100)
		for n := 0; ctx.Err() == nil; <-pace.C {
			for due := int(time.Since(began).Seconds() * float64(rate)); n < due; n++ {
				client.Produce(context.Background(), &kgo.Record{Topic: cr.topic, Partition: from + int32(n)%(to-from), Value: value}, acked)
			}
		}
		flush, cancel := context.WithTimeout(context.Background(), testTime)
		defer cancel()
		return client.Flush(flush)
	})
	return &crowdFeed{stop: stop, done: done}
}

func (f *crowdFeed) end(t *testing.T) {
	t.Helper()
	f.stop()
	require.NoError(t, ended(t, f.done).err)
}

// counts gives how many records were acknowledged, and how many of them were never read.
func (cr *crowd) counts() (acked, unread int) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for _, part := range cr.parts {
		for offset, at := range part.acked {
			if !at.IsZero() {
				acked++
				if part.by[offset] == nil {
					unread++
				}
			}
		}
	}
	return acked, unread
}

// drained waits until all that was acknowledged was read, or nothing more comes for longer than a session lasts.
func (cr *crowd) drained(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, since := -1, time.Now()
	for {
		_, unread := cr.counts()
		if unread == 0 {
			return
		}
		if unread != last {
			last, since = unread, time.Now()
		}
		if time.Since(since) > 2*crowdSession {
			return // they are lost, and will be counted so
		}
		<-tick.C
	}
}

// check holds what happened to the checker, when all has been read.
func (cr *crowd) check(t *testing.T) {
	t.Helper()
	cr.mu.Lock()
	defer cr.mu.Unlock()
	require.Empty(t, cr.wrong)
	for p, part := range cr.parts {
		for offset, acked := range part.acked {
			if !acked.IsZero() {
				cr.journal.produced(tpOf(cr.topic, int32(p)), int64(offset))
			}
		}
	}
	require.Empty(t, cr.journal.check(nil, checker.Options{Complete: true}))
}

// A crowdFigure is what a fault did to a group.
type crowdFigure struct {
	records, lost, duplicates, redone int
	undone, aborted                   int           // records of transactions that were aborted: all, and those that were read
	generations, calls                int           // rebalances, and calls of listeners
	waiting                           int           // partitions that held records when they were first given to a member
	late, orphans                     float64       // percent: all of them, and those whose owner had been killed within a session
	stall                             time.Duration // longest from acknowledgement to reading, until the broker is started again
	starting                          time.Duration // the same from then on
	resumed                           time.Duration // longest from the election, or the acknowledgement if that came later, to reading
	gap                               time.Duration // longest without a record of a partition
	note                              string        // where the longest stall was
}

// figure sums up what came of a fault; elected is when the last partition had a leader again.
func (cr *crowd) figure(fault, elected time.Time) (f crowdFigure) {
	f.records, f.lost = cr.counts()
	cr.mu.Lock()
	defer cr.mu.Unlock()
	f.duplicates, f.redone, f.waiting = cr.duplicates, cr.redone, cr.waiting
	var late, orphans int
	for p, part := range cr.parts {
		f.undone += len(part.aborted)
		for offset := range part.aborted {
			if int(offset) < len(part.by) && part.by[offset] != nil {
				f.aborted++
			}
		}
		last := fault
		for offset, acked := range part.acked {
			read := part.read[offset]
			if acked.IsZero() || read.IsZero() {
				continue
			}
			if read.After(fault) {
				f.gap = max(f.gap, read.Sub(last))
				if acked.Before(elected) {
					f.resumed = max(f.resumed, read.Sub(elected))
				} else {
					f.resumed = max(f.resumed, read.Sub(acked))
				}
				last = read
				if !cr.back.IsZero() && acked.After(cr.back) {
					f.starting = max(f.starting, read.Sub(acked))
				} else if stall := read.Sub(acked); stall > f.stall {
					f.stall, f.note = stall, fmt.Sprintf("stall of partition %d until %v", p, ms(read.Sub(fault)))
				}
			}
			if read.Sub(acked) > crowdLate {
				if slices.ContainsFunc(part.orphaned, func(at time.Time) bool {
					return acked.After(at.Add(-crowdLate)) && acked.Before(at.Add(crowdSession))
				}) {
					orphans++
				} else {
					late++
				}
			}
		}
	}
	f.late, f.orphans = 100*float64(late+orphans)/float64(max(f.records, 1)), 100*float64(orphans)/float64(max(f.records, 1))
	return f
}
