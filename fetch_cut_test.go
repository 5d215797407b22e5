package kafka

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

type abortedList = []protocol.FetchResponseAbortedTransaction

// readAll fetches one record set from offset on, and gives the values handed out, the position behind them, and the error
// told.
func readAll(t testing.TB, from int64, p part, opts ...ConsumerOption) (got []string, position int64, err error) {
	t.Helper()
	r := newRooms(t, append([]ConsumerOption{WithMaxBatchBytes(64 << 10), WithMaxPartitionFetchBytes(4 << 20)}, opts...)...)
	q := r.assign(1)[0]
	require.NoError(t, r.Seek(q.tp, from))
	r.answer(r.next(), p)
	msgs := r.drain()
	requireRising(t, msgs, from)
	if !q.buf.broken() && len(p.set) > 0 && !q.fetch.retryAt.IsZero() { // once more, as corrupt sets are
		r.answer(r.next(), part{set: tail(p.set, q.fetch.offset), aborted: p.aborted})
		msgs = append(msgs, r.drain()...)
	}
	_, err = r.GetMany(t.Context(), WaitFor(0))
	position = q.position
	r.requireAllFree()
	return values(msgs), position, err
}

// tail gives what of a set a broker answers a fetch at an offset with.
func tail(set []byte, offset int64) []byte {
	scan := protocol.ScanBatches(set)
	for scan.Next() {
		if scan.NextOffset() > offset {
			return set[scan.Pos():]
		}
	}
	return set[scan.Pos():]
}

func requireRising(t testing.TB, msgs []*Message, from int64) {
	t.Helper()
	for _, m := range msgs {
		require.GreaterOrEqual(t, m.Offset, from, "offsets rise")
		from = m.Offset + 1
	}
}

func TestCut_WhatIsHandedOut(t *testing.T) {
	spread := func(h *protocol.BatchHeader) { h.LastOffsetDelta = 9 }
	cases := []struct {
		name     string
		from     int64
		set      []byte
		want     []string
		position int64
	}{
		{"one batch", 0, batchOf(0, 3), []string{"v0", "v1", "v2"}, 3},
		{"the batch that holds the offset asked for", 2, batchOf(0, 4), []string{"v2", "v3"}, 4},
		{"a batch below the offset asked for", 5, joined(batchOf(0, 5), batchOf(5, 1)), []string{"v5"}, 6},
		{"gaps from compaction, also at the end", 0, batchOf(4, 2, spread), []string{"v4", "v5"}, 14},
		{"a batch that compaction has emptied", 0, joined(batchOf(0, 1), batchOf(1, 0, spread), batchOf(11, 1)), []string{"v0", "v11"}, 12},
		{"nothing but an empty batch", 0, batchOf(0, 0, spread), nil, 10},
		{"a control batch", 0, joined(batchOf(0, 1, byProducer(1)), marker(1, 1, protocol.ControlCommit)), []string{"v0"}, 2},
		{"nothing but a control batch", 0, marker(0, 1, protocol.ControlAbort), nil, 1},
		{"aborted records, under read uncommitted", 0, joined(batchOf(0, 1, byProducer(1)), marker(1, 1, protocol.ControlAbort)), []string{"v0"}, 2},
		{"an incomplete batch at the end", 0, append(batchOf(0, 2), batchOf(2, 5)[:70]...), []string{"v0", "v1"}, 2},
		{"an incomplete header at the end", 0, append(batchOf(0, 2), batchOf(2, 5)[:7]...), []string{"v0", "v1"}, 2},
		{"batches that overlap", 0, joined(batchOf(0, 5), batchOf(3, 4)), []string{"v0", "v1", "v2", "v3", "v4", "v5", "v6"}, 7},
		{"a batch twice", 0, joined(batchOf(0, 2), batchOf(0, 2), batchOf(2, 1)), []string{"v0", "v1", "v2"}, 3},
		{"offsets near the end of their range", 1<<62 - 1 + 1<<62 - 3, batchOf(1<<62-1+1<<62-3, 2), []string{fmt.Sprint("v", int64(1<<62-1+1<<62-3)), fmt.Sprint("v", int64(1<<62-1+1<<62-2))}, 1<<62 - 1 + 1<<62 - 1},
		{"many segments", 0, manyBatches(40, 100, compress.None), numbered(0, 4000), 4000},
		{"many chunks in a batch", 0, batchOf(0, 3000), numbered(0, 3000), 3000},
		{"compressed and not", 0, joined(batchOf(0, 50, withCodec(compress.LZ4)), batchOf(50, 50), batchOf(100, 50, withCodec(compress.Zstd)), batchOf(150, 50, withCodec(compress.Gzip)), batchOf(200, 50, withCodec(compress.Snappy))), numbered(0, 250), 250},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, position, err := readAll(t, c.from, part{set: c.set})
			require.NoError(t, err)
			require.Equal(t, append([]string{}, c.want...), got)
			require.Equal(t, c.position, position)
		})
	}
}

