package kafka

import (
	"maps"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/checker"
)

// What a simulated member does with its partitions: what group_giveup.go and group_assign.go do, with a listener that takes its time.

// simGrace is how long what is in hand may take to settle in a rebalance.
const simGrace = 3 * time.Second

// A simOwned is a partition that a member has. Of the real one it uses what says where the application is.
type simOwned struct {
	*partition
	joinedAt time.Time // when the coordinator has counted the member in the generation that gave it
	late     bool      // the group had given it to others before the member began with it: the journal does not have it
	excuse   string    // why not all that was handed out was committed when it was given up
}

// sorted gives what the member has, in order.
func (m *simMember) sorted() []*simOwned {
	var out []*simOwned
	for _, tp := range slices.SortedFunc(maps.Keys(m.owned), compareTopicPartitions) {
		out = append(out, m.owned[tp])
	}
	return out
}

// has says whether a partition is still the member's, and not a later one of that name.
func (m *simMember) has(o *simOwned) bool { return m.owned[o.tp] == o }

// slow is how long an application takes to hear of partitions that come or go.
func (m *simMember) slow() time.Duration {
	if m.s.chance(5) {
		return m.s.between(0, simRebalance+5*time.Second)
	}
	return m.s.between(0, time.Second)
}

// hear calls the listener about partitions, after the calls before it. Where there is nothing to tell, it ends at once.
func (m *simMember) hear(parts []*simOwned, begin, end func()) {
	if len(parts) == 0 {
		m.later(0, end)
		return
	}
	m.listening++
	if m.heard.Before(m.s.now) {
		m.heard = m.s.now
	}
	m.later(m.heard.Sub(m.s.now), begin)
	m.heard = m.heard.Add(m.slow())
	m.later(m.heard.Sub(m.s.now), func() {
		m.listening--
		end()
	})
}

// await goes on when something is so, or when its time is over.
func (m *simMember) await(patience time.Duration, is func() bool, then func()) {
	const step = 50 * time.Millisecond
	if is() || patience <= 0 {
		then()
		return
	}
	m.later(step, func() { m.await(patience-step, is, then) })
}

func (m *simMember) giveUp(a actGiveUp) {
	m.giving = a.turn
	done := func() {
		if m.giving == a.turn {
			m.giving = 0
		}
		m.post(evGivenUp{turn: a.turn})
	}
	if a.lost {
		m.lose(a, done)
		return
	}
	var goes []*simOwned
	for _, o := range m.sorted() {
		if a.all || m.eager() || o.dropped != nil {
			goes = append(goes, o)
		}
	}
	m.giveUpThese(goes, !a.all, done)
}

// lose drops at once what the group has taken. What the listener hears to be revoked, it does not hear to be lost, and nobody waits for
// that call: the group may give those partitions to others while it runs.
func (m *simMember) lose(a actGiveUp, done func()) {
	m.s.totals.Losses++
	if m.s.order && len(m.owned) > 0 {
		m.s.wrongf("%s loses what it has: %s", m.name, a.reason)
	}
	var lost []*simOwned
	for _, o := range m.sorted() {
		o.gone, o.evicted = true, true
		if o.revoking {
			m.expired()
		} else {
			lost = append(lost, o)
		}
	}
	clear(m.owned)
	m.hear(lost, func() { m.noteAll(checker.Losing, lost) }, func() {
		m.noteAll(checker.Lost, lost)
		done()
	})
}

// giveUpThese gives partitions up in good order. Those that come back wait for what is in hand.
func (m *simMember) giveUpThese(parts []*simOwned, comesBack bool, done func()) {
	if len(parts) == 0 {
		m.later(0, done)
		return
	}
	m.s.totals.GiveUps++
	for _, o := range parts {
		o.leaving = true
	}
	started := func() bool { return !slices.ContainsFunc(parts, func(o *simOwned) bool { return o.starting() }) }
	settled := func() bool { return !slices.ContainsFunc(parts, m.inHand) }
	grace := simGrace
	if !comesBack {
		grace = 0
	}
	m.await(startPatience, started, func() {
		m.await(grace, settled, func() {
			m.commitLeaving(parts, func() { m.revoke(parts, done) })
		})
	})
}

// inHand says whether the application works on messages of a partition.
func (m *simMember) inHand(o *simOwned) bool {
	offset, _ := m.sub.settled(o.partition)
	return o.known && !o.gone && offset < o.position
}

// revoke tells the listener of partitions that go, and lets them go. Of those that could not be committed the journal has only that they
// are lost: what was handed out of them may come again.
func (m *simMember) revoke(parts []*simOwned, done func()) {
	parts = slices.DeleteFunc(parts, func(o *simOwned) bool { return !m.has(o) })
	var orderly, excused []*simOwned
	for _, o := range parts {
		o.revoking = true
		if o.excuse == "" {
			orderly = append(orderly, o)
			continue
		}
		excused = append(excused, o)
		m.s.excused(m, o)
	}
	m.hear(parts, func() { m.noteAll(checker.Revoking, orderly) }, func() {
		m.noteAll(checker.Revoked, orderly)
		m.noteAll(checker.Lost, excused)
		for _, o := range parts {
			o.gone = true
			if m.has(o) {
				delete(m.owned, o.tp)
			}
		}
		done()
	})
}

// apply takes in what the member was given: first what is not in it goes, then what is new comes.
func (m *simMember) apply(a actApply) {
	share := make(map[TopicPartition]bool)
	for _, tp := range m.share {
		share[tp] = slices.Contains(m.topics, tp.Topic)
	}
	var gone []*simOwned
	for _, o := range m.sorted() {
		if !share[o.tp] || o.dropped != nil {
			gone = append(gone, o)
		}
	}
	m.giveUpThese(gone, true, func() {
		var added []*simOwned
		for _, tp := range slices.SortedFunc(maps.Keys(share), compareTopicPartitions) {
			if m.m.round == a.round && share[tp] && m.owned[tp] == nil {
				o := &simOwned{partition: newPartition(tp, &startAt{committed: true, reset: ResetEarliest, from: -1}), joinedAt: m.joinedAt}
				o.gated = true
				m.owned[tp] = o
				added = append(added, o)
			}
		}
		m.hear(added, func() { m.begin(added) }, func() {
			for _, o := range added {
				o.gated = false
			}
			m.post(evApplied{round: a.round, again: len(gone) > 0})
		})
	})
}

// begin is when the listener is told of new partitions: where they start is asked for. A member that the coordinator counts no more,
// and that has not heard so, takes what may be another's already; that it cannot know, and the journal does not have it.
func (m *simMember) begin(added []*simOwned) {
	for _, o := range added {
		if !m.evictedAt.Before(o.joinedAt) {
			o.late = true
			m.s.totals.Late++
			continue
		}
		m.gone = false
		m.note(checker.Assigned, o, 0)
	}
	m.lookUp(added)
}
