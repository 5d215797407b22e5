package report

import (
	"strings"
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
)

func run(client string, round int, seconds, cpu float64) Run {
	return Run{
		Topic: "1 KiB, lz4, 6", Client: client, GOGC: "100", Round: round,
		Result: runner.Result{Records: 1_000_000, Seconds: seconds, CPUSeconds: cpu, Mallocs: 10_000},
	}
}

func TestSpreadOf_IsTheMedianAndTheRange(t *testing.T) {
	require.Equal(t, Spread{2, 1, 9}, SpreadOf([]float64{9, 1, 2}))
	require.Equal(t, Spread{2.5, 1, 9}, SpreadOf([]float64{9, 1, 2, 3}))
	require.Equal(t, Spread{}, SpreadOf(nil))
}

func TestRatio_IsRoundByRound(t *testing.T) {
	b := Bench{Baseline: "franz-go/defaults", Cases: topic.Cases, Runs: []Run{
		run("franz-go/defaults", 0, 1, 1), run("ours/getmany", 0, 0.5, 0.6),
		run("ours/getmany", 1, 2, 0.6), run("franz-go/defaults", 1, 2, 1),
		run("ours/getmany", 2, 1, 0.6), // no baseline in this round
	}}
	rows := b.Rows()
	require.Len(t, rows, 2)
	ours := rows[1]
	require.Equal(t, "ours/getmany", ours.Client)
	rate, ok := ours.Ratio(Rate)
	require.True(t, ok)
	require.Equal(t, Spread{1.5, 1, 2}, rate)
	require.Equal(t, 1.0, ours.Value(Rate).Median)
}

func TestWriteMarkdown_NamesFailuresAndGoals(t *testing.T) {
	failed := run("sarama", 0, 1, 1)
	failed.Result.Error = "the broker went away"
	b := Bench{Machine: "a machine", Baseline: "franz-go/defaults", Cases: topic.Cases, Runs: []Run{
		run("franz-go/defaults", 0, 2, 1), run("ours/getmany", 0, 1, 0.6), run("ours/messages", 0, 1.9, 0.6), failed,
	}}
	var s strings.Builder
	require.NoError(t, b.WriteMarkdown(&s))
	require.Contains(t, s.String(), "| sarama | 1 of 1 runs failed: the broker went away |")
	require.Regexp(t, `ours/getmany \| 2\.00 \| ≥ 1\.8 .*\| reached \|`, s.String())
	require.Regexp(t, `ours/messages \| 1\.05 \| ≥ 1\.8 .*\| \*\*missed\*\* \|`, s.String())
}

func TestGoals_AreOfTopicsThatExist(t *testing.T) {
	titles := map[string]bool{}
	for _, c := range topic.Cases {
		titles[c.Title] = true
	}
	for title := range Goals {
		require.True(t, titles[title], title)
	}
}
