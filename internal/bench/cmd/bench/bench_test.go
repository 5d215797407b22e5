package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/stretchr/testify/require"
)

const smokeTopics = "v100-none-p1-h0-b16384,v1024-lz4-p6-h2-b16384,v100-zstd-p3-h1-b16384,v100-snappy-p3-h1-b16384,v100-gzip-p3-h1-b16384"

// Every client reads a small topic of each shape to its end: what keeps the bench from rotting.
func TestRun_EveryClientReadsEveryRecord(t *testing.T) {
	b := runSmoke(t, smokeTopics, defaultClients+",sarama,kafka-go,floor/memory")
	require.Empty(t, b.Skipped)
}

func runSmoke(t *testing.T, topics, names string) report.Bench {
	t.Helper()
	cases, err := selectCases(topics)
	require.NoError(t, err)
	clients, err := selectClients(names)
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "bench.json")
	err = run(t.Context(), config{
		cases: cases, clients: clients, gogc: []string{"100"}, baseline: "franz-go/defaults",
		rounds: 1, seconds: 0.02, timeout: 30 * time.Second, atMost: time.Minute, brokers: 1, json: out,
	})
	require.NoError(t, err)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	var b report.Bench
	require.NoError(t, json.Unmarshal(data, &b))
	require.Len(t, b.Runs, len(cases)*(len(clients)-len(b.Skipped)))
	for _, r := range b.Runs {
		require.Empty(t, r.Result.Error, "%s on %s", r.Client, r.Topic)
		require.Positive(t, r.Result.CPUSeconds)
	}
	return b
}

func TestPart_IsTheFirstOfEveryPartition(t *testing.T) {
	whole := replay.Topic{Partitions: 3, Records: 300, OffsetSum: 3 * 99 * 50, Bytes: 300 * 7}
	require.Equal(t, whole, part(whole, 0))
	require.Equal(t, replay.Topic{Partitions: 3, Records: 30, OffsetSum: 3 * 9 * 5, Bytes: 30 * 7}, part(whole, 10))
	require.EqualValues(t, 3, part(whole, 1000).Records)
}

func TestPrepared_FillsOnceAndLeavesNothingOfAFailure(t *testing.T) {
	t.Setenv("KAFKA_BENCH_CACHE", t.TempDir())
	fills := 0
	fill := func(dir string) error {
		fills++
		return os.WriteFile(filepath.Join(dir, "jar"), nil, 0o644)
	}
	_, err := prepared("x", []byte("1"), func(dir string) error { return errors.Join(fill(dir), errors.New("no network")) })
	require.ErrorContains(t, err, "no network")
	for range 2 {
		dir, err := prepared("x", []byte("1"), fill)
		require.NoError(t, err)
		require.FileExists(t, filepath.Join(dir, "jar"))
	}
	_, err = prepared("x", []byte("2"), fill)
	require.NoError(t, err)
	require.Equal(t, 3, fills)
}

func TestSelectCases_KnowsTheTopicsByName(t *testing.T) {
	cases, err := selectCases("first-look")
	require.NoError(t, err)
	require.Len(t, cases, len(firstLook))
	cases, err = selectCases("v1024-zstd-p6-h0-b1048576")
	require.NoError(t, err)
	require.Equal(t, "1 KiB, zstd, 6", cases[0].Title)
	_, err = selectCases("nothing")
	require.Error(t, err)
	_, err = selectClients("franz-go/defaults,nobody")
	require.Error(t, err)
}
