package kafka

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answersOf lets n answers of a megabyte be measured.
func (r *reach) answersOf(n int, wait, read time.Duration) {
	for range n {
		r.measured(wait, read, 1<<20)
	}
}

func TestReach_TellsANearBrokerFromAFarOne(t *testing.T) {
	var r reach
	r.answersOf(2, 40*time.Millisecond, 2*time.Millisecond)
	require.False(t, r.far, "two answers do not tell: a connection may have been made for one")
	r.answersOf(1, 40*time.Millisecond, 2*time.Millisecond)
	require.True(t, r.far)

	r.answersOf(1, 100*time.Microsecond, time.Millisecond)
	require.False(t, r.far, "the shortest wait tells of the way")
	for range 20 {
		r.answersOf(5, 5*time.Millisecond, time.Millisecond)
		require.False(t, r.far, "what comes in between, does not")
		r.answersOf(1, 100*time.Microsecond, time.Millisecond)
	}
	r.answersOf(300, 5*time.Millisecond, time.Millisecond)
	require.True(t, r.far, "the way has become longer")
}

func TestReach_ASlowNetworkIsNotAFarOne(t *testing.T) {
	var r reach
	r.answersOf(10, 20*time.Millisecond, 100*time.Millisecond) // 10 MB/s
	require.False(t, r.far)
}

func TestReach_SmallAnswersTellNothing(t *testing.T) {
	var r reach
	for range 10 {
		r.measured(500*time.Millisecond, time.Microsecond, 100) // a long poll
	}
	require.Zero(t, r)
}

func TestReach_HowMuchIsAskedForAndKept(t *testing.T) {
	plain, compressed := newPartition(TopicPartition{"t", 0}, started), newPartition(TopicPartition{"t", 1}, started)
	compressed.fetch.compressed = true
	for _, c := range []struct {
		name       string
		p          *partition
		far, reuse bool
		limit, low int
		most       int64
	}{
		{"near", plain, false, false, 512 << 10, 256 << 10, 2<<20 + 10*16<<10},
		{"near, memory used again", plain, false, true, 512 << 10, 256 << 10, 2<<20 + 10*16<<10},
		{"near, compressed, memory used again", compressed, false, true, 2 << 20, 1 << 20, math.MaxInt64},
		{"near, compressed", compressed, false, false, 1 << 20, 512 << 10, math.MaxInt64},
		{"far", plain, true, false, 2 << 20, 1 << 20, math.MaxInt64},
		{"far, compressed", compressed, true, false, 2 << 20, 1 << 20, math.MaxInt64},
	} {
		r := reach{far: c.far}
		limit := r.ahead(c.p, 1<<20, c.reuse)
		require.Equal(t, c.limit, limit, c.name)
		require.Equal(t, c.low, limit/2, c.name)
		require.Equal(t, c.most, r.most([]*partition{c.p}, 10), c.name)
	}
}

// The requests themselves: a near broker is asked for little, a far one for as much as there is room.
func TestReach_IsInTheRequest(t *testing.T) {
	r := newRooms(t)
	r.assign(3)
	near, _ := r.plan()
	require.Equal(t, int32(2<<20), near.request.MaxBytes, "the session has no members yet")
	r.answer(near, part{index: 0, set: batchOf(0, 1)})

	n := r.fetcher.node(near.node)
	n.reach.far = true
	far, _ := r.plan()
	require.Greater(t, far.request.MaxBytes, int32(8<<20))
	r.answer(far)
}
