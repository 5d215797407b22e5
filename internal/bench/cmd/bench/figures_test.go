package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/seed-7379b4e8/kafka/internal/bench/subject"
	"github.com/stretchr/testify/require"
)

// Every figure is taken once, of every consumer, in moments: what they are does not matter, but that none fails.
func TestTakeFigures_OfEveryConsumerWithoutAFailure(t *testing.T) {
	for name, section := range map[string]string{"latency": "latency-fake", "first": "first", "scale": "scale", "move": "move"} {
		t.Run(name, func(t *testing.T) {
			docs := t.TempDir()
			page := filepath.Join(docs, report.Page)
			require.NoError(t, os.WriteFile(page, []byte("<!-- bench:"+section+" -->\n<!-- /bench:"+section+" -->\n"), 0o644))
			tables, err := takeFigures(t.Context(), name, figuresConfig{
				clients: subject.Names, rounds: 1, window: 100 * time.Millisecond, settle: 50 * time.Millisecond, tries: 1, scale: 300, docs: docs,
			})
			require.NoError(t, err)
			for _, table := range tables {
				require.NotEmpty(t, table.Rows)
				for _, r := range table.Rows {
					require.Empty(t, r.Failed, "%s, %s, %s", table.Title, r.Case, r.Client)
				}
			}
			written, err := os.ReadFile(page)
			require.NoError(t, err)
			require.Contains(t, string(written), tables[0].Title)
		})
	}
}

// The page in the repository has a place for everything that is written into it.
func TestPage_HasEverySection(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/" + report.Page)
	require.NoError(t, err)
	for _, section := range []string{"replay", "kafka", "latency", "latency-fake", "first", "scale", "move"} {
		_, err := report.ReplaceSection(string(page), section, "")
		require.NoError(t, err)
	}
}
