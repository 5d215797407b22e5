package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// small gives a consumer little memory.
func small(batch int) []ConsumerOption {
	return []ConsumerOption{WithMaxBatchBytes(batch), WithMaxBufferedBytes(4 * batch), WithMaxPartitionFetchBytes(batch), WithFetchMaxBytes(batch)}
}

// swelling is a batch that is small, and n bytes decompressed.
func swelling(base int64, n int) []byte {
	return valuesBatch(base, []string{string(bytes.Repeat([]byte("x"), n))}, withCodec(compress.Zstd))
}

func TestDecode_GetsThroughWithLittleMemory(t *testing.T) {
	headers := func(n int) []protocol.RecordHeader {
		out := make([]protocol.RecordHeader, n)
		for i := range out {
			out[i] = protocol.RecordHeader{Key: "k", Value: []byte("v")}
		}
		return out
	}
	cases := []struct {
		name  string
		batch int
		set   func() []byte
		want  int
	}{
		{"batches that swell to the limit", 64 << 10, func() (out []byte) {
			for i := range 20 {
				out = append(out, swelling(int64(i), 63<<10)...)
			}
			return out
		}, 20},
		{"batches of which several would fit", 64 << 10, func() (out []byte) {
			for i := range 10 {
				values := make([]string, 20)
				for j := range values {
					values[j] = string(make([]byte, 700))
				}
				out = append(out, valuesBatch(int64(i*20), values, withCodec(compress.LZ4))...)
			}
			return out
		}, 200},
		{"small compressed batches", 4 << 10, func() (out []byte) {
			for i := range 20 {
				out = append(out, valuesBatch(int64(i*10), numbered(0, 10), withCodec(compress.LZ4))...)
			}
			return out
		}, 200},
		{"the least limit and tiny records", 1 << 10, func() []byte { return batchOf(0, 60) }, 60},
		{"the least limit and headers", 1 << 10, func() []byte {
			return recordsBatch(0, []protocol.RecordData{{Headers: headers(8)}, {OffsetDelta: 1, Headers: headers(3)}, {OffsetDelta: 2, Headers: headers(8)}})
		}, 3},
		{"header keys that change", 64 << 10, func() (out []byte) {
			for i := range 5 {
				var records []protocol.RecordData
				for j := range 3 {
					h := []protocol.RecordHeader{{Key: fmt.Sprint(i, j) + string(make([]byte, 16<<10))}, {Key: "k"}, {Key: fmt.Sprint(i, j)}}
					records = append(records, protocol.RecordData{OffsetDelta: int32(j), Headers: h})
				}
				out = append(out, recordsBatch(int64(i*3), records, withCodec(compress.Zstd))...)
			}
			return out
		}, 15},
		{"gzip, whose size is not told", 64 << 10, func() (out []byte) {
			for i := range 5 {
				out = append(out, valuesBatch(int64(i), []string{string(make([]byte, 60<<10))}, withCodec(compress.Gzip))...)
			}
			return out
		}, 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRooms(t, small(c.batch)...)
			r.assign(1)
			r.fetched(part{set: c.set()})
			// Whatever else there is room for is taken by others.
			general := r.sub.budget.available()
			require.True(t, r.sub.budget.takeRaw(general))

			got := r.drain()

			require.Len(t, got, c.want)
			r.sub.budget.leaveRaw(general)
			r.requireAllFree()
		})
	}
}

func TestDecode_RecordWithMoreHeadersThanMemoryIsAnError(t *testing.T) {
	for name, headers := range map[string][]protocol.RecordHeader{
		"many of them": make([]protocol.RecordHeader, 400),
		"a long key":   {{Key: string(make([]byte, 800))}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t, small(1<<10)...)
			r.assign(1)
			r.fetched(part{set: recordsBatch(0, []protocol.RecordData{{Value: []byte("a")}, {OffsetDelta: 1, Headers: headers}})})

			require.Equal(t, []string{"a"}, values(r.drain()))

			_, err := r.GetOne(t.Context())
			var large *RecordTooLargeError
			require.ErrorAs(t, err, &large)
			require.Equal(t, int64(1), large.Offset)
			require.Equal(t, int64(2), large.NextOffset)
			require.Greater(t, large.Size, large.Limit)
			r.requireAllFree()
		})
	}
}

