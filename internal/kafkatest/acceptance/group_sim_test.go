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
	"github.com/seed-7379b4e8/kafka/internal/checker"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// The simulation of a group: several consumers, whole, on an in-memory cluster, while members come, go, crash and dawdle, answers get
// lost or come late, and coordinators and leaders move. What happens goes into a journal, and the checker holds it to I1–I12. When
// the faults end, everything must be read within simHealed.
//
// The seed tells the actions and the faults; how goroutines interleave it does not.

const (
	simSeeds  = 200
	simSteps  = 16
	simHealed = 4 * time.Minute // rebalances that wait for members that are gone, which kfake prolongs with every join

	simSessionTime   = 4 * time.Second
	simRebalanceTime = 6 * time.Second
)

func TestGroupSim(t *testing.T) {
	first, n := uint64(1), uint64(simSeeds)
	if seed, err := strconv.ParseUint(os.Getenv("KAFKA_TEST_SEED"), 10, 64); err == nil {
		first, n = seed, 1
	}
	t.Run("kfake", func(t *testing.T) { simulate(t, first, n) }) // by the name, left out of the runs on real brokers
}

// simulate plays seeds, one after the other.
func simulate(t *testing.T, first, n uint64) {
	var total simCounts
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
				s := newGroupSim(t, c, seed)
				s.run()
				total.add(s.count())
			})
		})
	}
	t.Logf("%d seeds: %+v", n, total)
	if n >= simSeeds && !t.Failed() {
		require.False(t, slices.Contains([]int{total.Delivered, total.Commits, total.Refused, total.Assigned, total.Revoked, total.Lost,
			total.Harmed, total.Crashes, total.Again}, 0), "the simulation does not do much: %+v", total)
		require.LessOrEqual(t, total.Unstuck, int(n)/20, "rebalances that did not end: kfake's mistake is seldom that")
	}
}

// simCounts say how much has happened.
type simCounts struct {
	Produced, Delivered, Again, Commits, Refused, Assigned, Revoked, Lost, Harmed, Crashes, Unstuck int
}

func (a *simCounts) add(b simCounts) {
	a.Produced += b.Produced
	a.Delivered += b.Delivered
	a.Again += b.Again
	a.Commits += b.Commits
	a.Refused += b.Refused
	a.Assigned += b.Assigned
	a.Revoked += b.Revoked
	a.Lost += b.Lost
	a.Harmed += b.Harmed
	a.Crashes += b.Crashes
	a.Unstuck += b.Unstuck
}

// A groupSim is one group and what happens to it.
type groupSim struct {
	t        *testing.T
	c        *kafkatest.Cluster
	seed     uint64
	rand     *rand.Rand // of what happens
	group    string
	topics   []string
	ids      map[[16]byte]string // of topics
	sizes    map[string]int
	producer *kafkatest.Producer
	lists    [][]kafka.Assignor // that members may have
	orderly  bool               // nothing fails: nothing may come twice
	failing  bool               // listeners fail now and then
	faults   []*kfake.FaultHandle
	down     *kafkatest.Node
	began    time.Time
	healed   time.Time // when the faults ended

	journal *chronicle // its mu guards what follows
	members []*simulated
	born    int
	calm    bool // the faults have ended
	wrong   []string
	did     []string
	refused map[string]int
	commits int
	harmed  int
	crashes int
	unstuck int
}

