package kafka

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// commitsByHand are the ways to commit what was handed out of orders-0, two messages, by hand.
var commitsByHand = map[string]func(ctx context.Context, c *Consumer) error{
	"Commit": func(ctx context.Context, c *Consumer) error { return c.Commit(ctx) },
	"CommitOffsets": func(ctx context.Context, c *Consumer) error {
		return c.CommitOffsets(ctx, map[TopicPartition]OffsetAndMetadata{orders: {Offset: 2}})
	},
	"CommitMessages": func(ctx context.Context, c *Consumer) error {
		return c.CommitMessages(ctx, &Message{Topic: "orders", Offset: 1})
	},
}

// rejoining gives an eager member that has taken two messages, has given everything up, and whose JoinGroup waits until answer is
// called with what the group gives it then.
func rejoining(t *testing.T, k *fakebroker.Cluster, opts ...ConsumerOption) (c *Consumer, answer func(generation int32, tps ...TopicPartition)) {
	t.Helper()
	k.CreateTopic("orders", 1)
	groupOfOne(k)
	k.AppendValues("orders", 0, "first", "second")
	c = startGroup(t, groupConsumer(t, k, append(opts, WithTopics("orders"), WithAssignors(RangeAssignor), WithAutoOffsetReset(ResetEarliest))...))
	receive(t, c, 2)
	type share struct {
		generation int32
		tps        []TopicPartition
	}
	come := make(chan share, 1)
	var given []TopicPartition
	k.Handle(protocol.KeyJoinGroup, func(call *fakebroker.Call) fakebroker.Reply {
		s := <-come
		given = s.tps
		return fakebroker.Reply{Response: joinedAlone(call.Request.(*protocol.JoinGroupRequest), s.generation)}
	})
	k.Handle(protocol.KeySyncGroup, func(*fakebroker.Call) fakebroker.Reply {
		data, err := protocol.AppendConsumerProtocolAssignment(nil, 1, &protocol.ConsumerProtocolAssignment{AssignedPartitions: byTopic(given)})
		require.NoError(t, err)
		return fakebroker.Reply{Response: &protocol.SyncGroupResponse{Assignment: data}}
	})
	require.NoError(t, c.EnforceRebalance("a test"))
	synctest.Wait()
	require.Empty(t, c.Assignment())
	return c, func(generation int32, tps ...TopicPartition) { come <- share{generation, tps} }
}

// eagerEnds are how an eager rebalance may end for orders, of which the member had generation 1, and whether a commit of it fails.
var eagerEnds = map[string]struct {
	generation int32
	back       []TopicPartition
	fails      bool
}{
	"comes back":                {2, []TopicPartition{orders}, false},
	"goes to another":           {2, nil, true},
	"comes back from somewhere": {3, []TopicPartition{orders}, true},
}

// During an eager rebalance everything is given up. A commit by hand waits for its end, and commits what is back by then; what is
// not, or may have been another member's meanwhile, it says.
func TestCommit_ByHandWaitsForAnEagerRebalance(t *testing.T) {
	for name, commit := range commitsByHand {
		for end, x := range eagerEnds {
			t.Run(name+", "+end, func(t *testing.T) {
				inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
					c, answer := rejoining(t, k)
					defer stopClean(t, c)
					came := make(chan error, 1)
					go func() { came <- commit(t.Context(), c) }()
					synctest.Wait()
					require.Empty(t, came, "it waits")
					answer(x.generation, x.back...)
					err := <-came
					committed, ok := k.Committed("billing", "orders", 0)
					if x.fails {
						var failed *CommitFailedError
						require.ErrorAs(t, err, &failed)
						require.Contains(t, failed.Reason, "orders-0")
						require.False(t, ok)
						return
					}
					require.NoError(t, err)
					require.EqualValues(t, 2, committed.Offset)
				})
			})
		}
	}
}

// A commit waits no longer than there is something to wait for: the member that leaves brings nothing back.
func TestCommit_ByHandEndsWithTheMembership(t *testing.T) {
	for name, commit := range commitsByHand {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				c, answer := rejoining(t, k)
				defer stopClean(t, c)
				came := make(chan error, 1)
				go func() { came <- commit(t.Context(), c) }()
				synctest.Wait()
				leaving := make(chan error, 1)
				go func() { leaving <- c.Unsubscribe(t.Context()) }()
				var failed *CommitFailedError
				require.ErrorAs(t, <-came, &failed)
				require.NoError(t, <-leaving)
				answer(2)
			})
		})
	}
}

// What is committed already, or was never handed out, is nothing for Commit to miss.
func TestCommit_MissesOnlyWhatWasHandedOut(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		c, answer := rejoining(t, k)
		defer stopClean(t, c)
		came := make(chan error, 1)
		go func() { came <- c.Commit(t.Context()) }()
		answer(2, orders)
		require.NoError(t, <-came)
		synctest.Wait()
		require.NoError(t, c.EnforceRebalance("again: nothing was handed out since"))
		synctest.Wait()
		require.Empty(t, c.Assignment())
		require.NoError(t, c.Commit(t.Context()))
		answer(3)
	})
}

// What an automatic commit was about to send, and is given up before it could, was committed then: nobody has to hear of it.
func TestAutoCommit_OfWhatHasBeenGivenUpMeanwhileIsNoFailure(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		k.AppendValues("orders", 0, "first", "second")
		var log strings.Builder
		c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAssignors(CooperativeStickyAssignor), WithAutoOffsetReset(ResetEarliest),
			WithAutoCommit(true), WithAutoCommitInterval(time.Second), WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
		defer stopClean(t, c)
		k.Handle(protocol.KeySyncGroup, func(*fakebroker.Call) fakebroker.Reply {
			return fakebroker.Reply{Response: &protocol.SyncGroupResponse{}} // everything goes to another
		})
		commits := 0
		k.Handle(protocol.KeyOffsetCommit, func(*fakebroker.Call) fakebroker.Reply {
			commits++
			return fakebroker.Reply{Delay: 1500 * time.Millisecond} // the next automatic commit is due meanwhile
		})
		receive(t, c, 2)
		_, err := c.GetMany(t.Context(), WaitFor(100*time.Millisecond)) // they are settled
		require.NoError(t, err)
		require.Zero(t, commits)
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(5 * time.Second) // the bubble's clock
		require.Empty(t, c.Assignment())
		committed, _ := k.Committed("billing", "orders", 0)
		require.EqualValues(t, 2, committed.Offset)
		require.NotContains(t, log.String(), "level=WARN")
	})
}

// A membership that ends while a commit looks for the coordinator ends the commit: a coordinator that still counts the member would take it,
// of what the application has been told is lost.
func TestCommit_OfWhatIsLostWhileTheCoordinatorIsLookedForIsNotSent(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		k.AppendValues("orders", 0, "first", "second")
		c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAutoOffsetReset(ResetEarliest)))
		defer stopClean(t, c)
		receive(t, c, 2)
		k.Handle(protocol.KeyFindCoordinator, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Delay: time.Second} })
		node, err := c.cluster.Coordinator(t.Context(), "billing")
		require.NoError(t, err)
		c.cluster.ForgetCoordinator("billing", node)
		came := make(chan error, 1)
		go func() { came <- c.Commit(t.Context()) }()
		synctest.Wait()
		c.group.giveUp(t.Context(), actGiveUp{all: true, lost: true})
		var failed *CommitFailedError
		require.ErrorAs(t, <-came, &failed)
		require.Zero(t, k.Count(protocol.KeyOffsetCommit))
	})
}