// manyBatches gives n batches of m records.
func manyBatches(n, m int, codec compress.Codec) (set []byte) {
	for i := range n {
		set = append(set, batchOf(int64(i*m), m, withCodec(codec), func(h *protocol.BatchHeader) { h.PartitionLeaderEpoch = int32(i) })...)
	}
	return set
}

func TestCut_ReadCommitted(t *testing.T) {
	set := joined(
		batchOf(0, 1, byProducer(1)), batchOf(1, 1), batchOf(2, 1, byProducer(2)), marker(3, 1, protocol.ControlAbort),
		batchOf(4, 1, byProducer(1)), marker(5, 2, protocol.ControlCommit), marker(6, 1, protocol.ControlCommit), batchOf(7, 1, byProducer(2)),
	)
	committed := []string{"v1", "v2", "v4", "v7"}
	garbage := recordsBatch(3, []protocol.RecordData{{Key: []byte{0}}}, byProducer(1), func(h *protocol.BatchHeader) { h.Attributes |= protocol.AttributeControl })
	twoMarkers := recordsBatch(1, []protocol.RecordData{{Key: []byte{0, 0, 0, 0}, Value: make([]byte, 6)}, {OffsetDelta: 1, Key: []byte{0, 0, 0, 0}, Value: make([]byte, 6)}},
		byProducer(1), func(h *protocol.BatchHeader) { h.Attributes |= protocol.AttributeControl })
	cases := []struct {
		name    string
		set     []byte
		aborted abortedList
		want    []string
		err     string
	}{
		{"nothing aborted", set, nil, []string{"v0", "v1", "v2", "v4", "v7"}, ""},
		{"one aborted", set, abortedList{{ProducerID: 1, FirstOffset: 0}}, committed, ""},
		{"begun before the offset asked for", set, abortedList{{ProducerID: 1, FirstOffset: -0}}, committed, ""},
		{"twice in the list", set, abortedList{{ProducerID: 1, FirstOffset: 0}, {ProducerID: 1, FirstOffset: 0}}, committed, ""},
		{"not in order", set, abortedList{{ProducerID: 2, FirstOffset: 7}, {ProducerID: 1, FirstOffset: 0}}, []string{"v1", "v2", "v4"}, ""},
		{"of a producer that is not there", set, abortedList{{ProducerID: 9, FirstOffset: 0}}, []string{"v0", "v1", "v2", "v4", "v7"}, ""},
		{"records outside of a transaction by the same producer", joined(batchOf(0, 1, byProducer(1)), batchOf(1, 1, func(h *protocol.BatchHeader) { h.ProducerID = 1 })),
			abortedList{{ProducerID: 1, FirstOffset: 0}}, []string{"v1"}, ""},
		{"two markers in one batch", joined(batchOf(0, 1, byProducer(1)), twoMarkers, batchOf(3, 1, byProducer(1))), abortedList{{ProducerID: 1, FirstOffset: 0}}, []string{"v3"}, ""},
		{"a control record of another kind", joined(batchOf(0, 1, byProducer(1)), marker(1, 1, 4), batchOf(2, 1, byProducer(1))), abortedList{{ProducerID: 1, FirstOffset: 0}}, nil, ""},
		{"a marker that is garbage", joined(batchOf(0, 1, byProducer(1)), garbage, batchOf(4, 1)), abortedList{{ProducerID: 1, FirstOffset: 0}}, nil, "control"},
		{"a marker that is compressed", joined(batchOf(0, 1, byProducer(1)), recordsBatch(1, []protocol.RecordData{{Key: make([]byte, 4)}}, byProducer(1), withCodec(compress.Gzip), func(h *protocol.BatchHeader) { h.Attributes |= protocol.AttributeControl })),
			abortedList{{ProducerID: 1, FirstOffset: 0}}, nil, "compressed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := readAll(t, 0, part{set: c.set, aborted: c.aborted}, WithIsolationLevel(ReadCommitted))
			require.Equal(t, append([]string{}, c.want...), got)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			var corrupt *CorruptRecordError
			require.ErrorAs(t, err, &corrupt)
			require.ErrorContains(t, err, c.err)
		})
	}
}

