package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// next ends every backoff of the partitions, and plans a fetch on the main lane.
func (r *rooms) next() *fetchPlan {
	r.sub.mu.Lock()
	for _, p := range r.sub.partitions {
		p.fetch.retryAt = time.Time{}
	}
	r.sub.mu.Unlock()
	main, _ := r.plan()
	require.NotNil(r.t, main, "nothing to fetch")
	return main
}

// told gives the error that a Get call tells now.
func (r *rooms) told() error {
	r.t.Helper()
	m, err := r.GetMany(r.t.Context(), WaitFor(0))
	require.Empty(r.t, m)
	return err
}

func TestAnswer_RecordsBelowTheOffsetOnlyAreToldAtTheThirdTime(t *testing.T) {
	r := newRooms(t, WithRetryBackoff(100*time.Millisecond, time.Second))
	p := r.assign(1)[0]
	require.NoError(t, r.Seek(p.tp, 10))
	var waits []time.Duration
	for i := range 6 {
		before := time.Now()
		r.answer(r.next(), part{set: batchOf(0, 5), high: 20})
		waits = append(waits, p.fetch.retryAt.Sub(before))
		require.Empty(t, r.drain())
		require.Equal(t, int64(10), p.position)
		err := r.told()
		switch i {
		case 0, 1:
			require.NoError(t, err)
		case 2:
			var corrupt *CorruptRecordError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, []int64{10, 11}, []int64{corrupt.Offset, corrupt.NextOffset})
		default:
			require.NoError(t, err, "told again before its time")
		}
	}
	require.Greater(t, waits[4], 700*time.Millisecond, "the backoff grows")

	r.answer(r.next(), part{set: batchOf(10, 1), high: 20})
	require.Equal(t, []int64{10}, offsetsOf(r.drain()))
	require.NoError(t, r.told())
	r.requireAllFree()
}

func TestAnswer_CorruptBatchIsFetchedOnceMoreThenTold(t *testing.T) {
	flipped := func(b []byte, at int) []byte {
		b = append([]byte(nil), b...)
		b[at] ^= 0x40
		return b
	}
	good := batchOf(3, 2)
	cases := map[string][]byte{
		"a record":            flipped(good, len(good)-1),
		"the record count":    flipped(good, 60),
		"the last offset":     flipped(good, 24),
		"the codec":           flipped(good, 22),
		"the control bit":     append(append(append([]byte(nil), good[:22]...), good[22]|0x20), good[23:]...),
		"the length, too far": flipped(good, 8),
		"the magic":           flipped(good, 16),
	}
	for name, bad := range cases {
		for _, transient := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				r := newRooms(t)
				p := r.assign(1)[0]
				set := joined(batchOf(0, 3), bad)
				r.answer(r.next(), part{set: set})
				require.Equal(t, []int64{0, 1, 2}, offsetsOf(r.drain()))
				if name == "the length, too far" {
					return // as a batch that is cut short at the end of an answer: asked for again
				}
				require.NoError(t, r.told(), "not before it has been asked for again")
				pl := r.next()
				got, _ := asked(pl)
				require.Equal(t, map[int32]int64{0: 3}, got)

				if transient {
					r.answer(pl, part{set: joined(good, batchOf(5, 1))})
					require.Equal(t, []int64{3, 4, 5}, offsetsOf(r.drain()))
					require.NoError(t, r.told())
					r.requireAllFree()
					return
				}
				r.answer(pl, part{set: joined(bad, batchOf(5, 1))})
				require.Empty(t, r.drain())
				err := r.told()
				var corrupt *CorruptRecordError
				require.ErrorAs(t, err, &corrupt)
				require.Equal(t, p.tp, corrupt.TopicPartition)
				require.Equal(t, int64(3), corrupt.Offset)
				require.Greater(t, corrupt.NextOffset, int64(3))
				require.NoError(t, r.told(), "told again before its time")
				main, side := r.plan()
				require.True(t, main == nil || len(main.request.Topics) == 0)
				require.Nil(t, side)

				require.NoError(t, r.Seek(p.tp, 5))
				require.NoError(t, r.told())
				if main != nil {
					r.answer(main)
				}
				r.answer(r.next(), part{set: batchOf(5, 1)})
				require.Equal(t, []int64{5}, offsetsOf(r.drain()))
				r.requireAllFree()
			})
		}
	}
}

