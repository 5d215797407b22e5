package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// loops are the ways of ranging over messages and errors; see says whether to go on.
var loops = map[string]func(c *Consumer, ctx context.Context, see func(got bool, err error) bool){
	"All": func(c *Consumer, ctx context.Context, see func(bool, error) bool) {
		for m, err := range c.All(ctx) {
			if !see(m != nil, err) {
				return
			}
		}
	},
	"Batches": func(c *Consumer, ctx context.Context, see func(bool, error) bool) {
		for b, err := range c.Batches(ctx) {
			if !see(b != nil, err) {
				return
			}
		}
	},
	"Typed.All": func(c *Consumer, ctx context.Context, see func(bool, error) bool) {
		for m, err := range Typed(c, String, String).All(ctx) {
			if !see(m != nil, err) {
				return
			}
		}
	},
}

// What a listener failed with may wrap any error, also those that end a loop when they are this consumer's.
func TestLoops_GoOnAfterAnErrorOfUserCode(t *testing.T) {
	for _, cause := range []error{ErrIllegalState, ErrConsumerStopped, ErrNotStarted, protocol.FencedInstanceID, context.Canceled} {
		cause = fmt.Errorf("of another consumer: %w", cause)
		for name, loop := range loops {
			t.Run(fmt.Sprintf("%s/%v", name, cause), func(t *testing.T) {
				r := newRooms(t)
				r.assign(1)
				r.sub.mu.Lock()
				r.sub.failOnce(&ListenerError{Callback: onRevoked, Err: cause})
				r.sub.mu.Unlock()
				var errs []error
				loop(r.Consumer, t.Context(), func(got bool, err error) bool {
					if got {
						return false
					}
					errs = append(errs, err)
					r.fetched(part{set: batchOf(0, 5)})
					r.decode()
					return true
				})
				require.Len(t, errs, 1)
				require.ErrorIs(t, errs[0], cause)
			})
		}
	}
	t.Run("Messages", func(t *testing.T) {
		r := newRooms(t)
		r.assign(1)
		r.sub.mu.Lock()
		r.sub.failOnce(&ListenerError{Callback: onRevoked, Err: ErrConsumerStopped})
		r.sub.mu.Unlock()
		for range r.Messages() {
			t.Error("a message came from nowhere")
		}
		var failed *ListenerError
		require.ErrorAs(t, r.Err(), &failed, "this consumer is not stopped")
	})
}

// An error that was told just before ctx ended is not the last one.
func TestLoops_YieldTheEndOfTheirContextLast(t *testing.T) {
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t)
			r.assign(1)
			r.sub.mu.Lock()
			r.sub.failOnce(errors.New("something"))
			r.sub.mu.Unlock()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var errs []error
			loop(r.Consumer, ctx, func(_ bool, err error) bool {
				errs = append(errs, err)
				cancel()
				return true
			})
			require.Len(t, errs, 2)
			require.EqualError(t, errs[0], "something")
			require.Equal(t, context.Canceled, errs[1])
		})
	}
}

func TestGet_StoppedComesBeforeAnEndedContext(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.GetOne(ended)
	require.Equal(t, context.Canceled, err)
	r.state.Store(stateStopped)
	_, err = r.GetOne(ended)
	require.Equal(t, ErrConsumerStopped, err)
	_, err = r.GetMany(ended)
	require.Equal(t, ErrConsumerStopped, err)
	for _, err := range r.All(ended) {
		t.Errorf("%v came of a consumer that is stopped", err)
	}
}

// The application may be in the middle of a message while a listener runs: what the listener asks for says nothing of that.
func TestGet_RefusedCallOfAListenerSettlesNothing(t *testing.T) {
	for _, ended := range []bool{false, true} {
		r := newRooms(t, WithGroupID("g"))
		p := r.assign(1)[0]
		r.fetched(part{set: batchOf(0, 10)})
		r.decode()
		_, err := r.Consumer.next(t.Context(), true)
		require.NoError(t, err)
		r.sub.mu.Lock()
		r.sub.listening++
		r.sub.mu.Unlock()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), listenerKey{}, r.Consumer))
		if ended {
			cancel()
		}
		_, err = r.GetOne(ctx)
		require.Error(t, err)
		_, err = r.GetMany(ctx)
		require.Error(t, err)
		r.sub.mu.Lock()
		settled, _ := r.sub.settled(p)
		require.Zero(t, settled)
		require.True(t, r.sub.byIterator)
		r.sub.mu.Unlock()
		cancel()
	}
}

// A call that finds a message at once is a call, too: a member that was about to leave for want of calls is wanted again.
func TestGet_CallThatFindsAMessageBringsTheMemberBack(t *testing.T) {
	r := newRooms(t, WithGroupID("g"))
	r.assign(1)
	r.fetched(part{set: batchOf(0, 10)})
	r.decode()
	for range 2 {
		r.sub.mu.Lock()
		r.sub.parked = true // as watchPolls does
		r.sub.mu.Unlock()
		_, err := r.GetOne(t.Context())
		require.NoError(t, err)
		r.sub.mu.Lock()
		require.False(t, r.sub.parked)
		r.sub.mu.Unlock()
	}
}

func TestGet_OptionsMayBeNil(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	r.fetched(part{set: batchOf(0, 2)})
	r.decode()
	_, err := r.GetOne(t.Context(), nil)
	require.NoError(t, err)
	_, err = r.GetMany(t.Context(), nil, UpTo(1))
	require.NoError(t, err)
}

// A call that a listener may not make is told by its own name.
func TestGet_InsideAListenerEachCallIsNamed(t *testing.T) {
	r := newRooms(t)
	r.sub.listening = 1
	ctx := context.WithValue(t.Context(), listenerKey{}, r.Consumer)
	typed := Typed(r.Consumer, String, String)
	for name, make := range map[string]func() error{
		"GetOne": func() error {
			_, err := r.GetOne(ctx)
			return err
		},
		"GetOne of Typed": func() error {
			_, err := typed.GetOne(ctx)
			return err
		},
		"All of Typed": func() error { return firstError(typed.All(ctx)) },
		"GetMany": func() error {
			_, err := r.GetMany(ctx)
			return err
		},
		"All":     func() error { return firstError(r.All(ctx)) },
		"Batches": func() error { return firstError(r.Batches(ctx)) },
	} {
		err := make()
		call, _, _ := strings.Cut(name, " ")
		require.ErrorIs(t, err, ErrIllegalState)
		require.ErrorContains(t, err, "kafka: "+call+": it was called from a rebalance listener")
	}
}
