package kafka

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// ownMind is an assignor of the user's that does as the test says.
type ownMind struct {
	assign   func(members []GroupMember) map[string][]TopicPartition
	userData func() []byte
}

func (a ownMind) Name() string      { return "own" }
func (a ownMind) Cooperative() bool { return false }

func (a ownMind) UserData([]TopicPartition, int32) []byte {
	if a.userData == nil {
		return nil
	}
	return a.userData()
}

func (a ownMind) Assign(members []GroupMember, _ map[string][]PartitionInfo) (map[string][]TopicPartition, error) {
	return a.assign(members), nil
}

// What an assignor of the user's does wrong fails Start with the reason; nothing of it reaches the group, or ends the process.
func TestAssignor_FaultsOfAUsersOwnFailStart(t *testing.T) {
	to := func(id string, tps ...TopicPartition) func([]GroupMember) map[string][]TopicPartition {
		return func([]GroupMember) map[string][]TopicPartition { return map[string][]TopicPartition{id: tps} }
	}
	for want, a := range map[string]ownMind{
		"panic in UserData: oh no":             {userData: func() []byte { panic("oh no") }},
		"panic in Assign: oh no":               {assign: func([]GroupMember) map[string][]TopicPartition { panic("oh no") }},
		`"stranger", which is no member`:       {assign: to("stranger", orders)},
		"orders-7":                             {assign: to("member", TopicPartition{"orders", 7})},
		"others-0":                             {assign: to("member", TopicPartition{"others", 0})},
		`to member "member" and to member "me`: {assign: to("member", orders, orders)},
	} {
		t.Run(want, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				groupOfOne(k)
				c := groupConsumer(t, k, WithTopics("orders"), WithAssignors(a))
				err := c.Start(t.Context())
				require.ErrorContains(t, err, want)
				require.ErrorContains(t, err, `assignor "own"`)
				require.NoError(t, c.Stop(t.Context()))
			})
		})
	}
}

func TestAssignor_SharesAreOfTopicsThatTheMemberSubscribesTo(t *testing.T) {
	members := []GroupMember{{ID: "a", Topics: []string{"t"}}, {ID: "b", Topics: []string{"t", "u"}}}
	topics := map[string][]PartitionInfo{"t": {{Partition: 0}, {Partition: 1}}, "u": {{Partition: 0}}}
	type shares = map[string][]TopicPartition
	require.NoError(t, checkShares(shares{"a": {{"t", 1}}, "b": {{"t", 0}, {"u", 0}}}, members, topics))
	require.NoError(t, checkShares(shares{"b": nil}, members, topics))
	require.ErrorContains(t, checkShares(shares{"a": {{"u", 0}}}, members, topics), "does not subscribe")
	require.ErrorContains(t, checkShares(shares{"a": {{"t", 0}}, "b": {{"t", 0}}}, members, topics), `"a" and to member "b"`)
}

func TestGroup_TheLeaderSeesWhatHasChangedOfItsTopics(t *testing.T) {
	view := func(id byte, partitions int, racks ...string) *cluster.Metadata {
		topic := &cluster.Topic{Name: "t", ID: protocol.UUID{id}}
		for range partitions {
			topic.Partitions = append(topic.Partitions, cluster.Partition{Replicas: []int32{1, 2}})
		}
		meta := &cluster.Metadata{Topics: map[string]*cluster.Topic{"t": topic}}
		for i, rack := range racks {
			meta.Brokers = append(meta.Brokers, cluster.Broker{ID: int32(i + 1), Rack: rack})
		}
		return meta
	}
	was := view(1, 3, "a", "b")
	for name, x := range map[string]struct {
		now    *cluster.Metadata
		racked bool
		want   bool
	}{
		"the same":                            {view(1, 3, "a", "b"), true, false},
		"more":                                {view(1, 4, "a", "b"), true, true},
		"fewer of the same: a view of before": {view(1, 2, "a", "b"), true, false},
		"fewer of one made again":             {view(2, 2, "a", "b"), true, true},
		"as many of one made again":           {view(2, 3, "a", "b"), true, false},
		"fewer, and no ids to tell":           {view(0, 2, "a", "b"), true, true},
		"the racks the other way round":       {view(1, 3, "b", "a"), true, false},
		"another rack":                        {view(1, 3, "a", "c"), true, true},
		"another rack, that nobody asked for": {view(1, 3, "a", "c"), false, false},
		"a broker away":                       {view(1, 3, "a"), true, false},
		"known before":                        {was, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := NewConsumer(WithLogger(nil), WithGroupID("g"), WithTopics("t"))
			require.NoError(t, err)
			shared := sharedTopic{id: protocol.UUID{1}, before: was.Topics["t"]}
			if name == "fewer, and no ids to tell" {
				shared.id = protocol.UUID{}
			}
			for range 3 {
				shared.racks = append(shared.racks, []string{"a", "b"})
			}
			c.group.shared, c.group.racked = map[string]sharedTopic{"t": shared}, x.racked
			c.group.m.leader, c.group.m.state = true, memberStable
			_, yes := c.group.grown(x.now)
			require.Equal(t, x.want, yes)
			c.group.m.leader = false
			_, yes = c.group.grown(x.now)
			require.False(t, yes, "the leader's concern")
		})
	}
}

