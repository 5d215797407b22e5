package kafka

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
)

// A consumer may have ten thousand partitions, most of them quiet: what one takes is what they take.
func TestPartition_IsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(partition{}), uintptr(504), "with the 8 bytes that the allocator puts before what has pointers, a size class of 512; the next one has 64 more")
}

// A new leader is asked what the old one was; what the coordinator is asked goes on.
func TestPartition_ANewLeaderEndsTheQuestionToTheOldOne(t *testing.T) {
	r := newRooms(t)
	meta := &cluster.Metadata{Topics: map[string]*cluster.Topic{"t": {Name: "t", Partitions: []cluster.Partition{{Leader: 1, LeaderEpoch: 2}}}}}
	for _, c := range []struct {
		name  string
		start startAt
		known bool
		goes  bool
	}{
		{"where the log begins", startAt{reset: ResetEarliest}, false, false},
		{"whether the log was cut", startAt{}, true, false},
		{"what is committed", startAt{committed: true, reset: ResetEarliest}, false, true},
	} {
		p := newPartition(TopicPartition{"t", 0}, &c.start)
		p.known, p.asking.asked = c.known, true
		r.applyLeader(p, meta)
		require.Equal(t, c.goes, p.asking.asked, c.name)
		require.Equal(t, int32(1), p.fetch.leader)
	}
}
