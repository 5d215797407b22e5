package replay

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestGrowth_AddsABatchToEachActivePartitionInItsTurn(t *testing.T) {
	l, err := topic.NewLog(topic.Spec{ValueBytes: 100, Partitions: 6, BatchBytes: 1024}, 6000, 1)
	require.NoError(t, err)
	per := int64(l.Spec.RecordsPerBatch())
	g := Growth{Every: 100 * time.Millisecond, Whole: 1, Active: 2}

	require.Equal(t, l.End(), g.End(l, 0, 0))
	require.Zero(t, g.End(l, 5, time.Hour), "neither whole nor active")
	require.EqualValues(t, 0, g.End(l, 1, 99*time.Millisecond))
	require.Equal(t, per, g.End(l, 1, 100*time.Millisecond))
	require.EqualValues(t, 0, g.End(l, 2, 149*time.Millisecond), "half an interval later")
	require.Equal(t, per, g.End(l, 2, 150*time.Millisecond))
	require.Equal(t, l.End(), g.End(l, 2, time.Hour))

	for elapsed := time.Duration(0); elapsed < time.Second; elapsed += 7 * time.Millisecond {
		next, ok := g.Next(2, elapsed)
		require.True(t, ok)
		require.Greater(t, next, elapsed)
		require.Greater(t, g.End(l, 2, next), g.End(l, 2, elapsed))
		at, ok := g.Available(l.Spec, 2, g.End(l, 2, elapsed))
		require.True(t, ok)
		require.Equal(t, next, at)
	}
	_, ok := g.Next(0, 0)
	require.False(t, ok)
	require.Equal(t, l.End(), Growth{}.End(l, 3, 0))
}

func TestServer_AWaitingFetchIsAnsweredWhenThePartitionGrows(t *testing.T) {
	l, err := topic.NewLog(topic.Spec{ValueBytes: 100, Partitions: 2, BatchBytes: 1024}, 2000, 1)
	require.NoError(t, err)
	s, err := StartGrowing(1, Growth{Every: 30 * time.Millisecond, Active: 1}, l)
	require.NoError(t, err)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Addrs()...), kgo.ConsumeTopics(l.Spec.Name()), kgo.FetchMaxWait(5*time.Second))
	require.NoError(t, err)
	defer cl.Close()
	next := int64(0)
	for next < 3*int64(l.Spec.RecordsPerBatch()) {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.Zero(t, r.Partition)
			require.Equal(t, next, r.Offset)
			next++
		})
	}
	require.Less(t, time.Since(s.Began()), 5*time.Second)
	d := s.Detail()
	require.Equal(t, 2, d.Partitions)
	require.NotZero(t, d.AllFetchedAt)
	require.Empty(t, d.Resent)
}

func TestServer_AMovedPartitionIsReadFromItsNewLeaderWithoutAGap(t *testing.T) {
	s, l := startServer(t, 2, topic.Spec{ValueBytes: 100, Partitions: 4, BatchBytes: 1024}, 200_000)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Addrs()...), kgo.ConsumeTopics(l.Spec.Name()), kgo.FetchMaxPartitionBytes(4096),
		kgo.MetadataMinAge(10*time.Millisecond))
	require.NoError(t, err)
	defer cl.Close()
	next := map[int32]int64{}
	var records int64
	for records < l.Records() {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			require.Equal(t, next[r.Partition], r.Offset)
			next[r.Partition]++
			records++
		})
		if records > 10_000 {
			require.NoError(t, s.Move(0, 1))
		}
	}
	require.Error(t, s.Move(0, 9))
	require.Error(t, s.Move(99, 0))
}
