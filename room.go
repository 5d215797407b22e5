package kafka

import "slices"

// makeRoom drops the newest batches of partitions that no Get call waits for, paused or left out by a filter, until need
// bytes are free. It is for when a partition that a Get call waits for has nothing, and the memory bound is reached.
// What is dropped is fetched again once it is wanted. Called with the mutex held.
func (s *subscription) makeRoom(need int64) {
	for s.budget.available() < need {
		victim := s.victim()
		if victim == nil {
			return
		}
		last := len(victim.buf.segments) - 1
		victim.fetch.offset, victim.fetch.lastEpoch = victim.position, victim.lastEpoch
		if last > 0 {
			victim.fetch.offset, victim.fetch.lastEpoch = victim.buf.segments[last-1].next, victim.buf.segments[last-1].epoch
		}
		victim.buf.drop(last, s.budget)
		if !victim.fetch.held {
			victim.fetch.held = true
			s.held = append(s.held, victim)
		}
		s.dirty(victim)
	}
}

// victim picks the partition that is to give up its newest batches: the one that has most buffered of those that are
// not wanted.
func (s *subscription) victim() *partition {
	if s.pausedNow == 0 && s.allWanted() {
		return nil // the common case, and there may be thousands of partitions
	}
	var most *partition
	for _, p := range s.partitions {
		if len(p.buf.segments) == 0 || s.wanted(p) {
			continue
		}
		if most == nil || p.buf.bytes > most.buf.bytes {
			most = p
		}
	}
	return most
}

// release lets the partitions that gave up batches for others be fetched again which a Get call asks for (nil: all).
func (s *subscription) release(only []*partition) {
	if len(s.held) == 0 {
		return
	}
	kept := s.held[:0]
	for _, p := range s.held {
		if p.gone || !p.paused && (only == nil || slices.Contains(only, p)) {
			p.fetch.held = false
			s.dirty(p)
			s.wakeFetcher()
			continue
		}
		kept = append(kept, p)
	}
	clear(s.held[len(kept):])
	s.held = kept
}

// callWaits is for a Get call that found nothing and goes to sleep: whoever was refused room is to try again, as the call
// changes who is wanted.
func (s *subscription) callWaits() {
	if s.budget.wasRefused() {
		s.wakeFetcher()
		s.starvedAgain()
	}
	if s.undecoded.len() > 0 {
		s.wakeDecoder()
	}
}