func TestAnswer_CorruptBatchBelowTheOffsetIsToldWithAWayForward(t *testing.T) {
	r := newRooms(t)
	require.NoError(t, r.Seek(r.assign(1)[0].tp, 10))
	bad := batchOf(0, 5)
	bad[len(bad)-1] ^= 1
	for range 2 {
		r.answer(r.next(), part{set: joined(bad, batchOf(10, 2))})
	}
	var corrupt *CorruptRecordError
	require.ErrorAs(t, r.told(), &corrupt)
	require.Equal(t, []int64{10, 11}, []int64{corrupt.Offset, corrupt.NextOffset})
}

// Two workers decode two batches of a partition that both are corrupt, the second one always first.
func TestAnswer_TwoCorruptBatchesAreToldThoughTheSecondIsFoundFirst(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	bad := func(offset int64, n int) []byte {
		b := big(offset, n)
		b[len(b)-1] ^= 1
		return b
	}
	set := joined(bad(0, segmentBytes+1), bad(1, 1000))
	for range 3 {
		if p.buf.broken() {
			break
		}
		r.answer(r.next(), part{set: set})
		r.sub.mu.Lock()
		first, second := r.sub.pick(), r.sub.pick()
		r.sub.mu.Unlock()
		for _, seg := range []*segment{second, first} {
			if seg == nil {
				continue
			}
			env := &decodeEnv{tp: p.tp, checkCRC: true, batchLimit: 1 << 20, slabLimit: 1 << 20, budget: r.sub.budget, names: &nameCache{}}
			ch, err := seg.decoder.next(seg, env)
			r.sub.mu.Lock()
			r.sub.decoded(seg, ch, err)
			r.sub.mu.Unlock()
		}
	}
	var corrupt *CorruptRecordError
	require.ErrorAs(t, r.told(), &corrupt)
	require.Equal(t, int64(0), corrupt.Offset)
	r.sub.unsubscribe()
	r.requireAllFree()
}

// Each batch spans the offset asked for, and compaction has taken all that it had from there on.
func TestAnswer_FullBufferThatHoldsNoMessagesIsFetchedBehind(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	require.NoError(t, r.Seek(p.tp, 10))
	var set []byte
	for i := range int32(6) {
		raw := big(5, 150<<10)
		h, err := protocol.ParseBatchHeader(raw)
		require.NoError(t, err)
		h.LastOffsetDelta = 6 + i
		set = protocol.AppendRawBatch(set, h, raw[protocol.BatchHeaderSize:])
	}
	r.answer(r.next(), part{set: set, high: 100})
	main, side := r.plan()
	require.True(t, main == nil && side == nil, "the buffer is full")

	require.Empty(t, r.drain())
	got, _ := asked(r.next())
	require.Equal(t, map[int32]int64{0: 17}, got)
}

func TestAnswer_SetThatIsTooLargeIsNotReadAndToldWithWhereToGoOn(t *testing.T) {
	r := newRooms(t, small(64<<10)...)
	parts := r.assign(2)
	huge := big(3, 100<<10)
	pl := r.next()
	r.answer(pl, part{index: 0, set: huge}, part{index: 1, set: batchOf(0, 1)})
	require.Equal(t, []int64{0}, offsetsOf(r.drain()), "the other partition's")
	var large *RecordTooLargeError
	require.ErrorAs(t, r.told(), &large)
	require.Equal(t, &RecordTooLargeError{TopicPartition: parts[0].tp, Offset: 3, NextOffset: 4, Size: len(huge), Limit: 64 << 10}, large)
	r.requireAllFreeBut(r.plan())

	// One that lies about its offsets: the way on is forward all the same.
	require.NoError(t, r.Seek(parts[0].tp, 10))
	r.answer(r.next(), part{index: 0, set: huge})
	require.ErrorAs(t, r.told(), &large)
	require.Equal(t, []int64{10, 11}, []int64{large.Offset, large.NextOffset})
}

// requireAllFreeBut is requireAllFree beside what fetches that are out have reserved.
func (r *rooms) requireAllFreeBut(pls ...*fetchPlan) {
	r.t.Helper()
	for _, pl := range pls {
		if pl != nil {
			r.answer(pl)
		}
	}
	r.requireAllFree()
}

