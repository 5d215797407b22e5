package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
)

func TestRead_PutsRunsOfOneCommitTogether(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b Bench) string {
		data, err := json.Marshal(b)
		require.NoError(t, err)
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, data, 0o644))
		return name
	}
	a := file("a", Bench{Commit: "1", Cases: topic.Cases[:2], Runs: []Run{run("sarama", 0, 1, 1)}})
	b := file("b", Bench{Commit: "1", Cases: topic.Cases[1:3], Runs: []Run{run("java", 0, 1, 1)}, Skipped: map[string]string{"x": "y"}})
	other := file("c", Bench{Commit: "2"})

	all, err := Read(a, b)
	require.NoError(t, err)
	require.Equal(t, topic.Cases[:3], all.Cases)
	require.Len(t, all.Runs, 2)
	require.Equal(t, []int{0, 1}, []int{all.Runs[0].Round, all.Runs[1].Round}, "they were not run in one round")
	require.Equal(t, map[string]string{"x": "y"}, all.Skipped)
	_, err = Read(a, other)
	require.ErrorContains(t, err, "another commit")
}
