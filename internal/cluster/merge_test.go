package cluster

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

var (
	idA = protocol.UUID{1}
	idB = protocol.UUID{2}
)

// said builds a metadata answer from brokers 1 and 2 with one topic "t".
func said(version int16, topics ...protocol.MetadataResponseTopic) answer {
	resp := protocol.NewMetadataResponse()
	resp.Brokers = []protocol.MetadataResponseBroker{{NodeID: 2, Host: "b", Port: 9092}, {NodeID: 1, Host: "a", Port: 9092}}
	resp.Topics = topics
	return answer{resp: resp, version: version}
}

func topicT(id protocol.UUID, parts ...protocol.MetadataResponsePartition) protocol.MetadataResponseTopic {
	name := "t"
	return protocol.MetadataResponseTopic{Name: &name, TopicID: id, Partitions: parts}
}

func part(index, leader, epoch int32) protocol.MetadataResponsePartition {
	return protocol.MetadataResponsePartition{PartitionIndex: index, LeaderID: leader, LeaderEpoch: epoch}
}

func keepAll(string) bool { return true }

func TestMerge_PartitionsByEpoch(t *testing.T) {
	for _, tt := range []struct {
		name       string
		old, fresh answer
		want       []Partition // leader and epoch only
	}{
		{"a newer epoch wins", said(12, topicT(idA, part(0, 1, 5))), said(12, topicT(idA, part(0, 2, 6))), []Partition{{Leader: 2, LeaderEpoch: 6}}},
		{"the same epoch is taken", said(12, topicT(idA, part(0, 1, 5))), said(12, topicT(idA, part(0, -1, 5))), []Partition{{Leader: -1, LeaderEpoch: 5}}},
		{"an older epoch is ignored", said(12, topicT(idA, part(0, 1, 5), part(1, 1, 5))), said(12, topicT(idA, part(0, 2, 4), part(1, 2, 6))), []Partition{{Leader: 1, LeaderEpoch: 5}, {Leader: 2, LeaderEpoch: 6}}},
		{"unless it is another topic", said(12, topicT(idA, part(0, 1, 5))), said(12, topicT(idB, part(0, 2, 0))), []Partition{{Leader: 2, LeaderEpoch: 0}}},
		{"before version 9 epochs mean nothing", said(12, topicT(idA, part(0, 1, 5))), said(8, topicT(idA, part(0, 2, 4))), []Partition{{Leader: 2, LeaderEpoch: -1}}},
		{"a topic with an id does not shrink", said(12, topicT(idA, part(0, 1, 5), part(1, 1, 5))), said(12, topicT(idA, part(0, 1, 5))), []Partition{{Leader: 1, LeaderEpoch: 5}, {Leader: 1, LeaderEpoch: 5}}},
		{"a topic without may be another one", said(9, topicT(protocol.UUID{}, part(0, 1, 5), part(1, 1, 5))), said(9, topicT(protocol.UUID{}, part(0, 1, 5))), []Partition{{Leader: 1, LeaderEpoch: 5}}},
		{"partitions in any order, with a gap", said(12), said(12, topicT(idA, part(2, 2, 1), part(0, 1, 1))), []Partition{{Leader: 1, LeaderEpoch: 1}, {Leader: -1, LeaderEpoch: -1}, {Leader: 2, LeaderEpoch: 1}}},
		{"indexes no broker gives", said(12), said(12, topicT(idA, part(math.MaxInt32, 2, 1), part(-1, 2, 1), part(0, 1, 1))), []Partition{{Leader: 1, LeaderEpoch: 1}}},
		{"a leader no broker is", said(12), said(12, topicT(idA, part(0, math.MinInt32, 1))), []Partition{{Leader: -1, LeaderEpoch: 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := merge(merge(emptyMetadata(), tt.old, keepAll), tt.fresh, keepAll)
			var got []Partition
			for _, p := range m.Topics["t"].Partitions {
				got = append(got, Partition{Leader: p.Leader, LeaderEpoch: p.LeaderEpoch})
			}
			require.Equal(t, tt.want, got)
			if id := m.Topics["t"].ID; id != (protocol.UUID{}) {
				require.Same(t, m.Topics["t"], m.ByID[id])
				require.Len(t, m.ByID, 1)
			}
		})
	}
}

func TestMerge_TopicErrorsKeepWhatIsKnown(t *testing.T) {
	known := merge(emptyMetadata(), said(12, topicT(idA, part(0, 1, 5))), keepAll)
	for _, code := range []protocol.ErrorCode{protocol.UnknownTopicOrPartition, protocol.LeaderNotAvailable, protocol.TopicAuthorizationFailed} {
		failed := topicT(protocol.UUID{})
		failed.ErrorCode = code
		m := merge(known, said(12, failed), keepAll)
		require.Equal(t, code, m.Topics["t"].Err)
		require.Equal(t, idA, m.Topics["t"].ID)
		require.Len(t, m.Topics["t"].Partitions, 1)

		healed := merge(m, said(12, topicT(idA, part(0, 2, 6))), keepAll)
		require.Equal(t, protocol.None, healed.Topics["t"].Err)
		require.Equal(t, int32(2), healed.Topics["t"].Partitions[0].Leader)

		unheard := merge(emptyMetadata(), said(12, failed), keepAll)
		require.Equal(t, code, unheard.Topics["t"].Err)
		require.Empty(t, unheard.Topics["t"].Partitions)
	}
}

func TestMerge_TopicMadeAgainWithoutIDs(t *testing.T) {
	none := protocol.UUID{}
	known := merge(emptyMetadata(), said(9, topicT(none, part(0, 1, 5))), keepAll)
	require.Equal(t, int32(5), merge(known, said(9, topicT(none, part(0, 1, 0))), keepAll).Topics["t"].Partitions[0].LeaderEpoch)

	gone := topicT(none)
	gone.ErrorCode = protocol.UnknownTopicOrPartition
	again := merge(merge(known, said(9, gone), keepAll), said(9, topicT(none, part(0, 1, 0))), keepAll)
	require.Zero(t, again.Topics["t"].Partitions[0].LeaderEpoch)
}

// A replica that is away, or a listener that a broker lacks, says nothing about a leader that is named beside it.
func TestMerge_PartitionErrorBesideALeaderIsNoError(t *testing.T) {
	for _, code := range []protocol.ErrorCode{protocol.ReplicaNotAvailable, protocol.LeaderNotAvailable} {
		p := part(0, 2, 5)
		p.ErrorCode = code
		m := merge(emptyMetadata(), said(12, topicT(idA, p)), keepAll)
		got, ok := m.Partition("t", 0)
		require.True(t, ok)
		require.Equal(t, []int32{2, 5}, []int32{got.Leader, got.LeaderEpoch}, code.Name())
		require.Equal(t, protocol.None, m.Topics["t"].Err, "nor about its topic")
		require.Equal(t, calm, judge(m, map[string]bool{"t": true}, false, func(int32) bool { return false }), "nothing is missing")

		newer := part(0, 1, 6)
		newer.ErrorCode = code
		got, _ = merge(m, said(12, topicT(idA, newer)), keepAll).Partition("t", 0)
		require.Equal(t, int32(1), got.Leader, "and it is followed when it changes")
	}
}

func TestMerge_WhichTopicsStay(t *testing.T) {
	known := merge(emptyMetadata(), said(12, topicT(idA, part(0, 1, 5))), keepAll)
	none := func(string) bool { return false }

	require.Contains(t, merge(known, said(12), keepAll).Topics, "t", "an answer about others says nothing of it")
	require.NotContains(t, merge(known, said(12), none).Topics, "t", "no longer tracked")
	require.NotContains(t, merge(known, said(12, topicT(idA, part(0, 1, 5))), none).Topics, "t", "untracked while the question was out")
	all := said(12)
	all.all = true
	require.NotContains(t, merge(known, all, keepAll).Topics, "t", "all were asked for, it is gone")
	nameless := topicT(idA)
	nameless.Name = nil
	require.NotPanics(t, func() { merge(known, said(12, nameless), keepAll) })
}

func TestMerge_Brokers(t *testing.T) {
	a := said(12)
	a.resp.Brokers = append(a.resp.Brokers,
		protocol.MetadataResponseBroker{NodeID: 2, Host: "twice", Port: 1},
		protocol.MetadataResponseBroker{NodeID: 3, Host: "", Port: 1},
		protocol.MetadataResponseBroker{NodeID: 4, Host: "x", Port: 0},
		protocol.MetadataResponseBroker{NodeID: 5, Host: "x", Port: 65536},
		protocol.MetadataResponseBroker{NodeID: -6, Host: "x", Port: 1},
	)
	m := merge(emptyMetadata(), a, keepAll)
	require.Equal(t, []Broker{{ID: 1, Host: "a", Port: 9092}, {ID: 2, Host: "b", Port: 9092}}, m.Brokers)

	a.resp.Brokers = a.resp.Brokers[3:]
	require.ErrorIs(t, a.usable(), errNoBrokers)
	a.resp.ErrorCode = protocol.RebootstrapRequired
	require.ErrorIs(t, a.usable(), protocol.RebootstrapRequired)
}

func TestMerge_LeaderOfAKeptPartitionStaysKnown(t *testing.T) {
	old := merge(emptyMetadata(), said(12, topicT(idA, part(0, 2, 5))), keepAll)
	stale := said(12, topicT(idA, part(0, 1, 4)))
	stale.resp.Brokers = stale.resp.Brokers[1:] // does not know broker 2
	m := merge(old, stale, keepAll)
	require.Equal(t, int32(2), m.Topics["t"].Partitions[0].Leader)
	b, ok := m.Broker(2)
	require.True(t, ok)
	require.Equal(t, "b:9092", b.Addr())
}

func TestApplyHint(t *testing.T) {
	view := merge(emptyMetadata(), said(12, topicT(idA, part(0, 1, 5))), keepAll)
	elsewhere := []Broker{{ID: 7, Host: "g", Port: 9092}}
	for _, tt := range []struct {
		name      string
		hint      Hint
		endpoints []Broker
		applied   bool
	}{
		{"newer, to a known broker", Hint{"t", 0, 2, 6}, nil, true},
		{"newer, to a broker that comes with it", Hint{"t", 0, 7, 6}, elsewhere, true},
		{"newer, to nobody known", Hint{"t", 0, 7, 6}, nil, false},
		{"the same epoch", Hint{"t", 0, 2, 5}, nil, false},
		{"older", Hint{"t", 0, 2, 4}, nil, false},
		{"no leader", Hint{"t", 0, -1, 6}, nil, false},
		{"no epoch", Hint{"t", 0, 2, -1}, nil, false},
		{"no such partition", Hint{"t", 1, 2, 6}, nil, false},
		{"negative partition", Hint{"t", -1, 2, 6}, nil, false},
		{"no such topic", Hint{"u", 0, 2, 6}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := applyHint(view, tt.hint, tt.endpoints)
			require.Equal(t, tt.applied, m != nil)
			if m == nil {
				return
			}
			p, ok := m.Partition("t", 0)
			require.True(t, ok)
			require.Equal(t, tt.hint.Leader, p.Leader)
			require.Equal(t, tt.hint.LeaderEpoch, p.LeaderEpoch)
			_, known := m.Broker(tt.hint.Leader)
			require.True(t, known)
			require.Same(t, m.Topics["t"], m.ByID[idA])
			before, _ := view.Partition("t", 0)
			require.Equal(t, int32(1), before.Leader, "the old view is immutable")
		})
	}
}