// Transactions of one record each have a marker after each batch: neither that nor what is aborted between them makes each batch a
// segment of its own, which takes more memory than the batch and time that grows with the square of their number.
func TestCut_SmallTransactionsShareSegments(t *testing.T) {
	const n = 8000
	var set []byte
	var aborted abortedList
	var want []string
	for i := range int64(n) {
		producer, kind := i%3, protocol.ControlCommit
		if producer == 2 {
			aborted = append(aborted, protocol.FetchResponseAbortedTransaction{ProducerID: producer, FirstOffset: 2 * i})
			kind = protocol.ControlAbort
		} else {
			want = append(want, fmt.Sprint("v", 2*i))
		}
		set = append(set, joined(batchOf(2*i, 1, byProducer(producer)), marker(2*i+1, producer, kind))...)
	}
	for _, compressed := range []bool{false, true} { // then it comes in parts
		r := newRooms(t, WithIsolationLevel(ReadCommitted), WithMaxPartitionFetchBytes(2<<20))
		p := r.assign(1)[0]
		p.fetch.compressed = compressed
		r.answer(r.next(), part{set: set, aborted: aborted, high: 2 * n})
		require.LessOrEqual(t, len(p.buf.segments), len(set)/segmentBytes+3)
		require.Equal(t, want, values(r.drain()))
		require.EqualValues(t, 2*n, p.position)
		r.requireAllFree()
	}
}

// A log of random transactions, read from a random offset in pieces of random size, gives what a naive reader that knows
// how each transaction ended gives.
func TestCut_ReadCommittedAgainstANaiveReader(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		type txn struct {
			first   int64
			batches []int64
		}
		type ended struct{ producer, first, last int64 }
		var set []byte
		var batches [][]byte
		var aborted []ended
		open := map[int64]*txn{}
		lost := map[int64]bool{} // offsets of aborted records
		data := map[int64]bool{}
		offset := int64(0)
		end := func(producer int64, kind protocol.ControlType) {
			tx := open[producer]
			delete(open, producer)
			batches = append(batches, marker(offset, producer, kind))
			if kind == protocol.ControlAbort && tx != nil {
				aborted = append(aborted, ended{producer, tx.first, offset})
				for _, o := range tx.batches {
					lost[o] = true
				}
			}
			offset++
		}
		for range 60 {
			producer := int64(random.IntN(4))
			switch k := random.IntN(10); {
			case k < 5:
				tx := open[producer]
				if tx == nil {
					tx = &txn{first: offset}
					open[producer] = tx
				}
				n := 1 + random.IntN(3)
				batches = append(batches, batchOf(offset, n, byProducer(producer)))
				for i := range n {
					tx.batches = append(tx.batches, offset+int64(i))
					data[offset+int64(i)] = true
				}
				offset += int64(n)
			case k < 7:
				batches = append(batches, batchOf(offset, 1, func(h *protocol.BatchHeader) { h.ProducerID = producer }))
				data[offset] = true
				offset++
			case open[producer] != nil:
				end(producer, protocol.ControlType(random.IntN(2)))
			}
		}
		for producer := range int64(4) {
			if open[producer] != nil {
				end(producer, protocol.ControlType(random.IntN(2)))
			}
		}
		set = joined(batches...)
		from := random.Int64N(offset)
		var want []int64
		for o := from; o < offset; o++ {
			if data[o] && !lost[o] {
				want = append(want, o)
			}
		}

		r := newRooms(t, WithIsolationLevel(ReadCommitted))
		p := r.assign(1)[0]
		require.NoError(t, r.Seek(p.tp, from))
		var got []int64
		for p.fetch.offset < offset {
			rest := tail(set, p.fetch.offset)
			n := len(rest)
			if first := protocol.ScanBatches(rest); first.Next() {
				n = min(n, len(first.Bytes())+random.IntN(len(rest)))
			}
			var list abortedList
			for _, a := range aborted {
				if a.last >= p.fetch.offset {
					list = append(list, protocol.FetchResponseAbortedTransaction{ProducerID: a.producer, FirstOffset: a.first})
				}
			}
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			r.answer(r.next(), part{set: rest[:n], aborted: list})
			got = append(got, offsetsOf(r.drain())...)
		}
		require.Equal(t, want, got, "seed %d", seed)
		require.Equal(t, offset, p.position, "seed %d", seed)
	}
}

