package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// perPartition counts messages.
func perPartition[M any](counts map[int32]int, got map[TopicPartition][]M) {
	for tp, msgs := range got {
		counts[tp.Partition] += len(msgs)
	}
}

func TestTyped_BusyPartitionsTakeTurns(t *testing.T) {
	all := []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}}
	want := map[int32]int{0: 2 * turnLength, 1: 2 * turnLength, 2: 2 * turnLength}
	for name, opts := range map[string][]GetOption{"of all": nil, "of those named": {FromPartitions(all...)}} {
		t.Run("GetOne "+name, func(t *testing.T) {
			r, _ := stocked(t, 1000, 1000, 1000)
			counts := map[int32]int{}
			for range 6 * turnLength {
				m, err := Typed(r.Consumer, Bytes, Bytes).GetOne(t.Context(), opts...)
				require.NoError(t, err)
				counts[m.Partition]++
			}
			require.Equal(t, want, counts)
		})
		t.Run("GetMany "+name, func(t *testing.T) {
			r, _ := stocked(t, 1000, 1000, 1000)
			counts := map[int32]int{}
			for range 6 * turnLength / 64 {
				got, err := Typed(r.Consumer, Bytes, Bytes).GetMany(t.Context(), append(opts, UpTo(64))...)
				require.NoError(t, err)
				require.Len(t, got, 1, "64 are one turn")
				perPartition(counts, got)
			}
			require.Equal(t, want, counts)
		})
	}
	t.Run("All", func(t *testing.T) {
		r, _ := stocked(t, 1000, 1000, 1000)
		counts, done := map[int32]int{}, 0
		for m, err := range Typed(r.Consumer, Bytes, Bytes).All(t.Context()) {
			require.NoError(t, err)
			counts[m.Partition]++
			if done++; done == 6*turnLength {
				break
			}
		}
		require.Equal(t, want, counts)
	})
	t.Run("Messages", func(t *testing.T) {
		r, _ := stocked(t, 1000, 1000, 1000)
		counts, done := map[int32]int{}, 0
		for m := range Typed(r.Consumer, Bytes, Bytes).Messages() {
			counts[m.Partition]++
			if done++; done == 6*turnLength {
				break
			}
		}
		require.Equal(t, want, counts)
	})
}

// More partitions than one call has room for are all served, and what quiet ones leave of a call's room goes to the others.
func TestTyped_ManySharesAmongPartitions(t *testing.T) {
	r, parts := stocked(t, slices.Repeat([]int{1000}, 12)...)
	counts := map[int32]int{}
	for range 3 { // two rounds of 12 shares
		got, err := Typed(r.Consumer, Bytes, Bytes).GetMany(t.Context(), UpTo(512))
		require.NoError(t, err)
		perPartition(counts, got)
	}
	for _, p := range parts {
		require.Equal(t, 128, counts[p.tp.Partition], "of partition %d", p.tp.Partition)
	}

	r, parts = stocked(t, 3, 2000, 2000, 100)
	got, err := Typed(r.Consumer, Bytes, Bytes).GetMany(t.Context(), UpTo(800))
	require.NoError(t, err)
	counts = map[int32]int{}
	perPartition(counts, got)
	require.Equal(t, map[int32]int{0: 3, 1: 400, 2: 297, 3: 100}, counts)
	for _, p := range parts {
		require.Equal(t, int64(counts[p.tp.Partition]), p.position)
	}
}

// A call that ends while it decodes has taken nothing, and everything can be taken after it.
func TestTyped_CallThatEndsWhileItDecodesTakesNothing(t *testing.T) {
	r, parts := stocked(t, 10, 20, 30)
	ctx, cancel := context.WithCancel(t.Context())
	value := func(context.Context, string, []Header, []byte) (int, error) { cancel(); return 0, ctx.Err() }
	_, err := Typed(r.Consumer, Bytes, value).GetMany(ctx)
	require.ErrorIs(t, err, context.Canceled)
	for _, p := range parts {
		require.Zero(t, p.position)
	}
	require.Len(t, r.take(), 60)
}

// A partition of which nothing can be decoded starves neither the messages of others nor their errors.
func TestTyped_PartitionsOfPoisonTakeTurns(t *testing.T) {
	r := newRooms(t)
	r.assign(3)
	bad := slices.Repeat([]string{"bad"}, 100)
	r.fetched(part{index: 0, set: valuesBatch(0, bad)}, part{index: 1, set: valuesBatch(0, bad)}, part{index: 2, set: batchOf(0, 1000)})
	r.decode()
	typed := Typed(r.Consumer, Bytes, func(_ context.Context, _ string, _ []Header, data []byte) (int, error) {
		if string(data) == "bad" {
			return 0, errors.New("poison")
		}
		return len(data), nil
	})
	calls := map[int32]int{}
	for range 30 {
		got, err := typed.GetMany(t.Context(), UpTo(150))
		if failed := (*DeserializationError)(nil); errors.As(err, &failed) {
			calls[failed.Message.Partition]++
			continue
		}
		require.NoError(t, err)
		for tp := range got {
			calls[tp.Partition]++
		}
	}
	require.Equal(t, map[int32]int{0: 10, 1: 10, 2: 10}, calls)
}

// Whose turn it is does not depend on whether messages are taken decoded.
func TestTyped_TakesTurnsAsTheConsumerDoes(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		counts := slices.Repeat([]int{2000}, 1+random.IntN(6))
		raw, parts := stocked(t, counts...)
		decoded, _ := stocked(t, counts...)
		typed := Typed(decoded.Consumer, Bytes, Bytes)
		both := func(do func(r *rooms) error) {
			require.NoError(t, do(raw))
			require.NoError(t, do(decoded))
		}
		inStock := func(p *partition) bool { return p.buf.ahead() > 300 }
		for !slices.ContainsFunc(parts, func(p *partition) bool { return !inStock(p) }) {
			var only []TopicPartition // none: all
			if random.IntN(2) == 0 {
				for i := range counts {
					if random.IntN(2) == 0 {
						only = append(only, TopicPartition{"t", int32(i)})
					}
				}
			}
			tp := TopicPartition{"t", int32(random.IntN(len(parts)))}
			switch random.IntN(100) {
			case 0:
				both(func(r *rooms) error { return r.Pause(tp) })
			case 1, 2:
				both(func(r *rooms) error { return r.Resume(tp) })
			case 3, 4, 5:
				opts := []GetOption{FromPartitions(only...), UpTo(1 + random.IntN(300)), WaitFor(0)}
				want, err := raw.GetMany(t.Context(), opts...)
				require.NoError(t, err)
				got, err := typed.GetMany(t.Context(), opts...)
				require.NoError(t, err)
				require.Len(t, got, len(want))
				for tp, msgs := range want {
					require.Equal(t, offsetsOf(msgs), offsetsOf(rawOf(got[tp])))
				}
			default:
				if !slices.ContainsFunc(parts, func(p *partition) bool { return !p.paused && (only == nil || slices.Contains(only, p.tp)) }) {
					continue // it would wait
				}
				want, err := raw.GetOne(t.Context(), FromPartitions(only...))
				require.NoError(t, err)
				got, err := typed.GetOne(t.Context(), FromPartitions(only...))
				require.NoError(t, err)
				require.Equal(t, want, got.Message)
			}
		}
	}
}

func rawOf[K, V any](msgs []*TypedMessage[K, V]) []*Message {
	out := make([]*Message, len(msgs))
	for i, m := range msgs {
		out[i] = m.Message
	}
	return out
}
