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

// revokedIsHeard are listeners, and whether they do something when partitions are revoked, so that they could commit.
var revokedIsHeard = map[string]struct {
	l     ConsumerOption
	hears bool
}{
	"no listener":        {nil, false},
	"a listener":         {WithRebalanceListener(&heard{}), true},
	"Revoked":            {WithRebalanceListener(RebalanceFuncs{Revoked: hearsNothing}), true},
	"Assigned only":      {WithRebalanceListener(RebalanceFuncs{Assigned: hearsNothing}), false},
	"a pointer to funcs": {WithRebalanceListener(&RebalanceFuncs{}), false},
}

func hearsNothing(context.Context, *Consumer, []TopicPartition) error { return nil }

// failsOnce asserts that Commit misses orders-0, for a reason, and says so once.
func failsOnce(t *testing.T, c *Consumer, reason string) error {
	t.Helper()
	err := c.Commit(t.Context())
	var failed *CommitFailedError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "orders-0")
	require.Contains(t, failed.Reason, reason)
	require.NoError(t, c.Commit(t.Context()), "it is said once")
	return err
}

// What was handed out before the max poll interval had passed comes again: a commit of it is not taken for done.
func TestCommit_MissesWhatWentWithTheMaxPollInterval(t *testing.T) {
	for name, x := range revokedIsHeard {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				groupOfOne(k)
				c, _ := enterParked(t, k, x.l)
				defer stopClean(t, c)
				failsOnce(t, c, "max poll interval") // a listener cannot know how far the application is that took so long
				var failed *CommitFailedError
				require.ErrorAs(t, c.CommitMessages(t.Context(), &Message{Topic: "orders"}), &failed)
				require.Contains(t, failed.Reason, "max poll interval")
				require.EqualValues(t, 0, receive(t, c, 1)[0].Offset)
				require.NoError(t, c.Commit(t.Context()))
				committed, _ := k.Committed("billing", "orders", 0)
				require.EqualValues(t, 1, committed.Offset)
			})
		})
	}
}

// What has come again, or was committed in time, is not missed.
func TestCommit_DoesNotMissWhatHasComeAgain(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		c, _ := enterParked(t, k)
		defer stopClean(t, c)
		require.EqualValues(t, 0, receive(t, c, 1)[0].Offset)
		require.NoError(t, c.Commit(t.Context()))
		leaves := k.Count(protocol.KeyLeaveGroup)
		require.NoError(t, k.AwaitCount(t.Context(), protocol.KeyLeaveGroup, leaves+1))
		synctest.Wait()
		require.Empty(t, c.Assignment())
		require.NoError(t, c.Commit(t.Context()))
		receive(t, c, 2)
		c.group.giveUp(t.Context(), actGiveUp{all: true, lost: true, reason: "a test"})
		require.NoError(t, c.Unsubscribe(t.Context()))
		require.NoError(t, c.Commit(t.Context()), "Unsubscribe forgets")
	})
}

// A fenced member says why its commit fails; no listener could commit either.
func TestCommit_MissesWhatAFencedMemberHad(t *testing.T) {
	for name, x := range revokedIsHeard {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				groupOfOne(k)
				c, _ := enterFenced(t, k, x.l)
				defer stopClean(t, c)
				require.ErrorIs(t, failsOnce(t, c, "another consumer has the group instance id"), protocol.FencedInstanceID)
			})
		})
	}
}

// A commit that comes when a rebalance is over fares as one that has waited for it: what came straight back it commits, what may have been
// another member's it misses. Where a listener was told that partitions are revoked, it could have committed.
func TestCommit_AfterAnEagerRebalanceIsAsOneDuringIt(t *testing.T) {
	for name, x := range revokedIsHeard {
		for end, y := range eagerEnds {
			t.Run(name+", "+end, func(t *testing.T) {
				inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
					c, answer := rejoining(t, k, x.l)
					defer stopClean(t, c)
					answer(y.generation, y.back...)
					synctest.Wait()
					require.Len(t, c.Assignment(), len(y.back))
					switch {
					case x.hears:
						require.NoError(t, c.Commit(t.Context()))
					case y.fails:
						failsOnce(t, c, "another member")
					default:
						require.NoError(t, c.Commit(t.Context()))
						committed, _ := k.Committed("billing", "orders", 0)
						require.EqualValues(t, 2, committed.Offset)
						require.NoError(t, c.EnforceRebalance("again: nothing was handed out since"))
						synctest.Wait()
						require.Empty(t, c.Assignment())
						answer(3)
						require.NoError(t, c.Commit(t.Context()))
					}
				})
			})
		}
	}
}

// What was told by the commit that waited is not told again; nor is what it has committed.
func TestCommit_ThatWaitedForARebalanceHasToldWhatItMisses(t *testing.T) {
	for _, back := range [][]TopicPartition{nil, {orders}} {
		inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
			c, answer := rejoining(t, k)
			defer stopClean(t, c)
			came := make(chan error, 1)
			go func() { came <- c.Commit(t.Context()) }()
			synctest.Wait()
			answer(2, back...)
			require.Equal(t, back == nil, <-came != nil)
			require.NoError(t, c.Commit(t.Context()))
		})
	}
}

// What is missed goes with what is committed: the rest of a commit is sent.
func TestCommit_MissesOnePartitionAndCommitsTheOthers(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 2)
		groupOfOne(k)
		k.AppendValues("orders", 0, "a")
		k.AppendValues("orders", 1, "b")
		c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAssignors(CooperativeStickyAssignor), WithAutoOffsetReset(ResetEarliest)))
		defer stopClean(t, c)
		receive(t, c, 2)
		k.Handle(protocol.KeySyncGroup, func(*fakebroker.Call) fakebroker.Reply {
			data, err := protocol.AppendConsumerProtocolAssignment(nil, 1, &protocol.ConsumerProtocolAssignment{AssignedPartitions: byTopic([]TopicPartition{{"orders", 1}})})
			require.NoError(t, err)
			return fakebroker.Reply{Response: &protocol.SyncGroupResponse{Assignment: data}}
		})
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(5 * time.Second) // the bubble's clock
		require.Len(t, c.Assignment(), 1)
		failsOnce(t, c, "another member")
		_, ok := k.Committed("billing", "orders", 0)
		require.False(t, ok)
		committed, _ := k.Committed("billing", "orders", 1)
		require.EqualValues(t, 1, committed.Offset)
	})
}

// A position past control records is no message that was handed out.
func TestCommit_MissesMessagesOnly(t *testing.T) {
	r := newRooms(t, WithGroupID("g"))
	p := r.assign(1)[0]
	require.False(t, p.uncommitted(), "a start position")
	r.fetched(part{set: batchOf(0, 5)})
	r.decode()
	receive(t, r.Consumer, 5)
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	require.True(t, p.uncommitted())
	p.committed, p.position = 5, 6
	require.False(t, p.uncommitted())
	p.committed = unknownCommitted
	require.True(t, p.uncommitted())
	r.sub.seek(p, 3, -1)
	require.False(t, p.uncommitted(), "the application has gone elsewhere")
}
