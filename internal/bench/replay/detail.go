package replay

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Detail is what a server knows of its clients beyond Stats; it makes sense where one client has read, once.
type Detail struct {
	Connections int64 `json:"connections"` // accepted
	Fetching    int64 `json:"fetching"`    // of these, those on which something was fetched
	BytesIn     int64 `json:"bytes_in"`    // of all requests
	BytesOut    int64 `json:"bytes_out"`   // and responses
	// Partitions is how many partitions have been fetched, with records or without, and AllFetchedAt when the last of them was
	// first, in Unix nanoseconds; 0 before.
	Partitions   int   `json:"partitions"`
	AllFetchedAt int64 `json:"all_fetched_at"`
	// Resent is how many records of a partition were sent that had been sent before, for those that have any. A batch that was
	// cut at a limit has not been sent.
	Resent map[int32]int64 `json:"resent,omitempty"`
}

type traffic struct{ connections, fetching, in, out atomic.Int64 }

// seen is what clients have fetched of a topic.
type seen struct {
	parts []seenPart
	count atomic.Int64
	allAt atomic.Int64
}

type seenPart struct {
	fetched     atomic.Bool
	end, resent atomic.Int64
}

func newSeen(partitions int) seen { return seen{parts: make([]seenPart, partitions)} }

// fetch notes that a client asks for the partition.
func (s *seen) fetch(partition int32) {
	if !s.parts[partition].fetched.Swap(true) && s.count.Add(1) == int64(len(s.parts)) {
		s.allAt.Store(time.Now().UnixNano())
	}
}

// send notes that a whole batch is sent.
func (s *seen) send(partition int32, base, records int64) {
	p := &s.parts[partition]
	if base < p.end.Load() {
		p.resent.Add(records)
		return
	}
	p.end.Store(base + records)
}

// Detail says what has been seen of the clients so far, of all topics together.
func (s *Server) Detail() Detail {
	d := Detail{
		Connections: s.traffic.connections.Load(), Fetching: s.traffic.fetching.Load(),
		BytesIn: s.traffic.in.Load(), BytesOut: s.traffic.out.Load(),
	}
	for _, t := range s.topics {
		d.Partitions += int(t.seen.count.Load())
		d.AllFetchedAt = max(d.AllFetchedAt, t.seen.allAt.Load())
		for p := range t.seen.parts {
			if n := t.seen.parts[p].resent.Load(); n > 0 {
				if d.Resent == nil {
					d.Resent = map[int32]int64{}
				}
				d.Resent[int32(p)] += n
			}
		}
	}
	return d
}

// Began is when the growth of the topics began.
func (s *Server) Began() time.Time { return s.began }

// end is the offset after the last record of the partition, by now.
func (s *Server) end(t *servedTopic, partition int32) int64 {
	if !s.growth.On() {
		return t.log.End()
	}
	return s.growth.End(t.log, partition, time.Since(s.began))
}

// moves are the partitions that were moved to another leader, and how often: that is their leader epoch.
type moves struct {
	any atomic.Bool
	mu  sync.Mutex
	to  map[int32]move
}

type move struct{ node, epoch int32 }

// Move makes another broker the leader of the partition, of every topic. It has been there all along for all that clients see of it.
func (s *Server) Move(partition, node int32) error {
	if node < 0 || int(node) >= len(s.listeners) {
		return fmt.Errorf("there is no broker %d", node)
	}
	for _, t := range s.topics {
		if partition < 0 || int(partition) >= t.log.Spec.Partitions {
			return fmt.Errorf("%s has no partition %d", t.name, partition)
		}
	}
	s.moved.mu.Lock()
	defer s.moved.mu.Unlock()
	if s.moved.to == nil {
		s.moved.to = map[int32]move{}
	}
	s.moved.to[partition] = move{node, s.moved.to[partition].epoch + 1}
	s.moved.any.Store(true)
	return nil
}

// leader gives the partition's leader and leader epoch.
func (s *Server) leader(partition int32) (node, epoch int32) {
	if s.moved.any.Load() {
		s.moved.mu.Lock()
		m, moved := s.moved.to[partition]
		s.moved.mu.Unlock()
		if moved {
			return m.node, m.epoch
		}
	}
	return partition % int32(len(s.listeners)), leaderEpoch
}
