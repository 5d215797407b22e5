package fakebroker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// connect gives a connection to a node, closed with the test.
func connect(t testing.TB, c *fakebroker.Cluster, node int32) *broker.Conn {
	t.Helper()
	conn, err := broker.Dial(t.Context(), broker.Config{Dial: c.Dial}, c.Addr(node))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close(nil)
		conn.Wait()
	})
	return conn
}

func ask[T protocol.Response](t testing.TB, conn *broker.Conn, req protocol.Request, maxVersion int16) T {
	t.Helper()
	r, _, err := conn.Do(t.Context(), req, broker.CallOptions{MaxVersion: maxVersion})
	require.NoError(t, err)
	return r.(T)
}

// want is one partition of a fetch.
type want struct {
	topic  string
	id     protocol.UUID
	index  int32
	offset int64
	epoch  int32
	limit  int32
}

func fetchRequest(parts ...want) *protocol.FetchRequest {
	req := protocol.NewFetchRequest()
	req.MaxWaitMs, req.MinBytes = 500, 1
	for _, w := range parts {
		p := protocol.NewFetchRequestPartition()
		p.Partition, p.FetchOffset, p.CurrentLeaderEpoch = w.index, w.offset, w.epoch
		if p.PartitionMaxBytes = w.limit; w.limit == 0 {
			p.PartitionMaxBytes = 1 << 20
		}
		req.Topics = append(req.Topics, protocol.FetchRequestTopic{Topic: w.topic, TopicID: w.id, Partitions: []protocol.FetchRequestPartition{p}})
	}
	return req
}

// partitions gives the partitions of a fetch response in order.
func partitions(r *protocol.FetchResponse) []protocol.FetchResponsePartition {
	var out []protocol.FetchResponsePartition
	for _, t := range r.Responses {
		out = append(out, t.Partitions...)
	}
	return out
}

func offsets(set []byte) (bases []int64) {
	s := protocol.ScanBatches(set)
	for s.Next() {
		bases = append(bases, s.Header().BaseOffset)
	}
	return bases
}

func TestFetch_GivesTheBatchThatHoldsTheOffsetAndWhatFollows(t *testing.T) {
	for _, version := range []int16{4, 10, 12, 18} {
		c := fakebroker.Start(t, fakebroker.Options{InMemory: true})
		id := c.CreateTopic("t", 1)
		require.Equal(t, int64(0), c.AppendValues("t", 0, "a", "b"))
		require.Equal(t, int64(2), c.AppendValues("t", 0, "c", "d"))
		require.Equal(t, int64(4), c.AppendValues("t", 0, "e"))
		conn := connect(t, c, 1)
		p := partitions(ask[*protocol.FetchResponse](t, conn, fetchRequest(want{topic: "t", id: id, offset: 3}), version))
		require.Len(t, p, 1)
		require.Equal(t, []int64{2, 4}, offsets(p[0].Records))
		require.Equal(t, int64(5), p[0].HighWatermark)

		p = partitions(ask[*protocol.FetchResponse](t, conn, fetchRequest(want{topic: "t", id: id, limit: 10}), version))
		require.Equal(t, []int64{0}, offsets(p[0].Records), "a first batch above the limit comes whole")
		p = partitions(ask[*protocol.FetchResponse](t, conn, fetchRequest(want{topic: "t", id: id, limit: 100}), version))
		require.Len(t, p[0].Records, 100, "the last is cut at the limit")
	}
}

