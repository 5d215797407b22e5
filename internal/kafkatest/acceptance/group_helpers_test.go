package acceptance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/checker"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// sessionTime is the session timeout of the members in these tests.
const sessionTime = 2 * time.Second

// groupOptions are for members that notice everything soon.
func groupOptions(group string) []kafka.ConsumerOption {
	return []kafka.ConsumerOption{
		kafka.WithGroupID(group), kafka.WithSessionTimeout(sessionTime), kafka.WithHeartbeatInterval(100 * time.Millisecond),
		kafka.WithRebalanceTimeout(8 * time.Second), kafka.WithAutoCommitInterval(often),
	}
}

var cooperative = kafka.WithAssignors(kafka.CooperativeStickyAssignor)

// A told is one call of a listener.
type told struct {
	callback string
	parts    []kafka.TopicPartition
}

func assigned(tps ...kafka.TopicPartition) told { return told{"OnPartitionsAssigned", tps} }
func revoked(tps ...kafka.TopicPartition) told  { return told{"OnPartitionsRevoked", tps} }
func lost(tps ...kafka.TopicPartition) told     { return told{"OnPartitionsLost", tps} }

// A recorder is a listener that notes its calls, and what is wrong about them.
type recorder struct {
	mu    sync.Mutex
	calls []told
	busy  bool
	wrong []string
	hook  func(ctx context.Context, c *kafka.Consumer, call told) error // what it does then; nil: nothing
}

// on sets what the listener does; it may be changed at any time.
func (r *recorder) on(hook func(ctx context.Context, c *kafka.Consumer, call told) error) *recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = hook
	return r
}

func (r *recorder) call(ctx context.Context, c *kafka.Consumer, callback string, tps []kafka.TopicPartition) error {
	call := told{callback, slices.Clone(tps)}
	r.mu.Lock()
	if r.busy {
		r.wrong = append(r.wrong, fmt.Sprintf("%v came while another call ran", call))
	}
	if len(tps) == 0 || !slices.IsSortedFunc(tps, compareTPs) {
		r.wrong = append(r.wrong, fmt.Sprintf("%v has nothing, or is not sorted", call))
	}
	r.busy = true
	r.calls = append(r.calls, call)
	hook := r.hook
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy = false
	}()
	if hook == nil {
		return nil
	}
	return hook(ctx, c, call)
}

func (r *recorder) OnPartitionsRevoked(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
	return r.call(ctx, c, "OnPartitionsRevoked", tps)
}

func (r *recorder) OnPartitionsAssigned(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
	return r.call(ctx, c, "OnPartitionsAssigned", tps)
}

func (r *recorder) OnPartitionsLost(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
	return r.call(ctx, c, "OnPartitionsLost", tps)
}

// so gives the calls so far.
func (r *recorder) so() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// forget drops the calls so far.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = nil
}

// await waits until the listener was called for the nth time.
func (r *recorder) await(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() bool { return len(r.so()) >= n }, "the listener is not called for the %dth time", n)
}

// hears waits for that many calls, and sees that they are these: an assignment shows before its listener is called.
func (r *recorder) hears(t *testing.T, want ...told) {
	t.Helper()
	r.await(t, len(want))
	require.Equal(t, want, r.so())
}

// inOrder sees that nothing was wrong about the calls.
func (r *recorder) inOrder(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.wrong)
}

func compareTPs(a, b kafka.TopicPartition) int {
	switch {
	case a.Topic < b.Topic:
		return -1
	case a.Topic > b.Topic:
		return 1
	}
	return int(a.Partition) - int(b.Partition)
}

// allOf gives the first n partitions of a topic.
func allOf(topic string, n int) (tps []kafka.TopicPartition) {
	for p := range int32(n) {
		tps = append(tps, tpOf(topic, p))
	}
	return tps
}