func TestDecode_HeaderKeysAreChargedWhereTheyChange(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	decoded := func(base int64, key func(i int) string) int64 {
		var records []protocol.RecordData
		for i := range 9 {
			records = append(records, protocol.RecordData{OffsetDelta: int32(i), Headers: []protocol.RecordHeader{{Key: key(i)}}})
		}
		r.answer(r.next(), part{set: recordsBatch(base, records)})
		r.decode()
		_, n, _ := r.sub.budget.buffered()
		for i, m := range r.drain() {
			require.Equal(t, key(i), m.Headers[0].Key)
		}
		return n
	}
	slabs := decoded(0, func(int) string { return "" })
	require.Equal(t, slabs+int64(9*len("key 0")), decoded(9, func(i int) string { return fmt.Sprint("key ", i) }))
	long := string(make([]byte, keysAhead))
	require.Equal(t, slabs+9*int64(keysAhead+1), decoded(18, func(i int) string { return long + fmt.Sprint(i) }))
	decoded(27, func(int) string { return "same" })
	require.Equal(t, slabs, decoded(36, func(int) string { return "same" }))
	r.requireAllFreeBut(r.plan())
}

// With a hot loop in it, the bubble would never be idle and the test not end.
func TestDecode_WorkersRestWhileThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRooms(t, small(200<<10)...)
		parts := r.assign(3)
		r.fetched(part{index: 0, set: swelling(0, 40<<10)})
		r.fetched(part{index: 1, set: swelling(0, 40<<10)}, part{index: 2, set: swelling(0, 40<<10)})
		general := r.sub.budget.available()
		require.True(t, r.sub.budget.takeRaw(general))
		for range cap(r.decodeWork) {
			r.spawn(func() { r.decodeLoop(t.Context()) })
		}
		synctest.Wait() // all workers wait
		r.sub.mu.Lock()
		require.NotEmpty(t, r.sub.starved)
		ready := 0
		for _, p := range parts {
			if p.buf.ready() {
				ready++
			}
		}
		require.Equal(t, 1, ready, "the reserve is for one")
		r.sub.mu.Unlock()

		// Room for all: they go on by themselves.
		r.sub.budget.leaveRaw(general)
		synctest.Wait()
		r.sub.mu.Lock()
		defer r.sub.mu.Unlock()
		for _, p := range parts {
			require.True(t, p.buf.ready(), "%v", p.tp)
		}
	})
}

func TestDecode_LaterSegmentDoesNotTakeTheReserveFromTheFirst(t *testing.T) {
	r := newRooms(t, small(512<<10)...)
	parts := r.assign(1)
	r.fetched(part{set: joined(batchOf(0, 1), valuesBatch(1, []string{string(make([]byte, segmentBytes+1))}), swelling(2, 500<<10))})
	p := parts[0]
	require.Len(t, p.buf.segments, 3)
	general := r.sub.budget.available()
	require.True(t, r.sub.budget.takeRaw(general))
	r.sub.mu.Lock()
	first := r.sub.pick()
	second := r.sub.pick()
	require.Same(t, p.buf.segments[1], second)
	env := &decodeEnv{names: &nameCache{}}
	r.prepare(env, second)
	r.sub.mu.Unlock()

	// The second is quicker: it must not take what only one may have.
	ch, err := second.decoder.next(second, env)
	require.ErrorIs(t, err, errNoRoom)
	r.sub.mu.Lock()
	require.False(t, r.sub.decoded(second, ch, err))
	r.prepare(env, first)
	r.sub.mu.Unlock()
	ch, err = first.decoder.next(first, env)
	require.NoError(t, err)
	r.sub.mu.Lock()
	r.sub.decoded(first, ch, err)
	r.sub.mu.Unlock()

	require.Len(t, r.drain(), 3)
	r.sub.budget.leaveRaw(general)
	r.requireAllFree()
}

// A segment with nothing in it frees no memory when it goes; the one behind it must be tried again all the same.
func TestDecode_SegmentThatComesFirstNowIsTriedAgain(t *testing.T) {
	r := newRooms(t, small(512<<10)...)
	p := r.assign(1)[0]
	r.sub.seek(p, 1, -1)
	r.fetched(part{set: joined(batchOf(0, 1), valuesBatch(1, []string{string(make([]byte, segmentBytes+1))}))})
	general := r.sub.budget.available()
	require.True(t, r.sub.budget.takeRaw(general))
	require.Len(t, r.drain(), 1)
	r.sub.budget.leaveRaw(general)
	r.requireAllFree()
}

