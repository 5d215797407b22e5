package kafka

import (
	"math"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A fetchSession is an incremental fetch session with one broker (KIP-227): what the broker has been told, so that a
// request only has to name what changes.
type fetchSession struct {
	id        int32 // 0: none
	epoch     int32
	version   int16 // of the last Fetch that was answered
	members   map[*partition]struct{}
	forgotten []forgottenPartition
	unnamed   int // members without a topic id
}

// A sessionEntry is a partition's part in the session of the broker it was last fetched from.
type sessionEntry struct {
	on          bool
	node        int32
	epoch       uint64 // the partition's
	offset      int64
	leaderEpoch int32
	maxBytes    int32
	topicID     protocol.UUID
}

type forgottenPartition struct {
	topicID protocol.UUID
	tp      TopicPartition
}

func newFetchSession() fetchSession {
	return fetchSession{members: make(map[*partition]struct{})}
}

// put makes p part of the session as e says.
func (s *fetchSession) put(p *partition, e sessionEntry) {
	s.leave(p)
	s.members[p] = struct{}{}
	if e.topicID == (protocol.UUID{}) {
		s.unnamed++
	}
	p.fetch.session, p.fetch.joined = e, time.Now()
}

// leave takes p out of the members, if it is one.
func (s *fetchSession) leave(p *partition) bool {
	if _, ok := s.members[p]; !ok {
		return false
	}
	delete(s.members, p)
	if p.fetch.session.topicID == (protocol.UUID{}) {
		s.unnamed--
	}
	return true
}

// forget takes p out of the session; the broker is told with the next fetch.
func (s *fetchSession) forget(p *partition) {
	if !s.leave(p) {
		return
	}
	s.forgotten = append(s.forgotten, forgottenPartition{topicID: p.fetch.session.topicID, tp: p.tp})
	p.fetch.session.on = false
}

// full says whether the next fetch has to name every member.
func (s *fetchSession) full() bool { return s.epoch == 0 }

// next gives what to put into a request.
func (s *fetchSession) next() (id, epoch int32) { return s.id, s.epoch }

// answered takes in the id of a response without an error.
func (s *fetchSession) answered(id int32) {
	if id == 0 {
		s.id, s.epoch = 0, 0 // none was granted: full fetches go on
		return
	}
	if s.id != id {
		s.id, s.epoch = id, 0
	}
	if s.epoch == math.MaxInt32 {
		s.epoch = 0
	}
	s.epoch++
}

// reset makes the session begin anew after an error, and gives its members, which have to be put in again. A session
// that the broker may still have is named once more, with epoch 0, to have it dropped.
func (s *fetchSession) reset(code protocol.ErrorCode) []*partition {
	if code == protocol.FetchSessionIDNotFound {
		s.id = 0
	}
	s.epoch, s.forgotten = 0, nil
	out := make([]*partition, 0, len(s.members))
	for p := range s.members {
		p.fetch.session.on = false
		out = append(out, p)
	}
	clear(s.members)
	s.unnamed = 0
	return out
}
