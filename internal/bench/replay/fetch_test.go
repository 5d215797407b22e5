package replay

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawClient sends requests as they are given, and reads the answers with kmsg.
type rawClient struct {
	t  *testing.T
	nc net.Conn
}

func dial(t *testing.T, s *Server) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addrs()[0])
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
	return &rawClient{t, nc}
}

func (c *rawClient) do(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	_, err := c.nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 7))
	require.NoError(c.t, err)
	var size [4]byte
	_, err = io.ReadFull(c.nc, size[:])
	require.NoError(c.t, err)
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(c.nc, body)
	require.NoError(c.t, err)
	require.EqualValues(c.t, 7, binary.BigEndian.Uint32(body))
	body = body[4:]
	if req.IsFlexible() {
		require.Zero(c.t, body[0])
		body = body[1:]
	}
	resp := req.ResponseKind()
	require.NoError(c.t, resp.ReadFrom(body))
	return resp
}

// fetchRequest asks for partitions of the log from the offsets on, without a session.
func fetchRequest(version int16, l *topic.Log, offsets ...int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes, req.SessionEpoch = version, 50<<20, 1, -1
	rt := kmsg.NewFetchRequestTopic()
	if version >= 13 {
		rt.TopicID = topicID(l.Spec.Name())
	} else {
		rt.Topic = l.Spec.Name()
	}
	for p, offset := range offsets {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = int32(p), offset, 1<<20
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	return req
}

// wantRecords is what a broker returns of a partition of the log from the offset on, to the limit.
func wantRecords(l *topic.Log, partition int32, offset int64, limit int) []byte {
	var out []byte
	for offset < l.End() && len(out) < limit {
		batch, base := l.Batch(partition, offset)
		batch = bytes.Clone(batch)
		binary.BigEndian.PutUint64(batch, uint64(base))
		out = append(out, batch...)
		offset = base + int64(l.Spec.RecordsPerBatch())
	}
	return out[:min(len(out), limit)]
}

func small(t *testing.T) (*rawClient, *topic.Log) {
	t.Helper()
	s, l := startServer(t, 1, topic.Spec{ValueBytes: 100, Codec: topic.LZ4, Partitions: 3, BatchBytes: 4 << 10}, 3000)
	return dial(t, s), l
}

func TestFetch_EncodesEveryVersion(t *testing.T) {
	c, l := small(t)
	for version := int16(4); version <= 18; version++ {
		resp := c.do(fetchRequest(version, l, 0, 500, l.End())).(*kmsg.FetchResponse)
		require.Len(t, resp.Topics, 1)
		require.Len(t, resp.Topics[0].Partitions, 3)
		for p, offset := range []int64{0, 500, l.End()} {
			got := resp.Topics[0].Partitions[p]
			require.Zero(t, got.ErrorCode)
			require.Equal(t, l.End(), got.HighWatermark)
			require.Equal(t, l.End(), got.LastStableOffset)
			require.Equal(t, wantRecords(l, int32(p), offset, 1<<20), append([]byte(nil), got.RecordBatches...), "version %d partition %d", version, p)
		}
	}
}

func TestFetch_CutsAtTheLimitsButGivesOneBatch(t *testing.T) {
	c, l := small(t)
	first := len(l.Batches()[0])
	for _, limit := range []int{1, 100, first - 1, first, first + 1, first + 40, first + topic.HeaderBytes, 3 * first} {
		req := fetchRequest(11, l, 0, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = int32(limit)
		req.Topics[0].Partitions[1].PartitionMaxBytes = 10
		got := c.do(req).(*kmsg.FetchResponse).Topics[0].Partitions
		require.Equal(t, wantRecords(l, 0, 0, max(limit, first)), got[0].RecordBatches, "limit %d", limit)
		require.Empty(t, got[1].RecordBatches, "a whole batch is for the first partition only")
	}
	req := fetchRequest(11, l, 0, 0, 0)
	req.MaxBytes = int32(first * 5 / 2)
	req.Topics[0].Partitions[0].PartitionMaxBytes = int32(first)
	got := c.do(req).(*kmsg.FetchResponse).Topics[0].Partitions
	require.Len(t, got[0].RecordBatches, first)
	require.Len(t, got[1].RecordBatches, first*5/2-first)
	require.Empty(t, got[2].RecordBatches)
}

func TestFetch_NamesWhatIsWrongWithAPartition(t *testing.T) {
	c, l := small(t)
	require.EqualValues(t, offsetOutOfRange, c.do(fetchRequest(12, l, l.End()+1)).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
	require.EqualValues(t, unknownTopicOrPartition, c.do(fetchRequest(12, l, 0, 0, 0, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[3].ErrorCode)
	req := fetchRequest(18, l, 0)
	req.Topics[0].TopicID[0]++
	require.EqualValues(t, unknownTopicID, c.do(req).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
}

func TestFetch_WaitsAtTheEndAsLongAsAsked(t *testing.T) {
	c, l := small(t)
	req := fetchRequest(12, l, l.End())
	req.MaxWaitMillis = 30
	start := time.Now()
	require.Empty(t, c.do(req).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches)
	require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
}

func TestClose_EndsAFetchThatWaits(t *testing.T) {
	s, l := startServer(t, 1, topic.Spec{ValueBytes: 100, Partitions: 1, BatchBytes: 4 << 10}, 100)
	c := dial(t, s)
	req := fetchRequest(12, l, l.End())
	req.MaxWaitMillis = 1 << 30
	_, err := c.nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1))
	require.NoError(t, err)
	s.Close() // returns once the connection's goroutine has ended
	_, err = c.nc.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestSession_LeavesOutWhatHasNotChanged(t *testing.T) {
	c, l := small(t)
	req := fetchRequest(13, l, 0, l.End(), l.End())
	req.SessionEpoch = 0
	resp := c.do(req).(*kmsg.FetchResponse)
	require.NotZero(t, resp.SessionID)
	require.Len(t, resp.Topics[0].Partitions, 3)

	// Only what moves is named; what has nothing new is left out.
	next := fetchRequest(13, l, l.End())
	next.SessionID, next.SessionEpoch = resp.SessionID, 1
	resp = c.do(next).(*kmsg.FetchResponse)
	require.Zero(t, resp.ErrorCode)
	require.Empty(t, resp.Topics)

	next = fetchRequest(13, l, 0)
	next.SessionID, next.SessionEpoch = resp.SessionID, 2
	resp = c.do(next).(*kmsg.FetchResponse)
	require.Len(t, resp.Topics[0].Partitions, 1)
	require.NotEmpty(t, resp.Topics[0].Partitions[0].RecordBatches)

	// A partition that is not moved on is answered again, until it is forgotten.
	again := fetchRequest(13, l)
	again.Topics = nil
	again.SessionID, again.SessionEpoch = resp.SessionID, 3
	resp = c.do(again).(*kmsg.FetchResponse)
	require.Len(t, resp.Topics[0].Partitions, 1)
	forget := kmsg.NewFetchRequestForgottenTopic()
	forget.TopicID, forget.Partitions = next.Topics[0].TopicID, []int32{0}
	again.ForgottenTopics = append(again.ForgottenTopics, forget)
	again.SessionEpoch = 4
	require.Empty(t, c.do(again).(*kmsg.FetchResponse).Topics)
}

func TestSession_RefusesAnotherEpochAndAnotherID(t *testing.T) {
	c, l := small(t)
	req := fetchRequest(12, l, 0)
	req.SessionEpoch = 0
	id := c.do(req).(*kmsg.FetchResponse).SessionID
	req.SessionID, req.SessionEpoch = id, 2
	require.EqualValues(t, invalidFetchEpoch, c.do(req).(*kmsg.FetchResponse).ErrorCode)
	req.SessionID, req.SessionEpoch = id+1, 1
	require.EqualValues(t, fetchSessionNotFound, c.do(req).(*kmsg.FetchResponse).ErrorCode)
	req.SessionID, req.SessionEpoch = id, -1
	resp := c.do(req).(*kmsg.FetchResponse)
	require.Zero(t, resp.SessionID, "closed")
	require.NotEmpty(t, resp.Topics)
	req.SessionID, req.SessionEpoch = id, 1
	require.EqualValues(t, fetchSessionNotFound, c.do(req).(*kmsg.FetchResponse).ErrorCode)
}

func TestSession_ServesFirstWhatWasNotServedLast(t *testing.T) {
	c, l := small(t)
	req := fetchRequest(12, l, 0, 0, 0)
	req.SessionEpoch, req.MaxBytes = 0, 1
	id := c.do(req).(*kmsg.FetchResponse).SessionID
	var served []int32
	for epoch := range int32(3) {
		req := fetchRequest(12, l)
		req.Topics, req.SessionID, req.SessionEpoch, req.MaxBytes = nil, id, epoch+1, 1
		for _, p := range c.do(req).(*kmsg.FetchResponse).Topics[0].Partitions {
			if len(p.RecordBatches) > 0 {
				served = append(served, p.Partition)
			}
		}
	}
	require.Equal(t, []int32{1, 2, 0}, served)
}

func TestAPIVersions_AnswersATooNewRequestInVersionZero(t *testing.T) {
	c, _ := small(t)
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 5
	_, err := c.nc.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 7))
	require.NoError(t, err)
	var head [10]byte
	_, err = io.ReadFull(c.nc, head[:])
	require.NoError(t, err)
	require.EqualValues(t, 35, binary.BigEndian.Uint16(head[8:]))
}
