package kafka

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

// The max poll interval is for members: who assigns by hand, with a group id for the commits, leaves nothing.
func TestGroup_MaxPollIntervalIsForMembers(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		k.AppendValues("orders", 0, "first", "second")
		var log strings.Builder
		c := groupConsumer(t, k, WithAutoOffsetReset(ResetEarliest), WithMaxPollInterval(10*time.Second), WithRebalanceTimeout(10*time.Second),
			WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, c.Assign(TopicPartition{"orders", 0}))
		startGroup(t, c)
		time.Sleep(time.Minute)
		require.NoError(t, c.Stop(t.Context()))
		require.NotContains(t, log.String(), "leaving the group")
	})
}
