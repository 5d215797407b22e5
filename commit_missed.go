package kafka

// This file keeps in mind what was handed out of partitions that have gone, and not committed: Commit is to say so, once. All of it is
// called with subscription.mu held.

// A loss is why partitions have gone from this member, where it is more than that the group has given them to others.
type loss struct {
	reason string
	err    error // the broker's code, where there was one
}

// A missedPart is a partition that has gone, and of which something was handed out that is not committed.
type missedPart struct {
	p    *partition
	back *partition // as which it came straight back, so that nobody else can have had it; nil: it did not
	why  *loss
}

// uncommitted says whether something of p was handed out that is not known to be committed. Control records and the like behind that are
// nothing to miss.
func (p *partition) uncommitted() bool { return p.handedTo > max(p.committed, 0) }

// miss is for a partition that goes without the application having had its chance to commit, as a listener has that is told in a rebalance
// that partitions are revoked; what Subscribe drops goes by the application's own wish.
func (s *subscription) miss(given heldPart, why *loss) {
	p := given.p
	if p.dropped != nil || !p.uncommitted() {
		return
	}
	m := missedPart{p: p, why: why}
	if given.generation >= 0 && s.lastGeneration == given.generation+1 {
		m.back = s.partitions[p.tp]
	}
	s.missed[p.tp] = m
}

// missing gives what Commit is to commit for partitions that came straight back, in offsets, and the errors for those of which it cannot.
func (c *Consumer) missing(offsets map[TopicPartition]OffsetAndMetadata) (errs []error) {
	s := c.sub
	for tp, m := range s.missed {
		p := s.partitions[tp]
		caughtUp := p != nil && (p.moved > 0 || p.known && p.position >= m.p.handedTo || p.committed >= m.p.handedTo)
		switch {
		case caughtUp:
			delete(s.missed, tp)
		case p != nil && p == m.back:
			offsets[tp] = OffsetAndMetadata{Offset: m.p.position, LeaderEpoch: m.p.lastEpoch}
		default:
			delete(s.missed, tp)
			errs = append(errs, c.lostError(tp, m.why))
		}
	}
	return errs
}

// lostError is for a commit of a partition that this member had, and lost to the group.
func (c *Consumer) lostError(tp TopicPartition, why *loss) error {
	if why == nil {
		return &CommitFailedError{GroupID: c.cfg.groupID, Reason: "partition " + tp.String() + " was given to another member, or may have been"}
	}
	return &CommitFailedError{GroupID: c.cfg.groupID, Reason: "partition " + tp.String() + " has gone from this member: " + why.reason, Err: why.err}
}
