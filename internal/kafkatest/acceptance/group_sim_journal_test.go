package acceptance

import (
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/checker"
)

// A chronicle is what the checker reads, written by many at a time.
type chronicle struct {
	mu        sync.Mutex
	events    []checker.Event
	committed map[checker.TP]int64
}

func newChronicle() *chronicle { return &chronicle{committed: make(map[checker.TP]int64)} }

func checkerTP(tp kafka.TopicPartition) checker.TP { return checker.TP(tp) }

// add notes an event that happens now. The caller holds mu.
func (j *chronicle) add(e checker.Event) {
	e.Time = time.Now()
	if e.Kind == checker.Committed {
		j.committed[e.TP] = e.Offset
	}
	j.events = append(j.events, e)
}

// about notes the same of several partitions. The caller holds mu.
func (j *chronicle) about(kind checker.Kind, member string, tps []kafka.TopicPartition) {
	for _, tp := range tps {
		j.add(checker.Event{Kind: kind, Member: member, TP: checkerTP(tp)})
	}
}

// stored takes in what the coordinator has, for the commits whose answers nobody saw. The caller holds mu.
func (j *chronicle) stored(group *kfake.GroupInfo) {
	for topic, partitions := range group.Commits {
		for p, commit := range partitions {
			tp := checker.TP{Topic: topic, Partition: p}
			if known, ok := j.committed[tp]; !ok || known != commit.Offset {
				j.add(checker.Event{Kind: checker.Committed, TP: tp, Offset: commit.Offset})
			}
		}
	}
}

// note is add for who does not hold mu.
func (j *chronicle) note(e checker.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(e)
}

// delivered notes a record that member was given. Without a bubble the note may come after that of a revoke, which the record was handed
// out before: then it takes its place there.
func (j *chronicle) delivered(member string, tp kafka.TopicPartition, offset int64) {
	e := checker.Event{Time: time.Now(), Kind: checker.Delivered, Member: member, TP: checkerTP(tp), Offset: offset}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, before := range slices.Backward(j.events) {
		if before.Member != member || before.TP != e.TP {
			continue
		}
		if before.Kind == checker.Revoking || before.Kind == checker.Losing {
			e.Time = before.Time
			j.events = slices.Insert(j.events, i, e)
			return
		}
		if before.Kind != checker.Revoked && before.Kind != checker.Lost {
			break
		}
	}
	j.events = append(j.events, e)
}

// call notes one of a listener that does nothing: it begins and returns.
func (j *chronicle) call(member string, call told) {
	kinds := map[string][]checker.Kind{"OnPartitionsAssigned": {checker.Assigned}, "OnPartitionsRevoked": {checker.Revoking, checker.Revoked},
		"OnPartitionsLost": {checker.Losing, checker.Lost}}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, kind := range kinds[call.callback] {
		j.about(kind, member, call.parts)
	}
}

// check gives what was not kept, where partitions have records up to their ends.
func (j *chronicle) check(ends map[kafka.TopicPartition]int64, o checker.Options) []checker.Violation {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := slices.Clone(j.events)
	for tp, end := range ends {
		for offset := range end {
			events = append(events, checker.Event{Time: time.Now(), Kind: checker.Produced, TP: checkerTP(tp), Offset: offset})
		}
	}
	return checker.Check(events, o)
}

// produced notes a record that was acknowledged.
func (j *chronicle) produced(tp kafka.TopicPartition, offset int64) {
	j.note(checker.Event{Kind: checker.Produced, TP: checkerTP(tp), Offset: offset})
}

// unread gives how many records that were produced nobody was given.
func (j *chronicle) unread() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	type record struct {
		tp     checker.TP
		offset int64
	}
	given := make(map[record]bool)
	for _, e := range j.events {
		if e.Kind == checker.Delivered {
			given[record{e.TP, e.Offset}] = true
		}
	}
	n := 0
	for _, e := range j.events {
		if e.Kind == checker.Produced && !given[record{e.TP, e.Offset}] {
			n++
		}
	}
	return n
}
