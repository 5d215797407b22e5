package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// FuzzRecordSetToMessages: whatever bytes a broker answers with, nothing panics, memory stays within the bound and is all
// given back, and the offsets handed out rise.
func FuzzRecordSetToMessages(f *testing.F) {
	seeds := [][]byte{
		nil,
		batchOf(0, 3),
		joined(batchOf(0, 5), batchOf(3, 4), batchOf(0, 2)),
		joined(batchOf(0, 5, withCodec(compress.LZ4)), batchOf(5, 5, withCodec(compress.Zstd)), batchOf(10, 5, withCodec(compress.Gzip)), batchOf(15, 5, withCodec(compress.Snappy))),
		joined(batchOf(0, 1, byProducer(1)), marker(1, 1, protocol.ControlAbort), batchOf(2, 0), batchOf(3, 1)),
		recordsBatch(0, []protocol.RecordData{{Key: []byte("k"), Headers: []protocol.RecordHeader{{Key: "a"}, {Key: "b", Value: []byte("c")}}}}),
		protocol.AppendLegacyMessage(protocol.AppendLegacyMessage(nil, &protocol.LegacyMessage{Offset: 3, Value: []byte("a")}), &protocol.LegacyMessage{Offset: 4, Magic: 1, Value: []byte("b")}),
	}
	for magic := range int8(2) {
		b, err := protocol.AppendLegacyWrapper(nil, protocol.LegacyMessage{Magic: magic, Attributes: 1},
			func(dst, src []byte) ([]byte, error) { return compress.Encode(compress.Gzip, dst, src) },
			protocol.LegacyMessage{Offset: 2, Value: []byte("a")}, protocol.LegacyMessage{Offset: 3, Value: []byte("b")})
		require.NoError(f, err)
		clear(b[:8]) // as some old clients left it
		seeds = append(seeds, joined(b, batchOf(2, 5)))
	}
	for i, seed := range seeds {
		f.Add(seed, int64(i%3), int64(1), byte(i))
	}
	f.Fuzz(func(t *testing.T, set []byte, from, firstAborted int64, flags byte) {
		opts := append(small(32<<10), WithCheckCRCs(flags&1 != 0))
		if flags&2 != 0 {
			opts = append(opts, WithIsolationLevel(ReadCommitted))
		}
		r := newRooms(t, opts...)
		p := r.assign(1)[0]
		if from < 0 {
			from = 0
		}
		require.NoError(t, r.Seek(p.tp, from))
		next := from
		for range 3 {
			r.sub.mu.Lock()
			p.fetch.retryAt = p.lastAnswer
			r.sub.mu.Unlock()
			main, side := r.plan()
			for _, pl := range []*fetchPlan{main, side} {
				if pl != nil {
					r.answer(pl, part{set: set, high: firstAborted, aborted: abortedList{{ProducerID: 1, FirstOffset: firstAborted}, {ProducerID: -1, FirstOffset: 0}}})
				}
			}
			for _, m := range r.drain() {
				require.GreaterOrEqual(t, m.Offset, next)
				next = m.Offset + 1
				require.LessOrEqual(t, next, p.position)
			}
		}
		if flags&4 != 0 {
			r.sub.unsubscribe()
		}
		r.requireAllFree()
	})
}
