package kafka

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A hostileCase is what a broker tells of a partition, and what comes of it.
type hostileCase struct {
	name    string
	set     []byte
	aborted abortedList
	large   bool // *RecordTooLargeError, else *CorruptRecordError
	fine    bool // it is none
}

// hostileCases are the cases H2, H4, H5 and H6 of the hostile corpus.
func hostileCases(t *testing.T) []hostileCase {
	bombs := func(codec compress.Codec) []byte {
		return valuesBatch(0, []string{string(make([]byte, 20<<20))}, withCodec(codec))
	}
	claim := func(codec compress.Codec, body []byte) []byte { // compressed bytes of our own
		h := protocol.NewBatchHeader(0)
		h.Attributes, h.NumRecords = int16(codec), 1
		return protocol.AppendRawBatch(nil, h, body)
	}
	return []hostileCase{
		{name: "H2 a negative length", set: func() []byte { b := batchOf(0, 1); b[8] = 0xff; return b }()},
		{name: "H2 a negative record count", set: damaged(func(h *protocol.BatchHeader, raw []byte) []byte { h.BaseOffset, h.NumRecords = 0, -1; return raw })},
		{name: "H2 the largest record count", set: damaged(func(h *protocol.BatchHeader, raw []byte) []byte { h.BaseOffset, h.NumRecords = 0, 1<<31-1; return raw })},
		{name: "H2 the largest record count, compressed", set: func() []byte {
			b := batchOf(0, 3, withCodec(compress.Zstd))
			h, err := protocol.ParseBatchHeader(b)
			require.NoError(t, err)
			h.NumRecords = 1<<31 - 1
			return protocol.AppendRawBatch(nil, h, b[protocol.BatchHeaderSize:])
		}()},
		{name: "H2 a negative last offset", set: damaged(func(h *protocol.BatchHeader, raw []byte) []byte { h.BaseOffset, h.LastOffsetDelta = 0, -1; return raw })},
		{name: "H2 a record longer than its batch", set: damaged(func(h *protocol.BatchHeader, raw []byte) []byte {
			h.BaseOffset = 0
			return append([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f}, raw...)
		})},
		{name: "H2 the largest header count", set: damaged(func(h *protocol.BatchHeader, _ []byte) []byte {
			h.BaseOffset, h.NumRecords, h.LastOffsetDelta = 0, 1, 0
			return []byte{2 * 11, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0}
		})},
		{name: "H4 a gzip bomb", set: bombs(compress.Gzip), large: true},
		{name: "H4 an lz4 bomb", set: bombs(compress.LZ4), large: true},
		{name: "H4 a snappy bomb", set: bombs(compress.Snappy), large: true},
		{name: "H4 a zstd bomb", set: bombs(compress.Zstd), large: true},
		{name: "H4 a snappy block that claims 4 GiB", set: claim(compress.Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})},
		{name: "H4 a zstd frame that claims 64 GiB", set: claim(compress.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0})},
		{name: "H5 offsets near the end of their range", set: batchOf(1<<62-1+1<<62-2, 1), fine: true},
		{name: "H5 overlapping batches", set: joined(batchOf(0, 5), batchOf(2, 5), batchOf(0, 1)), fine: true},
		{name: "H6 an aborted list out of order and twice over", set: joined(batchOf(0, 1, byProducer(1)), marker(1, 1, protocol.ControlAbort), batchOf(2, 1, byProducer(1))),
			aborted: abortedList{{ProducerID: 9, FirstOffset: 4}, {ProducerID: 1, FirstOffset: 0}, {ProducerID: 1, FirstOffset: 0}}, fine: true},
		{name: "H6 a marker that is garbage", set: joined(batchOf(0, 1, byProducer(1)), recordsBatch(1, []protocol.RecordData{{Key: []byte{1}}}, byProducer(1), func(h *protocol.BatchHeader) { h.Attributes |= protocol.AttributeControl })),
			aborted: abortedList{{ProducerID: 1, FirstOffset: 0}}},
	}
}

// A broker that lies about one partition: the error names it, the other partition flows, and memory stays bounded.
func TestHostile_OnePartitionHarmsNoOther(t *testing.T) {
	for _, c := range hostileCases(t) {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) { c.run(t, k) })
		})
	}
}

