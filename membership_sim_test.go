package kafka

import (
	"container/heap"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/checker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
)

var (
	simSeed  = flag.Uint64("seed", 0, "play only this seed of TestMembershipSim, and print what happens")
	simSeeds = flag.Uint64("seeds", 200, "how many seeds TestMembershipSim plays")
)

// The times of the simulation. simQuiet is how long after the last fault the group must have come to rest: a session, for
// members that crashed, a rebalance that waits for one of them, and the rounds that follow.
const (
	simSession   = 10 * time.Second
	simRebalance = 20 * time.Second
	simFaults    = 90 * time.Second
	simQuiet     = 2*simRebalance + 2*simSession
	simRest      = 15 * time.Second
	simLength    = simFaults + simQuiet + simRest
)

// TestMembershipSim plays several members against a model of the coordinator, with everything that can go wrong between
// them, in virtual time. They read, and commit what is settled; what happens goes into a journal, which the checker holds to what
// a group promises. A seed is one exactly repeatable course of events.
func TestMembershipSim(t *testing.T) {
	first, n := uint64(1), *simSeeds
	if *simSeed != 0 {
		first, n = *simSeed, 1
	}
	var total simTotals
	for seed := first; seed < first+n; seed++ {
		s := newSimulation(seed)
		s.run()
		if len(s.wrong) > 0 || *simSeed != 0 {
			for _, line := range s.trace {
				fmt.Println(line)
			}
		}
		if len(s.wrong) > 0 {
			t.Fatalf("%s\n\nagain: go test -run TestMembershipSim -seed=%d", strings.Join(s.wrong, "\n"), seed)
		}
		total.add(s.totals)
	}
	t.Logf("%d seeds: %+v", n, total)
	if *simSeed == 0 && slices.Contains([]int{total.Losses, total.Rounds, total.Moves, total.Crashes, total.Refused, total.Parked,
		total.Delivered, total.Again, total.Commits, total.Excused}, 0) {
		t.Error("the faults do not do anything")
	}
}

// simTotals says how much has happened.
type simTotals struct {
	Actions, Rounds, GiveUps, Losses, Moves, Crashes, Refused, Parked, Unwanted int
	Delivered, Again, Commits, Excused, Late                                    int
}

func (a *simTotals) add(b simTotals) {
	a.Actions += b.Actions
	a.Rounds += b.Rounds
	a.GiveUps += b.GiveUps
	a.Losses += b.Losses
	a.Moves += b.Moves
	a.Crashes += b.Crashes
	a.Refused += b.Refused
	a.Parked += b.Parked
	a.Unwanted += b.Unwanted
	a.Delivered += b.Delivered
	a.Again += b.Again
	a.Commits += b.Commits
	a.Excused += b.Excused
	a.Late += b.Late
}

// A simulation is one queue of things that happen, each at its time.
type simulation struct {
	rng    *rand.Rand
	now    time.Time
	begin  time.Time
	queue  simQueue
	seq    int
	co     *modelCoordinator
	all    []*simMember
	topics map[string]int
	faulty bool                     // things happen that the members have to cope with
	order  bool                     // but nothing goes wrong: members only come and go, and nothing may be lost or delivered twice
	denied time.Time                // JoinGroup is refused until then
	logs   map[TopicPartition]int64 // where they end
	events []checker.Event
	trace  []simTrace
	wrong  []string
	totals simTotals
}

type simItem struct {
	at  time.Time
	seq int
	f   func()
}

