package kafka

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// inTurn gives what a batch holds, as it is in its turn.
func inTurn(b *Batch) (out []Message) {
	for m := range b.Messages() {
		out = append(out, *m.Clone())
	}
	return out
}

// turns takes up to n batches that are there already, and hands each to do, whose result says whether to go on.
func (r *rooms) turns(do func(*Batch) bool, opts ...GetOption) error {
	r.decode()
	for b, err := range r.Batches(r.t.Context(), opts...) {
		if err != nil {
			return err
		}
		if !do(b) {
			return nil
		}
		r.decode()
	}
	return nil
}

// Each batch is one partition's, in order, the position moves by it, and a turn may range over it more than once.
func TestBatches_GiveWhatIsThereInOrder(t *testing.T) {
	for _, codec := range []compress.Codec{compress.None, compress.LZ4} {
		t.Run(codec.String(), func(t *testing.T) {
			r := newRooms(t)
			parts := r.assign(2)
			r.fetched(part{index: 0, set: joined(batchOf(0, 700, withCodec(codec)), marker(700, 1, protocol.ControlCommit), batchOf(701, 800, withCodec(codec)))},
				part{index: 1, set: batchOf(0, 30, withCodec(codec))})
			got := make(map[TopicPartition][]Message)
			left := 1530
			require.NoError(t, r.turns(func(b *Batch) bool {
				msgs := inTurn(b)
				require.Equal(t, msgs, inTurn(b))
				require.Len(t, msgs, b.Len())
				got[b.TopicPartition()] = append(got[b.TopicPartition()], msgs...)
				position, err := r.Position(t.Context(), b.TopicPartition())
				require.NoError(t, err)
				require.Greater(t, position, msgs[len(msgs)-1].Offset)
				left -= b.Len()
				return left > 0
			}))
			for i, m := range got[parts[0].tp] {
				offset := int64(i)
				if i >= 700 {
					offset++
				}
				require.Equal(t, offset, m.Offset)
				require.Equal(t, fmt.Sprintf("v%d", offset), string(m.Value))
				require.Equal(t, len(m.Value), cap(m.Value))
			}
			require.Len(t, got[parts[1].tp], 30)
			r.requireAllFree()
		})
	}
}

// When its turn has ended, by coming round, by break and by panic, a batch yields nothing; within its turn it is valid also
// after its partition was sought or taken away.
func TestBatches_AreValidForTheirTurn(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.fetched(part{set: joined(batchOf(0, 100, withCodec(compress.LZ4)), batchOf(100, 5000, withCodec(compress.LZ4)))})
	var before []*Batch
	ended := func() {
		for _, b := range before {
			require.Zero(t, b.Len())
			require.Empty(t, inTurn(b))
			require.Equal(t, p.tp, b.TopicPartition())
		}
	}
	require.NoError(t, r.turns(func(b *Batch) bool {
		ended()
		before = append(before, b)
		return len(before) < 2
	}))
	ended()
	require.Panics(t, func() {
		_ = r.turns(func(b *Batch) bool {
			before = append(before, b)
			panic("in the loop")
		})
	})
	ended()
	require.NoError(t, r.Seek(p.tp, 0))
	r.fetched(part{set: batchOf(0, 10)})
	require.NoError(t, r.turns(func(b *Batch) bool {
		require.NoError(t, r.Seek(p.tp, 5))
		require.NoError(t, r.Assign(TopicPartition{Topic: "t", Partition: 7}))
		require.Equal(t, numbered(0, 10), valuesOf(inTurn(b)))
		return false
	}))
}

func valuesOf(msgs []Message) (out []string) {
	for _, m := range msgs {
		out = append(out, string(m.Value))
	}
	return out
}

// A Batch ends within a loop over its messages when its turn does.
func TestBatches_EndWithinTheLoopOverTheirMessages(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	r.fetched(part{set: batchOf(0, 10)})
	require.NoError(t, r.turns(func(b *Batch) bool {
		n := 0
		for range b.Messages() {
			if n++; n == 3 {
				b.msgs = nil // what the end of the turn does
			}
		}
		require.Equal(t, 3, n)
		return false
	}))
}

