package kafka

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/checker"
)

// What the members of a simulation read, and the journal of it.

// When the group is held to read on (I12): the longest that a listener runs after the faults have ended, and what may be on its way.
const (
	simCalm  = simRebalance + 10*time.Second
	simStall = 10 * time.Second
)

// produce writes a few records now and then, until there is only time to read them.
func (s *simulation) produce() {
	topic := []string{"a", "a", "b"}[s.rng.IntN(3)]
	tp := TopicPartition{Topic: topic, Partition: int32(s.rng.IntN(s.topics[topic]))}
	for range 1 + s.rng.IntN(3) {
		s.add(checker.Event{Kind: checker.Produced, TP: checker.TP(tp), Offset: s.logs[tp]})
		s.logs[tp]++
	}
	if s.now.Before(s.begin.Add(simLength - simRest)) {
		s.after(s.between(0, 2*time.Second), s.produce)
	}
}

func (s *simulation) add(e checker.Event) {
	e.Time = s.now
	s.events = append(s.events, e)
}

// note writes down what a member does with a partition.
func (m *simMember) note(kind checker.Kind, o *simOwned, offset int64) {
	if !o.late {
		m.s.add(checker.Event{Kind: kind, Member: m.reader, TP: checker.TP(o.tp), Offset: offset})
	}
}

func (m *simMember) noteAll(kind checker.Kind, parts []*simOwned) {
	for _, o := range parts {
		m.note(kind, o, 0)
	}
}

// expired notes, once, that the group does not count the member any more.
func (m *simMember) expired() {
	if !m.gone && m.reader != "" {
		m.gone = true
		m.s.add(checker.Event{Kind: checker.Expired, Member: m.reader})
	}
}

// excused notes that not all that was handed out of a partition is committed as it goes. Where nothing goes wrong, that must not be.
func (s *simulation) excused(m *simMember, o *simOwned) {
	s.totals.Excused++
	s.tracef("%s gives up %v: %s", m.name, o.tp, o.excuse)
	if s.order {
		s.wrongf("%s gives up %v: %s", m.name, o.tp, o.excuse)
	}
}

// committed is what OffsetFetch would say; -1: nothing.
func (c *modelCoordinator) committed(tp TopicPartition) int64 {
	if at, ok := c.offsets[tp]; ok {
		return at
	}
	return -1
}

// store takes an offset that reader commits. A commit may be on its way when its member gives the partition up or loses it; that the
// group takes it says that nobody else has the partition yet, and where it goes forward it is no harm.
func (c *modelCoordinator) store(commit simOffset, reader string) {
	tp := commit.o.tp
	if commit.o.gone && commit.at >= c.committed(tp) {
		reader = ""
	}
	c.offsets[tp] = commit.at
	c.s.add(checker.Event{Kind: checker.Committed, Member: reader, TP: checker.TP(tp), Offset: commit.at})
}

// get is a Get call of the application, now and then: what it had is settled, and it takes a few records.
func (m *simMember) get() {
	s := m.s
	m.later(s.between(100*time.Millisecond, 1500*time.Millisecond), m.get)
	if !m.subscribed || m.away || s.now.Before(m.busy) {
		return
	}
	m.settle(m.sub.beginTurn)
	ready := slices.DeleteFunc(m.sorted(), func(o *simOwned) bool {
		return !o.known || o.gated || o.leaving || o.position >= s.logs[o.tp]
	})
	if m.listening > 0 || len(ready) == 0 {
		return
	}
	first, room := s.rng.IntN(len(ready)), int64(1+s.rng.IntN(20))
	for _, o := range slices.Concat(ready[first:], ready[:first]) {
		n := min(room, s.logs[o.tp]-o.position)
		room -= n
		for range n {
			m.sub.handing(o.partition)
			m.note(checker.Delivered, o, o.position)
			o.position++
		}
	}
}

// settle notes that the application is done with what it has in hand, as turn does.
func (m *simMember) settle(turn func()) {
	for _, o := range m.sorted() {
		if m.inHand(o) {
			m.note(checker.Position, o, o.position)
			m.note(checker.Settled, o, o.position)
		}
	}
	turn()
}

// checkJournal holds what has happened to what a group promises.
func (s *simulation) checkJournal() {
	violations := checker.Check(s.events, checker.Options{Complete: true, Settles: true, Graceful: true,
		StallAfter: simStall, Calm: s.begin.Add(simFaults + simCalm)})
	for _, v := range violations[:min(len(violations), 10)] {
		s.wrong = append(s.wrong, v.String())
	}
	if len(violations) > 0 {
		s.explain(violations[0].TP)
	}
	for _, tp := range slices.SortedFunc(maps.Keys(s.logs), compareTopicPartitions) {
		if at := s.co.committed(tp); at != s.logs[tp] {
			s.wrongf("%v: %d is committed at the end, of %d", tp, at, s.logs[tp])
		}
	}
	s.count()
}

// count says how much was read, and how much of it again. Where nothing goes wrong, that must be nothing.
func (s *simulation) count() {
	type record struct {
		tp     checker.TP
		offset int64
	}
	given := make(map[record]bool)
	for _, e := range s.events {
		if r := (record{e.TP, e.Offset}); e.Kind == checker.Delivered {
			s.totals.Delivered++
			if given[r] {
				s.totals.Again++
			}
			given[r] = true
		}
	}
	if s.order && s.totals.Again > 0 {
		s.wrongf("%d records are delivered again", s.totals.Again)
	}
}

// explain puts what the journal has of a partition into the trace.
func (s *simulation) explain(tp checker.TP) {
	for i, e := range s.events {
		if e.TP == tp || e.Kind == checker.Expired {
			s.trace = append(s.trace, simTrace{e.Time.Sub(s.begin), "event %d: %s %v %d", []any{i, e.Member, e.Kind, e.Offset}})
		}
	}
	slices.SortStableFunc(s.trace, func(a, b simTrace) int { return cmp.Compare(a.at, b.at) })
}