func TestAnswer_BatchThatIsTooLargeDecompressed(t *testing.T) {
	for _, codec := range []compress.Codec{compress.Gzip, compress.Snappy, compress.LZ4, compress.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			r := newRooms(t, small(64<<10)...)
			p := r.assign(1)[0]
			bomb := valuesBatch(2, []string{string(make([]byte, 300<<10))}, withCodec(codec))
			require.Less(t, len(bomb), 64<<10)
			r.answer(r.next(), part{set: joined(batchOf(0, 2), bomb, batchOf(3, 1))})
			require.Equal(t, []int64{0, 1}, offsetsOf(r.drain()))
			var large *RecordTooLargeError
			require.ErrorAs(t, r.told(), &large)
			require.Equal(t, []int64{2, 3}, []int64{large.Offset, large.NextOffset})
			require.Greater(t, large.Size, large.Limit)
			_, _, peak := r.sub.budget.buffered()
			require.LessOrEqual(t, peak, int64(256<<10))
			r.requireAllFree()

			require.NoError(t, r.Seek(p.tp, large.NextOffset))
			r.answer(r.next(), part{set: batchOf(3, 1)})
			require.Equal(t, []int64{3}, offsetsOf(r.drain()))
		})
	}
}

// A last stable offset that the broker does not give is not made up; the lag is to the highwater then.
func TestAnswer_WithoutALastStableOffset(t *testing.T) {
	for _, isolation := range []IsolationLevel{ReadUncommitted, ReadCommitted} {
		r := newRooms(t, WithIsolationLevel(isolation))
		p := r.assign(1)[0]
		r.answer(r.next(), part{high: 5, noStable: true})
		require.Equal(t, []int64{5, -1}, []int64{p.highwater, p.stable})
		lag, ok := p.lag(isolation)
		require.True(t, ok)
		require.Equal(t, int64(5), lag)
	}
}

func TestAnswer_OffsetOutOfRange(t *testing.T) {
	t.Run("resets after what is buffered", func(t *testing.T) {
		r := newRooms(t, WithAutoOffsetReset(ResetEarliest))
		p := r.assign(1)[0]
		r.answer(r.next(), part{set: batchOf(0, 3)})
		r.answer(r.next(), part{code: protocol.OffsetOutOfRange})
		require.True(t, p.known)
		require.Len(t, r.drain(), 3)
		r.answer(r.next(), part{code: protocol.OffsetOutOfRange})
		require.False(t, p.known)
		require.Equal(t, int64(3), p.start.from)
		require.Equal(t, ResetEarliest, p.start.reset)
	})
	t.Run("again and again is not asked as fast as it is answered", func(t *testing.T) {
		r := newRooms(t, WithAutoOffsetReset(ResetEarliest), WithRetryBackoff(100*time.Millisecond, time.Second))
		p := r.assign(1)[0]
		for i := range 5 {
			r.answer(r.next(), part{code: protocol.OffsetOutOfRange})
			wait := time.Until(p.asking.retryAt)
			if i == 0 {
				require.LessOrEqual(t, wait, time.Duration(0), "the first one at once")
			} else {
				require.Greater(t, wait, 50*time.Millisecond)
			}
			r.sub.mu.Lock()
			r.sub.seek(p, 5, -1) // what the lookup finds
			r.sub.mu.Unlock()
		}
		r.answer(r.next(), part{})
		require.Zero(t, p.fetch.resets)
	})
}

// The log of a replica may begin later than its leader's, who names it all the same.
func TestAnswer_LeaderAndReplicaThatSendTheFetchToAndFroAreAskedEverMoreSlowly(t *testing.T) {
	r := newRooms(t, WithRackID("b"), WithRetryBackoff(100*time.Millisecond, time.Second))
	p := r.assign(1)[0]
	var wait time.Duration
	for range 5 {
		r.answer(r.next(), part{replica: 2})
		require.Equal(t, int32(2), p.source())
		before := time.Now()
		r.answer(r.next(), part{code: protocol.OffsetOutOfRange})
		require.Equal(t, int32(1), p.source())
		require.True(t, p.known, "the leader knows better")
		main, side := r.plan()
		require.True(t, main == nil && side == nil, "asked again at once")
		wait = p.fetch.retryAt.Sub(before)
	}
	require.Greater(t, wait, 700*time.Millisecond)

	r.answer(r.next(), part{set: batchOf(0, 1), high: 1})
	require.Zero(t, p.fetch.attempts)
}

