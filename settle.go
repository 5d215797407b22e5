package kafka

import "time"

// This file keeps the settled rule of autocommit: a message is settled when the application has asked for the next one,
// or committed it by hand. Only what is settled is committed by time, so a crash in the middle of a message delivers it
// again. All of it is called with subscription.mu held.

// handing notes that p is about to hand a message out: what lay before it when this turn began is settled, the rest is
// in hand.
func (s *subscription) handing(p *partition) {
	if p.handTurn != s.turn {
		p.handTurn = s.turn
		p.settledTo, p.settledEpoch = p.position, p.lastEpoch
	}
}

// beginTurn is for a Get call that begins: everything handed out before is settled.
func (s *subscription) beginTurn() {
	s.turn++
	s.byIterator = false
	if s.awaitTurn {
		s.awaitTurn = false
		s.signal()
	}
}

// settleReturned settles what GetOne and GetMany have returned, when the application will ask for no more; not the
// message that an iterator was left on, or whose body still runs.
func (s *subscription) settleReturned() {
	if !s.byIterator {
		s.turn++
		s.signal()
	}
}

// settled gives the offset up to which p's messages are settled, and the leader epoch of the last of them.
func (s *subscription) settled(p *partition) (offset int64, leaderEpoch int32) {
	if p.handTurn == s.turn {
		return p.settledTo, p.settledEpoch
	}
	return p.position, p.lastEpoch
}

// committedByHand settles what lies before an offset that was committed by hand.
func (s *subscription) committedByHand(p *partition, offset int64, leaderEpoch int32) {
	p.byHand = offset
	if p.handTurn == s.turn && p.settledTo < offset {
		p.settledTo, p.settledEpoch = min(offset, p.position), leaderEpoch
		s.signal()
	}
}

// foundCommitted takes in what a coordinator was found to have for p, asked when p.commits was as given.
func (s *subscription) foundCommitted(p *partition, offset int64, commits uint32) {
	if p.commits == commits && p.committed != commitOnItsWay {
		p.committed, p.committedAt = offset, time.Now()
	}
}

// recommitAfter is when unchanged offsets are committed again, so that a group without members does not lose them to
// offsets.retention.minutes.
const recommitAfter = time.Hour

// toCommit gives what autocommit is to commit of the partitions: settled offsets that are not committed yet, and not below what was
// committed by hand. What a listener has been told of is left as it was committed before that: the application may have let go of what
// was in hand since, for the next owner to have it, and its next Get call does not settle that.
func (s *subscription) toCommit(parts map[TopicPartition]*partition, now time.Time) map[TopicPartition]OffsetAndMetadata {
	out := make(map[TopicPartition]OffsetAndMetadata)
	for tp, p := range parts {
		if !p.known || p.revoking {
			continue
		}
		offset, epoch := s.settled(p)
		if offset < p.byHand {
			continue
		}
		stale := s.kind == assignedByHand && now.Sub(p.committedAt) >= recommitAfter
		if offset != p.committed || stale {
			out[tp] = OffsetAndMetadata{Offset: offset, LeaderEpoch: epoch}
		}
	}
	return out
}
