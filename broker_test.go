package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// inBubble runs f with a scripted cluster over in-memory connections and a clock that stands still while anybody works.
func inBubble(t *testing.T, o fakebroker.Options, f func(t *testing.T, k *fakebroker.Cluster)) {
	synctest.Test(t, func(t *testing.T) {
		o.InMemory = true
		k, err := fakebroker.New(o)
		require.NoError(t, err)
		defer k.Close()
		f(t, k)
	})
}

// startConsumer starts a consumer of the cluster; the test's end stops it, and asserts that nothing of it is left.
func startConsumer(t *testing.T, k *fakebroker.Cluster, opts ...ConsumerOption) *Consumer {
	t.Helper()
	c, err := NewConsumer(append([]ConsumerOption{
		WithLogger(nil), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithAutoOffsetReset(ResetEarliest),
	}, opts...)...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.Start(ctx))
	t.Cleanup(func() { stopClean(t, c) })
	return c
}

// stopClean stops a consumer and asserts that every charge was given back.
func stopClean(t testing.TB, c *Consumer) {
	t.Helper()
	require.NoError(t, c.Stop(context.Background()))
	now, decoded, peak := c.sub.budget.buffered()
	require.Zero(t, now, "bytes charged after Stop")
	require.Zero(t, decoded)
	require.LessOrEqual(t, peak, int64(c.cfg.maxBufferedBytes))
}

// receive takes n messages.
func receive(t testing.TB, c *Consumer, n int, opts ...GetOption) []*Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out []*Message
	for len(out) < n {
		got, err := c.GetMany(ctx, append([]GetOption{UpTo(n - len(out))}, opts...)...)
		require.NoError(t, err, "after %d of %d messages", len(out), n)
		for _, msgs := range got {
			out = append(out, msgs...)
		}
	}
	return out
}

func TestFetch_IdlePartitionsShareOneLongPoll(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 8)
		for p := range int32(8) {
			k.AppendValues("t", p, "a")
		}
		c := startConsumer(t, k, WithTopics("t"))
		receive(t, c, 8)
		time.Sleep(2 * time.Second) // on the bubble's clock
		before := k.Count(protocol.KeyFetch)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, k.Count(protocol.KeyFetch)-before, 21, "fetches in ten seconds")
		stopClean(t, c)
	})
}

func TestFetch_SoughtPartitionDoesNotWaitBehindTheLongPoll(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 2)
		k.AppendValues("t", 0, "a", "b")
		c := startConsumer(t, k, WithTopics("t"))
		receive(t, c, 2)
		for range 5 {
			time.Sleep(1234 * time.Millisecond) // a long poll is out
			start := time.Now()
			require.NoError(t, c.Seek(TopicPartition{"t", 0}, 1))
			require.Equal(t, []string{"b"}, values(receive(t, c, 1)))
			require.Less(t, time.Since(start), 20*time.Millisecond)
		}
		before := k.Count(protocol.KeyFetch)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, k.Count(protocol.KeyFetch)-before, 42, "fetches in ten seconds: back to one long poll")
		stopClean(t, c)
	})
}