func TestAnswer_StaleOnesAreDropped(t *testing.T) {
	changes := map[string]func(r *rooms, p *partition){
		"Seek elsewhere": func(r *rooms, p *partition) { require.NoError(r.t, r.Seek(p.tp, 5)) },
		"Seek to the same offset": func(r *rooms, p *partition) {
			require.NoError(r.t, r.Seek(p.tp, 0))
		},
		"Pause":      func(r *rooms, p *partition) { require.NoError(r.t, r.Pause(p.tp)) },
		"unassigned": func(r *rooms, p *partition) { require.NoError(r.t, r.Assign(TopicPartition{"t", 9})) },
		"unassigned and back": func(r *rooms, p *partition) {
			require.NoError(r.t, r.Assign(TopicPartition{"t", 9}))
			require.NoError(r.t, r.Assign(p.tp))
		},
		"a listener that refuses it": func(r *rooms, p *partition) {
			r.sub.mu.Lock()
			defer r.sub.mu.Unlock()
			p.gated = true
			r.listenerFailed(&listenerCall{callback: onAssigned, parts: []TopicPartition{p.tp}}, &ListenerError{})
			r.sub.open(p)
		},
		"another leader": func(r *rooms, p *partition) {
			r.sub.mu.Lock()
			defer r.sub.mu.Unlock()
			p.fetch.leader = 2
			r.fetcher.markDirty(p)
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			for _, p := range []part{{set: batchOf(0, 3)}, {code: protocol.OffsetOutOfRange}, {code: protocol.TopicAuthorizationFailed}, {set: big(0, 1000), size: 1000}} {
				r := newRooms(t)
				q := r.assign(1)[0]
				pl := r.next()
				change(r, q)
				r.answer(pl, p)
				require.Empty(t, r.drain())
				switch err := r.told(); {
				case name == "a listener that refuses it":
					require.ErrorAs(t, err, new(*ListenerError))
				case name != "Pause" || p.code == protocol.None:
					require.NoError(t, err)
				}
				for _, now := range r.sub.partitions {
					require.True(t, now.known || name == "unassigned" || name == "unassigned and back" || name == "Pause")
					require.Empty(t, now.buf.segments)
				}
				r.sub.unsubscribe()
				r.requireAllFree()
			}
		})
	}
}

func TestAnswer_PartitionTwiceOrNeverAskedFor(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	r.answer(r.next(), part{set: batchOf(0, 3)}, part{set: batchOf(0, 3)}, part{index: 7, set: batchOf(0, 3)}, part{index: -1, set: batchOf(0, 3)})
	require.Equal(t, []int64{0, 1, 2}, offsetsOf(r.drain()))
	r.requireAllFree()
}

func TestAnswer_SamePartitionOverAndOverTakesNoMoreMemory(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	bad := part{set: joined(batchOf(0, 1)[:8], make([]byte, 100))}
	r.answer(r.next(), bad, bad, bad, bad)
	require.Len(t, p.buf.segments, 1)

	moved := &protocol.FetchResponsePartition{ErrorCode: protocol.NotLeaderOrFollower, CurrentLeader: &protocol.FetchResponseLeaderIDAndEpoch{LeaderID: 2, LeaderEpoch: 1}}
	v := &fetchVisitor{f: r.fetcher, plan: &fetchPlan{node: 1}}
	for range 3 {
		v.failed(p, moved)
	}
	require.Len(t, v.hints, 1)
}

func TestAnswer_HighwaterAndLastStableOffsetOutOfOrder(t *testing.T) {
	r := newRooms(t, WithIsolationLevel(ReadCommitted))
	p := r.assign(1)[0]
	require.NoError(t, r.Seek(p.tp, 10))
	r.answer(r.next(), part{high: 4})
	lag, ok := r.Lag(p.tp)
	require.True(t, ok)
	require.Zero(t, lag)
	high, ok := r.Highwater(p.tp)
	require.True(t, ok)
	require.Equal(t, int64(4), high)
}
