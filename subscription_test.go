package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A second kind of subscription is refused with what the consumer has, and what clears the way.
func TestSubscription_ASecondKindIsToldWhatThereIs(t *testing.T) {
	one := TopicPartition{"orders", 1}
	for says, first := range map[string]func(c *Consumer) error{
		"the consumer is subscribed to topics (invoices, orders)": func(c *Consumer) error { return c.Subscribe([]string{"orders", "invoices"}) },
		"is subscribed to topics (a, b, c and 2 more)":            func(c *Consumer) error { return c.Subscribe([]string{"a", "b", "c", "d", "e"}) },
		`the consumer is subscribed to a pattern ("a|b.*")`:       func(c *Consumer) error { return c.SubscribePattern("a|b.*") },
		"has partitions assigned by hand (orders-0, orders-1)":    func(c *Consumer) error { return c.Assign(one, TopicPartition{"orders", 0}) },
	} {
		r := newRooms(t)
		require.NoError(t, first(r.Consumer))
		refused := 0
		for call, second := range map[string]func() error{
			"Subscribe":        func() error { return r.Subscribe([]string{"t"}) },
			"SubscribePattern": func() error { return r.SubscribePattern("t") },
			"Assign":           func() error { return r.Assign(TopicPartition{"t", 0}) },
		} {
			kind := r.sub.kind
			err := second()
			if err == nil {
				require.Equal(t, kind, r.sub.kind) // the same kind again
				require.NoError(t, first(r.Consumer))
				continue
			}
			refused++
			require.ErrorIs(t, err, ErrIllegalState)
			require.ErrorContains(t, err, "kafka: "+call+": ")
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "call Unsubscribe first")
		}
		require.Equal(t, 2, refused)
	}
}

// What a Subscribe drops is not assigned from then on, whatever is asked; a listener may ask until it has returned.
func TestSubscription_NothingIsKnownOfWhatWasDropped(t *testing.T) {
	r := newRooms(t, WithGroupID("g"))
	tp := TopicPartition{"t", 0}
	require.NoError(t, r.Subscribe([]string{"t"}))
	r.sub.add([]TopicPartition{tp}, r.resetStart())
	p := r.sub.partitions[tp]
	r.sub.seek(p, 3, -1)
	p.highwater, p.stable, p.lastAnswer = 9, 8, time.Now()
	requireKnown := func(want bool) {
		t.Helper()
		_, high := r.Highwater(tp)
		_, stable := r.LastStableOffset(tp)
		_, lag := r.Lag(tp)
		_, polled := r.LastPollTimestamp(tp)
		require.Equal(t, []bool{want, want, want, want}, []bool{high, stable, lag, polled})
		_, err := r.Position(t.Context(), tp)
		require.Equal(t, want, err == nil, "%v", err)
	}
	requireKnown(true)
	require.Equal(t, []TopicPartition{tp}, r.Assignment())

	require.NoError(t, r.Subscribe([]string{"u"}))
	require.Empty(t, r.Assignment())
	requireKnown(false)
	r.sub.listening++
	requireKnown(true)
}
