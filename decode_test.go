package kafka

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

func TestDecode_MessageFields(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	records := []protocol.RecordData{
		{Key: []byte("k"), Value: []byte("v"), TimestampDelta: 7, Headers: []protocol.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}},
		{OffsetDelta: 2, Key: []byte{}, TimestampDelta: -2000},
		{OffsetDelta: 3, Value: []byte{}, Headers: []protocol.RecordHeader{{Key: "b", Value: []byte("2")}}},
	}
	r.fetched(part{set: joined(
		recordsBatch(10, records, func(h *protocol.BatchHeader) { h.BaseTimestamp, h.PartitionLeaderEpoch = 1000, 4 }),
		recordsBatch(20, records[:1], func(h *protocol.BatchHeader) {
			h.Attributes |= protocol.AttributeLogAppendTime
			h.BaseTimestamp, h.MaxTimestamp = 1000, 5000
		}),
	)})

	got := r.drain()

	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	headers := []Header{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}
	want := []Message{
		{Topic: "t", Offset: 10, LeaderEpoch: 4, Timestamp: at(1007), Key: []byte("k"), Value: []byte("v"), Headers: headers},
		{Topic: "t", Offset: 12, LeaderEpoch: 4, Key: []byte{}},
		{Topic: "t", Offset: 13, LeaderEpoch: 4, Timestamp: at(1000), Value: []byte{}, Headers: []Header{{Key: "b", Value: []byte("2")}}},
		{Topic: "t", Offset: 20, LeaderEpoch: -1, Timestamp: at(5000), TimestampType: LogAppendTime, Key: []byte("k"), Value: []byte("v"), Headers: headers},
	}
	require.Len(t, got, len(want))
	for i, m := range got {
		require.Equal(t, want[i], *m)
		require.Equal(t, len(m.Key), cap(m.Key))
		require.Equal(t, len(m.Value), cap(m.Value))
		require.Equal(t, len(m.Headers), cap(m.Headers))
	}
}

func TestDecode_HeadersOfManyMessages(t *testing.T) {
	var records []protocol.RecordData
	for i := range 3000 {
		var hs []protocol.RecordHeader
		for j := range i % 5 {
			hs = append(hs, protocol.RecordHeader{Key: fmt.Sprint("key", j), Value: fmt.Append(nil, i)})
		}
		records = append(records, protocol.RecordData{OffsetDelta: int32(i), Headers: hs})
	}
	r := newRooms(t)
	r.assign(1)
	r.fetched(part{set: recordsBatch(0, records, withCodec(compress.LZ4))})
	got := r.drain()
	require.Len(t, got, 3000)
	for i, m := range got {
		require.Len(t, m.Headers, i%5)
		for j, h := range m.Headers {
			require.Equal(t, Header{Key: fmt.Sprint("key", j), Value: fmt.Append(nil, i)}, h)
		}
	}
	r.requireAllFree()
}

// damaged gives a batch whose checksum is right and whose content is not.
func damaged(change func(h *protocol.BatchHeader, records []byte) []byte) []byte {
	var raw []byte
	for i := range int32(3) {
		raw = protocol.AppendRecord(raw, &protocol.RecordData{OffsetDelta: i, Value: []byte("value")})
	}
	h := protocol.NewBatchHeader(5)
	h.LastOffsetDelta, h.NumRecords = 2, 3
	return protocol.AppendRawBatch(nil, h, change(&h, raw))
}

func TestDecode_BatchesThatMakeNoSense(t *testing.T) {
	keep := func(change func(h *protocol.BatchHeader)) []byte {
		return damaged(func(h *protocol.BatchHeader, raw []byte) []byte { change(h); return raw })
	}
	cases := []struct {
		name string
		set  []byte
		good int // records that can be read
	}{
		{"a record count that is too small", keep(func(h *protocol.BatchHeader) { h.NumRecords = 2 }), 2},
		{"a record count that is too large", keep(func(h *protocol.BatchHeader) { h.NumRecords = 4 }), 3},
		{"a record count that no memory holds", keep(func(h *protocol.BatchHeader) { h.NumRecords = 1<<31 - 1 }), 0},
		{"a negative record count", keep(func(h *protocol.BatchHeader) { h.NumRecords = -1 }), 0},
		{"offsets beyond the batch", keep(func(h *protocol.BatchHeader) { h.LastOffsetDelta = 1 }), 2},
		{"a negative last offset", keep(func(h *protocol.BatchHeader) { h.LastOffsetDelta = -1 }), 0},
		{"offsets that fall", damaged(func(h *protocol.BatchHeader, _ []byte) []byte {
			raw := protocol.AppendRecord(nil, &protocol.RecordData{OffsetDelta: 1})
			raw = protocol.AppendRecord(raw, &protocol.RecordData{OffsetDelta: 1})
			return protocol.AppendRecord(raw, &protocol.RecordData{OffsetDelta: 2})
		}), 1},
		{"a record cut short", damaged(func(_ *protocol.BatchHeader, raw []byte) []byte { return raw[:len(raw)-2] }), 2},
		{"a record length that lies", damaged(func(_ *protocol.BatchHeader, raw []byte) []byte { raw[0] = 0xfe; return raw }), 0},
		{"a length of more than ten bytes", damaged(func(_ *protocol.BatchHeader, raw []byte) []byte { return bytes.Repeat([]byte{0xff}, len(raw)) }), 0},
		{"a header count that no memory holds", damaged(func(h *protocol.BatchHeader, _ []byte) []byte {
			h.NumRecords = 1
			return []byte{2 * 11, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0}
		}), 0},
		{"bytes that are not compressed as they say", keep(func(h *protocol.BatchHeader) { h.Attributes = int16(compress.Zstd) }), 0},
		{"a codec that nobody knows", keep(func(h *protocol.BatchHeader) { h.Attributes = 6 }), 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := append(numbered(0, 5), []string{"value", "value", "value"}[:c.good]...)
			if c.name == "offsets that fall" {
				want = append(numbered(0, 5), "")
			}
			got, position, err := readAll(t, 0, part{set: joined(batchOf(0, 5), c.set, batchOf(8, 1))})
			require.Equal(t, want, got)
			var corrupt *CorruptRecordError
			require.ErrorAs(t, err, &corrupt)
			require.GreaterOrEqual(t, corrupt.NextOffset, position)
			require.Greater(t, corrupt.NextOffset, corrupt.Offset)
			require.GreaterOrEqual(t, corrupt.Offset, int64(5))
			require.LessOrEqual(t, corrupt.Offset, int64(8))
		})
	}
}

