package kafka

import (
	"context"
	"errors"
)

// decodeAhead is, for each segment that may be decoded at a time, how many bytes of decoded messages there may be, over all
// partitions, before only those are decoded that a Get call is waiting for. What waits longer waits as it came: compressed,
// without slabs, and so that what is decoded is in a core's cache yet when it is handed out.
const decodeAhead = 1 << 20

// segmentAhead is how many messages of one segment are decoded before the application takes some.
const segmentAhead = 2 * chunkMessages

// decodable queues p for the workers, if it has a segment they may go on with.
func (s *subscription) decodable(p *partition) {
	if p.gone || p.undecoded || p.nextToDecode(s.parallel) == nil {
		return
	}
	p.undecoded = true
	s.undecoded.push(p)
	s.wakeDecoder()
}

// nextToDecode gives the first segment that a worker may go on with; only the first few that are not done are looked
// at, so that what is decoded is what the application needs next.
func (p *partition) nextToDecode(parallel int) *segment {
	for _, seg := range p.buf.segments {
		if seg.parsed {
			if seg.err != nil {
				return nil
			}
			continue
		}
		if !seg.busy && !seg.starved && seg.ahead() < segmentAhead {
			return seg
		}
		if parallel--; parallel <= 0 {
			return nil
		}
	}
	return nil
}

// decodeRoom is how much record sets that no Get call waits for are to leave free for what they will be decoded into: without it they take
// all there is, and are decoded one at a time, in the reserve.
func (s *subscription) decodeRoom() int64 {
	_, decoded, _ := s.budget.buffered()
	return min(s.mostAhead(), s.budget.general()/8) - decoded
}

// mostAhead is how many bytes are decoded ahead, over all partitions: twice as many where they are used again, and leave no garbage.
func (s *subscription) mostAhead() int64 {
	most := int64(s.parallel) * decodeAhead
	if s.budget.reusing() {
		most *= 2
	}
	return most
}

// aheadEnough says whether only what a Get call waits for is to be decoded.
func (s *subscription) aheadEnough() bool {
	_, decoded, _ := s.budget.buffered()
	return decoded >= s.mostAhead()
}

// pick takes the next segment to decode, in turn among the partitions. nil: there is nothing to do now.
func (s *subscription) pick() *segment {
	enough := s.aheadEnough()
	for range s.undecoded.len() {
		p := s.undecoded.pop()
		p.undecoded = false
		if p.gone {
			continue
		}
		seg := p.nextToDecode(s.parallel)
		if seg == nil {
			continue
		}
		if enough && (p.buf.ready() || !s.starving(p)) {
			p.undecoded = true
			s.undecoded.push(p)
			continue
		}
		seg.busy, seg.frees = true, s.budget.freed()
		// Of a later segment nothing can be handed out, so it could keep the reserve from the one that comes first.
		seg.first = p.buf.segments[0] == seg
		s.decodable(p)
		return seg
	}
	return nil
}

// starvedAgain makes the workers look once more at the segments that found no room, though none was given back.
func (s *subscription) starvedAgain() {
	s.retry = true
	s.wakeDecoder()
}

// retryStarved lets the segments be tried again that found no room, if something has changed since they were last.
func (s *subscription) retryStarved() {
	freed := s.budget.freed()
	if !s.retry && freed == s.retriedAt {
		return
	}
	s.retry, s.retriedAt = false, freed
	starved := s.starved
	s.starved = nil
	for _, p := range starved {
		for _, seg := range p.buf.segments {
			seg.starved = false
		}
		s.decodable(p)
	}
}

// decodeLoop is one decoding worker. It ends when the consumer stops.
func (c *Consumer) decodeLoop(ctx context.Context) {
	s := c.sub
	env := &decodeEnv{names: &nameCache{}}
	for ctx.Err() == nil {
		s.mu.Lock()
		s.retryStarved()
		seg := s.pick()
		if seg == nil {
			s.mu.Unlock()
			select {
			case <-c.decodeWork:
			case <-ctx.Done():
				return
			}
			continue
		}
		c.prepare(env, seg)
		s.mu.Unlock()
		for more := true; more; {
			ch, err := seg.decoder.next(seg, env)
			s.mu.Lock()
			more = s.decoded(seg, ch, err)
			s.mu.Unlock()
		}
	}
}

