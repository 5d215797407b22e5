package acceptance

import (
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

// produced notes a record that was acknowledged.
func (j *chronicle) produced(tp kafka.TopicPartition, offset int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(checker.Event{Kind: checker.Produced, TP: checkerTP(tp), Offset: offset})
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
