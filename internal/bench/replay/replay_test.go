package replay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func startServer(t *testing.T, brokers int, spec topic.Spec, records int64) (*Server, *topic.Log) {
	t.Helper()
	l, err := topic.NewLog(spec, records, 1)
	require.NoError(t, err)
	s, err := Start(brokers, l)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s, l
}

func TestServer_GivesFranzGoEveryRecordOnceInOrder(t *testing.T) {
	for codec := topic.None; codec <= topic.ZstdStream; codec++ {
		for _, shape := range []struct{ brokers, partitions, headers, batch int }{
			{1, 1, 0, 1 << 20},
			{1, 6, 2, 16 << 10},
			{3, 7, 1, 16 << 10},
		} {
			spec := topic.Spec{ValueBytes: 100, Codec: codec, Partitions: shape.partitions, Headers: shape.headers, BatchBytes: shape.batch}
			t.Run(fmt.Sprintf("%d brokers %s", shape.brokers, spec.Name()), func(t *testing.T) {
				s, l := startServer(t, shape.brokers, spec, 40_000)
				readAll(t, s, l)
			})
		}
	}
}

// readAll reads the topic with franz-go and holds each record against what the topic's sums promise.
func readAll(t *testing.T, s *Server, l *topic.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(s.Addrs()...), kgo.ConsumeTopics(l.Spec.Name()), kgo.FetchMaxBytes(1<<20), kgo.FetchMaxPartitionBytes(200_000),
		kgo.FetchMaxWait(10*time.Millisecond),
	)
	require.NoError(t, err)
	defer cl.Close()
	next := map[int32]int64{}
	var records, offsets, bytes int64
	values := map[string]bool{}
	for records < l.Records() {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] || len(r.Headers) != l.Spec.Headers || !strings.HasPrefix(string(r.Value), `{"ts":`) {
				t.Fatalf("partition %d: offset %d for %d, %d headers, value %.20q", r.Partition, r.Offset, next[r.Partition], len(r.Headers), r.Value)
			}
			next[r.Partition]++
			records++
			offsets += r.Offset
			bytes += int64(len(r.Value))
			for _, h := range r.Headers {
				bytes += int64(len(h.Key) + len(h.Value))
			}
			values[string(r.Value)] = true
		})
	}
	require.Equal(t, l.Records(), records)
	require.Equal(t, l.OffsetSum(), offsets)
	require.Equal(t, l.PayloadBytes(), bytes)
	require.Len(t, next, l.Spec.Partitions)
	distinct := min(l.Records(), int64(len(l.Batches())*l.Spec.RecordsPerBatch()))
	require.Greater(t, int64(len(values)), distinct*99/100, "the text hardly repeats")
}

func TestServer_AnswersNothingMoreAfterTheEnd(t *testing.T) {
	s, l := startServer(t, 1, topic.Spec{ValueBytes: 100, Partitions: 1, BatchBytes: 16 << 10}, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(s.Addrs()...), kgo.FetchMaxWait(10*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.Spec.Name(): {0: kgo.NewOffset().At(l.End())}}),
	)
	require.NoError(t, err)
	defer cl.Close()
	require.Zero(t, cl.PollFetches(ctx).NumRecords())
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, "without an error before")
}