// prepare makes env what seg is decoded with. Called with the mutex held.
func (c *Consumer) prepare(env *decodeEnv, seg *segment) {
	b := c.sub.budget
	*env = decodeEnv{
		tp: seg.p.tp, checkCRC: c.cfg.checkCRCs, budget: b, names: env.names, swell: env.swell,
		batchLimit: c.cfg.maxBatchBytes, slabLimit: (int(b.reserve) - c.cfg.maxBatchBytes) / 3,
		mayReserve: seg.first, part: seg.part.memory(), reuse: b.reusing(),
	}
}

// decoded takes in what a worker made of a segment; it reports whether the worker is to go on with it.
func (s *subscription) decoded(seg *segment, ch *chunk, err error) bool {
	p := seg.p
	if ch != nil {
		if p != nil && len(ch.msgs) > 0 {
			if seg.chunks == nil {
				seg.chunks = seg.early[:0]
			}
			seg.chunks = append(seg.chunks, ch)
		} else {
			ch.release(s.budget)
		}
	}
	if p == nil { // dropped meanwhile
		seg.busy = false
		seg.free(s.budget)
		return false
	}
	if ch != nil {
		seg.records -= len(ch.msgs)
	}
	finished := err == nil && seg.decoder.finished()
	bad, broken := errors.AsType[*batchFailure](err)
	switch {
	case broken:
		seg.busy = false
		s.decodeFailed(p, seg, bad)
	case errors.Is(err, errNoRoom):
		seg.busy, seg.starved = false, true
		s.starved = append(s.starved, p)
		if s.budget.freed() != seg.frees || !seg.first && p.buf.segments[0] == seg {
			s.starvedAgain() // things have changed meanwhile, and the wake for it may be spent
		}
		if s.wanted(p) && !p.buf.ready() {
			s.makeRoom(s.budget.available() + 1)
		}
	case finished:
		seg.busy, seg.parsed = false, true
		seg.next = max(seg.next, seg.decoder.from)
		if seg.next > p.fetch.offset { // old compressed messages only tell where they end once they are read
			p.fetch.offset = seg.next
			s.dirty(p)
		}
		if !seg.aliased {
			seg.leavePart(s.budget)
		}
	}
	if p.buf.segments[0] == seg || finished {
		s.settle(p)
		if p.deliverable() && (ch != nil || finished) {
			s.wake(p)
		}
	}
	if seg.busy && seg.ahead() >= segmentAhead {
		seg.busy = false
	}
	if !seg.busy {
		s.decodable(p)
		s.wakeForFailures(p)
	}
	return seg.busy
}

// wakeForFailures lets Get calls look again that held an error back while p's messages were being decoded.
func (s *subscription) wakeForFailures(p *partition) {
	if len(s.failures) > 0 {
		s.wake(p)
	}
}

// decodeFailed ends a segment at a batch that cannot be read.
func (s *subscription) decodeFailed(p *partition, seg *segment, bad *batchFailure) {
	seg.parsed = true
	for i, other := range p.buf.segments {
		if other == seg {
			p.buf.dropFrom(i+1, s.budget)
			break
		}
	}
	if seg.err = s.batchError(p, bad); seg.err == nil {
		seg.next, seg.epoch = bad.offset, -1 // it ends before its last batch
		s.refetch(p, bad.offset)
		return
	}
	p.fetch.offset = bad.offset // what is on its way from behind it is void
	s.dirty(p)
}

// batchError gives what is told of a batch that cannot be read; nil for one that is to be fetched again first, as it may have been
// damaged on its way.
func (s *subscription) batchError(p *partition, bad *batchFailure) error {
	if large, ok := errors.AsType[*tooLargeError](bad.err); ok {
		return s.tooLarge(p.tp, bad.offset, bad.next, large.size)
	}
	if p.fetch.foundCorrupt(bad.next) {
		return &CorruptRecordError{TopicPartition: p.tp, Offset: bad.offset, NextOffset: bad.next, Err: bad.err}
	}
	return nil
}

func (s *subscription) tooLarge(tp TopicPartition, offset, next int64, size int) error {
	return &RecordTooLargeError{TopicPartition: tp, Offset: offset, NextOffset: next, Size: size, Limit: s.batchLimit}
}

// refetch asks again for what was found corrupt, from offset on.
func (s *subscription) refetch(p *partition, offset int64) {
	p.fetch.offset = offset
	s.backOff(p)
	s.dirty(p)
	s.wakeFetcher()
}

// finished says that the segment has been read to its end.
func (d *decoder) finished() bool { return d.open.left == 0 && len(d.rest) == 0 }