// A ledger holds the members of a group to what a group promises: a partition has one owner at a time, each member
// gets a partition's records in order and without a gap from where it began, and none is left out.
type ledger struct {
	mu         sync.Mutex
	owners     map[kafka.TopicPartition]*member
	gaveUp     map[kafka.TopicPartition]*member // who had it last, and gave it up in good order
	seen       map[kafka.TopicPartition]map[int64]int
	first      map[kafka.TopicPartition]map[int64]time.Time // when each was first seen
	duplicates int
	ours       int                             // those of partitions that a member of this library gave up in good order
	unsettled  map[kafka.TopicPartition][]span // what members had in hand when they gave a partition up
	redone     int                             // records that came again, and had been unsettled
	gaps       bool                            // offsets need not follow one another: there are transactions
	wrong      []string
	late       time.Duration // how long a record took at most from its timestamp
	journal    *chronicle    // what the checker reads
	deaf       bool          // who owns what is not heard any more
}

// A span is a range of offsets, without the last.
type span struct{ from, to int64 }

func newLedger() *ledger {
	return &ledger{
		owners: make(map[kafka.TopicPartition]*member), gaveUp: make(map[kafka.TopicPartition]*member),
		seen: make(map[kafka.TopicPartition]map[int64]int), first: make(map[kafka.TopicPartition]map[int64]time.Time),
		unsettled: make(map[kafka.TopicPartition][]span), journal: newChronicle(),
	}
}

func (l *ledger) fault(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *ledger) listener(m *member, call told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.dead {
		return // the call was under way when it crashed, and in a real crash would have ended with it
	}
	if call.callback == "OnPartitionsAssigned" {
		for _, tp := range call.parts {
			delete(m.next, tp) // it begins where its group is
		}
	}
	if l.deaf {
		return
	}
	l.journal.call(m.id(), call)
	for _, tp := range call.parts {
		switch owner := l.owners[tp]; {
		case call.callback != "OnPartitionsAssigned":
			if owner == m {
				delete(l.owners, tp)
				delete(l.gaveUp, tp)
				if call.callback == "OnPartitionsRevoked" {
					l.gaveUp[tp] = m
				}
				if m.work != nil {
					l.unsettled[tp] = append(l.unsettled[tp], m.hand[tp])
				}
			} else if call.callback != "OnPartitionsLost" {
				l.fault("%v: revoked from %s, which does not own it", tp, m.name)
			}
		case owner != nil:
			l.fault("%v: assigned to %s while %s owns it", tp, m.name, owner.name)
			l.owners[tp] = m
		default:
			l.owners[tp] = m
		}
	}
}

// deafen stops hearing from the members' listeners who owns what; where a member begins it still hears.
func (l *ledger) deafen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
}

// gone takes a member's partitions away that crashed.
func (l *ledger) gone(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.gaveUp, func(tp kafka.TopicPartition, _ *member) bool { return l.owners[tp] == m })
	maps.DeleteFunc(l.owners, func(_ kafka.TopicPartition, owner *member) bool { return owner == m })
	l.journal.note(checker.Event{Kind: checker.Expired, Member: m.id()})
}

// handedOut notes that m was given a message.
func (l *ledger) handedOut(m *member, tp kafka.TopicPartition, offset int64, written time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if next, ok := m.next[tp]; ok && next != offset && !(l.gaps && next < offset) {
		l.fault("%v: %s got offset %d where %d comes next", tp, m.name, offset, next)
	}
	m.next[tp] = offset + 1
	if l.seen[tp] == nil {
		l.seen[tp], l.first[tp] = make(map[int64]int), make(map[int64]time.Time)
	}
	l.seen[tp][offset]++
	switch {
	case l.seen[tp][offset] == 1:
		l.first[tp][offset] = time.Now()
	case slices.ContainsFunc(l.unsettled[tp], func(s span) bool { return s.from <= offset && offset < s.to }):
		l.redone++
	default:
		l.duplicates++
		if last := l.gaveUp[tp]; last != nil && last.Consumer != nil {
			l.ours++
		}
	}
	l.late = max(l.late, time.Since(written))
	l.journal.delivered(m.id(), tp, offset)
}