func TestDecode_LastingErrorHoldsNoMemory(t *testing.T) {
	r := newRooms(t, small(64<<10)...)
	r.assign(1)
	bad := swelling(5, 60<<10)
	bad[len(bad)-1] ^= 1
	set := joined(swelling(4, 60<<10), bad)
	general := r.sub.budget.available() / 3
	require.True(t, r.sub.budget.takeRaw(general))
	r.fetched(part{set: set})
	require.Len(t, r.drain(), 1)
	r.sub.mu.Lock()
	r.sub.partitions[TopicPartition{"t", 0}].fetch.retryAt = r.sub.partitions[TopicPartition{"t", 0}].lastAnswer
	r.sub.mu.Unlock()
	r.fetched(part{set: bad})
	require.Empty(t, r.drain())

	_, err := r.GetOne(t.Context())
	var corrupt *CorruptRecordError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, int64(5), corrupt.Offset)
	r.sub.budget.leaveRaw(general)
	r.requireAllFree()
}

// Small batches share memory, which is not much more than they hold, whatever the bound is that their frames tell: lz4 only tells that of a
// block, 64 KiB.
func TestDecode_SmallBatchesTakeLittleMoreThanTheyHold(t *testing.T) {
	const n, size = 100, 16 << 10
	r := newRooms(t)
	r.assign(1)
	random := rand.New(rand.NewPCG(1, 1))
	var set []byte
	for offset := range int64(n) {
		var text []byte
		for len(text) < size {
			text = fmt.Appendf(text, "field %d of a line; ", random.IntN(1e6))
		}
		set = append(set, valuesBatch(offset, []string{string(text)}, withCodec(compress.LZ4))...)
	}
	r.fetched(part{set: set})
	r.decode()
	_, decoded, _ := r.sub.budget.buffered()
	const held = n * (size + messageSize)
	require.Greater(t, decoded, int64(held))
	require.Less(t, decoded, int64(held*5/4))
	require.Len(t, r.drain(), n)
	r.requireAllFree()
}

// What a batch swells to is only a guess for the next: one that holds more comes whole all the same.
func TestDecode_BatchesThatSwellMoreThanTheOneBefore(t *testing.T) {
	for _, codec := range []compress.Codec{compress.LZ4, compress.Gzip, compress.Zstd, compress.Snappy} {
		r := newRooms(t, WithMaxPartitionFetchBytes(16<<20))
		r.assign(1)
		random := rand.New(rand.NewPCG(1, 1))
		var set []byte
		var want []string
		for offset := range int64(200) {
			value := make([]byte, 1+random.IntN(60<<10))
			if random.IntN(2) == 0 { // noise, or what is next to nothing compressed
				for i := range value {
					value[i] = byte(random.Uint32())
				}
			}
			want = append(want, string(value))
			set = append(set, valuesBatch(offset, want[offset:], withCodec(codec))...)
		}
		r.fetched(part{set: set})
		require.True(t, slices.Equal(want, values(r.drain())), codec)
		r.requireAllFree()
	}
}

// What has found no room is tried again and again while there is none: it is not checked again each time.
func TestDecode_ChecksumIsNotComputedAgainForWantOfRoom(t *testing.T) {
	pack := func(dst, src []byte) ([]byte, error) { return compress.Encode(compress.Gzip, dst, src) }
	old, err := protocol.AppendLegacyWrapper(nil, protocol.LegacyMessage{Magic: 1, Attributes: int8(compress.Gzip)}, pack,
		protocol.LegacyMessage{Magic: 1, Value: make([]byte, 60<<10)})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		set []byte
		crc int // where it is
	}{
		"of a batch":        {swelling(0, 60<<10), 17},
		"of an old message": {old, 12},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t, small(64<<10)...)
			p := r.assign(1)[0]
			r.fetched(part{set: c.set})
			filled := r.fill()
			var other charge
			var holder bool
			require.True(t, r.sub.budget.takeDecoded(1, &other, &holder, true)) // another has the reserve
			require.True(t, r.decodeStep())
			require.True(t, p.buf.segments[0].starved)
			p.buf.segments[0].decoder.rest[c.crc] ^= 1
			r.sub.budget.releaseDecoded(&other)
			r.sub.budget.leaveReserve()
			r.sub.budget.leaveRaw(filled)

			require.Len(t, r.drain(), 1)
			r.requireAllFree()
		})
	}
}