func TestDecode_ChecksumsAreNotLookedAtWhereThatIsOff(t *testing.T) {
	bad := batchOf(0, 2)
	bad[17] ^= 1
	got, _, err := readAll(t, 0, part{set: bad}, WithCheckCRCs(false))
	require.NoError(t, err)
	require.Equal(t, []string{"v0", "v1"}, got)
	got, _, err = readAll(t, 0, part{set: bad})
	require.ErrorContains(t, err, "checksum")
	require.Empty(t, got)
}

// Allocations per message of decoding and taking, for what most topics hold.
func TestDecode_Allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const n = 10_000
	make100 := func(codec compress.Codec, size, headers int) []byte {
		var set []byte
		for base := int64(0); base < n; base += 100 {
			var records []protocol.RecordData
			for i := range int32(100) {
				d := protocol.RecordData{OffsetDelta: i, Value: bytes.Repeat([]byte("x"), size)}
				for j := range headers {
					d.Headers = append(d.Headers, protocol.RecordHeader{Key: fmt.Sprint("header-", j), Value: []byte("value")})
				}
				records = append(records, d)
			}
			set = append(set, recordsBatch(base, records, withCodec(codec))...)
		}
		return set
	}
	cases := []struct {
		name   string
		set    []byte
		budget float64
	}{
		{"100 bytes, not compressed", make100(compress.None, 100, 0), 0.02},
		{"1 KiB, lz4", make100(compress.LZ4, 1024, 0), 0.02},
		{"100 bytes with two headers", make100(compress.None, 100, 2), 0.05},
	}
	for _, c := range cases {
		for _, by := range []string{"GetOne", "GetMany"} {
			t.Run(c.name+" by "+by, func(t *testing.T) {
				r := newRooms(t, WithMaxPartitionFetchBytes(32<<20), WithMaxPollRecords(500))
				p := r.assign(1)[0]
				env := &decodeEnv{names: &nameCache{}}
				run := func() {
					r.sub.mu.Lock()
					r.sub.seek(p, 0, -1)
					var cut cutter
					cut.begin(p, &protocol.FetchResponsePartition{}, &r.cfg)
					require.True(t, cut.cut(&setPart{data: c.set, users: 1}))
					for _, seg := range cut.segments {
						p.buf.push(seg)
					}
					r.sub.decodable(p)
					r.sub.mu.Unlock()
					got := 0
					for got < n {
						r.sub.mu.Lock()
						seg := r.sub.pick()
						if seg != nil {
							r.prepare(env, seg)
							r.sub.mu.Unlock()
							for more := true; more; {
								ch, err := seg.decoder.next(seg, env)
								r.sub.mu.Lock()
								more = r.sub.decoded(seg, ch, err)
								r.sub.mu.Unlock()
							}
							r.sub.mu.Lock()
						}
						r.sub.mu.Unlock()
						if by == "GetOne" {
							for {
								r.sub.mu.Lock()
								_, m := r.sub.takeOne(nil)
								r.sub.mu.Unlock()
								if m == nil {
									break
								}
								got++
							}
							continue
						}
						for msgs, err := r.GetMany(t.Context(), WaitFor(0)); len(msgs) > 0; msgs, err = r.GetMany(t.Context(), WaitFor(0)) {
							require.NoError(t, err)
							got += len(msgs[p.tp])
						}
					}
				}
				budget := c.budget
				if by == "GetMany" {
					budget += 0.01 // the maps, and slices that span chunks
				}
				require.LessOrEqual(t, testing.AllocsPerRun(3, run)/n, budget)
			})
		}
	}
}

// The unit of decoding is the segment: one partition's stream keeps as many workers busy as many partitions' do, and what they make
// is handed out in order all the same.
func TestDecode_OnePartitionKeepsAllWorkersBusy(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	var set []byte
	for offset := range int64(4) {
		set = append(set, big(offset, segmentBytes)...)
	}
	r.fetched(part{set: set})
	var taken []*segment
	r.sub.mu.Lock()
	for seg := r.sub.pick(); seg != nil; seg = r.sub.pick() {
		taken = append(taken, seg)
	}
	r.sub.mu.Unlock()
	require.Len(t, taken, min(4, r.sub.parallel))
	for i := range taken { // the last one is done first
		seg := taken[len(taken)-1-i]
		env := &decodeEnv{names: &nameCache{}}
		r.sub.mu.Lock()
		r.prepare(env, seg)
		r.sub.mu.Unlock()
		for more := true; more; {
			ch, err := seg.decoder.next(seg, env)
			r.sub.mu.Lock()
			more = r.sub.decoded(seg, ch, err)
			r.sub.mu.Unlock()
		}
	}
	require.Equal(t, []int64{0, 1, 2, 3}, offsetsOf(r.drain()))
}
