package replay

import (
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// Growth makes a topic's partitions grow with time, by one batch each every so often. The zero value is a topic that is whole from
// the start.
type Growth struct {
	Every time.Duration // 0: nothing grows
	// Whole is how many partitions are whole from the start, the first ones; Active how many, behind those, grow. The others
	// are empty, and stay so.
	Whole, Active int
}

// On says whether the topic is not simply whole.
func (g Growth) On() bool { return g.Every > 0 }

// End is the offset after the last record of the partition, after a time. Each growing partition has a time of its own within the
// interval, so that something comes all the time.
func (g Growth) End(l *topic.Log, partition int32, elapsed time.Duration) int64 {
	switch p := int(partition); {
	case !g.On() || p < g.Whole:
		return l.End()
	case p >= g.Whole+g.Active || elapsed < g.phase(partition):
		return 0
	}
	batches := int64((elapsed - g.phase(partition)) / g.Every)
	return min(batches*int64(l.Spec.RecordsPerBatch()), l.End())
}

// Available is when the record came to be there, and whether it is one of a partition that grows.
func (g Growth) Available(s topic.Spec, partition int32, offset int64) (time.Duration, bool) {
	if !g.On() || int(partition) < g.Whole {
		return 0, false
	}
	return g.phase(partition) + time.Duration(offset/int64(s.RecordsPerBatch())+1)*g.Every, true
}

// Next is when the partition grows next; false if it never does.
func (g Growth) Next(partition int32, elapsed time.Duration) (time.Duration, bool) {
	p := int(partition)
	if !g.On() || p < g.Whole || p >= g.Whole+g.Active {
		return 0, false
	}
	phase := g.phase(partition)
	if elapsed < phase {
		return phase + g.Every, true
	}
	return phase + ((elapsed-phase)/g.Every+1)*g.Every, true
}

func (g Growth) phase(partition int32) time.Duration {
	return g.Every * time.Duration(int(partition)-g.Whole) / time.Duration(max(1, g.Active))
}
