package kafka

import (
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/checker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// The offsets of a simulated member: where its partitions start, as lookUpCommitted finds it, and its commits, as commits.go makes
// them. What is settled, and what is done about a refusal, is the real code.

const (
	simAnswer = 2 * time.Second // how long a question for offsets, or a commit, waits for its answer
	simEvery  = 2 * time.Second // between automatic commits
)

// lookUp asks for the committed offsets of partitions until there is an answer.
func (m *simMember) lookUp(parts []*simOwned) {
	parts = slices.DeleteFunc(slices.Clone(parts), func(o *simOwned) bool { return o.gone || !m.has(o) })
	if len(parts) == 0 {
		return
	}
	again := func() {
		parts[0].asking.attempts++
		m.later(m.m.cfg.backoff.After(int(parts[0].asking.attempts)), func() { m.lookUp(parts) })
	}
	node := m.nodeNow()
	m.request(false, simAnswer, func() func() {
		code := m.s.co.here(node())
		committed := make([]int64, len(parts))
		for i, o := range parts {
			committed[i] = m.s.co.committed(o.tp)
		}
		return func() {
			if code != protocol.None {
				m.refusedBy(code)
				again()
				return
			}
			m.startAt(parts, committed)
		}
	}, func() {
		m.node = -1
		again()
	})
}

// startAt gives partitions the position that is committed, or the first there is.
func (m *simMember) startAt(parts []*simOwned, committed []int64) {
	for i, o := range parts {
		if !o.gone {
			o.known, o.committed, o.position = true, committed[i], max(committed[i], 0)
			m.note(checker.Position, o, o.position)
		}
	}
}

// refusedBy looks for the coordinator anew where one that was asked is none.
func (m *simMember) refusedBy(code protocol.ErrorCode) {
	if code == protocol.NotCoordinator {
		m.node = -1
	}
}

// A simCommit is a commit on its way.
type simCommit struct {
	m       *simMember
	reader  string
	leaving []*simOwned // what it is for; nil: all there is then
	asked   memberIdentity
	pending []simOffset
	attempt int
	over    bool
	done    func(ok bool)
}

type simOffset struct {
	o  *simOwned
	at int64
}

// autoCommit commits by time what is settled.
func (m *simMember) autoCommit() {
	m.later(m.s.between(simEvery/2, simEvery), func() {
		m.commit(&simCommit{done: func(bool) { m.autoCommit() }}, 2*simRebalance)
	})
}

// commitLeaving commits what is settled of partitions that go, for as long as the rebalance has time for it.
func (m *simMember) commitLeaving(parts []*simOwned, done func()) {
	m.commit(&simCommit{leaving: parts, done: func(ok bool) {
		for _, o := range parts {
			if !ok {
				o.excuse = "the commit has failed"
			}
		}
		done()
	}}, simRebalance/2)
}

// commit puts a commit behind those before it.
func (m *simMember) commit(r *simCommit, patience time.Duration) {
	r.m, r.reader = m, m.reader
	m.commits = append(m.commits, r)
	m.later(patience, func() { r.end(false) })
	if len(m.commits) == 1 {
		r.begin()
	}
}

func (r *simCommit) end(ok bool) {
	if r.over {
		return
	}
	r.over = true
	m := r.m
	i := slices.Index(m.commits, r)
	m.commits = slices.Delete(m.commits, i, i+1)
	r.done(ok)
	if i == 0 && len(m.commits) > 0 {
		m.commits[0].begin()
	}
}

func (m *simMember) identity() memberIdentity {
	return memberIdentity{generation: m.m.generation, member: m.m.memberID, instance: m.instance}
}

// begin looks up what there is to commit when it is the commit's turn.
func (r *simCommit) begin() {
	m := r.m
	parts := make(map[TopicPartition]*partition)
	for _, o := range m.sorted() {
		if r.leaving == nil || slices.Contains(r.leaving, o) {
			parts[o.tp] = o.partition
		}
	}
	r.asked = m.identity()
	offsets := m.sub.toCommit(parts, m.s.now)
	for _, o := range m.sorted() {
		if at, ok := offsets[o.tp]; ok {
			r.pending = append(r.pending, simOffset{o, at.Offset})
		}
	}
	for _, o := range r.leaving {
		if m.inHand(o) {
			o.excuse = "messages of it are in hand"
		}
	}
	r.round()
}

// round sends once what is still the member's.
func (r *simCommit) round() {
	m := r.m
	if r.over {
		return
	}
	if r.pending = slices.DeleteFunc(r.pending, func(c simOffset) bool { return !m.has(c.o) }); len(r.pending) == 0 {
		r.end(true)
		return
	}
	who := m.identity()
	if r.leaving != nil && !who.follows(r.asked) {
		r.end(false)
		return
	}
	if r.leaving == nil && !m.m.settled() {
		m.later(50*time.Millisecond, r.round)
		return
	}
	r.attempt++
	attempt, node := r.attempt, m.nodeNow()
	m.request(false, simAnswer, func() func() {
		if r.over || r.attempt != attempt {
			return nil // the answer is late, which has ended the connection: what had not arrived by then never does
		}
		code := m.s.co.here(node())
		if code == protocol.None {
			code = m.s.co.commit(who.member, m.instance, who.generation)
		}
		if code == protocol.None {
			for _, c := range r.pending {
				m.s.co.store(c, r.reader)
			}
		}
		return func() { r.answered(who, code) }
	}, func() {
		m.node = -1
		r.again()
	})
}

func (r *simCommit) again() {
	r.m.later(r.m.m.cfg.backoff.After(r.attempt), r.round)
}

// answered goes on as commitRun.answer does.
func (r *simCommit) answered(who memberIdentity, code protocol.ErrorCode) {
	m := r.m
	switch action := actionForCommit(code); {
	case r.over:
	case code == protocol.None:
		m.s.totals.Commits++
		for _, c := range r.pending {
			c.o.committed = c.at
		}
		r.end(true)
	case action == commitRetry, action == commitCoordinator:
		m.refusedBy(code)
		r.again()
	case action == commitMembership:
		m.s.totals.Refused++
		g := &group{work: make(chan struct{}, 1), m: *m.m}
		again := g.commitRefused(who, code)
		for _, e := range g.events {
			m.post(e)
		}
		if again {
			r.again()
			return
		}
		r.end(false)
	default:
		m.s.wrongf("%s: a commit is refused with %v", m.name, code)
	}
}
