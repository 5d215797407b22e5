package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

// There is one headroom for all consumers that run, and none for those that do not.
func TestHeadroom_IsThereWhileAConsumerRuns(t *testing.T) {
	there := func() bool {
		headroom.mu.Lock()
		defer headroom.mu.Unlock()
		return headroom.block != nil
	}
	require.False(t, there())
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		one := startConsumer(t, k, WithTopics("t"))
		two := startConsumer(t, k, WithTopics("t"))
		receiveNothing(t, one)
		receiveNothing(t, two)
		require.True(t, there())
		require.NoError(t, one.Stop(t.Context()))
		require.True(t, there())
		require.NoError(t, two.Stop(t.Context()))
		require.False(t, there())
	})
}

// receiveNothing makes a call that finds nothing: whatever Start has set going is going then.
func receiveNothing(t *testing.T, c *Consumer) {
	t.Helper()
	got, err := c.GetMany(t.Context(), WaitFor(1))
	require.NoError(t, err)
	require.Empty(t, got)
}