func TestBatches_OptionsThatMakeNoSense(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.fetched(part{set: batchOf(0, 1)})
	for name, opts := range map[string][]GetOption{
		"UpTo": {UpTo(5)}, "WaitFor": {WaitFor(0)}, "not assigned": {FromPartitions(TopicPartition{"t", 9})},
	} {
		n := 0
		for b, err := range r.Batches(t.Context(), opts...) {
			n++
			require.Nil(t, b, name)
			require.ErrorIs(t, err, ErrIllegalState, name)
		}
		require.Equal(t, 1, n, name)
	}
	require.NoError(t, r.turns(func(b *Batch) bool { require.Equal(t, 1, b.Len()); return false }, FromPartitions(p.tp)))
}

// The end of ctx comes last; Stop just ends the loop.
func TestBatches_EndWithTheirContextAndWithStop(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.AppendRaw("t", 0, batchOf(0, 3))
		c := startConsumer(t, k, WithTopics("t"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for b, err := range c.Batches(ctx) {
			require.NoError(t, last, "nothing comes after the end")
			if last = err; b != nil {
				cancel()
			}
		}
		require.ErrorIs(t, last, context.Canceled)
		require.NoError(t, c.Seek(TopicPartition{"t", 0}, 0))
		stopped := make(chan error, 1)
		for b, err := range c.Batches(t.Context()) {
			require.NoError(t, err)
			require.NotNil(t, b)
			go func() { stopped <- c.Stop(t.Context()) }()
		}
		require.NoError(t, <-stopped)
	})
}

// Allocations of the fast path: next to nothing, as all memory is used again.
func TestBatches_AllocateNextToNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, codec := range []compress.Codec{compress.None, compress.LZ4, compress.Snappy} {
		t.Run(codec.String(), func(t *testing.T) {
			const n = 20_000
			var set []byte
			for base := int64(0); base < n; base += 1000 {
				values := make([]string, 1000)
				for i := range values {
					values[i] = string(bytes.Repeat([]byte{byte('a' + i%26)}, 100))
				}
				set = append(set, valuesBatch(base, values, withCodec(codec))...)
			}
			r := newRooms(t, WithMaxPartitionFetchBytes(8<<20))
			p := r.assign(1)[0]
			end := r.sub.budget.reuse() // as a loop that goes on
			defer end()
			body := answerOf(t, part{set: set})
			round := func() {
				require.NoError(t, r.Seek(p.tp, 0))
				pl, _ := r.plan()
				r.read(pl, body)
				r.fetcher.landed(pl, nil, false)
				left := n
				require.NoError(t, r.turns(func(b *Batch) bool { left -= b.Len(); return left > 0 }))
			}
			round()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			const rounds = 5
			for range rounds {
				round()
			}
			runtime.ReadMemStats(&after)
			require.Less(t, float64(after.TotalAlloc-before.TotalAlloc)/(rounds*n), 5.0, "bytes a record")
		})
	}
}

// Whatever is mixed, what was handed out for good is never written to again, what is lent is right in its turn, and the
// memory kept for reuse stays within the bound. With the race detector on, memory that goes back is overwritten at once.
func TestBatches_NeverReuseWhatWasHandedOut(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			x := &mixer{rooms: newRooms(t, append(small(64<<10), WithMaxPartitionFetchBytes(32<<10))...), random: rand.New(rand.NewPCG(seed, 9))}
			x.parts = x.assign(3)
			for range 60 {
				x.step()
				x.requireBound()
			}
			for i, m := range x.kept {
				require.Equal(t, x.copies[i], *m)
			}
		})
	}
}

// A mixer reads in all ways by turns.
type mixer struct {
	*rooms
	random *rand.Rand
	parts  []*partition
	kept   []*Message
	copies []Message
}

