package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/stretchr/testify/require"
)

// Every client reads a small topic of each shape to its end: what keeps the bench from rotting.
func TestRun_EveryClientReadsEveryRecord(t *testing.T) {
	cases, err := selectCases("v100-none-p1-h0-b16384,v1024-lz4-p6-h2-b16384,v100-zstd-p3-h1-b16384,v100-snappy-p3-h1-b16384,v100-gzip-p3-h1-b16384")
	require.NoError(t, err)
	clients, err := selectClients(defaultClients + ",sarama,kafka-go,floor/memory")
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
	require.Len(t, b.Runs, len(cases)*len(clients))
	for _, r := range b.Runs {
		require.Empty(t, r.Result.Error, "%s on %s", r.Client, r.Topic)
		require.Positive(t, r.Result.CPUSeconds)
	}
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