func TestFetch_Errors(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true, Nodes: 2})
	id := c.CreateTopic("t", 1)
	c.AppendValues("t", 0, "a", "b")
	c.MoveLeader("t", 0, 2)
	c.MoveLeader("t", 0, 1)
	for _, tt := range []struct {
		name string
		node int32
		want want
		code protocol.ErrorCode
	}{
		{"an unknown id", 1, want{id: protocol.UUID{9}}, protocol.UnknownTopicID},
		{"an unknown partition", 1, want{id: id, index: 1}, protocol.UnknownTopicOrPartition},
		{"not the leader", 2, want{id: id}, protocol.NotLeaderOrFollower},
		{"an older epoch", 1, want{id: id, epoch: 1}, protocol.FencedLeaderEpoch},
		{"a newer epoch", 1, want{id: id, epoch: 3}, protocol.UnknownLeaderEpoch},
		{"past the end", 1, want{id: id, epoch: 2, offset: 3}, protocol.OffsetOutOfRange},
		{"before the start", 1, want{id: id, epoch: 2, offset: -1}, protocol.OffsetOutOfRange},
		{"right", 1, want{id: id, epoch: 2, offset: 1}, protocol.None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := ask[*protocol.FetchResponse](t, connect(t, c, tt.node), fetchRequest(tt.want), 0)
			p := partitions(r)
			require.Equal(t, tt.code, p[0].ErrorCode)
			if tt.code == protocol.NotLeaderOrFollower || tt.code == protocol.FencedLeaderEpoch {
				require.Equal(t, &protocol.FetchResponseLeaderIDAndEpoch{LeaderID: 1, LeaderEpoch: 2}, p[0].CurrentLeader)
				require.Equal(t, int32(1), r.NodeEndpoints[0].NodeID)
			}
		})
	}
}

func TestFetch_WaitsForBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakebroker.Start(t, fakebroker.Options{InMemory: true})
		id := c.CreateTopic("t", 1)
		conn := connect(t, c, 1)
		begun := time.Now()
		r := ask[*protocol.FetchResponse](t, conn, fetchRequest(want{id: id}), 0)
		require.Equal(t, 500*time.Millisecond, time.Since(begun), "the max wait")
		require.Empty(t, partitions(r)[0].Records)

		begun = time.Now()
		time.AfterFunc(200*time.Millisecond, func() { c.AppendValues("t", 0, "a") })
		r = ask[*protocol.FetchResponse](t, conn, fetchRequest(want{id: id}), 0)
		require.Equal(t, 200*time.Millisecond, time.Since(begun), "as soon as there is something")
		require.Equal(t, []int64{0}, offsets(partitions(r)[0].Records))
	})
}

func TestFetch_ReadCommittedEndsAtTheLastStableOffset(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true})
	id := c.CreateTopic("t", 1)
	c.AppendValues("t", 0, "a")
	c.AppendValues("t", 0, "b")
	c.SetLastStable("t", 0, 1)
	c.SetAborted("t", 0, protocol.FetchResponseAbortedTransaction{ProducerID: 7, FirstOffset: 0})
	conn := connect(t, c, 1)
	req := fetchRequest(want{id: id})
	req.IsolationLevel = 1
	p := partitions(ask[*protocol.FetchResponse](t, conn, req, 0))[0]
	require.Equal(t, []int64{0}, offsets(p.Records))
	require.Equal(t, int64(1), p.LastStableOffset)
	require.Equal(t, int64(2), p.HighWatermark)
	require.Len(t, p.AbortedTransactions, 1)
	p = partitions(ask[*protocol.FetchResponse](t, conn, fetchRequest(want{id: id}), 0))[0]
	require.Equal(t, []int64{0, 1}, offsets(p.Records))
	require.Nil(t, p.AbortedTransactions)
}

