package kafka

import (
	"slices"
	"strings"
	"time"
)

// This file hands messages out: it takes them from the buffers and moves the position in one critical section. All of
// it is called with subscription.mu held.

// takeOne hands out the next message of the partitions wanted (nil: all), or nil where there is none, with the partition that it
// is of.
func (s *subscription) takeOne(only []*partition) (*partition, *Message) {
	if s.listening > 0 {
		return nil, nil
	}
	s.release(only)
	p := s.nextInTurn(only)
	if p == nil {
		return nil, nil
	}
	p.turn--
	return p, s.takeFrom(p)
}

// nextInTurn gives the partition that is to give the next message.
func (s *subscription) nextInTurn(only []*partition) *partition {
	if only != nil {
		return nextOf(only)
	}
	for s.ring.len() > 0 {
		p := s.ring.front()
		if !p.deliverable() {
			s.ring.pop()
			p.inRing = false
			continue
		}
		if p.turn <= 0 {
			p.turn = turnLength
			if s.ring.len() > 1 {
				s.ring.push(s.ring.pop())
				continue
			}
		}
		return p
	}
	return nil
}

// nextOf picks among a few named partitions: the one whose turn is least used up.
func nextOf(only []*partition) *partition {
	var best *partition
	for _, p := range only {
		if p.deliverable() && (best == nil || p.turn > best.turn) {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	if best.turn <= 0 {
		for _, p := range only {
			p.turn = turnLength
		}
	}
	return best
}

// takeFrom hands out p's next message.
func (s *subscription) takeFrom(p *partition) *Message {
	seg := p.buf.segments[0]
	c := seg.chunks[0]
	m := &c.msgs[c.taken]
	c.kept = true
	s.handing(p)
	c.taken++
	p.handed(c)
	if c.taken == len(c.msgs) {
		s.chunkTaken(p, seg)
	}
	return m
}

// handed moves the position behind what was taken of c: to the next message there, past control records, unless the leader has changed
// between them. What lies there may be of a newer epoch then than the one that is noted for the position.
func (p *partition) handed(c *chunk) {
	last := &c.msgs[c.taken-1]
	p.position, p.lastEpoch, p.handedTo = last.Offset+1, last.LeaderEpoch, last.Offset+1
	if c.taken < len(c.msgs) && c.msgs[c.taken].LeaderEpoch == last.LeaderEpoch {
		p.position = c.msgs[c.taken].Offset
	}
}

// takeBatch lends what is left of the first chunk of the partition whose turn it is, or nil where there is none. It is given
// back with chunk.letGo.
func (s *subscription) takeBatch(only []*partition) (TopicPartition, *chunk) {
	if s.listening > 0 {
		return TopicPartition{}, nil
	}
	s.release(only)
	p := s.nextInTurn(only)
	if p == nil {
		return TopicPartition{}, nil
	}
	seg := p.buf.segments[0]
	c := seg.chunks[0]
	s.handing(p)
	c.msgs, c.lent = c.msgs[c.taken:], true
	c.taken = len(c.msgs)
	p.turn -= len(c.msgs)
	p.handed(c)
	s.chunkTaken(p, seg)
	return p.tp, c
}

// chunkTaken drops a chunk that has been handed out, and whatever ends with it.
func (s *subscription) chunkTaken(p *partition, seg *segment) {
	seg.dropChunk(s.budget)
	s.settle(p)
	if !seg.parsed {
		s.decodable(p)
	}
	if s.undecoded.len() > 0 && !s.aheadEnough() {
		s.wakeDecoder()
	}
}

// takeMany hands out up to n messages into out.
func (s *subscription) takeMany(only []*partition, n int, out map[TopicPartition][]*Message) {
	if s.listening > 0 {
		return
	}
	s.release(only)
	s.shareOut(only, n, func(p *partition, n int) int { return s.takeShare(p, n, out) })
}

// shareOut lets the partitions wanted give n messages in all. They take turns: each gives at most its share at a time, and give says
// how many it gave.
func (s *subscription) shareOut(only []*partition, n int, give func(p *partition, n int) int) {
	ready := s.ring.len()
	if only != nil {
		ready = len(only)
	}
	share := max((n-1)/max(ready, 1)+1, 64)
	for n > 0 {
		p := s.nextInTurn(only)
		if p == nil {
			return
		}
		n -= give(p, min(n, share))
		p.turn = 0
	}
}

// takeShare hands out up to n messages of p. The slices are cut from one that each chunk has, so that a call costs no
// allocation per partition; only where a partition's part spans chunks are they joined.
func (s *subscription) takeShare(p *partition, n int, out map[TopicPartition][]*Message) int {
	got := 0
	for got < n && p.deliverable() {
		seg := p.buf.segments[0]
		c := seg.chunks[0]
		if c.ptrs == nil {
			c.ptrs = make([]*Message, len(c.msgs)-c.taken)
			for i := range c.ptrs {
				c.ptrs[i] = &c.msgs[c.taken+i]
			}
		}
		k := min(n-got, len(c.msgs)-c.taken)
		at := len(c.ptrs) - (len(c.msgs) - c.taken)
		part := c.ptrs[at : at+k : at+k]
		if have := out[p.tp]; have == nil {
			out[p.tp] = part
		} else {
			out[p.tp] = append(have, part...)
		}
		c.kept = true
		s.handing(p)
		c.taken += k
		got += k
		p.handed(c)
		if c.taken == len(c.msgs) {
			s.chunkTaken(p, seg)
		}
	}
	return got
}

// tell picks the error a Get call should return now, if there is one that concerns the partitions wanted. One that was
// told before is told again only after pause; wait is how long until the first such comes up, 0 where there is none.
func (s *subscription) tell(only []*partition, now time.Time, pause time.Duration) (wait time.Duration, err error) {
	if s.listening > 0 {
		return 0, nil
	}
	var next *failure
	for _, f := range s.failures {
		if !f.concerns(only) {
			continue
		}
		if next == nil || f.toldAt.Before(next.toldAt) {
			next = f
		}
	}
	if next == nil {
		return 0, nil
	}
	if s.decodingFor(only) {
		return 0, nil // messages come first, also those that are being decoded; the call is woken when they are
	}
	if !next.toldAt.IsZero() {
		if left := pause - now.Sub(next.toldAt); left > 0 {
			return left, nil
		}
	}
	for _, f := range s.failures {
		if f == next || f.saysTheSame(next) {
			f.toldAt = now
		}
	}
	if next.once {
		s.failures = slices.DeleteFunc(s.failures, func(f *failure) bool { return f == next })
	}
	return 0, next.err
}

// saysTheSame says whether telling one of two failures tells the other: a right to a topic that is missing is missing for
// each of its partitions.
func (f *failure) saysTheSame(other *failure) bool {
	a, ok := f.err.(*AuthorizationError) //nolint:errorlint // it is never wrapped here
	if !ok || f.once {
		return false
	}
	b, ok := other.err.(*AuthorizationError) //nolint:errorlint // as above
	return ok && a.Resource == b.Resource && a.Name == b.Name
}

// decodingFor says whether a partition wanted has fetched messages that are still to be decoded.
func (s *subscription) decodingFor(only []*partition) bool {
	if only != nil {
		return slices.ContainsFunc(only, (*partition).decoding)
	}
	for _, p := range s.partitions {
		if p.decoding() {
			return true
		}
	}
	return false
}

// decoding says whether p has a segment whose messages come as soon as a worker has made them.
func (p *partition) decoding() bool {
	if p.gone || p.paused || p.gated || p.leaving {
		return false
	}
	for _, seg := range p.buf.segments {
		if !seg.parsed {
			return !seg.starved
		}
		if seg.err != nil {
			return false
		}
	}
	return false
}

// concerns says whether a call that wants the given partitions (nil: all) is to be told. A paused partition's error
// can wait as its messages do.
func (f *failure) concerns(only []*partition) bool {
	if f.p == nil {
		topic, ok := strings.CutPrefix(f.key, aboutTopic(""))
		return !ok || only == nil || slices.ContainsFunc(only, func(p *partition) bool { return p.tp.Topic == topic })
	}
	if f.p.paused {
		return false
	}
	if only == nil {
		return true
	}
	for _, p := range only {
		if p == f.p {
			return true
		}
	}
	return false
}