// Whatever single bit is flipped, the same messages come, or none of that batch and a loud error; never other bytes.
// Bits outside of the checksum (base offset, leader epoch) can only be told by what they break.
func TestCut_FlippedBitsAreNeverSilent(t *testing.T) {
	for _, codec := range []compress.Codec{compress.None, compress.LZ4} {
		good := batchOf(100, 3, withCodec(codec), byProducer(5))
		quiet := 0
		for bit := range len(good) * 8 {
			at := bit / 8
			if at < 8 || at >= 12 && at < 16 {
				continue
			}
			bad := slices.Clone(good)
			bad[at] ^= 1 << (bit % 8)
			got, position, err := readAll(t, 100, part{set: joined(batchOf(97, 3), bad, batchOf(103, 1))}, WithIsolationLevel(ReadCommitted))
			if err == nil && position == 100 && len(got) == 0 {
				quiet++
				continue // its length makes it look incomplete: it is asked for again
			}
			require.Error(t, err, "%v bit %d: %q", codec, bit, got)
			require.Empty(t, got, "%v bit %d", codec, bit)
		}
		require.LessOrEqual(t, quiet, 32, "more than the bits of the length")
	}
}

func TestCut_Legacy(t *testing.T) {
	message := func(magic int8, offset int64, value string) []byte {
		return protocol.AppendLegacyMessage(nil, &protocol.LegacyMessage{Offset: offset, Magic: magic, Timestamp: 1000 + offset, Value: []byte(value)})
	}
	wrapped := func(magic int8, codec compress.Codec, offsets ...int64) []byte {
		var inner []protocol.LegacyMessage
		for _, o := range offsets {
			inner = append(inner, protocol.LegacyMessage{Offset: o, Magic: magic, Value: fmt.Appendf(nil, "v%d", o)})
		}
		pack := func(dst, src []byte) ([]byte, error) {
			if magic == 0 && codec == compress.LZ4 {
				return compress.EncodeLZ4Magic0(dst, src)
			}
			return compress.Encode(codec, dst, src)
		}
		b, err := protocol.AppendLegacyWrapper(nil, protocol.LegacyMessage{Magic: magic, Attributes: int8(codec)}, pack, inner...)
		require.NoError(t, err)
		return b
	}
	for _, magic := range []int8{0, 1} {
		t.Run(fmt.Sprintf("magic %d", magic), func(t *testing.T) {
			set := joined(message(magic, 0, "v0"), message(magic, 1, "v1"))
			next := int64(2)
			for _, codec := range []compress.Codec{compress.Gzip, compress.Snappy, compress.LZ4} {
				set = append(set, wrapped(magic, codec, next, next+1, next+2)...)
				next += 3
			}
			set = append(set, batchOf(next, 2)...) // the log went on with magic 2
			got, position, err := readAll(t, 0, part{set: set})
			require.NoError(t, err)
			require.Equal(t, numbered(0, int(next)+2), got)
			require.Equal(t, next+2, position)

			got, position, err = readAll(t, 6, part{set: tail(set, 6)}) // in the middle of a compressed one
			require.NoError(t, err)
			require.Equal(t, numbered(6, int(next)+2-6), got)
			require.Equal(t, next+2, position)

			bad := slices.Clone(set)
			bad[len(bad)-len(batchOf(next, 2))-3] ^= 4 // in the last compressed one
			got, _, err = readAll(t, 0, part{set: bad})
			require.Equal(t, numbered(0, 8), got)
			var corrupt *CorruptRecordError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, int64(8), corrupt.Offset)
		})
	}
}

func TestCut_LegacyMessageFields(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	set := protocol.AppendLegacyMessage(nil, &protocol.LegacyMessage{Offset: 0, Magic: 0, Key: []byte("k")})
	set = protocol.AppendLegacyMessage(set, &protocol.LegacyMessage{Offset: 1, Magic: 1, Timestamp: 5, Value: []byte{}})
	set = protocol.AppendLegacyMessage(set, &protocol.LegacyMessage{Offset: 2, Magic: 1, Timestamp: 6, Attributes: int8(protocol.AttributeLogAppendTime)})
	r.fetched(part{set: set})
	got := r.drain()
	require.Len(t, got, 3)
	require.Equal(t, Message{Topic: "t", Offset: 0, LeaderEpoch: -1, TimestampType: NoTimestamp, Key: []byte("k")}, *got[0])
	require.Equal(t, Message{Topic: "t", Offset: 1, LeaderEpoch: -1, TimestampType: CreateTime, Timestamp: millis(5), Value: []byte{}}, *got[1])
	require.Equal(t, Message{Topic: "t", Offset: 2, LeaderEpoch: -1, TimestampType: LogAppendTime, Timestamp: millis(6)}, *got[2])
}