func TestFetch_Sessions(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true})
	a, b := c.CreateTopic("a", 1), c.CreateTopic("b", 1)
	c.AppendValues("a", 0, "1")
	c.AppendValues("b", 0, "1")
	conn := connect(t, c, 1)
	fetch := func(session, epoch int32, forget protocol.UUID, parts ...want) *protocol.FetchResponse {
		req := fetchRequest(parts...)
		req.SessionID, req.SessionEpoch = session, epoch
		req.MaxWaitMs = 0
		if !forget.IsZero() {
			req.ForgottenTopicsData = []protocol.FetchRequestForgottenTopic{{TopicID: forget, Partitions: []int32{0}}}
		}
		return ask[*protocol.FetchResponse](t, conn, req, 0)
	}
	none := protocol.UUID{}
	first := fetch(0, 0, none, want{id: a}, want{id: b})
	require.NotZero(t, first.SessionID)
	require.Len(t, partitions(first), 2)

	r := fetch(first.SessionID, 1, none, want{id: a, offset: 1}, want{id: b, offset: 1})
	require.Empty(t, partitions(r), "nothing new")
	c.AppendValues("b", 0, "2")
	r = fetch(first.SessionID, 2, none)
	require.Len(t, partitions(r), 1)
	require.Equal(t, b, r.Responses[0].TopicID)
	r = fetch(first.SessionID, 3, b)
	require.Empty(t, partitions(r), "b is forgotten")

	require.Equal(t, protocol.InvalidFetchSessionEpoch, fetch(first.SessionID, 3, none).ErrorCode)
	require.Equal(t, protocol.FetchSessionIDNotFound, fetch(first.SessionID+1, 1, none).ErrorCode)
	require.Equal(t, 1, c.Sessions(1))
	require.Zero(t, fetch(first.SessionID, -1, none, want{id: a}).SessionID)
	require.Zero(t, c.Sessions(1))
	require.Zero(t, fetch(0, -1, none, want{id: a}).SessionID)
}

func TestListOffsets(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true})
	c.CreateTopic("t", 1)
	h := protocol.NewBatchHeader(0)
	h.BaseTimestamp = 1000
	set, err := protocol.AppendBatch(nil, h, nil, protocol.RecordData{}, protocol.RecordData{OffsetDelta: 1, TimestampDelta: 50})
	require.NoError(t, err)
	c.AppendRaw("t", 0, set)
	c.AppendValues("t", 0, "later")
	c.SetLogStart("t", 0, 1)
	c.SetLastStable("t", 0, 2)
	conn := connect(t, c, 1)
	for _, tt := range []struct {
		timestamp int64
		isolation int8
		want      int64
	}{
		{protocol.EarliestTimestamp, 0, 1},
		{protocol.LatestTimestamp, 0, 3},
		{protocol.LatestTimestamp, 1, 2},
		{1001, 0, 1},
		{1051, 0, 2},
		{time.Now().Add(time.Hour).UnixMilli(), 0, -1},
	} {
		req := protocol.NewListOffsetsRequest()
		req.IsolationLevel = tt.isolation
		req.Topics = []protocol.ListOffsetsRequestTopic{{Name: "t", Partitions: []protocol.ListOffsetsRequestPartition{{CurrentLeaderEpoch: -1, Timestamp: tt.timestamp}}}}
		r := ask[*protocol.ListOffsetsResponse](t, conn, req, 0)
		require.Equal(t, protocol.None, r.Topics[0].Partitions[0].ErrorCode)
		require.Equal(t, tt.want, r.Topics[0].Partitions[0].Offset, "timestamp %d", tt.timestamp)
	}
}

func TestEpochEnds(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true, Nodes: 2})
	c.CreateTopic("t", 1)
	c.AppendValues("t", 0, "a", "b")
	c.MoveLeader("t", 0, 1) // epoch 1 from offset 2
	c.AppendValues("t", 0, "c")
	conn := connect(t, c, 1)
	for asked, want := range map[int32][2]int64{0: {0, 2}, 1: {1, 3}, 2: {-1, -1}} {
		req := protocol.NewOffsetForLeaderEpochRequest()
		req.Topics = []protocol.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []protocol.OffsetForLeaderEpochRequestPartition{{CurrentLeaderEpoch: -1, LeaderEpoch: asked}}}}
		p := ask[*protocol.OffsetForLeaderEpochResponse](t, conn, req, 0).Topics[0].Partitions[0]
		require.Equal(t, want, [2]int64{int64(p.LeaderEpoch), p.EndOffset})
	}
}