func newGroupSim(t *testing.T, c *kafkatest.Cluster, seed uint64) *groupSim {
	s := &groupSim{t: t, c: c, seed: seed, rand: rand.New(rand.NewPCG(seed, 2)), group: "simulated", journal: newChronicle(),
		ids: make(map[[16]byte]string), sizes: make(map[string]int), refused: make(map[string]int), began: time.Now()}
	t.Cleanup(func() {
		time.Sleep(5 * time.Second) // answers that are still on their way
		s.report()
	})
	leavesNothing(t)
	s.orderly, s.failing = seed%5 == 0, seed%3 == 1
	usual := []kafka.Assignor{kafka.RangeAssignor, kafka.CooperativeStickyAssignor, kafka.RoundRobinAssignor}
	switch sticky := kafka.CooperativeStickyAssignor; seed % 4 {
	case 0:
		s.lists = [][]kafka.Assignor{{sticky}}
	case 1:
		s.lists = [][]kafka.Assignor{usual}
	case 2: // eager members beside cooperative ones
		s.lists = [][]kafka.Assignor{{sticky}, usual, {sticky, kafka.RoundRobinAssignor}}
	case 3:
		s.lists = [][]kafka.Assignor{{kafka.StickyAssignor, kafka.RoundRobinAssignor}, {kafka.RoundRobinAssignor}, usual}
	}
	for i := range 2 {
		topic := fmt.Sprint("topic-", i)
		s.sizes[topic] = 2 + 2*i
		c.CreateTopic(t, topic, kafkatest.Topic{Partitions: s.sizes[topic], Replicas: 1})
		s.topics = append(s.topics, topic)
		s.ids[c.Fake().TopicInfo(topic).TopicID] = topic
	}
	s.producer = kafkatest.NewProducer(t, c)
	return s
}

// report prints, of a simulation that failed, what replays it and what it did.
func (s *groupSim) report() {
	if !s.t.Failed() {
		return
	}
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.t.Logf("what happened:\n%s", strings.Join(s.did, "\n"))
	s.t.Logf("again: KAFKA_TEST_SEED=%d go test -race -run 'TestGroupSim$' ./acceptance", s.seed)
}

func (s *groupSim) notef(format string, args ...any) {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.did = append(s.did, fmt.Sprintf("%8.3f ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// fault notes what a member should not have seen.
func (s *groupSim) fault(format string, args ...any) {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf("%.3f: ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

func (s *groupSim) run() {
	for range 2 + s.rand.IntN(3) {
		s.join()
	}
	for range simSteps {
		s.produce()
		time.Sleep(time.Duration(s.rand.IntN(1500)) * time.Millisecond)
		s.act()
	}
	s.heal()
	time.Sleep(simSessionTime) // what is on its way arrives, or is given up
	s.produce()
	s.caughtUp()
	s.part()
	s.check()
}

// join starts a member.
func (s *groupSim) join() {
	s.journal.mu.Lock()
	s.born++
	name := fmt.Sprint("member-", s.born)
	list := s.lists[s.rand.IntN(len(s.lists))]
	m := &simulated{sim: s, name: name, rand: rand.New(rand.NewPCG(s.seed, uint64(100+s.born))),
		owns: make(map[kafka.TopicPartition]bool), goes: make(map[kafka.TopicPartition]bool), taken: make(map[kafka.TopicPartition]int64),
		byHand: make(map[kafka.TopicPartition]map[int64]bool), paused: make(map[kafka.TopicPartition]bool),
		untaken: make(map[kafka.TopicPartition]bool)}
	m.net = &simNet{via: s.c.Dial, commit: m.accepted, told: m.heard, called: m.called, faults: 25, rand: rand.New(rand.NewPCG(s.seed, uint64(200+s.born))),
		conns: make(map[*simConn]struct{}), calm: s.calm || s.orderly, lostWith: func(what string, key kmsg.Key) {
			s.notef("an answer for %s to %s %s", name, key.Name(), what)
			s.journal.mu.Lock()
			defer s.journal.mu.Unlock()
			s.harmed++
		}}
	s.journal.mu.Unlock()
	s.notef("%s joins with %d assignors", name, len(list))
	m.Consumer = newConsumer(s.t, s.c, kafka.WithTopics(s.topics...), kafka.WithRebalanceListener(m), kafka.WithClientID(name),
		kafka.WithGroupID(s.group), kafka.WithAssignors(list...), kafka.WithDialer(m.net.dial),
		kafka.WithSessionTimeout(simSessionTime), kafka.WithHeartbeatInterval(time.Second), kafka.WithRebalanceTimeout(simRebalanceTime),
		kafka.WithMaxPollInterval(8*time.Second), kafka.WithAutoCommitInterval(time.Second), kafka.WithRequestTimeout(3*time.Second), kafka.WithConnectTimeout(2*time.Second),
		kafka.WithFetchMaxWait(2*time.Second), kafka.WithMetadataMaxAge(5*time.Second))
	s.t.Cleanup(func() {
		_ = m.Close() // of a simulation that failed
		<-m.done
	})
	s.journal.mu.Lock()
	s.members = append(s.members, m)
	s.journal.mu.Unlock()
	m.done = inBackground(func() error { return s.life(m) })
}

// life is a member's: it starts, however long that takes, and goes on.
func (s *groupSim) life(m *simulated) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := m.Start(ctx)
		cancel()
		if err == nil {
			return m.application()
		}
		if errors.Is(err, kafka.ErrConsumerStopped) {
			return nil
		}
		s.notef("%s does not start: %v", m.name, err)
		time.Sleep(500 * time.Millisecond)
	}
}

// miss takes out of the group who has been nobody's member for a session. kfake never misses a member whose connection was gone when its
// JoinGroup was answered: it starts no session timer then. And it waits for that one in a rebalance for as long as others join, each of
// which prolongs the wait. Real coordinators miss it after a session, and none of them prolongs a rebalance.
func (s *groupSim) miss(since map[string]time.Time) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = s.group
	members := s.now()
	for _, counted := range s.c.Fake().GroupInfo(s.group).Members {
		s.journal.mu.Lock()
		lives := slices.ContainsFunc(members, func(m *simulated) bool { return m.id == counted.MemberID })
		s.journal.mu.Unlock()
		first, known := since[counted.MemberID]
		switch {
		case lives:
			delete(since, counted.MemberID)
		case !known:
			since[counted.MemberID] = time.Now()
		case time.Since(first) > simSessionTime:
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID = counted.MemberID
			req.Members = append(req.Members, member)
		}
	}
	if len(req.Members) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), simSessionTime)
	defer cancel()
	_, err := req.RequestWith(ctx, s.c.Client())
	s.notef("%d members are missed: %v", len(req.Members), err)
}

