package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
)

// noise is a compressed batch of one record that takes about n bytes.
func noise(base int64, n int) []byte {
	raw := make([]byte, n)
	random := rand.New(rand.NewPCG(uint64(base), 1))
	for i := range raw {
		raw[i] = byte(random.Uint32())
	}
	return valuesBatch(base, []string{string(raw)}, withCodec(compress.Zstd))
}

// noisyRooms has a partition whose record sets are known to be compressed.
func noisyRooms(t *testing.T, opts ...ConsumerOption) (*rooms, *partition) {
	r := newRooms(t, append([]ConsumerOption{WithMaxPartitionFetchBytes(4 << 20)}, opts...)...)
	p := r.assign(1)[0]
	r.fetched(part{set: noise(0, 100)})
	require.Len(t, r.drain(), 1)
	require.True(t, p.fetch.compressed)
	return r, p
}

func TestParts_Sizes(t *testing.T) {
	for _, c := range []struct {
		name              string
		plain             bool
		batch, left, want int
	}{
		{"not compressed", true, 16 << 10, 3 << 20, 3 << 20},
		{"one large batch", false, 700 << 10, 3 << 20, 700 << 10},
		{"a large batch, and a little more", false, 300 << 10, 310 << 10, 300 << 10},
		{"small batches", false, 16 << 10, 3 << 20, 512 << 10},
		{"a few small batches", false, 16 << 10, 600 << 10, 600 << 10},
	} {
		p := newPartition(TopicPartition{"t", 0}, started)
		p.fetch.compressed = !c.plain
		require.Equal(t, c.want, p.partSize(c.batch, c.left), c.name)
	}
}

// What was read of a compressed batch is given back when the batch is decoded; of one that the broker has cut, nothing is charged.
func TestParts_AreGivenBackOneByOne(t *testing.T) {
	r, _ := noisyRooms(t)
	r.fetched(part{set: joined(noise(1, 300<<10), noise(2, 400<<10), noise(3, 300<<10), noise(4, 300<<10)[:200<<10])})
	charged := func() int64 {
		now, decoded, _ := r.sub.budget.buffered()
		return now - decoded
	}
	for _, left := range []int64{1000 << 10, 700 << 10, 300 << 10, 0} {
		require.InDelta(t, left, charged(), float64(left/8)) // sizes are rounded up
		r.decodeStep()
	}
	require.Equal(t, []int64{1, 2, 3}, offsetsOf(r.drain()))
	r.requireAllFree()
}

// Small batches share parts; whichever batch the end of a part falls into, all come, once and in order.
func TestParts_OfSmallBatches(t *testing.T) {
	r, p := noisyRooms(t)
	want, set := []int64{}, []byte(nil)
	random := rand.New(rand.NewPCG(1, 1))
	for offset := int64(1); len(set) < 2<<20; offset++ {
		set = append(set, noise(offset, 1+random.IntN(60<<10))...)
		want = append(want, offset)
	}
	r.fetched(part{set: set})
	parts := make(map[*setPart]bool)
	for _, seg := range p.buf.segments {
		parts[seg.part] = true
	}
	require.Len(t, parts, 4, "parts of 512 KiB")
	require.Equal(t, want, offsetsOf(r.drain()))
	r.requireAllFree()
}

// Where there is room for the first parts only, these are taken, and the rest is asked for again.
func TestParts_AreTakenAsFarAsThereIsRoom(t *testing.T) {
	r, p := noisyRooms(t, WithMaxBatchBytes(512<<10), WithMaxBufferedBytes(4<<20), WithMaxPartitionFetchBytes(800<<10))
	pl := r.next()
	r.sub.budget.leaveRaw(pl.left - 350<<10)
	pl.left = 350 << 10 // the broker sends more than was reserved, as it may with the first batch
	filled := r.fill()
	r.answer(pl, part{set: joined(noise(1, 300<<10), noise(2, 300<<10))})
	require.EqualValues(t, 2, p.fetch.offset)
	require.Zero(t, p.fetch.need)
	require.True(t, r.decodeStep(), "from the reserve")
	require.Equal(t, []int64{1}, offsetsOf(r.take()))
	r.sub.budget.leaveRaw(filled)
	r.fetched(part{set: noise(2, 300<<10)})
	require.Equal(t, []int64{2}, offsetsOf(r.drain()))
	r.requireAllFree()
}

// A batch that is corrupt hides nothing of the parts before it, and its place in the record set is told.
func TestParts_CorruptInTheSecond(t *testing.T) {
	r, p := noisyRooms(t)
	bad := noise(2, 300<<10)
	bad[16] = 9 // its magic
	set := joined(noise(1, 300<<10), bad, noise(3, 300<<10))
	r.fetched(part{set: set})
	require.Equal(t, []int64{1}, offsetsOf(r.drain()))
	require.EqualValues(t, 2, p.fetch.offset)
	p.fetch.compressed = true
	r.answer(r.next(), part{set: set}) // a broker may begin with what lies before the offset
	require.Empty(t, r.drain())
	_, err := r.GetMany(t.Context(), WaitFor(0))
	var corrupt *CorruptRecordError
	require.ErrorAs(t, err, &corrupt)
	require.EqualValues(t, 2, corrupt.Offset)
	require.ErrorContains(t, err, fmt.Sprintf("byte %d", len(noise(1, 300<<10))))
	r.requireAllFree()
}
