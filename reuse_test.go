package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Memory that is kept serves what is not much smaller: the smallest that does.
func TestReuse_TakesWhatFitsBest(t *testing.T) {
	b := newBudget(64<<20, 0, func() {})
	defer b.reuse()()
	for _, size := range []int{roundSize(800 << 10), roundSize(1200 << 10), roundSize(1000 << 10)} {
		b.keepBlock(make([]byte, size))
	}
	kept := b.spare.bytes
	for _, c := range []struct{ n, want int }{
		{950 << 10, roundSize(1000 << 10)},
		{950 << 10, roundSize(1200 << 10)},
		{950 << 10, roundSize(950 << 10)}, // none is left but a smaller one
		{500 << 10, roundSize(500 << 10)}, // that is nearly twice as much as is needed
		{700 << 10, roundSize(800 << 10)}, // it serves this
		{700 << 10, roundSize(700 << 10)}, // and is had only once
	} {
		n := b.fit(c.n)
		require.Equal(t, c.want, n, "for %d", c.n)
		require.Len(t, b.bytesOf(n), n)
	}
	require.Positive(t, kept)
	require.Zero(t, b.spare.bytes)
	require.Empty(t, b.spare.blocks)
}

// What a record set is charged for is what it takes, also where it has the memory of a larger one.
func TestReuse_OfALargerBlockIsCharged(t *testing.T) {
	b := newBudget(4<<20-1, 0, func() {})
	large := int64(roundSize(1200 << 10))
	b.keepBlock(make([]byte, large))
	require.True(t, b.takeRaw(1000<<10))
	part := b.newSetPart(1000<<10, true)
	require.Equal(t, large, part.bytes)
	require.Len(t, part.data, 1000<<10)
	require.Len(t, part.mem.buf, int(large))
	require.Equal(t, large, b.used)
	part.leave(b)
	require.Zero(t, b.used)
	require.Equal(t, large, b.spare.bytes)

	require.True(t, b.takeRaw(3<<20))
	require.True(t, b.takeRaw(1000<<10))
	require.Equal(t, int64(1000<<10), b.newSetPart(1000<<10, true).bytes, "no room for more than is needed")
	require.LessOrEqual(t, b.used, b.limit)
}

func TestReuse_OfALargerChunk(t *testing.T) {
	b := newBudget(64<<20, 0, func() {})
	defer b.reuse()()
	for _, n := range []int{roundSize(1500), roundSize(1200)} {
		b.keepChunk(&chunk{msgs: make([]Message, 0, n)})
	}
	require.Nil(t, b.spareChunk(700))
	require.Equal(t, roundSize(1200), cap(b.spareChunk(1100).msgs))
	require.Equal(t, roundSize(1500), cap(b.spareChunk(1100).msgs))
	require.Nil(t, b.spareChunk(1100))
	require.Zero(t, b.spare.bytes)
}
