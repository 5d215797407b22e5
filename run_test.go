package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// runRooms has two partitions with n messages each, decoded as far as that goes. The second has gaps between its batches.
func runRooms(t testing.TB, n int) *rooms {
	r := newRooms(t)
	r.assign(2)
	var gaps []byte
	for i := range int64(n/30 + 1) {
		gaps = append(gaps, batchOf(i*33, 30)...)
	}
	r.fetched(part{index: 0, set: manyBatches(n/50+1, 50, 0)}, part{index: 1, set: gaps})
	r.decode()
	return r
}

// seen is what others see of a consumer, who lock its mutex.
func (r *rooms) seen() (out string) {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	out = fmt.Sprint("turn ", r.sub.turn, ", by a loop ", r.sub.byIterator)
	for i := range int32(2) {
		p := r.sub.partitions[TopicPartition{"t", i}]
		settled, epoch := r.sub.settled(p)
		out += fmt.Sprintf("; at %d in epoch %d, settled %d in epoch %d, %d of a turn left", p.position, p.lastEpoch, settled, epoch, p.turn)
		if p.buf.ready() {
			out += fmt.Sprint(", ahead ", p.buf.segments[0].ahead())
		}
	}
	return out
}

func (r *rooms) anyDeliverable() bool {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	for _, p := range r.sub.partitions {
		if p.deliverable() {
			return true
		}
	}
	return false
}

// Whether messages are noted one by one or a run at a time, nobody sees a difference: one consumer is looked at before every
// message, which ends the run, and the other one now and then.
func TestRun_MakesNoDifference(t *testing.T) {
	both := func(one, two *rooms, do func(r *rooms) error) {
		t.Helper()
		require.NoError(t, do(one))
		require.NoError(t, do(two))
	}
	inRun := 0
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		n := 1 + random.IntN(1000)
		one, two := runRooms(t, n), runRooms(t, n)
		tp := func() TopicPartition { return TopicPartition{"t", int32(random.IntN(2))} }
		for range 500 {
			if loop := random.IntN(100) > 0; one.anyDeliverable() {
				if two.sub.mu.run.Load() != nil {
					inRun++
				}
				want, err := one.Consumer.next(t.Context(), loop)
				require.NoError(t, err)
				got, err := two.Consumer.next(t.Context(), loop)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			switch random.IntN(150) {
			case 0:
				tp, to := tp(), random.Int64N(int64(n))
				both(one, two, func(r *rooms) error { return r.Seek(tp, to) })
			case 1:
				tp := tp()
				both(one, two, func(r *rooms) error { return r.Pause(tp) })
			case 2, 3:
				tp := tp()
				both(one, two, func(r *rooms) error { return r.Resume(tp) })
			case 4:
				require.Equal(t, offsetsOf(one.take(TopicPartition{"t", 0})), offsetsOf(two.take(TopicPartition{"t", 0})))
			case 5:
				both(one, two, func(r *rooms) error { r.decode(); return nil })
			case 6, 7, 8:
				require.Equal(t, one.seen(), two.seen())
			}
		}
		require.Equal(t, one.seen(), two.seen())
	}
	require.Greater(t, inRun, 10_000, "messages handed out while there was a run")
}

// The last message of a run is the one in hand: it is not settled until the next is asked for.
func TestRun_SettlesAllButTheLast(t *testing.T) {
	r := runRooms(t, 100)
	p := r.sub.partitions[TopicPartition{"t", 0}]
	for i := range int64(20) {
		m, err := r.Consumer.next(t.Context(), true)
		require.NoError(t, err)
		require.Equal(t, i, m.Offset)
	}
	require.NotNil(t, r.sub.mu.run.Load())
	require.EqualValues(t, 1, p.position, "nobody has looked yet")
	position, err := r.Position(t.Context(), p.tp)
	require.NoError(t, err)
	require.EqualValues(t, 20, position)
	require.Nil(t, r.sub.mu.run.Load())
	r.sub.mu.Lock()
	settled, _ := r.sub.settled(p)
	r.sub.mu.Unlock()
	require.EqualValues(t, 19, settled)
}

// A message is the application's once it has it: what it does with it moves no position.
func TestRun_LooksAtNoMessageAgain(t *testing.T) {
	r := runRooms(t, 100)
	for range 20 {
		m, err := r.Consumer.next(t.Context(), true)
		require.NoError(t, err)
		*m = Message{} // lets go of what it points to
	}
	require.NotNil(t, r.sub.mu.run.Load())
	position, err := r.Position(t.Context(), TopicPartition{"t", 0})
	require.NoError(t, err)
	require.EqualValues(t, 20, position)
}

// A run is over before what it rests on changes.
func TestRun_IsOverWhen(t *testing.T) {
	tp := TopicPartition{"t", 0}
	for name, change := range map[string]func(r *rooms) error{
		"Seek":   func(r *rooms) error { return r.Seek(tp, 70) },
		"Pause":  func(r *rooms) error { return r.Pause(tp) },
		"Assign": func(r *rooms) error { return r.Assign(TopicPartition{"t", 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := runRooms(t, 100)
			for range 3 {
				_, err := r.Consumer.next(t.Context(), true)
				require.NoError(t, err)
			}
			late := r.sub.mu.run.Load() // as a goroutine has it that is about to take a message
			require.NotNil(t, late)
			require.NoError(t, change(r))
			require.Nil(t, late.take(true))
			m, err := r.Consumer.next(t.Context(), true)
			require.NoError(t, err)
			require.Equal(t, TopicPartition{"t", 1}, m.TopicPartition())
		})
	}
	t.Run("Stop", func(t *testing.T) {
		r := runRooms(t, 100)
		_, err := r.Consumer.next(t.Context(), true)
		require.NoError(t, err)
		r.state.Store(stateStopped)
		r.sub.unsubscribe()
		_, err = r.Consumer.next(t.Context(), true)
		require.ErrorIs(t, err, ErrConsumerStopped)
	})
}

// Calls of several goroutines get each message once, each goroutine in the order of the log, whoever else locks the mutex meanwhile.
func TestRun_OfSeveralGoroutines(t *testing.T) {
	const n = 3000
	r := newRooms(t)
	p := r.assign(1)[0]
	r.fetched(part{set: manyBatches(n/50, 50, 0)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	got := make([][]int64, 4)
	count := make(chan struct{}, n)
	for i := range got {
		wg.Go(func() {
			for {
				m, err := r.Consumer.next(ctx, i%2 == 0)
				if err != nil {
					return
				}
				got[i] = append(got[i], m.Offset)
				count <- struct{}{}
			}
		})
	}
	looked := make(chan struct{})
	wg.Go(func() {
		defer close(looked)
		for at := int64(0); at < n; {
			r.decode()
			next, err := r.Position(ctx, p.tp)
			if err != nil || next < at {
				t.Errorf("position %d after %d, %v", next, at, err)
				return
			}
			at = next
		}
	})
	for range n {
		<-count
	}
	<-looked
	cancel()
	wg.Wait()
	seen := make(map[int64]bool)
	for _, offsets := range got {
		last := int64(-1)
		for _, o := range offsets {
			require.Greater(t, o, last)
			require.False(t, seen[o], "offset %d twice", o)
			last, seen[o] = o, true
		}
	}
	require.Len(t, seen, n)
}