// holds notes what m has in hand until its next call.
func (l *ledger) holds(m *member, batch map[kafka.TopicPartition][]*kafka.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.hand = make(map[kafka.TopicPartition]span)
	for tp, msgs := range batch {
		m.hand[tp] = span{msgs[0].Offset, msgs[len(msgs)-1].Offset + 1}
	}
}

// owned gives how many partitions a member has, by what its listener was told.
func (l *ledger) owned(m *member) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, owner := range l.owners {
		if owner == m {
			n++
		}
	}
	return n
}

// complete waits until every record was seen, and sees that nothing was wrong on the way.
func (l *ledger) complete(t *testing.T, ends map[kafka.TopicPartition]int64) {
	t.Helper()
	missing := ""
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		missing = ""
		for tp, end := range ends {
			for offset := range end {
				if l.seen[tp][offset] == 0 {
					missing = fmt.Sprintf("%v offset %d of %d", tp, offset, end)
					return false
				}
			}
		}
		return true
	}, 20*time.Second, 10*time.Millisecond, "records are missing")
	require.Empty(t, missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.wrong)
	if !l.deaf {
		require.Empty(t, l.journal.check(ends, checker.Options{Complete: true}))
	}
}

// stalled gives how long a record was not seen at most after its producer had its acknowledgement.
func (l *ledger) stalled(f *feed) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for tp, acked := range f.acked {
		for offset, at := range acked {
			longest = max(longest, l.first[tp][offset].Sub(at))
		}
	}
	return longest
}

// A member is a consumer in a group whose application takes messages all the time.
type member struct {
	*kafka.Consumer
	recorder
	name   string
	ledger *ledger
	next   map[kafka.TopicPartition]int64 // guarded by ledger.mu
	dead   bool                           // it has crashed; guarded by ledger.mu
	self   *kafka.Consumer                // as listeners are told, also before Start has returned; guarded by ledger.mu
	hand   map[kafka.TopicPartition]span  // what the last call gave; guarded by ledger.mu
	work   func()                         // that the application does with what a call gave; nil: nothing
	ended  <-chan result
}

// id tells a member from others that have had its name.
func (m *member) id() string { return fmt.Sprintf("%s (%p)", m.name, m) }

// join starts a member, and its application.
func (l *ledger) join(t *testing.T, c *kafkatest.Cluster, name string, topics []string, opts ...kafka.ConsumerOption) *member {
	t.Helper()
	return l.joinWorking(t, c, name, topics, nil, opts...)
}

// joinWorking is join with an application that has work to do, so that it may have something in hand, unsettled, when partitions go.
func (l *ledger) joinWorking(t *testing.T, c *kafkatest.Cluster, name string, topics []string, work func(), opts ...kafka.ConsumerOption) *member {
	t.Helper()
	m := &member{name: name, ledger: l, next: make(map[kafka.TopicPartition]int64), work: work}
	m.on(func(_ context.Context, self *kafka.Consumer, call told) error {
		l.mu.Lock()
		m.self = self
		l.mu.Unlock()
		l.listener(m, call)
		return nil
	})
	opts = append([]kafka.ConsumerOption{kafka.WithTopics(topics...), kafka.WithClientID(name), kafka.WithRebalanceListener(m)}, opts...)
	m.Consumer = start(t, c, opts...)
	m.ended = inBackground(func() error {
		for {
			batch, err := m.GetMany(context.Background(), kafka.UpTo(50))
			if errors.Is(err, kafka.ErrConsumerStopped) {
				return nil
			}
			if err != nil {
				l.mu.Lock()
				l.fault("%s: %v", name, err)
				l.mu.Unlock()
				return err
			}
			l.holds(m, batch)
			for tp, msgs := range batch {
				for _, msg := range msgs {
					l.handedOut(m, tp, msg.Offset, msg.Timestamp)
				}
			}
			if work != nil {
				work()
			}
		}
	})
	return m
}

// leave stops a member in good order.
func (m *member) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, m.Stop(within(t)))
	require.NoError(t, ended(t, m.ended).err)
	m.inOrder(t)
}