// unstick ends a rebalance that goes on for long. kfake miscounts when a member goes that waits for its SyncGroup: from then on it misses
// one JoinGroup, and a rebalance only ends with its timeout, which every join begins anew. Joins are refused for as long as that. A
// real coordinator neither miscounts nor begins anew.
func (s *groupSim) unstick(since *time.Time) {
	if s.c.Fake().GroupInfo(s.group).State != "PreparingRebalance" {
		*since = time.Now()
		return
	}
	if time.Since(*since) < 3*simRebalanceTime {
		return
	}
	refused := s.c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: s.group, Err: kerr.CoordinatorLoadInProgress, Count: -1})
	time.Sleep(simRebalanceTime + time.Second)
	refused.Remove()
	s.notef("a rebalance that kfake does not end was ended")
	s.journal.mu.Lock()
	s.unstuck++
	s.journal.mu.Unlock()
	*since = time.Now()
}

// produce writes a few records to some partitions.
func (s *groupSim) produce() {
	for range 1 + s.rand.IntN(3) {
		topic := s.topics[s.rand.IntN(len(s.topics))]
		tp := tpOf(topic, int32(s.rand.IntN(s.sizes[topic])))
		for _, r := range s.producer.Produce(s.t, topic, tp.Partition, kafkatest.Numbered(1+s.rand.IntN(20), 10)...) {
			s.journal.produced(tp, r.Offset)
		}
	}
}

// counted notes which members the coordinator counts no more. The caller holds journal.mu.
func (s *groupSim) counted(j *chronicle, group *kfake.GroupInfo) {
	for _, m := range s.members {
		if m.gone || len(m.owns) == 0 || slices.ContainsFunc(group.Members, func(g kfake.GroupMember) bool { return g.ClientID == m.name }) {
			continue
		}
		m.gone = true
		j.add(checker.Event{Kind: checker.Expired, Member: m.name})
	}
}

