package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A member that gives a partition up while it is still looked up where it starts waits for that, and commits it: the next owner
// would look it up anew, and skip what was written meanwhile. It does not wait for ever.
func TestGroup_StartThatIsBeingLookedUpIsCommittedBeforeThePartitionGoes(t *testing.T) {
	leave := func(t *testing.T, c *Consumer) { require.NoError(t, c.Stop(t.Context())) }
	rebalance := func(t *testing.T, c *Consumer) { require.NoError(t, c.EnforceRebalance("a test")) }
	for name, x := range map[string]struct {
		gives func(*testing.T, *Consumer)
		key   protocol.APIKey // what tells that the partition has gone
	}{"rebalance": {rebalance, protocol.KeyJoinGroup}, "stop": {leave, protocol.KeyLeaveGroup}} {
		for _, answered := range []bool{true, false} {
			if !answered && x.key == protocol.KeyLeaveGroup {
				continue // it goes over the connection on which the lookup hangs
			}
			t.Run(name, func(t *testing.T) {
				inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
					k.CreateTopic("orders", 1)
					groupOfOne(k)
					k.AppendValues("orders", 0, "before")
					release := make(chan struct{})
					k.Handle(protocol.KeyListOffsets, func(call *fakebroker.Call) fakebroker.Reply {
						<-release
						return fakebroker.Reply{Response: call.Default()}
					})
					c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAssignors(RangeAssignor), WithAutoCommit(true)))
					defer stopClean(t, c)
					synctest.Wait()
					before, began := k.Count(x.key), time.Now()
					gone := make(chan struct{})
					go func() { x.gives(t, c); close(gone) }()
					synctest.Wait()
					require.Equal(t, before, k.Count(x.key), "it waits")
					if answered {
						close(release)
					} else {
						defer close(release)
						time.Sleep(startPatience)
					}
					synctest.Wait()
					require.Equal(t, before+1, k.Count(x.key))
					require.LessOrEqual(t, time.Since(began), startPatience)
					committed, ok := k.Committed("billing", "orders", 0)
					require.Equal(t, answered, ok)
					if answered {
						require.EqualValues(t, 1, committed.Offset)
					}
					<-gone
				})
			})
		}
	}
}

// Several assignors are offered in one JoinGroup, in the order of preference. (The original sends one for each.)
func TestGroup_OneJoinOffersAllAssignors(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		var offered []string
		k.Handle(protocol.KeyJoinGroup, func(call *fakebroker.Call) fakebroker.Reply {
			req := call.Request.(*protocol.JoinGroupRequest)
			for _, p := range req.Protocols {
				offered = append(offered, p.Name)
			}
			return fakebroker.Reply{Response: joinedAlone(req, 1)}
		})
		c := startGroup(t, groupConsumer(t, k, WithTopics("orders")))
		defer stopClean(t, c)
		require.Equal(t, []string{"range", "cooperative-sticky", "roundrobin"}, offered)
		require.Equal(t, 1, k.Count(protocol.KeyJoinGroup))
	})
}
