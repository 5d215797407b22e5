package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// stocked gives rooms whose partitions hold so many decoded messages each.
func stocked(t testing.TB, counts ...int) (*rooms, []*partition) {
	t.Helper()
	r := newRooms(t)
	parts := r.assign(len(counts))
	var answer []part
	for i, n := range counts {
		p := part{index: int32(i)}
		for from := 0; from < n; from += 500 {
			p.set = append(p.set, batchOf(int64(from), min(500, n-from))...)
		}
		answer = append(answer, p)
	}
	r.fetched(answer...)
	r.decode()
	return r, parts
}

// one takes one message, and gives its partition; -1: there was none.
func (r *rooms) one(only ...*partition) int32 {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	r.sub.beginTurn()
	if _, m := r.sub.takeOne(only); m != nil {
		return m.Partition
	}
	return -1
}

func TestTake_BusyPartitionsTakeTurns(t *testing.T) {
	r, _ := stocked(t, 2000, 2000, 3)
	var order []int32 // of turns
	counts := map[int32]int{}
	for range 3 * turnLength {
		p := r.one()
		counts[p]++
		if len(order) == 0 || order[len(order)-1] != p {
			order = append(order, p)
		}
	}
	require.Equal(t, 3, counts[2], "a quiet one is not starved by busy ones")
	require.LessOrEqual(t, counts[0], 2*turnLength)
	require.LessOrEqual(t, counts[1], 2*turnLength)
	require.GreaterOrEqual(t, len(order), 3)
}

func TestTake_NamedPartitionsTakeTurns(t *testing.T) {
	r, parts := stocked(t, 2000, 2000, 2000)
	counts := map[int32]int{}
	for range 4 * turnLength {
		counts[r.one(parts[1], parts[2])]++
	}
	require.Equal(t, map[int32]int{1: 2 * turnLength, 2: 2 * turnLength}, counts)
}

// Whichever way messages are taken, what is not assigned any more waits for no turn.
func TestTake_PartitionsThatGoHaveNoTurns(t *testing.T) {
	tp := TopicPartition{"t", 0}
	for name, take := range map[string]func(r *rooms) error{
		"GetOne":         func(r *rooms) error { _, err := r.GetOne(t.Context()); return err },
		"FromPartitions": func(r *rooms) error { _, err := r.GetOne(t.Context(), FromPartitions(tp)); return err },
		"Typed":          func(r *rooms) error { _, err := Typed(r.Consumer, Bytes, Bytes).GetMany(t.Context()); return err },
		"nothing":        func(*rooms) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t)
			for range 3 {
				parts := r.assign(4)
				r.fetched(part{index: 0, set: batchOf(0, 9)}, part{index: 1, set: batchOf(0, 9)}, part{index: 2, set: batchOf(0, 9)}, part{index: 3, set: batchOf(0, 9)})
				r.decode()
				require.NoError(t, take(r))
				require.NoError(t, r.Assign(parts[1].tp, parts[3].tp))
				var left []*partition
				for i := range r.sub.ring.len() {
					left = append(left, r.sub.ring.at(i))
				}
				require.ElementsMatch(t, []*partition{parts[1], parts[3]}, left)
				require.NoError(t, r.Assign(TopicPartition{"t", 9}))
				require.Zero(t, r.sub.ring.len())
			}
		})
	}
}

func TestTake_ManySharesAmongPartitions(t *testing.T) {
	cases := []struct {
		name string
		n    int
		want []int
	}{
		{"fewer than all", 300, []int{100, 100, 100}},
		{"one", 1, []int{1, 0, 0}},
		{"as many as there are", 3000, []int{1000, 1000, 1000}},
		{"no limit", 1<<63 - 1, []int{1000, 1000, 1000}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, parts := stocked(t, 1000, 1000, 1000)
			r.sub.mu.Lock()
			out := make(map[TopicPartition][]*Message)
			r.sub.takeMany(nil, c.n, out)
			r.sub.mu.Unlock()
			var got []int
			for _, p := range parts {
				requireRising(t, out[p.tp], 0)
				got = append(got, len(out[p.tp]))
				require.Equal(t, int64(len(out[p.tp])), p.position)
			}
			require.ElementsMatch(t, c.want, got)
		})
	}
}

func TestTake_WhatIsPausedSoughtOrGoneIsNeverHandedOut(t *testing.T) {
	r, parts := stocked(t, 10, 10, 10, 10)
	require.NoError(t, r.Pause(parts[0].tp))
	require.NoError(t, r.Seek(parts[1].tp, 5))
	require.NoError(t, r.Assign(parts[0].tp, parts[1].tp, parts[3].tp))
	for range 10 {
		require.Equal(t, int32(3), r.one())
	}
	require.Equal(t, int32(-1), r.one())
	require.NoError(t, r.Resume(parts[0].tp))
	for range 10 {
		require.Equal(t, int32(0), r.one(), "a paused one keeps what it has")
	}
	require.Equal(t, int32(-1), r.one())
	r.requireAllFree()
}

