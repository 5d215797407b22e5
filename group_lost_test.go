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

func refuseBeats(k *fakebroker.Cluster, code protocol.ErrorCode) {
	k.HandleN(protocol.KeyHeartbeat, 1, func(*fakebroker.Call) fakebroker.Reply {
		return fakebroker.Reply{Response: &protocol.HeartbeatResponse{ErrorCode: code}}
	})
}

// A member that has lost its membership while its listener runs waits for it, before it leaves.
func TestGroup_ALostMemberThatLeavesWaitsForItsListener(t *testing.T) {
	for name, end := range ends {
		for _, code := range []protocol.ErrorCode{protocol.UnknownMemberID, protocol.IllegalGeneration} {
			t.Run(name+" "+code.Error(), func(t *testing.T) {
				inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
					h := &heard{hold: make(chan struct{})}
					c := member(t, k, h)
					came := make(chan error, 1)
					go func() { came <- end(context.Background(), c) }()
					synctest.Wait()
					require.Equal(t, []string{"assigned orders-0", "revoked orders-0"}, h.so())
					refuseBeats(k, code)
					time.Sleep(5 * time.Second)
					require.NoError(t, c.life.Err(), "the listener can still work")
					require.Zero(t, k.Count(protocol.KeyLeaveGroup), "before the listener has returned")
					require.Empty(t, came, "before the listener has returned")
					close(h.hold)
					require.NoError(t, <-came)
					require.Equal(t, []string{"assigned orders-0", "revoked orders-0"}, h.so())
					require.NoError(t, c.Stop(t.Context()))
				})
			})
		}
	}
}

// Nor does it join before.
func TestGroup_ALostMemberJoinsAgainAfterItsListener(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		h := &heard{hold: make(chan struct{})}
		c := member(t, k, h)
		joins := k.Count(protocol.KeyJoinGroup)
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"assigned orders-0", "revoked orders-0"}, h.so())
		refuseBeats(k, protocol.UnknownMemberID)
		time.Sleep(5 * time.Second)
		require.Equal(t, joins, k.Count(protocol.KeyJoinGroup), "before the listener has returned")
		close(h.hold)
		time.Sleep(time.Second)
		require.Equal(t, joins+1, k.Count(protocol.KeyJoinGroup))
		require.NoError(t, c.Stop(t.Context()))
	})
}

// A commit of the listener waits behind one of the application's, which waits for the member to be one again, which waits for the
// listener: both are of what is lost, and end.
func TestGroup_CommitsOfWhatIsLostDoNotHoldUpTheListener(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		began, came := make(chan struct{}), make(chan error, 2)
		hold := make(chan struct{})
		c := member(t, k, RebalanceFuncs{Revoked: func(ctx context.Context, c *Consumer, tps []TopicPartition) error {
			select {
			case <-began:
				return nil // Stop
			default:
			}
			close(began)
			<-hold
			came <- c.CommitOffsets(ctx, map[TopicPartition]OffsetAndMetadata{tps[0]: {Offset: 2}})
			return nil
		}, Lost: func(context.Context, *Consumer, []TopicPartition) error { return nil }}, WithAutoCommit(false))
		require.NoError(t, c.EnforceRebalance("a test"))
		<-began
		k.HandleN(protocol.KeyOffsetCommit, 1, func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.OffsetCommitResponse)
			resp.Topics[0].Partitions[0].ErrorCode = protocol.IllegalGeneration
			return fakebroker.Reply{Response: resp, Delay: time.Second}
		})
		go func() { came <- c.Commit(context.Background()) }() // at the coordinator, which takes its time
		synctest.Wait()
		close(hold) // the listener's waits behind it
		synctest.Wait()
		joins := k.Count(protocol.KeyJoinGroup)
		c.group.post(evRefused{generation: c.group.identity().generation, code: protocol.UnknownMemberID})
		time.Sleep(5 * time.Second)
		require.Equal(t, joins+1, k.Count(protocol.KeyJoinGroup))
		for range 2 {
			var failed *CommitFailedError
			require.ErrorAs(t, <-came, &failed)
		}
		require.NoError(t, c.Stop(t.Context()))
	})
}

// Between the end of a membership and the end of what it held, an offset would go as if nobody had the group: an empty group takes it.
func TestGroup_NothingIsCommittedWithoutAGeneration(t *testing.T) {
	for _, leaving := range []bool{false, true} {
		inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
			c := member(t, k, &heard{})
			c.group.mu.Lock()
			was := c.group.m
			c.group.m.generation, c.group.m.memberID = -1, ""
			if c.group.m.state = memberGivingUp; leaving {
				c.group.m.state, c.group.m.wanted = memberLeaving, false
			}
			c.group.mu.Unlock()
			before := k.Count(protocol.KeyOffsetCommit)
			var failed *CommitFailedError
			require.ErrorAs(t, c.Commit(t.Context()), &failed)
			require.NoError(t, c.commitSettled(t.Context()))
			require.Equal(t, before, k.Count(protocol.KeyOffsetCommit))
			c.group.mu.Lock()
			c.group.m = was
			c.group.mu.Unlock()
			require.NoError(t, c.Stop(t.Context()))
		})
	}
}
