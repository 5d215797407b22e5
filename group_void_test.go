package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// An answer to a join or a sync that was given up may be taken in late: the shares of the one after it are not made from it.
func TestGroup_AnAnswerOfAnEarlierRoundLeavesNothingBehind(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		c := member(t, k, &heard{})
		g := c.group
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(5 * time.Second)
		held := func() (*protocol.JoinGroupResponse, []protocol.ConsumerProtocolTopicPartition, uint64) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.answer, g.assigned, g.m.round
		}
		answer, assigned, round := held()
		require.NotEmpty(t, answer.Members)
		require.NotEmpty(t, assigned)
		k.HandleN(protocol.KeyJoinGroup, 1, func(call *fakebroker.Call) fakebroker.Reply {
			resp := protocol.NewJoinGroupResponse()
			resp.ErrorCode = protocol.UnknownMemberID // as brokers answer when the member leaves meanwhile
			return fakebroker.Reply{Response: resp}
		})
		g.join(t.Context(), actJoin{round: round - 1})
		now, _, _ := held()
		require.Same(t, answer, now)
		k.HandleN(protocol.KeySyncGroup, 1, func(call *fakebroker.Call) fakebroker.Reply {
			return fakebroker.Reply{Response: &protocol.SyncGroupResponse{}}
		})
		g.sync(t.Context(), actSync{round: round - 1})
		_, has, _ := held()
		require.Equal(t, assigned, has)
		require.NoError(t, c.Stop(t.Context()))
	})
}
