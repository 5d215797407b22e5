package kafka

import (
	"time"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
)

// This file is fetching from the closest replica (KIP-392): a leader that is told our rack names a replica to fetch from.
// Everything but fetching goes to the leader all the same. Called with the mutex held.

// A closest is the replica that a partition is fetched from instead of its leader.
type closest struct {
	id    int32
	until time.Time // the leader is asked anew then
}

// source is the broker to fetch from; -1 where none is known.
func (p *partition) source() int32 {
	if p.fetch.replica != nil && p.fetch.leader >= 0 {
		return p.fetch.replica.id
	}
	return p.fetch.leader
}

// prefer takes in the replica that a leader named; it holds for as long as metadata does. It reports whether the partition is to be
// fetched there now: such an answer brings nothing else, and ends no backoff.
func (f *fetcher) prefer(p *partition, replica int32) bool {
	if replica < 0 || f.cfg.rackID == "" || replica == p.source() {
		return false
	}
	p.fetch.replica = nil
	if replica != p.fetch.leader {
		p.fetch.replica = &closest{id: replica, until: time.Now().Add(f.cfg.metadataMaxAge)}
	}
	f.markDirty(p)
	return true
}

// backToLeader ends a preference: it reports whether there was one.
func (f *fetcher) backToLeader(p *partition) bool {
	if p.fetch.replica == nil {
		return false
	}
	p.fetch.replica = nil
	f.markDirty(p)
	return true
}

// leaveReplica sends partitions that were fetched from a broker that fails back to their leaders.
func (f *fetcher) leaveReplica(id int32) {
	for _, p := range f.sub.partitions {
		if p.fetch.replica != nil && p.fetch.replica.id == id {
			f.backToLeader(p)
		}
	}
}

// checkReplica ends a preference that is too old, or for a broker that is no more.
func (f *fetcher) checkReplica(p *partition, meta *cluster.Metadata) {
	if p.fetch.replica == nil {
		return
	}
	if _, there := meta.Broker(p.fetch.replica.id); !there || time.Now().After(p.fetch.replica.until) {
		f.backToLeader(p)
	}
}
