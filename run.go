package kafka

import (
	"sync"
	"sync/atomic"
)

// A run is messages of one chunk that are handed out without the subscription's mutex, which costs more than all else that is done for
// a small message at that moment. It makes no difference but that: whoever locks the mutex ends the run first, and notes what was handed
// out as if that had been noted message by message. So a run is over before anything changes that it rests on, such as by a seek, a pause,
// the call of another goroutine, or Stop.
//
// A chunk has one run after the other, in the same memory: all but state is set once, so that a goroutine that comes late takes of the next
// run, or nothing.
type run struct {
	sub   *subscription
	p     *partition
	chunk *chunk
	msgs  []Message
	state atomic.Uint64 // next message: 32 bits, end of the run: 31 bits, for loops: 1 bit

	// Of its messages, which are the application's once it has them, and not read any more; guarded by the mutex.
	first int64 // offset of the first one; the others follow without a gap
	epoch int32 // leader epoch of all
}

// A runState is what a run's state says. 0 is a run that is over.
type runState uint64

const runForLoop runState = 1 << 63

func newRunState(next, end int, loop bool) runState {
	v := runState(end)<<32 | runState(next)
	if loop {
		v |= runForLoop
	}
	return v
}

func (v runState) next() int  { return int(uint32(v)) }
func (v runState) end() int   { return int(v &^ runForLoop >> 32) }
func (v runState) loop() bool { return v&runForLoop != 0 }

// take hands out the next message, or nil where there is none; loop says that it goes to the body of a loop.
func (r *run) take(loop bool) *Message {
	if r == nil {
		return nil
	}
	for {
		v := runState(r.state.Load())
		if v.loop() != loop || v.next() >= v.end() {
			return nil
		}
		if r.state.CompareAndSwap(uint64(v), uint64(v+1)) {
			return &r.msgs[v.next()]
		}
	}
}

// beginRun lets what follows the message that was just taken be handed out without the mutex, as far as it is p's turn. The last message of
// a chunk is left out, as more changes with that than the position. Called with mu held.
func (s *subscription) beginRun(p *partition, loop bool) {
	if !p.deliverable() {
		return
	}
	c := p.buf.segments[0].chunks[0]
	n := unbroken(c.msgs[c.taken:], min(p.turn, len(c.msgs)-c.taken-1))
	if n <= 0 {
		return
	}
	r := &c.run
	if r.chunk == nil {
		r.sub, r.p, r.chunk, r.msgs = s, p, c, c.msgs
	}
	c.kept = true
	r.first, r.epoch = c.msgs[c.taken].Offset, c.msgs[c.taken].LeaderEpoch
	r.state.Store(uint64(newRunState(c.taken, c.taken+n, loop)))
	s.mu.run.Store(r)
}

// unbroken gives n, or, where there is a gap between the offsets of the first n messages and the next or their leader epochs differ, less.
func unbroken(msgs []Message, n int) int {
	for n > 0 && (msgs[n].Offset-msgs[0].Offset != int64(n) || msgs[n].LeaderEpoch != msgs[0].LeaderEpoch) {
		n /= 2
	}
	return n
}

// end ends the run and notes what was handed out. Called with mu held.
func (r *run) end() {
	next := runState(r.state.Swap(0)).next()
	n := next - r.chunk.taken
	if n == 0 {
		return
	}
	p, s := r.p, r.sub
	s.turn += uint64(n)
	if n > 1 {
		p.position, p.lastEpoch = r.first+int64(n-1), r.epoch
	}
	s.handing(p)
	p.position, p.lastEpoch, p.handedTo = r.first+int64(n), r.epoch, r.first+int64(n)
	r.chunk.taken = next
	p.turn -= n
}

// A subscriptionMutex is a mutex whose lock ends the run.
type subscriptionMutex struct {
	mutex sync.Mutex
	run   atomic.Pointer[run]
}

// Lock locks the mutex and ends the run, if there is one.
func (m *subscriptionMutex) Lock() {
	m.mutex.Lock()
	if r := m.run.Load(); r != nil {
		m.run.Store(nil)
		r.end()
	}
}

// Unlock unlocks the mutex.
func (m *subscriptionMutex) Unlock() { m.mutex.Unlock() }