// crash ends a member as the end of its process would.
func (m *member) crash(t *testing.T) {
	t.Helper()
	crash(t, m.Consumer)
	m.ledger.mu.Lock()
	m.dead = true
	m.ledger.mu.Unlock()
	m.ledger.gone(m)
	require.NoError(t, ended(t, m.ended).err)
}

// shared waits until consumers have exactly the partitions between them, each about as many as the others.
func shared[C sharer](t *testing.T, tps []kafka.TopicPartition, consumers ...C) {
	t.Helper()
	require.Eventually(t, func() bool { return sharedNow(tps, consumers...) }, 20*time.Second, 5*time.Millisecond, "%d partitions are not shared", len(tps))
}

// A sharer can tell which partitions it has.
type sharer interface {
	Assignment() []kafka.TopicPartition
}

func sharedNow[C sharer](tps []kafka.TopicPartition, consumers ...C) bool {
	var all []kafka.TopicPartition
	for _, consumer := range consumers {
		share := consumer.Assignment()
		if len(share) < len(tps)/len(consumers) || len(share) > (len(tps)+len(consumers)-1)/len(consumers) {
			return false
		}
		all = append(all, share...)
	}
	slices.SortFunc(all, compareTPs)
	return slices.Equal(all, tps)
}

// A feed writes to all partitions of topics, a few records at a time, until it ends.
type feed struct {
	ends  map[kafka.TopicPartition]int64
	acked map[kafka.TopicPartition]map[int64]time.Time
	stop  context.CancelFunc
	done  <-chan result
}

// feedPace is how often a feed writes one record to each partition.
const feedPace = 5 * time.Millisecond

func startFeed(t *testing.T, c *kafkatest.Cluster, tps []kafka.TopicPartition) *feed {
	t.Helper()
	// An idempotent producer of that client may stand still for long after a broker of its has hung.
	client, err := kgo.NewClient(c.ClientOptions(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.DisableIdempotentWrite(), kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second))...) // a broker that hangs is given up soon
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, stop := context.WithCancel(within(t))
	f := &feed{ends: make(map[kafka.TopicPartition]int64), acked: make(map[kafka.TopicPartition]map[int64]time.Time), stop: stop}
	for _, tp := range tps {
		f.acked[tp] = make(map[int64]time.Time)
	}
	var mu sync.Mutex
	var failed error
	f.done = inBackground(func() error {
		pace := time.NewTicker(feedPace)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			for _, tp := range tps {
				client.Produce(context.Background(), &kgo.Record{Topic: tp.Topic, Partition: tp.Partition, Value: fmt.Append(nil, n)}, func(r *kgo.Record, err error) {
					mu.Lock()
					defer mu.Unlock()
					failed = errors.Join(failed, err)
					f.ends[tp] = max(f.ends[tp], r.Offset+1)
					f.acked[tp][r.Offset] = time.Now()
				})
			}
			<-pace.C
		}
		err := client.Flush(within(t))
		mu.Lock()
		defer mu.Unlock()
		return errors.Join(err, failed)
	})
	return f
}

// end stops the feed and gives where each partition ends.
func (f *feed) end(t *testing.T) map[kafka.TopicPartition]int64 {
	t.Helper()
	f.stop()
	require.NoError(t, ended(t, f.done).err)
	return f.ends
}

// A cable is a dialer whose connections can be cut, all at once.
type cable struct {
	mu    sync.Mutex
	off   bool
	conns []net.Conn
}

func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	off := c.off
	c.mu.Unlock()
	if off {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off { // it was cut meanwhile
		_ = conn.Close()
	}
	c.conns = append(c.conns, conn)
	return conn, nil
}

// cut breaks all connections, and refuses new ones until it is mended.
func (c *cable) cut(off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// described gives the ids of a group's members, as the coordinator has them.
func described(t *testing.T, c *kafkatest.Cluster, group string) (ids []string) {
	t.Helper()
	groups, err := c.Admin().DescribeGroups(within(t), group)
	require.NoError(t, err)
	for _, m := range groups[group].Members {
		ids = append(ids, m.MemberID)
	}
	return ids
}