func (c *hostileCase) run(t *testing.T, k *fakebroker.Cluster) {
	k.CreateTopic("t", 2)
	k.AppendValues("t", 0, "a") // what is told of it is what the handler says
	if !c.fine {
		k.AppendValues("t", 0, numbered(1, 9)...) // so that it is asked for again
	}
	for i := range 20 {
		k.AppendValues("t", 1, fmt.Sprint("b", i))
	}
	k.Handle(protocol.KeyFetch, c.lie)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	consumer := startConsumer(t, k, WithTopics("t"), WithIsolationLevel(ReadCommitted), WithMaxBatchBytes(8<<20), WithMaxBufferedBytes(32<<20))

	others, told := 0, error(nil)
	for m, err := range consumer.All(t.Context()) {
		if err != nil {
			told = err
		} else if m.Partition == 1 {
			others++
		}
		if others == 20 && (told != nil || c.fine) {
			break
		}
	}

	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "bytes allocated")
	c.requireTold(t, told)
	fetches := k.Count(protocol.KeyFetch)
	time.Sleep(10 * time.Second) // on the bubble's clock
	require.LessOrEqual(t, k.Count(protocol.KeyFetch)-fetches, 60, "no hot loop")
	k.AppendValues("t", 1, "more")
	require.Equal(t, []string{"more"}, values(receive(t, consumer, 1, FromPartitions(TopicPartition{"t", 1}))))
	stopClean(t, consumer)
}

// lie puts the case's bytes in the place of what partition 0 has.
func (c *hostileCase) lie(call *fakebroker.Call) fakebroker.Reply {
	resp, _ := call.Default().(*protocol.FetchResponse)
	if resp == nil { // the connection has ended
		return fakebroker.Reply{Drop: true}
	}
	for i := range resp.Responses {
		for j := range resp.Responses[i].Partitions {
			if p := &resp.Responses[i].Partitions[j]; p.PartitionIndex == 0 && len(p.Records) > 0 {
				p.Records, p.AbortedTransactions = c.set, c.aborted
			}
		}
	}
	return fakebroker.Reply{Response: resp}
}

// requireTold checks what the application was told.
func (c *hostileCase) requireTold(t *testing.T, told error) {
	t.Helper()
	if c.fine {
		return
	}
	require.ErrorContains(t, told, "t-0")
	if !c.large {
		var corrupt *CorruptRecordError
		require.ErrorAs(t, told, &corrupt)
		return
	}
	var large *RecordTooLargeError
	require.ErrorAs(t, told, &large)
	require.Equal(t, int64(1), large.NextOffset)
}

// Answers with records below the offset asked for only: no progress, and no loop without end (H5).
func TestHostile_AnswersWithoutProgress(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		id := k.CreateTopic("t", 1)
		k.AppendValues("t", 0, "a", "b")
		old := batchOf(0, 1)
		c := startConsumer(t, k, WithTopics("t"))
		receive(t, c, 2)
		k.Handle(protocol.KeyFetch, func(call *fakebroker.Call) fakebroker.Reply {
			resp, _ := call.Default().(*protocol.FetchResponse)
			if resp == nil { // the connection has ended
				return fakebroker.Reply{Drop: true}
			}
			p := protocol.NewFetchResponsePartition()
			p.Records, p.HighWatermark, p.LastStableOffset = old, 1, 9 // below the position, and the other way round
			topic := protocol.FetchResponseTopic{TopicID: id, Partitions: []protocol.FetchResponsePartition{p}}
			resp.Responses = []protocol.FetchResponseTopic{topic}
			return fakebroker.Reply{Response: resp}
		})
		before := k.Count(protocol.KeyFetch)
		_, err := c.GetOne(t.Context())
		var corrupt *CorruptRecordError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, int64(2), corrupt.Offset)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, k.Count(protocol.KeyFetch)-before, 40)
		lag, ok := c.Lag(TopicPartition{"t", 0})
		require.True(t, ok)
		require.Zero(t, lag)

		k.Handle(protocol.KeyFetch, nil)
		k.AppendValues("t", 0, "c")
		for m, err := range c.All(t.Context()) {
			if err == nil {
				require.Equal(t, "c", string(m.Value), "it recovers by itself")
				break
			}
		}
		stopClean(t, c)
	})
}
