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

// Where this consumer first started is nothing to go by in a topic that was made again, whether it hears of that before the group gives it
// the partition or afterwards.
func TestGroup_StartInATopicMadeAgainIsItsFirstRecord(t *testing.T) {
	ids := fakebroker.Options{}
	noIDs := fakebroker.Options{MaxVersions: map[protocol.APIKey]int16{protocol.KeyMetadata: 9, protocol.KeyFetch: 11}}
	for name, x := range map[string]struct {
		fake fakebroker.Options
		lags bool // its metadata does
	}{"hears of it": {fake: ids}, "hears of it, without ids": {fake: noIDs}, "lags": {fake: ids, lags: true}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, x.fake, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				k.AppendRaw("orders", 0, batchOf(0, 3))
				groupOfOne(k)
				c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAssignors(RangeAssignor), WithMetadataMaxAge(time.Second)))
				defer stopClean(t, c)
				position, err := c.Position(t.Context(), orders)
				require.NoError(t, err)
				require.EqualValues(t, 3, position, "the end")
				k.DeleteTopic("orders")
				time.Sleep(2 * time.Second) // the bubble's clock
				require.NoError(t, c.EnforceRebalance("it is gone"))
				time.Sleep(2 * time.Second)
				require.Empty(t, c.Assignment())
				if x.lags {
					k.Handle(protocol.KeySyncGroup, func(*fakebroker.Call) fakebroker.Reply { // as another member shares it, that knows of it
						data, err := protocol.AppendConsumerProtocolAssignment(nil, 1, &protocol.ConsumerProtocolAssignment{AssignedPartitions: byTopic([]TopicPartition{orders})})
						require.NoError(t, err)
						return fakebroker.Reply{Response: &protocol.SyncGroupResponse{Assignment: data}}
					})
					require.NoError(t, c.EnforceRebalance("it is there again"))
					time.Sleep(2 * time.Second)
					require.Len(t, c.Assignment(), 1)
				}
				k.CreateTopic("orders", 1)
				k.AppendRaw("orders", 0, batchOf(0, 10))
				require.EqualValues(t, 0, receive(t, c, 1)[0].Offset)
			})
		})
	}
}

// A rebalance may see metadata that has not been taken in yet, and which names another topic than the one this consumer first started on.
func TestGroup_StartIsWhereThisConsumerFirstStartedOnlyInTheSameTopic(t *testing.T) {
	for first, want := range map[firstStart]int64{
		{2, [16]byte{}}:       2, // brokers gave no ids then
		{2, [16]byte{1: 255}}: 0,
	} {
		inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
			k.CreateTopic("orders", 1)
			k.AppendRaw("orders", 0, batchOf(0, 3))
			groupOfOne(k)
			c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAssignors(RangeAssignor)))
			defer stopClean(t, c)
			_, err := c.Position(t.Context(), orders)
			require.NoError(t, err)
			c.sub.mu.Lock()
			c.sub.firstStart[orders] = first
			c.sub.mu.Unlock()
			require.NoError(t, c.EnforceRebalance("a test"))
			require.Equal(t, want, receive(t, c, 1)[0].Offset)
		})
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
