package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A handler that the listener ends lets go of its message, and asks for the next one: that settles nothing of what goes, for an automatic
// commit that begins while the listener runs would skip the message for the next owner, and arrive after the revoke.
func TestCommit_AutoCommitLeavesAloneWhatTheListenerWasToldOf(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		h := &heard{hold: make(chan struct{})}
		c := member(t, k, h, WithAutoCommitInterval(time.Second))
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(5 * time.Second) // the grace is over
		require.Equal(t, []string{"assigned orders-0", "revoked orders-0"}, h.so())
		before := k.Count(protocol.KeyOffsetCommit)
		k.Handle(protocol.KeyOffsetCommit, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Delay: 3 * time.Second} })
		_, err := c.GetMany(t.Context(), WaitFor(2*time.Second))
		require.NoError(t, err)
		close(h.hold)
		time.Sleep(5 * time.Second)
		require.Equal(t, before, k.Count(protocol.KeyOffsetCommit))
		k.Handle(protocol.KeyOffsetCommit, nil)
		require.NoError(t, c.Stop(t.Context()))
	})
}
