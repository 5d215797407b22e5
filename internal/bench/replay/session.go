package replay

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxSessions is how many fetch sessions are kept; further ones are not granted.
const maxSessions = 1000

// sessions are the fetch sessions of all brokers (KIP-227).
type sessions struct {
	mu   sync.Mutex
	last int32
	byID map[int32]*session
}

// session is what a client fetches on. One connection at a time works on it: a client does not spread a session over several.
type session struct {
	id    int32
	epoch int32     // of the next request
	order []*wanted // as they are answered
	byKey map[partitionKey]*wanted
}

// wanted is a partition that a client fetches.
type wanted struct {
	partitionKey
	offset   int64
	maxBytes int32
	told     int64 // the high watermark that was told last in this session
	served   bool  // the last response had records of it
	gone     bool  // forgotten
}

const untold = -1

// partitionKey names a partition as the request does: by the name of its topic below version 13, by its id from there on.
type partitionKey struct {
	topic     string
	topicID   [16]byte
	partition int32
}

// take gives the partitions of a request: those it names, or those of its session once it is brought up to date. The session is
// nil for a request without one; a code is the error of the whole response.
func (s *sessions) take(req *kmsg.FetchRequest) (ss *session, parts []*wanted, code int16) {
	full := req.Version < 7 || req.SessionEpoch <= 0
	if full {
		parts = named(req)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case req.Version < 7:
		return nil, parts, 0
	case req.SessionEpoch < 0:
		delete(s.byID, req.SessionID)
		return nil, parts, 0
	case req.SessionEpoch == 0:
		delete(s.byID, req.SessionID)
		if len(s.byID) >= maxSessions {
			return nil, parts, 0
		}
		s.last++
		ss = newSession(s.last, parts)
		if s.byID == nil {
			s.byID = map[int32]*session{}
		}
		s.byID[ss.id] = ss
		return ss, parts, 0
	}
	ss = s.byID[req.SessionID]
	if ss == nil {
		return nil, nil, fetchSessionNotFound
	}
	if ss.epoch != req.SessionEpoch {
		return ss, nil, invalidFetchEpoch
	}
	ss.epoch = max(1, ss.epoch+1) // wraps to 1
	ss.update(req)
	return ss, ss.order, 0
}

func named(req *kmsg.FetchRequest) []*wanted {
	var parts []*wanted
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, p := range t.Partitions {
			key := partitionKey{t.Topic, t.TopicID, p.Partition}
			parts = append(parts, &wanted{partitionKey: key, offset: p.FetchOffset, maxBytes: p.PartitionMaxBytes, told: untold})
		}
	}
	return parts
}

func newSession(id int32, parts []*wanted) *session {
	ss := &session{id: id, epoch: 1, order: parts, byKey: make(map[partitionKey]*wanted, len(parts))}
	for _, w := range parts {
		ss.byKey[w.partitionKey] = w
	}
	return ss
}

// update applies an incremental request: what it names is changed or added, what it forgets is dropped.
func (ss *session) update(req *kmsg.FetchRequest) {
	for _, w := range named(req) {
		if had := ss.byKey[w.partitionKey]; had != nil {
			had.offset, had.maxBytes = w.offset, w.maxBytes
			continue
		}
		ss.byKey[w.partitionKey] = w
		ss.order = append(ss.order, w)
	}
	if len(req.ForgottenTopics) == 0 {
		return
	}
	for _, t := range req.ForgottenTopics {
		for _, p := range t.Partitions {
			key := partitionKey{t.Topic, t.TopicID, p}
			if w := ss.byKey[key]; w != nil {
				w.gone = true
				delete(ss.byKey, key)
			}
		}
	}
	ss.order = slices.DeleteFunc(ss.order, func(w *wanted) bool { return w.gone })
}

// rotate moves the partitions that were answered with records behind the others, so that a response limit starves none.
func (ss *session) rotate() {
	slices.SortStableFunc(ss.order, func(a, b *wanted) int {
		switch {
		case a.served == b.served:
			return 0
		case b.served:
			return -1
		default:
			return 1
		}
	})
}