type simQueue []simItem

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || (q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq)
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simItem)) }
func (q *simQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newSimulation(seed uint64) *simulation {
	s := &simulation{rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), faulty: true, order: seed%4 == 0,
		topics: map[string]int{"a": 6, "b": 3}, logs: map[TopicPartition]int64{}}
	s.begin = s.now
	s.co = newModelCoordinator(s)
	sticky, usual := CooperativeStickyAssignor, []Assignor{RangeAssignor, CooperativeStickyAssignor}
	lists := [][][]Assignor{ // that members may have
		{{sticky}},
		{{RangeAssignor}},
		{usual},
		{{sticky}, usual, {sticky, RoundRobinAssignor}}, // eager members beside cooperative ones
		{{StickyAssignor, RoundRobinAssignor}, {RoundRobinAssignor}, {RangeAssignor, RoundRobinAssignor}},
	}[seed%5]
	for i := range 2 + s.rng.IntN(3) {
		m := &simMember{s: s, name: fmt.Sprintf("M%d", i), assignors: lists[s.rng.IntN(len(lists))]}
		if s.rng.IntN(4) == 0 {
			m.instance = "static" + m.name
		}
		s.all = append(s.all, m)
		s.after(s.between(0, 5*time.Second), m.boot)
	}
	return s
}

func (s *simulation) after(d time.Duration, f func()) {
	s.seq++
	heap.Push(&s.queue, simItem{at: s.now.Add(d), seq: s.seq, f: f})
}

func (s *simulation) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.rng.Int64N(int64(high-low)+1))
}

// chance is true in p of a hundred, while faults are on.
func (s *simulation) chance(p int) bool { return s.rng.IntN(100) < p && s.faulty && !s.order }

func (s *simulation) tracef(format string, args ...any) {
	s.trace = append(s.trace, simTrace{s.now.Sub(s.begin), format, args})
}

// A simTrace is a line that is put into words when somebody wants to read it.
type simTrace struct {
	at     time.Duration
	format string
	args   []any
}

func (l simTrace) String() string {
	return fmt.Sprintf("%8.3f %s", l.at.Seconds(), fmt.Sprintf(l.format, l.args...))
}

// simActions are put into words in the same way.
type simActions []any

func (acts simActions) String() string {
	var texts []string
	for _, a := range acts {
		texts = append(texts, actionText(a))
	}
	return strings.Join(texts, ", ")
}

func (s *simulation) wrongf(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf("at %.3f s: %s", s.now.Sub(s.begin).Seconds(), fmt.Sprintf(format, args...)))
}

func (s *simulation) run() {
	s.after(0, s.everySoOften)
	s.after(0, s.faults)
	s.after(0, s.produce)
	s.after(simFaults, func() {
		s.tracef("faults end")
		s.faulty = false
		s.all[0].topics = []string{"a", "b"} // somebody is to read everything
		for _, m := range s.all {
			m.heal()
		}
	})
	// What appears while a static leader is away nobody notices, with other clients neither, for it comes back without a rebalance.
	s.after(simFaults+simQuiet/2, s.grown)
	rounds := 0
	s.after(simFaults+simQuiet, func() {
		rounds = s.totals.Rounds
		s.checkRest()
	})
	end := s.begin.Add(simLength)
	for len(s.queue) > 0 && len(s.wrong) == 0 {
		item := heap.Pop(&s.queue).(simItem)
		if item.at.After(end) {
			break
		}
		s.now = item.at
		item.f()
	}
	if len(s.wrong) == 0 {
		s.checkRest()
		if s.totals.Rounds != rounds {
			s.wrongf("a group at rest has rebalanced")
		}
		s.checkJournal()
	}
}

// everySoOften lets the coordinator see what has run out.
func (s *simulation) everySoOften() {
	s.co.tick()
	s.after(100*time.Millisecond, s.everySoOften)
}

// faults makes something happen, and again, until the faults end.
func (s *simulation) faults() {
	if !s.faulty {
		return
	}
	m := s.all[s.rng.IntN(len(s.all))]
	what, pause := s.rng.IntN(10), 4*time.Second
	if s.order { // often, so that members leave in the middle of a rebalance, too
		what, pause = []int{2, 3, 8}[what%3], 2*time.Second
	}
	switch what {
	case 0:
		s.totals.Moves++
		s.tracef("the coordinator moves to node %d", s.co.node+1)
		s.co.move(s.between(0, 2*time.Second))
	case 1:
		if m.alive {
			s.totals.Crashes++
			m.crash()
			s.after(s.between(0, 15*time.Second), m.boot)
		}
	case 2:
		m.unsubscribe()
		s.after(s.between(0, 5*time.Second), m.subscribe)
	case 3:
		m.topics = [][]string{{"a"}, {"a", "b"}, {"b"}}[s.rng.IntN(3)]
		m.subscribe()
	case 4:
		m.stopPolling()
		s.after(s.between(0, 8*time.Second), m.poll)
	case 5, 6:
		m.busy = s.now.Add(s.between(0, 10*time.Second))
	case 7:
		if s.chance(30) {
			s.denied = s.now.Add(s.between(0, 3*time.Second))
		}
	case 8:
		s.topics["a"] = min(s.topics["a"]+1, 9)
		s.grown()
	case 9:
		m.cut = s.now.Add(s.between(0, 2*simSession))
		s.tracef("%s is cut off for %v", m.name, m.cut.Sub(s.now))
	}
	s.after(s.between(0, pause), s.faults)
}