// requireBound asserts that what is kept for reuse has its place within the bound.
func (x *mixer) requireBound() {
	b := x.sub.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes := int64(0)
	for _, buf := range b.spare.blocks {
		bytes += int64(cap(buf))
	}
	for _, c := range b.spare.chunks {
		bytes += c.size()
	}
	require.Equal(x.t, bytes, b.spare.bytes)
	require.Zero(x.t, b.spare.loops)
	require.LessOrEqual(x.t, b.used+b.spare.bytes, b.limit-b.reserve)
	require.LessOrEqual(x.t, b.peak, b.limit)
}

func (x *mixer) keep(msgs ...*Message) {
	for _, m := range msgs {
		x.kept = append(x.kept, m)
		x.copies = append(x.copies, *m.Clone())
	}
}

func (x *mixer) step() {
	p := x.parts[x.random.IntN(len(x.parts))]
	switch x.random.IntN(7) {
	case 0:
		require.NoError(x.t, x.Seek(p.tp, x.random.Int64N(500)))
	case 1:
		x.fetch()
	case 2:
		x.decodeStep()
	case 3:
		got, err := x.GetMany(x.t.Context(), WaitFor(0), UpTo(1+x.random.IntN(40)))
		require.NoError(x.t, err)
		for _, msgs := range got {
			x.keep(msgs...)
		}
	case 4:
		x.typed()
	case 5:
		x.sub.mu.Lock()
		_, m := x.sub.takeOne(nil)
		x.sub.mu.Unlock()
		if m != nil {
			x.keep(m)
		}
	default:
		x.lend(1 + x.random.IntN(4))
	}
}

// fetch answers a fetch, if there is one to make, with a few batches of each partition that is asked for.
func (x *mixer) fetch() {
	pl, _ := x.plan()
	if pl == nil {
		return
	}
	var parts []part
	for _, rt := range pl.request.Topics {
		for _, rp := range rt.Partitions {
			var set []byte
			base := rp.FetchOffset
			for range 1 + x.random.IntN(3) {
				n := 1 + x.random.IntN(60)
				values := make([]string, n)
				for i := range values {
					values[i] = fmt.Sprint(base+int64(i), " ", string(bytes.Repeat([]byte("x"), x.random.IntN(90))))
				}
				set = append(set, valuesBatch(base, values, withCodec(compress.Codec(x.random.IntN(5))))...)
				base += int64(n)
			}
			parts = append(parts, part{index: rp.Partition, set: set})
		}
	}
	x.answer(pl, parts...)
}

func (x *mixer) typed() {
	tc := Typed(x.Consumer, Bytes, func(_ context.Context, _ string, _ []Header, b []byte) (string, error) {
		was := string(b)
		if x.random.IntN(3) == 0 { // what is being decoded is dropped
			_ = x.Seek(x.parts[x.random.IntN(len(x.parts))].tp, x.random.Int64N(500))
		}
		require.Equal(x.t, was, string(b))
		return was, nil
	})
	got, err := tc.GetMany(x.t.Context(), WaitFor(0), UpTo(10))
	require.NoError(x.t, err)
	for _, msgs := range got {
		for _, m := range msgs {
			require.Equal(x.t, m.Value, string(m.Message.Value))
			x.keep(m.Message)
		}
	}
}

// lend takes up to n batches, as long as there are any.
func (x *mixer) lend(n int) {
	ready := func() bool {
		x.sub.mu.Lock()
		defer x.sub.mu.Unlock()
		return x.sub.anyDeliverable()
	}
	if !ready() {
		return
	}
	for b, err := range x.Batches(x.t.Context()) {
		require.NoError(x.t, err)
		was := inTurn(b)
		x.decodeStep()
		x.fetch()
		require.Equal(x.t, was, inTurn(b), "it is lent until the turn ends")
		for _, m := range was {
			var offset int64
			_, err := fmt.Sscan(string(m.Value), &offset)
			require.NoError(x.t, err)
			require.Equal(x.t, m.Offset, offset)
		}
		require.True(x.t, slices.IsSortedFunc(was, func(a, b Message) int { return int(a.Offset - b.Offset) }))
		if n--; n == 0 || !ready() {
			return
		}
	}
}
