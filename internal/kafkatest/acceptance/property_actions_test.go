package acceptance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// What the world of property_test.go does about times, types and what is to be consumed.

// fussy does not take every value.
func fussy(_ context.Context, _ string, _ []kafka.Header, data []byte) (string, error) {
	if len(data)%37 == 0 {
		return "", errors.New("not such a one")
	}
	return string(data), nil
}

// getTyped takes messages decoded. One that fails has been handed out all the same, in its turn.
func (w *world) getTyped() {
	if w.rand.IntN(2) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		m, err := w.typed.GetOne(ctx)
		w.note("typed GetOne: %v", err)
		if err == nil {
			w.handedTyped(m)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			w.handedPoison(err)
		}
		return
	}
	got, err := w.typed.GetMany(context.Background(), kafka.WaitFor(time.Duration(w.rand.IntN(2))*100*time.Millisecond), kafka.UpTo(1+w.rand.IntN(100)))
	w.note("typed GetMany: %d partitions, %v", len(got), err)
	if err != nil {
		w.handedPoison(err)
	}
	for _, msgs := range got {
		for _, m := range msgs {
			w.handedTyped(m)
		}
	}
}

func (w *world) handedTyped(m *kafka.TypedMessage[[]byte, string]) {
	w.handed(m.Message)
	require.Equal(w.t, string(m.Message.Value), m.Value)
	require.NotZero(w.t, len(m.Value)%37)
}

func (w *world) handedPoison(err error) {
	var bad *kafka.DeserializationError
	require.ErrorAs(w.t, err, &bad)
	require.Zero(w.t, len(bad.Message.Value)%37)
	w.handed(bad.Message)
}

// seekToTime seeks to about the time of a record. Times rise along the log, but those of markers are not known: the model goes behind the
// last record that is too old, and what may be between it and the position is never handed out.
func (w *world) seekToTime(tp kafka.TopicPartition, p *modelled) {
	at := time.Now().UnixMilli()
	if len(p.times) > 0 {
		at = max(p.times[w.rand.IntN(len(p.times))], 0)
	}
	at = max(at+w.rand.Int64N(5)-2, 0)
	p.next = 0
	for i, recorded := range p.times {
		if recorded >= 0 && recorded < at {
			p.next = int64(i) + 1
		}
	}
	w.note("SeekToTime %v: from %d of %d", tp, p.next, len(p.log))
	w.asked(func() error { return w.consumer.SeekToTime(context.Background(), time.UnixMilli(at), tp) })
}

// asked makes a call that asks brokers. Where trouble lets one say that it does not know the topic, the call says so, by its contract.
func (w *world) asked(call func() error) {
	err := call()
	for tries := 0; tries < 3 && errors.Is(err, protocol.UnknownTopicOrPartition); tries++ {
		w.note("not known: %v", err)
		err = call()
	}
	require.NoError(w.t, err)
}

// wants tells whether a partition is among what is to be consumed.
func (w *world) wants(tp kafka.TopicPartition) bool {
	return slices.Contains(w.subscribed, tp.Topic) || slices.Contains(w.assigned, tp)
}

// sorted gives all partitions in an order that is the same in each run.
func (w *world) sorted() []kafka.TopicPartition {
	return slices.SortedFunc(maps.Keys(w.parts), func(a, b kafka.TopicPartition) int { return strings.Compare(a.String(), b.String()) })
}

// change sets what is to be consumed: what was so already is not disturbed, and what comes, or comes back, begins anew.
func (w *world) change(subscribed []string, assigned []kafka.TopicPartition) {
	w.note("consume topics %v, partitions %v", subscribed, assigned)
	if (len(subscribed) > 0) != (len(w.subscribed) > 0) { // the kinds exclude one another
		require.NoError(w.t, w.consumer.Unsubscribe(context.Background()))
		w.subscribed, w.assigned = nil, nil
	}
	before := make(map[kafka.TopicPartition]bool)
	for tp := range w.parts {
		before[tp] = w.wants(tp)
	}
	w.subscribed, w.assigned = subscribed, assigned
	for tp, p := range w.parts {
		if w.wants(tp) && !before[tp] {
			p.next, p.paused = 0, false
		}
	}
	if len(subscribed) > 0 {
		require.NoError(w.t, w.consumer.Subscribe(subscribed))
	} else {
		require.NoError(w.t, w.consumer.Assign(assigned...))
	}
	for _, tp := range w.consumer.Assignment() {
		require.True(w.t, w.wants(tp), "%v is assigned still", tp)
	}
	eventuallyIn(w.t, func() bool { return len(w.consumer.Assignment()) > 0 }, "nothing is assigned")
}

// subscribeOrAssign changes what is to be consumed to one topic or all, or to some partitions.
func (w *world) subscribeOrAssign() {
	switch w.rand.IntN(4) {
	case 0:
		w.change(w.topics, nil)
	case 1:
		w.change([]string{w.topics[w.rand.IntN(len(w.topics))]}, nil)
	default:
		var some []kafka.TopicPartition
		for i, tp := range w.sorted() {
			if i == 0 || w.rand.IntN(3) > 0 {
				some = append(some, tp)
			}
		}
		w.rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		w.change(nil, some)
	}
}

// wantAll is for the end, where all of everything is to come.
func (w *world) wantAll() {
	if len(w.subscribed) > 0 {
		w.change(w.topics, nil)
	} else {
		w.change(nil, w.sorted())
	}
	w.note("drain %d partitions", len(w.parts))
}
