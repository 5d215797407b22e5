package acceptance

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// What happens to a simulated group. Everything is drawn before anything is done, so that a seed draws the same whatever comes
// of it.

// act lets one thing happen.
func (s *groupSim) act() {
	what, amount, more := s.rand.IntN(100), s.rand.IntN(1000), rand.New(rand.NewPCG(s.rand.Uint64(), 0))
	members := s.now()
	m := members[more.IntN(len(members))]
	switch {
	case what < 12:
		if len(members) < 5 {
			s.join()
		}
	case what < 20:
		if len(members) > 1 {
			s.notef("%s leaves", m.name)
			err := m.leave()
			s.notef("%s has left: %v", m.name, err)
		}
	case what < 50:
		s.use(m, more, amount)
	case what < 56:
		s.grow(s.topics[amount%len(s.topics)])
	case what < 64:
		topic := s.topics[amount%len(s.topics)]
		p, to := int32(more.IntN(s.sizes[topic])), int32(more.IntN(3))
		if s.c.Nodes()[to].Running() {
			s.notef("the leader of %s-%d is %d", topic, p, to)
			s.c.MoveLeader(s.t, topic, p, to)
		}
	case s.orderly:
		// Nothing fails.
	case what < 70:
		if len(members) > 1 {
			s.notef("%s crashes", m.name)
			s.journal.mu.Lock()
			s.crashes++
			s.journal.mu.Unlock()
			m.crash()
		}
	case what < 78:
		s.disconnect(m, more, amount)
	case what < 84:
		s.notef("the coordinators move")
		s.c.Fake().RehashCoordinators()
	case what < 88:
		s.node(s.c.Nodes()[amount%3])
	default:
		s.trouble(more)
	}
}

// use lets a member's application do something.
func (s *groupSim) use(m *simulated, more *rand.Rand, amount int) {
	switch more.IntN(8) {
	case 0:
		s.notef("%s commits all by hand", m.name)
		m.later(m.commitAll)
	case 1:
		s.notef("%s commits by hand what it has", m.name)
		m.later(m.commitThese)
	case 2:
		s.notef("%s pauses or resumes", m.name)
		m.later(m.pause)
	case 3:
		if !s.orderly {
			s.notef("%s seeks back", m.name)
			m.later(m.seekBack)
		}
	case 4:
		err := m.EnforceRebalance("simulated")
		s.notef("%s wants a rebalance: %v", m.name, err)
	case 5, 6:
		topics := [][]string{s.topics, s.topics[:1], s.topics[1:]}[amount%3]
		s.notef("%s subscribes to %v: %v", m.name, topics, m.Subscribe(topics, kafka.WithListener(m)))
	case 7:
		nap := time.Duration(amount) * 3 * time.Millisecond
		if amount%4 == 0 && !s.orderly {
			nap = 10 * time.Second // longer than WithMaxPollInterval
		} else if s.orderly {
			nap /= 3 // less than the grace
		}
		s.notef("%s naps for %v", m.name, nap)
		s.journal.mu.Lock()
		defer s.journal.mu.Unlock()
		m.nap = nap
	}
}

func (s *groupSim) grow(topic string) {
	if s.sizes[topic] >= 6 || s.down != nil { // new partitions would be led by the node that is down

		return
	}
	s.notef("%s grows to %d", topic, s.sizes[topic]+1)
	s.c.AddPartitions(s.t, topic, s.sizes[topic]+1)
	s.sizes[topic]++
	s.producer.Close()
	s.producer = kafkatest.NewProducer(s.t, s.c) // one that knows of it
}

// disconnect cuts a member's network, or silences it, for a while that may be longer than a session.
func (s *groupSim) disconnect(m *simulated, more *rand.Rand, amount int) {
	cut, d := more.IntN(2) == 0, time.Duration(amount)*8*time.Millisecond
	s.notef("%s is cut off (by breaks: %v) for %v", m.name, cut, d)
	m.net.set(cut, !cut)
	time.AfterFunc(d, func() { m.net.set(false, false) })
}

// node takes a node away, or brings the one back that is away.
func (s *groupSim) node(n *kafkatest.Node) {
	if s.down != nil {
		s.notef("node %d is back", s.down.ID)
		s.down.Start(s.t)
		s.down = nil
		return
	}
	s.notef("node %d is down", n.ID)
	n.Kill(s.t)
	s.down = n
}

// troubles are what coordinators may answer.
var troubles = map[kmsg.Key][]*kerr.Error{
	kmsg.JoinGroup:       {kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.UnknownMemberID},
	kmsg.SyncGroup:       {kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress},
	kmsg.Heartbeat:       {kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress},
	kmsg.LeaveGroup:      {kerr.NotCoordinator, kerr.CoordinatorNotAvailable},
	kmsg.OffsetCommit:    {kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress},
	kmsg.OffsetFetch:     {kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable},
	kmsg.FindCoordinator: {kerr.CoordinatorNotAvailable},
}

// trouble makes coordinators answer the next requests of a kind with an error.
func (s *groupSim) trouble(more *rand.Rand) {
	keys := []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator}
	key := keys[more.IntN(len(keys))]
	code, n := troubles[key][more.IntN(len(troubles[key]))], 1+more.IntN(4)
	s.notef("%d times %s: %s", n, key.Name(), code.Message)
	s.faults = append(s.faults, s.c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Group: s.group, Err: code, Count: n}))
}

// heal ends what the faults have left behind.
func (s *groupSim) heal() {
	if s.down != nil {
		s.node(s.down)
	}
	for _, f := range s.faults {
		f.Remove()
	}
	s.journal.mu.Lock()
	s.calm, s.healed = true, time.Now()
	s.journal.mu.Unlock()
	s.notef("the faults end")
	for _, m := range s.now() {
		m.net.still()
		m.note(m.resume)
		if err := m.Subscribe(s.topics, kafka.WithListener(m)); err != nil {
			s.fault("%s: Subscribe: %v", m.name, err)
		}
	}
}