// grown lets the leader notice that there are more partitions.
func (s *simulation) grown() {
	for _, l := range s.all {
		if l.alive && l.m.leader {
			l.post(evChanged{reason: "grown"})
		}
	}
}

// evicted notes that the coordinator does not count a member any more, so that others may have what it owns.
func (s *simulation) evicted(id string) {
	for _, m := range s.all {
		if m.m != nil && m.m.memberID == id {
			m.evictedAt = s.now
			m.expired()
			s.tracef("%s (%s) is counted no more", m.name, id)
		}
	}
}

// checkRest demands that every partition somebody wants has exactly one owner, and nothing is under way.
func (s *simulation) checkRest() {
	owner := make(map[TopicPartition]string)
	wanted := make(map[string]bool)
	for _, m := range s.all {
		if m.m.state != memberStable {
			s.wrongf("%s is still %v", m.name, m.m.state)
		}
		for _, t := range m.topics {
			wanted[t] = true
		}
		share := s.co.share(m.m.memberID)
		for _, o := range m.sorted() {
			if other := owner[o.tp]; other != "" {
				s.wrongf("%v is owned by %s and %s", o.tp, other, m.name)
			}
			if !slices.Contains(share, o.tp) {
				s.wrongf("%v is owned by %s, which was not given it", o.tp, m.name)
			}
			owner[o.tp] = m.name
		}
	}
	for topic := range wanted {
		for p := range s.topics[topic] {
			if tp := (TopicPartition{Topic: topic, Partition: int32(p)}); owner[tp] == "" {
				s.wrongf("%v is owned by nobody", tp)
			}
		}
	}
	if n := len(s.co.members); n != len(s.all) {
		s.wrongf("the coordinator counts %d members: %v", n, slices.Sorted(maps.Keys(s.co.members)))
	}
}

// A simMember drives one membership as group does, with a network and an application of its own.
type simMember struct {
	s         *simulation
	name      string
	instance  string
	assignors []Assignor
	topics    []string

	m          *membership
	life       int // incarnation
	alive      bool
	subscribed bool
	node       int       // where it takes the coordinator to be; -1 unknown
	cut        time.Time // nothing goes to the coordinator, or comes from it, before then
	owned      map[TopicPartition]*simOwned
	joinedAt   time.Time // when the coordinator has counted it in the generation it is in
	evictedAt  time.Time // when the coordinator has stopped counting it
	answer     modelJoined
	share      []TopicPartition
	lane       time.Time // when the broker has JoinGroup and SyncGroup sent before
	wakes      int
	giving     uint64 // the give-up under way; 0: none
	second     int64  // of the actions counted
	actions    int

	reader    string        // its name in the journal, that of this incarnation
	gone      bool          // the journal has it that the group does not count it
	sub       *subscription // whose turns tell what is settled
	away      bool          // the application takes no messages
	busy      time.Time     // nor before then
	listening int           // calls of the listener that run or are to run: nothing is handed out meanwhile
	heard     time.Time     // when the last of them returns
	commits   []*simCommit  // one after the other
}

func (m *simMember) eager() bool {
	return slices.ContainsFunc(m.assignors, func(a Assignor) bool { return !a.Cooperative() })
}

