package kafka

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

// A callback that ends its goroutine is one that has failed: it holds nobody up, and those after it are called.
func TestListener_OneThatEndsItsGoroutineHasFailed(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		calls := 0
		c := member(t, k, RebalanceFuncs{Revoked: func(context.Context, *Consumer, []TopicPartition) error {
			calls++
			runtime.Goexit() // as t.FailNow does
			return nil
		}})
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(10 * time.Second)
		who, _ := c.GroupMetadata()
		require.EqualValues(t, 2, who.GenerationID, "the rebalance goes on")
		receive(t, c, 2)
		_, err := c.GetMany(t.Context(), WaitFor(time.Second))
		var failed *ListenerError
		require.ErrorAs(t, err, &failed)
		require.ErrorAs(t, c.Stop(t.Context()), &failed)
		require.Equal(t, 2, calls)
	})
}
