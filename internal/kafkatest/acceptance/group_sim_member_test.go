package acceptance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/checker"
)

// A simulated member is a consumer of the group, its application, its listener and its network. Its name is that of one
// incarnation.
type simulated struct {
	*kafka.Consumer
	sim  *groupSim
	name string
	net  *simNet
	rand *rand.Rand // of the application and the listener, guarded by journal.mu
	done <-chan result

	// Guarded by journal.mu.
	id      string                                       // as whom the coordinator has answered last
	dead    bool                                         // it has crashed: what it still does counts no more
	gone    bool                                         // the group counts it no more, as the journal has it
	owns    map[kafka.TopicPartition]bool                // by what its listener was told
	goes    map[kafka.TopicPartition]bool                // its listener is just being told so: what is assigned has come anew
	taken   map[kafka.TopicPartition]int64               // what the application has in hand, up to
	byHand  map[kafka.TopicPartition]map[int64]bool      // what the application has committed itself
	paused  map[kafka.TopicPartition]bool                // by the application
	untaken map[kafka.TopicPartition]bool                // its listener failed to take them
	nap     time.Duration                                // how long the application takes for the next messages
	calls   []func(batch map[kafka.TopicPartition]int64) // what the application does with the next messages
}

// note writes to the journal, unless the member has crashed.
func (m *simulated) note(f func(j *chronicle)) {
	m.sim.journal.mu.Lock()
	defer m.sim.journal.mu.Unlock()
	if !m.dead {
		f(m.sim.journal)
	}
}

// chance is true in p of a hundred, while there are faults.
func (m *simulated) chance(p int) bool {
	m.sim.journal.mu.Lock()
	defer m.sim.journal.mu.Unlock()
	return m.rand.IntN(100) < p && !m.sim.calm
}

func (m *simulated) upTo(n int) int {
	m.sim.journal.mu.Lock()
	defer m.sim.journal.mu.Unlock()
	return m.rand.IntN(n)
}

// application takes messages until the consumer is stopped.
func (m *simulated) application() error {
	for {
		m.round()
		batch, err := m.GetMany(context.Background(), kafka.UpTo(1+m.upTo(30)), kafka.WaitFor(2*time.Second))
		if errors.Is(err, kafka.ErrConsumerStopped) {
			return nil
		}
		m.took(batch)
		if err := m.told(err); err != nil {
			m.sim.fault("%s: %v", m.name, err)
			return nil
		}
		m.work(batch)
	}
}

// round is when the application asks for more: what it had is settled, and positions are where they are.
func (m *simulated) round() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	m.note(func(j *chronicle) {
		m.settle(j)
		for _, tp := range m.Assignment() {
			if at, err := m.Position(ended, tp); err == nil && m.owns[tp] && !m.goes[tp] {
				j.add(checker.Event{Kind: checker.Position, Member: m.name, TP: checkerTP(tp), Offset: at})
			}
		}
	})
}

// settle notes that the application is done with what it has in hand. The caller holds journal.mu.
func (m *simulated) settle(j *chronicle) {
	for tp, at := range m.taken {
		j.add(checker.Event{Kind: checker.Settled, Member: m.name, TP: checkerTP(tp), Offset: at})
	}
	clear(m.taken)
}

func (m *simulated) took(batch map[kafka.TopicPartition][]*kafka.Message) {
	m.note(func(j *chronicle) {
		for tp, msgs := range batch {
			for _, msg := range msgs {
				j.add(checker.Event{Kind: checker.Delivered, Member: m.name, TP: checkerTP(tp), Offset: msg.Offset})
			}
			m.taken[tp] = msgs[len(msgs)-1].Offset + 1
			if m.paused[tp] {
				m.sim.wrong = append(m.sim.wrong, fmt.Sprintf("%s: %v is paused, and hands out", m.name, tp))
			}
		}
	})
}

// told deals with what a Get call tells: a listener of the simulation fails now and then, and what it did not take is sought.
func (m *simulated) told(err error) error {
	var listener *kafka.ListenerError
	if err == nil {
		return nil
	}
	if !errors.As(err, &listener) || !m.sim.failing {
		return err
	}
	var untaken []kafka.TopicPartition
	m.note(func(*chronicle) { untaken = sortedTPs(m.untaken) })
	for _, tp := range untaken {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := m.SeekToCommitted(ctx, tp) // it may have gone; and what was not sought is told again
		cancel()
		if err == nil {
			m.note(func(*chronicle) { delete(m.untaken, tp) })
		}
	}
	return nil
}