// boot starts a new incarnation.
func (m *simMember) boot() {
	if m.alive {
		return
	}
	m.life++
	m.alive, m.node, m.owned, m.lane, m.evictedAt, m.giving = true, -1, map[TopicPartition]*simOwned{}, time.Time{}, time.Time{}, 0
	m.reader, m.gone, m.sub, m.away, m.busy = fmt.Sprintf("%s.%d", m.name, m.life), false, newSubscription(), false, time.Time{}
	m.listening, m.heard, m.commits = 0, time.Time{}, nil
	m.topics = []string{"a", "b"}
	m.m = &membership{generation: -1, cfg: membershipConfig{instance: m.instance, heartbeat: 3 * time.Second,
		backoff: cluster.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Rand: m.s.rng.Float64}}}
	m.s.tracef("%s starts", m.name)
	m.subscribe()
	m.get()
	m.autoCommit()
}

func (m *simMember) crash() {
	m.s.tracef("%s crashes", m.name)
	m.expired()
	m.alive = false
	m.life++
	clear(m.owned)
}

// heal ends what the faults have left behind.
func (m *simMember) heal() {
	m.cut = time.Time{}
	m.boot()
	m.subscribe()
	m.poll()
}

func (m *simMember) subscribe() {
	if !m.alive {
		return
	}
	for tp, o := range m.owned {
		if !slices.Contains(m.topics, tp.Topic) {
			o.dropped = &dropping{}
		}
	}
	m.subscribed, m.away = true, false
	m.post(evWanted{reason: "subscribed"})
}

func (m *simMember) unsubscribe() {
	if m.alive && m.subscribed {
		m.s.totals.Unwanted++
		m.subscribed = false
		m.settle(m.sub.settleReturned)
		m.post(evUnwanted{})
	}
}

func (m *simMember) stopPolling() {
	if m.alive && m.subscribed {
		m.s.totals.Parked++
		m.away = true
		m.post(evPollExpired{})
	}
}

func (m *simMember) poll() {
	if m.alive && m.subscribed {
		m.away = false
		m.post(evPolled{})
	}
}

// post takes a step and carries out what follows.
func (m *simMember) post(event any) {
	s := m.s
	before := m.m.state
	acts := m.m.step(s.now, event)
	if len(acts) > 0 || m.m.state != before {
		s.tracef("%s %T%+v: %v → %v: %s", m.name, event, event, before, m.m.state, simActions(acts))
	}
	s.totals.Actions += len(acts)
	if second := s.now.Unix(); second != m.second {
		m.second, m.actions = second, 0
	}
	if m.actions += len(acts); m.actions > 120 {
		s.wrongf("%s: a hot loop: %d actions within a second", m.name, m.actions)
		return
	}
	for _, a := range acts {
		m.do(a)
	}
	if m.m.generation < 0 && len(m.owned) > 0 {
		s.wrongf("%s is %v, no member, and owns %d partitions", m.name, m.m.state, len(m.owned))
	}
	m.wakes++
	wake, life := m.wakes, m.life
	if at := m.m.wakeAt(); !at.IsZero() {
		if at.Before(s.now) {
			at = s.now
		}
		s.after(at.Sub(s.now), func() {
			if m.alive && m.life == life && m.wakes == wake {
				m.post(evTick{})
			}
		})
	}
}

// later does f for this incarnation only.
func (m *simMember) later(d time.Duration, f func()) {
	life := m.life
	m.s.after(d, func() {
		if m.alive && m.life == life {
			f()
		}
	})
}

func (m *simMember) do(action any) {
	switch a := action.(type) {
	case actGiveUp:
		m.giveUp(a)
	case actJoin:
		m.join(a)
	case actSync:
		m.sync(a)
	case actApply:
		m.apply(a)
	case actBeat:
		m.beat(a)
	case actLeave:
		m.leave(a)
	case actForgetCoordinator:
		m.node = -1
	case actTell:
		if m.m.fatal == nil {
			return
		}
		if m.instance == "" {
			m.s.wrongf("%s: fatal: %v", m.name, a.err)
		}
		// A move of the coordinator took back who has the instance id: as on real brokers, only a restart helps.
		m.later(3*time.Second, func() {
			m.crash()
			m.boot()
		})
	}
}