// caughtUp waits until every record was delivered and every partition has its one owner: I12.
func (s *groupSim) caughtUp() {
	nobodys, since := make(map[string]time.Time), time.Now()
	for time.Since(s.healed) < simHealed {
		s.miss(nobodys)
		s.unstick(&since)
		if s.journal.unread() == 0 && s.shared() {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	for _, m := range s.now() {
		s.notef("%s has %v", m.name, m.Assignment())
	}
	s.fault("%v after the faults, %d records are not read, or not every partition has its owner", simHealed, s.journal.unread())
}

// shared tells whether the members have all partitions between them, are at their ends, and are all that the group counts.
func (s *groupSim) shared() bool {
	var all, have []kafka.TopicPartition
	for _, topic := range s.topics {
		all = append(all, allOf(topic, s.sizes[topic])...)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	members := s.now()
	for _, m := range members {
		share := m.Assignment()
		for _, tp := range share {
			if at, err := m.Position(ended, tp); err != nil || at != s.c.Fake().PartitionInfo(tp.Topic, tp.Partition).HighWatermark {
				return false
			}
		}
		have = append(have, share...)
	}
	slices.SortFunc(have, compareTPs)
	group := s.c.Fake().GroupInfo(s.group)
	return slices.Equal(all, have) && group.State == "Stable" && len(group.Members) == len(members)
}

// now gives the members there are.
func (s *groupSim) now() []*simulated {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return slices.Clone(s.members)
}

// part stops all members in good order: what is committed then is everything, for everything was read and settled.
func (s *groupSim) part() {
	for _, m := range s.now() {
		if err := m.leave(); err != nil {
			s.fault("%s: Stop: %v", m.name, err)
		}
	}
	group := s.c.Fake().GroupInfo(s.group)
	for _, topic := range s.topics {
		for _, tp := range allOf(topic, s.sizes[topic]) {
			info := s.c.Fake().PartitionInfo(topic, tp.Partition)
			if at := group.Commits[topic][tp.Partition].Offset; at != info.HighWatermark {
				s.fault("%v: %d is committed at the end, of %d", tp, at, info.HighWatermark)
				s.journal.mu.Lock()
				s.explain(checkerTP(tp))
				s.journal.mu.Unlock()
			}
		}
	}
}

func (s *groupSim) check() {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	require.Empty(s.t, s.wrong)
	violations := checker.Check(s.journal.events, checker.Options{Complete: true, Settles: true, Graceful: s.orderly,
		StallAfter: 20 * time.Second, Calm: s.healed})
	for _, v := range violations {
		s.t.Error(v)
	}
	if len(violations) > 0 {
		s.explain(violations[0].TP)
	}
}

// explain notes what the journal has of a partition.
func (s *groupSim) explain(tp checker.TP) {
	for i, e := range s.journal.events {
		if e.TP == tp || e.Kind == checker.Expired {
			s.did = append(s.did, fmt.Sprintf("%8.3f event %d: %s %v %d", e.Time.Sub(s.began).Seconds(), i, e.Member, e.Kind, e.Offset))
		}
	}
	slices.Sort(s.did)
}

func (s *groupSim) count() (n simCounts) {
	seen := make(map[string]bool)
	for _, e := range s.journal.events {
		switch e.Kind {
		case checker.Produced:
			n.Produced++
		case checker.Delivered:
			n.Delivered++
			if key := fmt.Sprint(e.TP, e.Offset); seen[key] {
				n.Again++
			} else {
				seen[key] = true
			}
		case checker.Assigned:
			n.Assigned++
		case checker.Revoked:
			n.Revoked++
		case checker.Lost:
			n.Lost++
		}
	}
	for _, times := range s.refused {
		n.Refused += times
	}
	n.Commits, n.Harmed, n.Crashes, n.Unstuck = s.commits, s.harmed, s.crashes, s.unstuck
	return n
}