// work is what the application does with a batch.
func (m *simulated) work(batch map[kafka.TopicPartition][]*kafka.Message) {
	m.sim.journal.mu.Lock()
	nap, calls := m.nap, m.calls
	m.nap, m.calls = 0, nil
	m.sim.journal.mu.Unlock()
	if len(batch) > 0 {
		time.Sleep(time.Duration(m.upTo(40)) * time.Millisecond)
	}
	time.Sleep(nap)
	taken := make(map[kafka.TopicPartition]int64)
	for tp, msgs := range batch {
		taken[tp] = msgs[len(msgs)-1].Offset + 1
	}
	for _, call := range calls {
		call(taken)
	}
}

// later lets the application do something with the next messages.
func (m *simulated) later(call func(map[kafka.TopicPartition]int64)) {
	m.sim.journal.mu.Lock()
	defer m.sim.journal.mu.Unlock()
	m.calls = append(m.calls, call)
}

// commitAll commits every position by hand.
func (m *simulated) commitAll(map[kafka.TopicPartition]int64) {
	m.note(m.settle)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	m.committed("Commit", m.Commit(ctx))
}

// commitThese commits by hand what is in hand, or a part of it.
func (m *simulated) commitThese(taken map[kafka.TopicPartition]int64) {
	offsets := make(map[kafka.TopicPartition]kafka.OffsetAndMetadata)
	m.note(func(*chronicle) {
		for tp, at := range taken {
			at -= int64(m.rand.IntN(2))
			offsets[tp] = kafka.OffsetAndMetadata{Offset: at}
			if m.byHand[tp] == nil {
				m.byHand[tp] = make(map[int64]bool)
			}
			m.byHand[tp][at] = true
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	m.committed("CommitOffsets", m.CommitOffsets(ctx, offsets))
}

// committed looks at how a commit by hand ended: it may fail because the partitions or the time have gone.
func (m *simulated) committed(call string, err error) {
	var failed *kafka.CommitFailedError
	if err != nil && !errors.As(err, &failed) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, kafka.ErrConsumerStopped) {
		m.sim.fault("%s: %s: %v", m.name, call, err)
	}
}

// seekBack goes back a little in one of the partitions.
func (m *simulated) seekBack(map[kafka.TopicPartition]int64) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	m.note(func(j *chronicle) {
		for _, tp := range m.Assignment() {
			at, err := m.Position(ended, tp)
			if err != nil || !m.owns[tp] || m.goes[tp] {
				continue
			}
			at = max(0, at-int64(m.rand.IntN(15)))
			if m.Seek(tp, at) == nil {
				delete(m.taken, tp)
				j.add(checker.Event{Kind: checker.Seek, Member: m.name, TP: checkerTP(tp), Offset: at})
			}
			return
		}
	})
}

// pause stops a partition, or lets all go on.
func (m *simulated) pause(map[kafka.TopicPartition]int64) {
	m.note(func(j *chronicle) {
		if len(m.paused) > 0 {
			m.resume(j)
			return
		}
		if m.sim.calm {
			return
		}
		for _, tp := range m.Assignment() {
			if m.owns[tp] && m.Pause(tp) == nil {
				m.paused[tp] = true
				j.add(checker.Event{Kind: checker.Stalled, Member: m.name, TP: checkerTP(tp)})
				return
			}
		}
	})
}

// resume lets all partitions go on. The caller holds journal.mu.
func (m *simulated) resume(*chronicle) {
	for tp := range m.paused {
		_ = m.Resume(tp) // it may have gone
	}
	clear(m.paused)
}

// The listener. Where partitions go it begins with a moment's sleep, which in a bubble ends when nobody else has anything to do: what was handed out
// before the call has then been noted.

func (m *simulated) slow() {
	if m.chance(15) {
		time.Sleep(time.Duration(m.upTo(2500)) * time.Millisecond)
	}
}

func (m *simulated) fails() bool { return m.sim.failing && m.chance(8) }

func (m *simulated) fail() error {
	if m.upTo(3) == 0 {
		panic("this listener does so")
	}
	return errors.New("this listener fails")
}

func (m *simulated) OnPartitionsAssigned(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
	group := m.sim.c.Fake().GroupInfo(m.sim.group)
	m.note(func(j *chronicle) {
		m.sim.counted(j, group)
		j.stored(group)
		j.about(checker.Assigned, m.name, tps)
		m.gone = false
		for _, tp := range tps {
			m.owns[tp] = true
		}
	})
	m.slow()
	if !m.fails() {
		return nil
	}
	m.note(func(*chronicle) {
		for _, tp := range tps {
			m.untaken[tp] = true
		}
	})
	return m.fail()
}

func (m *simulated) OnPartitionsRevoked(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
	return m.left(tps, checker.Revoking, checker.Revoked)
}

func (m *simulated) OnPartitionsLost(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
	return m.left(tps, checker.Losing, checker.Lost)
}

func (m *simulated) left(tps []kafka.TopicPartition, begins, ends checker.Kind) error {
	time.Sleep(time.Nanosecond)
	m.note(func(j *chronicle) {
		j.about(begins, m.name, tps)
		for _, tp := range tps {
			m.goes[tp] = true
		}
	})
	defer m.note(func(j *chronicle) {
		j.about(ends, m.name, tps)
		for _, tp := range tps {
			delete(m.owns, tp)
			delete(m.goes, tp)
			delete(m.taken, tp)
			delete(m.paused, tp)
			delete(m.untaken, tp)
		}
	})
	m.slow()
	if m.fails() {
		return m.fail()
	}
	return nil
}

// accepted notes the commits of a member that the coordinator has taken.
func (m *simulated) accepted(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) {
	j := m.sim.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, rt := range resp.Topics {
		topic := rt.Topic
		if rt.TopicID != [16]byte{} {
			topic = m.sim.ids[rt.TopicID]
		}
		for k, rp := range rt.Partitions {
			if rp.ErrorCode != 0 {
				m.sim.refused[kerr.ErrorForCode(rp.ErrorCode).Error()]++
				m.expired(rp.ErrorCode)
				continue
			}
			tp, offset, by := tpOf(topic, rp.Partition), req.Topics[i].Partitions[k].Offset, m.name
			if m.gone && !m.owns[tp] {
				by = "" // it was on its way when a coordinator said by injection, and only so, that the member is none
			}
			require.Equal(m.sim.t, rp.Partition, req.Topics[i].Partitions[k].Partition)
			j.add(checker.Event{Kind: checker.Committed, Member: by, TP: checkerTP(tp), Offset: offset, ByUser: m.byHand[tp][offset]})
			m.sim.commits++
		}
	}
}

// called notes as whom the coordinator has answered.
func (m *simulated) called(id string) {
	if id != "" {
		m.note(func(*chronicle) { m.id = id })
	}
}

// heard notes what the coordinator has said of the membership.
func (m *simulated) heard(code int16) {
	m.note(func(*chronicle) { m.expired(code) })
}

// expired notes that the coordinator has called the member none of the group: others may own what it has, whether that is true or
// an injected error. The caller holds journal.mu.
func (m *simulated) expired(code int16) {
	switch kerr.ErrorForCode(code) {
	case kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedInstanceID:
		if !m.gone && !m.dead && len(m.owns) > 0 {
			m.gone = true
			m.sim.journal.add(checker.Event{Kind: checker.Expired, Member: m.name})
		}
	}
}

// leave stops the member in good order.
func (m *simulated) leave() error {
	time.Sleep(time.Nanosecond) // what was handed out by now has been noted then
	m.note(m.settle)            // Stop settles what GetMany has given
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began := time.Now()
	err := m.Stop(ctx)
	if took := time.Since(began); took > 5*time.Second {
		m.sim.fault("%s: Stop took %v", m.name, took)
	}
	m.end()
	return err
}

// crash ends the member as the end of its process would.
func (m *simulated) crash() {
	m.end()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.Stop(ended) // its error says that there was no time for a commit
}

// end is when the group's other members may have what this one has.
func (m *simulated) end() {
	m.note(func(j *chronicle) {
		if len(m.owns) > 0 {
			j.add(checker.Event{Kind: checker.Expired, Member: m.name})
		}
		m.dead = true
		m.sim.members = slices.DeleteFunc(m.sim.members, func(other *simulated) bool { return other == m })
	})
}

// sortedTPs gives partitions in order.
func sortedTPs[V any](of map[kafka.TopicPartition]V) []kafka.TopicPartition {
	return slices.SortedFunc(maps.Keys(of), compareTPs)
}
