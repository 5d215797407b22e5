package kafka

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// The requests of a simulated member: what it sends, and the events that the answers are.

func (m *simMember) join(a actJoin) {
	s := m.s
	if m.eager() && len(m.owned) > 0 {
		s.wrongf("%s is eager, and joins with %d partitions", m.name, len(m.owned))
	}
	if !m.subscribed {
		s.wrongf("%s joins, and is not subscribed", m.name)
	}
	if m.giving != 0 {
		s.wrongf("%s joins before its partitions are given up", m.name)
	}
	s.totals.Rounds++
	id, generation := m.m.memberID, m.m.generation
	owned := slices.SortedFunc(maps.Keys(m.owned), compareTopicPartitions)
	info := GroupMember{Topics: slices.Clone(m.topics), Owned: owned, Generation: generation}
	var names []string
	for _, x := range m.assignors {
		names = append(names, x.Name())
		info.UserData = x.UserData(owned, generation)
	}
	node := m.nodeNow()
	answered := func(r modelJoined) func() {
		counted := s.now
		return func() {
			if r.code == protocol.None && (m.m.round == a.round || m.m.late == a.round) {
				m.answer, m.joinedAt = r, counted
			}
			m.post(evJoined{round: a.round, joinAnswer: r.joinAnswer})
		}
	}
	m.request(true, simRebalance+5*time.Second, func() func() {
		if code := s.co.here(node()); code != protocol.None {
			return answered(modelJoined{joinAnswer: joinAnswer{code: code, generation: -1}})
		}
		if s.now.Before(s.denied) {
			return answered(modelJoined{joinAnswer: joinAnswer{code: protocol.GroupAuthorizationFailed, generation: -1}})
		}
		return m.parked(func(reply func(func())) {
			s.co.join(id, m.instance, info, names, func(r modelJoined) { reply(answered(r)) })
		})
	}, func() { m.post(evJoined{round: a.round, joinAnswer: joinAnswer{err: errSim}}) })
}

// nodeNow gives the node a request goes to, once that is known.
func (m *simMember) nodeNow() func() int { return func() int { return m.node } }

// parked is for a request that is answered at once, or only when others have come: then the answer goes its way by itself.
func (m *simMember) parked(ask func(reply func(func()))) func() {
	var now func()
	returned, life := false, m.life
	ask(func(answer func()) {
		if !returned {
			now = answer
			return
		}
		if m.life == life {
			m.back(answer)
		}
	})
	returned = true
	return now
}

func (m *simMember) sync(a actSync) {
	s := m.s
	id, generation, answer := m.m.memberID, m.m.generation, m.answer
	var shares map[string][]TopicPartition
	if answer.leader && !answer.skip {
		i := slices.IndexFunc(m.assignors, func(x Assignor) bool { return x.Name() == answer.protocol })
		topics := make(map[string][]PartitionInfo)
		for topic, n := range s.topics {
			for p := range n {
				topics[topic] = append(topics[topic], PartitionInfo{Partition: int32(p)})
			}
		}
		var err error
		if shares, err = m.assignors[i].Assign(answer.members, topics); err != nil {
			s.wrongf("%s: assign: %v", m.name, err)
		}
	}
	answered := func(share []TopicPartition, code protocol.ErrorCode) func() {
		return func() {
			if m.m.round == a.round {
				m.share = share
			}
			m.post(evSynced{round: a.round, code: code})
		}
	}
	node := m.nodeNow()
	m.request(true, simRebalance+5*time.Second, func() func() {
		if code := s.co.here(node()); code != protocol.None {
			return answered(nil, code)
		}
		return m.parked(func(reply func(func())) {
			s.co.sync(id, m.instance, generation, shares, func(share []TopicPartition, code protocol.ErrorCode) { reply(answered(share, code)) })
		})
	}, func() { m.post(evSynced{round: a.round, err: errSim}) })
}

func (m *simMember) beat(a actBeat) {
	s := m.s
	if m.m.state == memberJoining || m.m.generation < 0 {
		s.wrongf("%s sends a heartbeat while %v, in generation %d", m.name, m.m.state, m.m.generation)
	}
	id, generation := m.m.memberID, m.m.generation
	node := m.nodeNow()
	m.request(false, simSession/3, func() func() {
		code := s.co.here(node())
		if code == protocol.None {
			code = s.co.heartbeat(id, m.instance, generation)
		}
		return func() {
			gone := a.beats == m.m.beats && m.goneBy(code)
			m.post(evBeat{beats: a.beats, code: code})
			if gone && len(m.owned) > 0 {
				s.wrongf("%s is told %v, and keeps %d partitions", m.name, code, len(m.owned))
			}
		}
	}, func() { m.post(evBeat{beats: a.beats, err: errSim}) })
}

// goneBy says whether a code means that the group has moved past the member; of a generation that it does not know yet, one cannot say.
func (m *simMember) goneBy(code protocol.ErrorCode) bool {
	switch code {
	case protocol.UnknownMemberID, protocol.FencedInstanceID:
		return true
	case protocol.IllegalGeneration:
		return m.m.state != memberSyncing && m.m.late == 0
	}
	return false
}

func (m *simMember) leave(a actLeave) {
	s := m.s
	if a.turn != 0 && len(m.owned) > 0 {
		s.wrongf("%s leaves with %d partitions", m.name, len(m.owned))
	}
	if m.instance != "" {
		s.wrongf("%s is a static member and leaves", m.name)
	}
	node := m.nodeNow()
	m.request(false, 5*time.Second, func() func() {
		if s.co.here(node()) == protocol.None {
			s.co.leave(a.memberID)
		}
		return func() { m.post(evLeft{turn: a.turn}) }
	}, func() { m.post(evLeft{turn: a.turn}) })
}

var errSim = errors.New("the connection has broken")

// request carries a request to the coordinator and the answer back, or tells of failed. arrive runs at the broker, and gives
// what runs here with the answer.
func (m *simMember) request(lane bool, timeout time.Duration, arrive func() func(), failed func()) {
	s := m.s
	there := s.between(time.Millisecond, 20*time.Millisecond)
	if m.node < 0 { // it is looked for first
		m.node = s.co.node
		there += s.between(time.Millisecond, 20*time.Millisecond)
		if s.chance(10) {
			m.node-- // not everybody knows yet
		}
	}
	if s.chance(3) {
		there += s.between(0, 5*time.Second)
	}
	at := s.now.Add(there)
	if lane && at.Before(m.lane) {
		at = m.lane // one request after the other
	}
	if lane {
		m.lane = at
	}
	lostRequest, lostAnswer := s.chance(3), s.chance(3)
	lostRequest = lostRequest || at.Before(m.cut)
	over := false
	fail := func() {
		if !over {
			over = true
			failed()
		}
	}
	if lostRequest || lostAnswer {
		broken := s.between(0, 200*time.Millisecond)
		if s.chance(30) {
			broken = timeout
		}
		m.later(there+broken, fail)
	}
	m.later(timeout, fail)
	if lostRequest {
		return
	}
	life := m.life
	s.after(at.Sub(s.now), func() { // it arrives also when the sender has died meanwhile
		answer := arrive()
		if answer == nil || lostAnswer || m.life != life {
			return
		}
		m.back(func() {
			if !over {
				over = true
				answer()
			}
		})
	})
}

// back is the way of an answer. One to a member that is cut off is lost.
func (m *simMember) back(f func()) {
	if m.s.now.Before(m.cut) {
		return
	}
	d := m.s.between(time.Millisecond, 20*time.Millisecond)
	if m.s.chance(2) {
		d += m.s.between(0, 5*time.Second)
	}
	m.later(d, f)
}