func TestOffsets_CommittedAndFetchedInEveryForm(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true})
	id := c.CreateTopic("t", 1)
	conn := connect(t, c, 1)
	for version := int16(2); version <= 10; version++ {
		meta := "m"
		req := protocol.NewOffsetCommitRequest()
		req.GroupID = "g"
		req.Topics = []protocol.OffsetCommitRequestTopic{{Name: "t", TopicID: id, Partitions: []protocol.OffsetCommitRequestPartition{
			{CommittedOffset: int64(version), CommittedLeaderEpoch: 3, CommittedMetadata: &meta},
		}}}
		done := ask[*protocol.OffsetCommitResponse](t, conn, req, version)
		require.Equal(t, protocol.None, done.Topics[0].Partitions[0].ErrorCode)
		got, ok := c.Committed("g", "t", 0)
		require.True(t, ok)
		require.Equal(t, int64(version), got.Offset)

		g := protocol.NewOffsetFetchRequestGroup()
		g.GroupID = "g"
		g.Topics = []protocol.OffsetFetchRequestTopics{{Name: "t", TopicID: id, PartitionIndexes: []int32{0, 1}}}
		r := ask[*protocol.OffsetFetchResponse](t, conn, &protocol.OffsetFetchRequest{
			GroupID: "g", Topics: []protocol.OffsetFetchRequestTopic{{Name: "t", PartitionIndexes: []int32{0, 1}}},
			Groups: []protocol.OffsetFetchRequestGroup{g},
		}, version)
		var parts []protocol.OffsetFetchResponsePartition
		if version < 8 {
			parts = r.Topics[0].Partitions
		} else {
			parts = r.Groups[0].Topics[0].Partitions
		}
		require.Equal(t, int64(version), parts[0].CommittedOffset)
		require.Equal(t, "m", *parts[0].Metadata)
		require.Equal(t, int64(-1), parts[1].CommittedOffset)
	}
}

func TestMetadata_FollowsWhatHappens(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{InMemory: true, Nodes: 3, Racks: map[int32]string{1: "r1"}})
	c.CreateTopic("t", 3)
	conn := connect(t, c, 1)
	c.StopNode(3)
	c.MoveLeader("t", 2, -1)
	r := ask[*protocol.MetadataResponse](t, conn, &protocol.MetadataRequest{}, 0)
	require.Len(t, r.Brokers, 2)
	require.Equal(t, "r1", *r.Brokers[0].Rack)
	require.Equal(t, protocol.LeaderNotAvailable, r.Topics[0].Partitions[2].ErrorCode)

	old := r.Topics[0].TopicID
	again := c.CreateTopic("t", 1)
	require.NotEqual(t, old, again)
	byID := &protocol.MetadataRequest{Topics: []protocol.MetadataRequestTopic{{TopicID: old}, {TopicID: again}}}
	r = ask[*protocol.MetadataResponse](t, conn, byID, 0)
	require.Equal(t, protocol.UnknownTopicID, r.Topics[0].ErrorCode)
	require.Equal(t, "t", *r.Topics[1].Name)
}

func TestScript_RepliesAndNodes(t *testing.T) {
	c := fakebroker.Start(t, fakebroker.Options{}) // real sockets
	conn := connect(t, c, 1)
	c.HandleN(protocol.KeyMetadata, 1, func(k *fakebroker.Call) fakebroker.Reply {
		r := k.Default().(*protocol.MetadataResponse)
		r.ControllerID = 42
		return fakebroker.Reply{Response: r}
	})
	require.Equal(t, int32(42), ask[*protocol.MetadataResponse](t, conn, &protocol.MetadataRequest{}, 0).ControllerID)
	require.Equal(t, int32(1), ask[*protocol.MetadataResponse](t, conn, &protocol.MetadataRequest{}, 0).ControllerID)

	c.HangNode(1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err := conn.Do(ctx, &protocol.MetadataRequest{}, broker.CallOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c.ResumeNode(1)
	require.NoError(t, c.AwaitCount(t.Context(), protocol.KeyMetadata, 3), "what came meanwhile is served")

	addr := c.Addr(1)
	c.StopNode(1)
	<-conn.Done()
	require.NoError(t, c.StartNode(1))
	require.Equal(t, addr, c.Addr(1))
	connect(t, c, 1)
}
