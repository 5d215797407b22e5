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

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
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
)

// TestMembershipSim plays several members against a model of the coordinator, with everything that can go wrong between
// them, in virtual time. A seed is one exactly repeatable course of events.
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
	if *simSeed == 0 && (total.Losses == 0 || total.Rounds == 0 || total.Moves == 0 || total.Crashes == 0 || total.Refused == 0 || total.Parked == 0) {
		t.Error("the faults do not do anything")
	}
}

// simTotals says how much has happened.
type simTotals struct{ Actions, Rounds, GiveUps, Losses, Moves, Crashes, Refused, Parked, Unwanted int }

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
	faulty bool      // things go wrong
	denied time.Time // JoinGroup is refused until then
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
	s := &simulation{rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), faulty: true, topics: map[string]int{"a": 6, "b": 3}}
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
func (s *simulation) chance(p int) bool { return s.rng.IntN(100) < p && s.faulty }

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
	s.after(simFaults, func() {
		s.tracef("faults end")
		s.faulty = false
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
	end := s.now.Add(simFaults + simQuiet + simRest)
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
	switch s.rng.IntN(10) {
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
		m.commit()
	case 7:
		if s.chance(30) {
			s.denied = s.now.Add(s.between(0, 3*time.Second))
		}
	case 8:
		s.topics["a"] = min(s.topics["a"]+1, 9)
		s.grown()
	}
	s.after(s.between(0, 4*time.Second), s.faults)
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
		for tp := range m.owned {
			if other := owner[tp]; other != "" {
				s.wrongf("%v is owned by %s and %s", tp, other, m.name)
			}
			owner[tp] = m.name
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
	node       int // where it takes the coordinator to be; -1 unknown
	owned      map[TopicPartition]*simOwned
	joinedAt   time.Time // of the generation it is in
	evictedAt  time.Time // when the coordinator has stopped counting it
	answer     modelJoined
	share      []TopicPartition
	lane       time.Time // when the broker has JoinGroup and SyncGroup sent before
	wakes      int
	giving     uint64 // the give-up under way; 0: none
	second     int64  // of the actions counted
	actions    int
}

type simOwned struct {
	since   time.Time
	dropped bool // its topic is not subscribed any more: the next rebalance gives it up
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
	m.topics = []string{"a", "b"}
	m.m = &membership{generation: -1, cfg: membershipConfig{instance: m.instance, heartbeat: 3 * time.Second,
		backoff: cluster.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Rand: m.s.rng.Float64}}}
	m.s.tracef("%s starts", m.name)
	m.subscribe()
}

func (m *simMember) crash() {
	m.s.tracef("%s crashes", m.name)
	m.alive = false
	m.life++
	clear(m.owned)
}

// heal ends what the faults have left behind.
func (m *simMember) heal() {
	m.boot()
	m.subscribe()
	m.poll()
}

func (m *simMember) subscribe() {
	if !m.alive {
		return
	}
	for tp, o := range m.owned {
		o.dropped = o.dropped || !slices.Contains(m.topics, tp.Topic)
	}
	m.subscribed = true
	m.post(evWanted{reason: "subscribed"})
}

func (m *simMember) unsubscribe() {
	if m.alive && m.subscribed {
		m.s.totals.Unwanted++
		m.subscribed = false
		m.post(evUnwanted{})
	}
}

func (m *simMember) stopPolling() {
	if m.alive && m.subscribed {
		m.s.totals.Parked++
		m.post(evPollExpired{})
	}
}

func (m *simMember) poll() {
	if m.alive && m.subscribed {
		m.post(evPolled{})
	}
}

// commit is one of the application's, that may be refused.
func (m *simMember) commit() {
	if !m.alive || !m.m.settled() || m.m.generation < 0 {
		return
	}
	generation, id := m.m.generation, m.m.memberID
	m.request(false, 2*time.Second, func() func() {
		if m.s.co.here(m.node) != protocol.None {
			return func() {}
		}
		code := m.s.co.commit(id, m.instance, generation)
		return func() {
			if code != protocol.None {
				m.s.totals.Refused++
				m.post(evRefused{generation: generation, code: code})
			}
		}
	}, func() {})
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

// slow is how long an application takes to give partitions up.
func (m *simMember) slow() time.Duration {
	if m.s.chance(5) {
		return m.s.between(0, simRebalance+5*time.Second)
	}
	return m.s.between(0, time.Second)
}

func (m *simMember) giveUp(a actGiveUp) {
	m.giving = a.turn
	done := func() {
		if m.giving == a.turn {
			m.giving = 0
		}
		m.post(evGivenUp{turn: a.turn})
	}
	switch {
	case a.lost:
		m.s.totals.Losses++
		clear(m.owned)
		m.later(m.slow(), done)
	default:
		goes := maps.Clone(m.owned)
		maps.DeleteFunc(goes, func(_ TopicPartition, o *simOwned) bool { return !a.all && !m.eager() && !o.dropped })
		if len(goes) == 0 && !a.all {
			m.later(0, done)
			return
		}
		m.s.totals.GiveUps++
		m.drop(goes, done)
	}
}

// drop gives partitions up after a while, those that are still held then.
func (m *simMember) drop(parts map[TopicPartition]*simOwned, done func()) {
	m.later(m.slow(), func() {
		for tp, o := range parts {
			if m.owned[tp] == o {
				delete(m.owned, tp)
			}
		}
		done()
	})
}

func (m *simMember) apply(a actApply) {
	share := make(map[TopicPartition]bool)
	for _, tp := range m.share {
		share[tp] = true
	}
	gone := make(map[TopicPartition]*simOwned)
	for tp, o := range m.owned {
		if !share[tp] || o.dropped {
			gone[tp] = o
		}
	}
	take := func() {
		if m.m.round != a.round {
			m.post(evApplied{round: a.round})
			return
		}
		for tp := range share {
			if slices.Contains(m.topics, tp.Topic) {
				m.own(tp)
			}
		}
		if m.evictedAt.Before(m.joinedAt) {
			m.evictedAt = time.Time{} // what it had before is its own again
		}
		m.later(m.slow(), func() { m.post(evApplied{round: a.round, again: len(gone) > 0}) })
	}
	if len(gone) == 0 {
		take()
		return
	}
	m.drop(gone, take)
}

// own takes a partition, or keeps it, which nobody else may have whom the coordinator still counts (I9).
func (m *simMember) own(tp TopicPartition) {
	for _, other := range m.s.all {
		if !m.evictedAt.Before(m.joinedAt) {
			break // it does not know yet
		}
		if o := other.owned[tp]; other != m && other.alive && o != nil && other.evictedAt.Before(o.since) {
			m.s.wrongf("%s takes %v in generation %d while %s owns it since %.3f s", m.name, tp, m.m.generation, other.name, o.since.Sub(m.s.begin).Seconds())
		}
	}
	if m.owned[tp] == nil {
		m.owned[tp] = &simOwned{since: m.s.now}
	}
}