func TestGroup_AReasonIsCutBetweenCharacters(t *testing.T) {
	require.Equal(t, "short", shortened("short"))
	long := shortened(strings.Repeat("x", 254) + "ü and more")
	require.Equal(t, strings.Repeat("x", 254), long)
	require.True(t, utf8.ValidString(long))
	require.Len(t, shortened(strings.Repeat("x", 300)), 255)
}

// A coordinator that answers for another kind of group, or another assignor than was offered, is not obeyed.
func TestGroup_AnswersOfAnotherProtocolAreRefused(t *testing.T) {
	other := "other"
	join := func(change func(*protocol.JoinGroupResponse)) func(k *fakebroker.Cluster) {
		return func(k *fakebroker.Cluster) {
			k.Handle(protocol.KeyJoinGroup, func(call *fakebroker.Call) fakebroker.Reply {
				resp := joinedAlone(call.Request.(*protocol.JoinGroupRequest), 1)
				change(resp)
				return fakebroker.Reply{Response: resp}
			})
		}
	}
	sync := func(change func(*protocol.SyncGroupResponse)) func(k *fakebroker.Cluster) {
		return func(k *fakebroker.Cluster) {
			k.Handle(protocol.KeySyncGroup, func(call *fakebroker.Call) fakebroker.Reply {
				req := call.Request.(*protocol.SyncGroupRequest)
				resp := &protocol.SyncGroupResponse{ProtocolType: req.ProtocolType, ProtocolName: req.ProtocolName, Assignment: req.Assignments[0].Assignment}
				change(resp)
				return fakebroker.Reply{Response: resp}
			})
		}
	}
	for name, script := range map[string]func(k *fakebroker.Cluster){
		"type in JoinGroup": join(func(r *protocol.JoinGroupResponse) { r.ProtocolType = &other }),
		"name in JoinGroup": join(func(r *protocol.JoinGroupResponse) { r.ProtocolName = &other }),
		"type in SyncGroup": sync(func(r *protocol.SyncGroupResponse) { r.ProtocolType = &other }),
		"name in SyncGroup": sync(func(r *protocol.SyncGroupResponse) { r.ProtocolName = &other }),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				groupOfOne(k)
				script(k)
				c := groupConsumer(t, k, WithTopics("orders"))
				require.ErrorIs(t, c.Start(t.Context()), protocol.InconsistentGroupProtocol)
				require.NoError(t, c.Stop(t.Context()))
			})
		})
	}
}

// Once another member leads, only this one's topics are its concern.
func TestGroup_AFollowerForgetsTheOthersTopics(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		c := startGroup(t, groupConsumer(t, k, WithTopics("orders")))
		defer stopClean(t, c)
		require.Equal(t, []string{"orders"}, c.sub.groupTopics)
		k.Handle(protocol.KeyJoinGroup, func(call *fakebroker.Call) fakebroker.Reply {
			resp := joinedAlone(call.Request.(*protocol.JoinGroupRequest), 9)
			resp.Leader, resp.Members = "another", nil
			return fakebroker.Reply{Response: resp}
		})
		k.Handle(protocol.KeySyncGroup, func(call *fakebroker.Call) fakebroker.Reply {
			data, err := protocol.AppendConsumerProtocolAssignment(nil, 1, &protocol.ConsumerProtocolAssignment{})
			require.NoError(t, err)
			return fakebroker.Reply{Response: &protocol.SyncGroupResponse{Assignment: data}}
		})
		require.NoError(t, c.EnforceRebalance("a test"))
		time.Sleep(time.Second) // on the bubble's clock
		synctest.Wait()
		require.Empty(t, c.Assignment())
		require.Nil(t, c.sub.groupTopics)
	})
}
