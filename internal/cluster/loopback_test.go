package cluster

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

// sockets counts the process's open file descriptors.
func sockets(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(entries)
}

// Real sockets, several users, brokers that come and go: nothing is left after Close.
func TestLoopback_NothingIsLeftAfterBrokersBounce(t *testing.T) {
	warm := fakebroker.Start(t, fakebroker.Options{}) // starts the runtime's poller, which keeps descriptors of its own
	c := newClient(t, warm, func(cfg *Config) { cfg.Broker.Dial = nil })
	require.NoError(t, c.Start(t.Context()))
	require.NoError(t, c.Close(t.Context()))
	warm.Close()
	require.NoError(t, settled(t, 2, 1<<20), "the test and its runner")
	goroutines, descriptors := runtime.NumGoroutine(), sockets(t)

	fake, err := fakebroker.New(fakebroker.Options{Nodes: 3})
	require.NoError(t, err)
	defer fake.Close()
	fake.CreateTopic("t", 3)
	c = New(Config{Bootstrap: fake.Addrs(), BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond})
	c.SetTopics([]string{"t"})
	require.NoError(t, c.Start(t.Context()))

	ctx, stop := context.WithCancel(t.Context())
	var users sync.WaitGroup
	for id := int32(1); id <= 3; id++ {
		for _, k := range []Kind{KindGeneral, KindFetch, KindGroup} {
			users.Go(func() { // ended by stop
				for ctx.Err() == nil {
					short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
					if k == KindFetch {
						_, _ = c.Fetch(short, id, k, longPoll(), broker.CallOptions{}, discard{})
					} else {
						_ = ping(short, c, id, k)
					}
					cancel()
				}
			})
		}
	}
	for i := range 30 {
		id := int32(i%3) + 1
		fake.StopNode(id)
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.NoError(t, fake.StartNode(id))
		require.NoError(t, c.WaitRefresh(t.Context()))
	}
	stop()
	users.Wait()
	require.NoError(t, c.Close(t.Context()))
	fake.Close()

	require.NoError(t, settled(t, goroutines, descriptors))
}

// settled waits until there are no more goroutines and descriptors than that: the kernel and the runtime need a moment
// after the last close.
func settled(t testing.TB, goroutines, descriptors int) error {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		g, d := runtime.NumGoroutine(), sockets(t)
		if g <= goroutines && d <= descriptors {
			return nil
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			return fmt.Errorf("goroutines %d (%d before), descriptors %d (%d before)\n%s",
				g, goroutines, d, descriptors, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestLoopback_StartStopInEveryOrder(t *testing.T) {
	fake := fakebroker.Start(t, fakebroker.Options{Nodes: 2})
	for range 50 {
		c := newClient(t, fake, func(cfg *Config) { cfg.Broker.Dial = nil })
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = c.Start(ctx) })
		all.Go(cancel)
		all.Go(func() { _ = c.Close(t.Context()) })
		all.Go(func() { _ = c.WaitRefresh(ctx) })
		all.Go(func() { _ = ping(ctx, c, 1, KindGeneral) })
		all.Wait()
	}
	require.NoError(t, fake.Await(t.Context(), func() bool { return fake.Connections(1)+fake.Connections(2) == 0 }))
}
