package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Each round runs a few calls at once, in an order that chance picks. The bubble asserts that no goroutine is left.
func TestLifecycle_StartsAndStopsInEveryOrder(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *Consumer) error{
		"Start":  func(ctx context.Context, c *Consumer) error { return c.Start(ctx) },
		"Start2": func(ctx context.Context, c *Consumer) error { return c.Start(ctx) },
		"Stop":   func(ctx context.Context, c *Consumer) error { return c.Stop(ctx) },
		"Close":  func(_ context.Context, c *Consumer) error { return c.Close() },
		"GetOne": func(ctx context.Context, c *Consumer) error { _, err := c.GetOne(ctx); return err },
		"Subscribe": func(_ context.Context, c *Consumer) error {
			return c.Subscribe([]string{"t", "u"})
		},
		"Unsubscribe": func(ctx context.Context, c *Consumer) error { return c.Unsubscribe(ctx) },
		"Position": func(ctx context.Context, c *Consumer) error {
			_, err := c.Position(ctx, TopicPartition{"t", 0})
			return err
		},
		"Messages": func(_ context.Context, c *Consumer) error {
			for range c.Messages() {
			}
			return c.Err()
		},
	}
	var names []string
	for name := range calls {
		names = append(names, name)
	}
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 2}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 3)
				k.CreateTopic("u", 1)
				for p := range int32(3) {
					k.AppendValues("t", p, "a", "b", "c")
				}
				random := rand.New(rand.NewPCG(seed, 1))
				opts := []ConsumerOption{WithTopics("t"), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithLogger(nil), WithAutoOffsetReset(ResetEarliest)}
				if seed%2 == 0 {
					opts = append(opts, WithGroupID("g"), WithAutoCommit(seed%4 == 0))
					opts = opts[1:]
				}
				c, err := NewConsumer(opts...)
				require.NoError(t, err)
				if seed%2 == 0 {
					require.NoError(t, c.Assign(TopicPartition{"t", 0}, TopicPartition{"t", 2}))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(4))*time.Second)
				defer cancel()
				var work sync.WaitGroup
				for range 6 {
					name := names[random.IntN(len(names))]
					delay := time.Duration(random.IntN(3)) * time.Millisecond
					work.Go(func() {
						time.Sleep(delay) // on the bubble's clock
						err := calls[name](ctx, c)
						require.True(t, err == nil || errors.Is(err, ErrConsumerStopped) || errors.Is(err, ErrIllegalState) ||
							errors.Is(err, ErrNotStarted) || errors.Is(err, context.DeadlineExceeded) ||
							errors.Is(err, protocol.UnsupportedVersion), "%s: %v", name, err)
					})
				}
				synctest.Wait()
				if random.IntN(2) == 0 {
					time.Sleep(time.Duration(random.IntN(5)) * time.Second)
				}
				err = c.Stop(context.Background())
				require.True(t, err == nil || errors.Is(err, context.DeadlineExceeded), "%v", err) // this cluster knows no groups
				work.Wait()
				stopClean(t, c)
				require.ErrorIs(t, c.Start(t.Context()), ErrConsumerStopped)
				_, err = c.GetOne(t.Context())
				require.ErrorIs(t, err, ErrConsumerStopped)
			})
		})
	}
}

func TestLifecycle_StartAgainAfterItFailed(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.AppendValues("t", 0, "a")
		k.StopNode(1)
		c, err := NewConsumer(WithTopics("t"), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithLogger(nil), WithAutoOffsetReset(ResetEarliest))
		require.NoError(t, err)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			err := c.Start(ctx)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, k.Addr(1))
			_, err = c.GetOne(t.Context())
			require.ErrorIs(t, err, ErrNotStarted)
		}
		require.NoError(t, k.StartNode(1))
		require.NoError(t, c.Start(t.Context()))
		require.ErrorIs(t, c.Start(t.Context()), ErrIllegalState)
		require.Equal(t, []string{"a"}, values(receive(t, c, 1)))
		stopClean(t, c)
		require.NoError(t, c.Stop(t.Context()), "a second time")
		require.NoError(t, k.Await(t.Context(), func() bool { return k.Connections(1) == 0 }))
	})
}

func TestLifecycle_StopReturnsInTimeWhateverTheBrokerDoes(t *testing.T) {
	trouble := map[string]func(k *fakebroker.Cluster){
		"hangs":    func(k *fakebroker.Cluster) { k.HangNode(1) },
		"is gone":  func(k *fakebroker.Cluster) { k.StopNode(1) },
		"is there": func(*fakebroker.Cluster) {},
	}
	for name, f := range trouble {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 1)
				k.AppendValues("t", 0, "a")
				c := startConsumer(t, k, WithTopics("t"))
				receive(t, c, 1)
				waiting := make(chan error, 1)
				go func() {
					_, err := c.GetOne(context.Background())
					waiting <- err
				}()
				synctest.Wait()
				f(k)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.NoError(t, c.Stop(ctx))
				require.LessOrEqual(t, time.Since(start), time.Second)
				require.ErrorIs(t, <-waiting, ErrConsumerStopped)
			})
		})
	}
}
