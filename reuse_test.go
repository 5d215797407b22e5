package kafka

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
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
		{390 << 10, roundSize(390 << 10)}, // that is more than twice as much as is needed
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
	require.Nil(t, b.spareChunk(590))
	require.Equal(t, roundSize(1200), cap(b.spareChunk(1100).msgs))
	require.Equal(t, roundSize(1500), cap(b.spareChunk(1100).msgs))
	require.Nil(t, b.spareChunk(1100))
	require.Zero(t, b.spare.bytes)
}

// At the bound, what is charged for is made of what is kept, and costs nothing else that is.
func TestReuse_AtTheBoundNothingIsMadeNew(t *testing.T) {
	const size, slab = 1 << 20, 64
	b := newBudget(8*size, 0, func() {})
	defer b.reuse()()
	var inUse []*setPart
	for range 6 {
		require.True(t, b.takeRaw(size))
		inUse = append(inUse, b.newSetPart(size, true))
	}
	b.keepChunk(&chunk{msgs: make([]Message, 0, slab)})
	b.keepBlock(make([]byte, size))
	kept := b.spare.bytes
	for range 100 {
		require.True(t, b.takeRaw(2*size), "asked of a broker, not there yet")
		require.Equal(t, kept, b.spare.bytes)
		inUse[0].leave(b)
		first := &inUse[0].mem.buf[0]
		inUse = append(inUse[1:], b.newSetPart(size, true))
		require.Same(t, first, &inUse[5].mem.buf[0])
		b.leaveRaw(size)
		require.Equal(t, kept, b.spare.bytes)
	}
	require.NotNil(t, b.spareChunk(slab), "what was kept longest is there yet")
	for _, part := range inUse {
		part.leave(b)
	}
	require.Zero(t, b.used)
	require.Zero(t, b.promise)
}

// An answer without records drops what is kept, unless memory is in use: one broker that has nothing says little about the others.
func TestReuse_NothingIsKeptAtRest(t *testing.T) {
	const size = 1 << 20
	b := newBudget(8*size, 0, func() {})
	defer b.reuse()()
	require.True(t, b.takeRaw(2*size))
	one, two := b.newSetPart(size, true), b.newSetPart(size, true)
	one.leave(b)
	b.dropSpare()
	require.NotZero(t, b.spare.bytes)
	two.leave(b)
	require.True(t, b.takeRaw(size), "asked of a broker, not there yet")
	b.dropSpare()
	require.Zero(t, b.spare.bytes)

	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.AppendRaw("t", 0, valuesBatch(0, []string{strings.Repeat("lz4", 1000)}, withCodec(compress.LZ4)))
		c := startConsumer(t, k, WithTopics("t"))
		receive(t, c, 1)
		time.Sleep(time.Second) // longer than a long poll
		synctest.Wait()
		budget := c.sub.budget
		require.NotZero(t, budget.promise, "the next poll is out")
		require.Equal(t, budget.promise, budget.used)
		require.Zero(t, budget.held)
		require.Zero(t, budget.spare.bytes)
	})
}

// Whatever is charged, made, kept and given back: the memory in use and what is kept are within the bound.
func TestReuse_MemoryIsWithinTheBound(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	const limit, reserve = 1 << 20, 200 << 10
	b := newBudget(limit, reserve, func() {})
	type arena struct {
		block  *block
		charge charge
	}
	var (
		room   int64
		parts  []*setPart
		arenas []*arena
		slabs  []*chunk
		end    func()
	)
	for range 20_000 {
		n := random.Int64N(60<<10) + 1
		switch random.IntN(9) {
		case 0:
			room += b.takeRawUpTo(n, 2*n, 0)
		case 1:
			n = min(n, room)
			room -= n
			b.leaveRaw(n)
		case 2:
			if n <= room {
				room -= n
				parts = append(parts, b.newSetPart(int(n), random.IntN(2) == 0))
			}
		case 3:
			if len(parts) > 0 {
				parts[0].leave(b)
				parts = parts[1:]
			}
		case 4:
			a := &arena{}
			if n = int64(b.fit(int(n))); b.takeGeneral(n, &a.charge) {
				a.block = newBlock(b.bytesOf(int(n)))
				arenas = append(arenas, a)
			}
		case 5:
			if len(arenas) > 0 {
				b.releaseDecoded(&arenas[0].charge)
				arenas[0].block.letGo(b)
				arenas = arenas[1:]
			}
		case 6:
			builder := &chunkBuilder{env: &decodeEnv{budget: b}}
			if builder.reserveSpare(roundSize(int(n) >> 10)) {
				slabs = append(slabs, builder.chunk)
			}
		case 7:
			if len(slabs) > 0 {
				slabs[0].release(b)
				slabs = slabs[1:]
			}
		default:
			if end == nil {
				end = b.reuse()
			} else if random.IntN(20) == 0 {
				end()
				end = nil
			}
		}
		var memory, kept int64
		for _, part := range parts {
			memory += int64(len(part.mem.buf))
		}
		for _, a := range arenas {
			memory += int64(len(a.block.buf))
		}
		for _, c := range slabs {
			memory += c.size()
		}
		for _, buf := range b.spare.blocks {
			kept += int64(len(buf))
		}
		for _, c := range b.spare.chunks {
			kept += c.size()
		}
		require.Equal(t, room, b.promise)
		require.Equal(t, memory, b.used-b.promise)
		require.Equal(t, kept, b.spare.bytes)
		require.LessOrEqual(t, memory+kept, int64(limit-reserve))
	}
}