func TestGet_WaitsWakesAndGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRooms(t)
		parts := r.assign(2)
		type result struct {
			msgs map[TopicPartition][]*Message
			err  error
		}
		get := func(ctx context.Context, opts ...GetOption) chan result {
			ch := make(chan result, 1)
			go func() {
				msgs, err := r.GetMany(ctx, opts...)
				ch <- result{msgs, err}
			}()
			synctest.Wait()
			return ch
		}
		pending := func(ch chan result) bool { synctest.Wait(); return len(ch) == 0 }

		// After WaitFor, an empty map.
		start := time.Now()
		got := <-get(t.Context(), WaitFor(300*time.Millisecond))
		require.NoError(t, got.err)
		require.Empty(t, got.msgs)
		require.NotNil(t, got.msgs)
		require.Equal(t, 300*time.Millisecond, time.Since(start))

		// The end of ctx is an error.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, (<-get(ctx)).err, context.DeadlineExceeded)

		// A call for one partition is not woken to hand out another's.
		zero, one := get(t.Context(), FromPartitions(parts[0].tp)), get(t.Context(), FromPartitions(parts[1].tp))
		r.fetched(part{index: 1, set: batchOf(0, 1)})
		r.decode()
		require.Len(t, (<-one).msgs[parts[1].tp], 1)
		require.True(t, pending(zero))

		// Its partition goes while it waits.
		require.NoError(t, r.Assign(parts[1].tp))
		require.ErrorIs(t, (<-zero).err, ErrIllegalState)

		// A paused one's messages wake when it is resumed.
		require.NoError(t, r.Pause(parts[1].tp))
		all := get(t.Context())
		require.True(t, pending(all))
		require.NoError(t, r.Resume(parts[1].tp))
		main, _ := r.plan()
		r.answer(main, part{index: 1, set: batchOf(1, 1)})
		r.decode()
		require.Len(t, (<-all).msgs[parts[1].tp], 1)

		// Options that make no sense.
		for _, opts := range [][]GetOption{{UpTo(0)}, {UpTo(-1)}, {WaitFor(-1)}, {FromPartitions(TopicPartition{"t", 9})}} {
			require.ErrorIs(t, (<-get(t.Context(), opts...)).err, ErrIllegalState)
		}
		_, err := r.GetOne(t.Context(), WaitFor(1))
		require.ErrorIs(t, err, ErrIllegalState)
		_, err = r.GetOne(t.Context(), UpTo(1))
		require.ErrorIs(t, err, ErrIllegalState)
	})
}

func TestGet_LastingErrorIsToldAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRooms(t, WithRetryBackoff(100*time.Millisecond, time.Second))
		parts := r.assign(1)
		r.sub.mu.Lock()
		r.sub.fail(parts[0], errNoRoom)
		r.sub.mu.Unlock()
		start := time.Now()
		for i := range 4 {
			_, err := r.GetOne(t.Context())
			require.ErrorIs(t, err, errNoRoom)
			require.Equal(t, time.Duration(i)*time.Second, time.Since(start))
		}
	})
}

// Whatever an error is about, it waits for messages that are fetched and still to be decoded.
func TestTell_NoErrorComesAheadOfMessagesThatAreBeingDecoded(t *testing.T) {
	for name, fail := range map[string]func(s *subscription, p *partition){
		"a partition's": func(s *subscription, p *partition) { s.fail(p, protocol.CorruptMessage) },
		"a topic's":     func(s *subscription, _ *partition) { s.failAs(aboutTopic("u"), protocol.TopicAuthorizationFailed) },
		"the group's":   func(s *subscription, _ *partition) { s.failAs(aboutGroup, protocol.GroupAuthorizationFailed) },
		"an event":      func(s *subscription, _ *partition) { s.failOnce(protocol.UnknownServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t)
			parts := r.assign(2)
			r.fetched(part{index: 0, set: batchOf(0, 3)})
			r.sub.mu.Lock()
			fail(r.sub, parts[1])
			r.sub.mu.Unlock()
			got, err := r.GetMany(t.Context(), WaitFor(0))
			require.NoError(t, err)
			require.Empty(t, got)
			r.decode()
			require.Len(t, r.take(), 3)
			_, err = r.GetMany(t.Context(), WaitFor(0))
			require.Error(t, err)
		})
	}
}

// A call that held an error back for a partition's messages looks again when that is paused: they are not for it any more.
func TestTell_PauseOfWhatIsBeingDecodedLetsTheErrorThrough(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	r.fetched(part{index: 0, set: batchOf(0, 3)})
	r.sub.mu.Lock()
	r.sub.failAs(aboutTopic("u"), protocol.TopicAuthorizationFailed)
	w := &waiter{ch: make(chan struct{}, 1)}
	r.sub.waiters = append(r.sub.waiters, w)
	r.sub.mu.Unlock()
	require.NoError(t, r.Pause(parts[0].tp))
	require.Len(t, w.ch, 1)
	_, err := r.GetMany(t.Context(), WaitFor(0))
	require.Error(t, err)
}

// The position is that of the next message to read, past the markers between, however the message before it was handed out.
func TestTake_PositionIsPastControlRecords(t *testing.T) {
	const n = 10
	var set []byte
	for i := range int64(n) {
		set = append(set, joined(batchOf(2*i, 1, byProducer(1)), marker(2*i+1, 1, protocol.ControlCommit))...)
	}
	for name, take := range map[string]func(r *rooms) error{
		"GetOne":  func(r *rooms) error { _, err := r.GetOne(t.Context()); return err },
		"GetMany": func(r *rooms) error { _, err := r.GetMany(t.Context(), UpTo(1)); return err },
		"Typed":   func(r *rooms) error { _, err := Typed(r.Consumer, String, String).GetOne(t.Context()); return err },
	} {
		for look := range int64(n) { // a run of messages is noted when somebody looks
			r := newRooms(t)
			p := r.assign(1)[0]
			r.fetched(part{set: set})
			r.decode()
			require.Len(t, p.buf.segments, 1)
			for i := range int64(n) {
				require.NoError(t, take(r))
				if i == look {
					position, err := r.Position(t.Context(), p.tp)
					require.NoError(t, err)
					require.Equal(t, 2*i+2, position, name)
				}
			}
		}
	}
}
