package fakebroker

import (
	"slices"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// session is an incremental fetch session (KIP-227).
type session struct {
	node   int32
	epoch  int32 // expected next
	byID   bool
	wanted []*fetched
}

// fetched is one partition of a fetch, and in a session what the client was last told of it.
type fetched struct {
	topic string        // up to version 12
	id    protocol.UUID // from version 13 on
	want  protocol.FetchRequestPartition

	told               bool
	high, stable, from int64
}

// news reports whether an incremental answer must speak of the partition.
func (f *fetched) news(p *protocol.FetchResponsePartition) bool {
	return !f.told || len(p.Records) > 0 || p.ErrorCode != protocol.None ||
		p.HighWatermark != f.high || p.LastStableOffset != f.stable || p.LogStartOffset != f.from
}

// fetchPlan is what one Fetch request comes to.
type fetchPlan struct {
	node      int32
	req       *protocol.FetchRequest
	byID      bool
	sessionID int32
	full      bool // every partition is answered
	wanted    []*fetched
}

// sent remembers what the client is told.
func (plan *fetchPlan) sent(resp *protocol.FetchResponse) {
	for _, t := range resp.Responses {
		for _, p := range t.Partitions {
			for _, f := range plan.wanted {
				if f.topic == t.Topic && f.id == t.TopicID && f.want.Partition == p.PartitionIndex {
					f.told = p.ErrorCode == protocol.None
					f.high, f.stable, f.from = p.HighWatermark, p.LastStableOffset, p.LogStartOffset
				}
			}
		}
	}
}

// planFetch reads a request in the light of its session.
func (c *Cluster) planFetch(k *Call, req *protocol.FetchRequest) (*fetchPlan, protocol.ErrorCode) {
	plan := &fetchPlan{node: k.Node, req: req, byID: k.Version >= 13, full: true}
	if k.Version < 7 || req.SessionEpoch <= 0 {
		if s := c.sessions[req.SessionID]; s != nil && s.node == k.Node {
			delete(c.sessions, req.SessionID)
		}
		plan.wanted = wantedOf(req)
		if k.Version >= 7 && req.SessionEpoch == 0 && !c.opts.NoSessions {
			c.sessionSeq++
			plan.sessionID = c.sessionSeq
			c.sessions[c.sessionSeq] = &session{node: k.Node, epoch: 1, byID: plan.byID, wanted: plan.wanted}
		}
		return plan, protocol.None
	}
	s := c.sessions[req.SessionID]
	switch {
	case s == nil || s.node != k.Node:
		return nil, protocol.FetchSessionIDNotFound
	case s.epoch != req.SessionEpoch:
		return nil, protocol.InvalidFetchSessionEpoch
	case s.byID != plan.byID:
		return nil, protocol.FetchSessionTopicIDError
	}
	s.epoch++
	if s.epoch < 0 {
		s.epoch = 1
	}
	for _, f := range wantedOf(req) {
		if old := s.find(f.topic, f.id, f.want.Partition); old != nil {
			old.want = f.want
		} else {
			s.wanted = append(s.wanted, f)
		}
	}
	for _, t := range req.ForgottenTopicsData {
		for _, index := range t.Partitions {
			f := s.find(t.Topic, t.TopicID, index)
			s.wanted = slices.DeleteFunc(s.wanted, func(other *fetched) bool { return other == f })
		}
	}
	plan.sessionID, plan.full, plan.wanted = req.SessionID, false, s.wanted
	return plan, protocol.None
}

// find gives a session's partition, nil for none.
func (s *session) find(topic string, id protocol.UUID, index int32) *fetched {
	for _, f := range s.wanted {
		if f.topic == topic && f.id == id && f.want.Partition == index {
			return f
		}
	}
	return nil
}

// wantedOf lists the partitions of a request.
func wantedOf(req *protocol.FetchRequest) []*fetched {
	var wanted []*fetched
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wanted = append(wanted, &fetched{topic: t.Topic, id: t.TopicID, want: p})
		}
	}
	return wanted
}

// Sessions counts the fetch sessions that a node keeps.
func (c *Cluster) Sessions(node int32) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.sessions {
		if s.node == node {
			n++
		}
	}
	return n
}

// ForgetSessions drops every fetch session, as a broker does that restarts or needs the room.
func (c *Cluster) ForgetSessions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.sessions)
}
