package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
)

func TestWriteDocs_WritesBetweenTheMarkersAndDrawsThePlots(t *testing.T) {
	docs := t.TempDir()
	page := filepath.Join(docs, Page)
	require.NoError(t, os.WriteFile(page, []byte("by hand\n<!-- bench:replay -->\nold\n<!-- /bench:replay -->\nmore by hand\n"), 0o644))
	b := Bench{Server: ReplayServer, Baseline: "franz-go/defaults", Cases: topic.Cases, Commit: "abc", Runs: []Run{
		run("franz-go/defaults", 0, 2, 1), run("ours/getmany", 0, 1, 0.6), run("ours/<odd>", 0, 40, 9),
	}}

	require.NoError(t, b.WriteDocs(docs, "replay"))

	out, err := os.ReadFile(page)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(out), "by hand\n<!-- bench:replay -->\n"))
	require.True(t, strings.HasSuffix(string(out), "<!-- /bench:replay -->\nmore by hand\n"))
	require.NotContains(t, string(out), "old")
	require.Contains(t, string(out), "](performance/replay-table-gogc100-rate.svg)")
	require.Contains(t, string(out), "commit abc")
	svg, err := os.ReadFile(filepath.Join(docs, "performance", "replay-table-gogc100-cpu.svg"))
	require.NoError(t, err)
	requireXML(t, string(svg))
	require.Contains(t, string(svg), "ours/getmany")

	require.ErrorIs(t, b.WriteDocs(docs, "kafka"), ErrNoSection)
}

func requireXML(t *testing.T, s string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSVG_IsTheSameDistanceForTwiceAndHalf(t *testing.T) {
	svg := SVG("t", []Group{{"topic", []Bar{{"ours/x", Spread{2, 2, 2}}, {"sarama", Spread{0.5, 0.5, 0.5}}}}})
	require.Equal(t, 2, strings.Count(svg, `width="140.0" height="11"`), svg) // a quarter of the axis, which goes from 1/4 to 4
	require.Contains(t, svg, ">1/4 ×<")
	require.EqualValues(t, 4, axisSpan(nil))
	require.EqualValues(t, 64, axisSpan([]Group{{"", []Bar{{"", Spread{1e-6, 1e-6, 1}}}}}))
}

func TestWriteMarkdown_SaysWhatWasNotRunAndWhatIsNotKnown(t *testing.T) {
	java := run("java", 0, 1, 1)
	java.Result.Mallocs = 0
	b := Bench{
		Baseline: "franz-go/defaults", Cases: topic.Cases, Skipped: map[string]string{"aiokafka": "python3 is not installed"},
		Runs: []Run{run("franz-go/defaults", 0, 2, 1), java},
	}
	var s strings.Builder
	require.NoError(t, b.WriteMarkdown(&s))
	require.Contains(t, s.String(), "**aiokafka was not run**: python3 is not installed")
	require.Contains(t, s.String(), "| aiokafka | not run: python3 is not installed |")
	require.Regexp(t, `\| java \| .* – \| \| – \|`, s.String())
	require.True(t, math.IsNaN(Mallocs.Of(java)))
}

func TestFurtherGoals_CompareBatchesSmallBatchesAndMemory(t *testing.T) {
	with := func(r Run, topic string, allocated uint64, rss int64) Run {
		r.Topic, r.Result.LateAllocBytes, r.Result.LateRecords, r.Result.PeakRSS = topic, allocated, r.Result.Records, rss
		return r
	}
	big, small := "1 KiB, lz4, 6", "1 KiB, lz4, 6, 16 KiB batches"
	b := Bench{Baseline: "franz-go/defaults", Cases: topic.Cases, Runs: []Run{
		with(run("franz-go/defaults", 0, 2, 1), big, 1, 100), with(run("franz-go/pools", 0, 1, 0.5), big, 1, 100),
		with(run("floor/reused", 0, 1, 0.4), big, 1, 1),
		with(run("ours/batches", 0, 0.9, 0.5), big, 4_000_000, 100), with(run("ours/batches", 0, 1, 0.7), small, 6_000_000, 100),
		with(run("ours/getmany", 0, 1, 0.7), big, 1, 101), with(run("ours/getmany", 0, 1, 0.7), small, 1, 50),
	}}
	got := map[string]bool{}
	for _, v := range further(&b, b.Rows()) {
		got[v.goal+"; "+v.row.Topic+"; "+v.row.Client] = v.reached
	}
	require.Equal(t, map[string]bool{
		"batches ahead, rate; " + big + "; ours/batches":                     true,
		"batches ahead, CPU; " + big + "; ours/batches":                      false, // as much
		"batches, CPU near the floor; " + big + "; ours/batches":             true,  // 1.25 × of 1.4
		"batches, allocated in the second half; " + big + "; ours/batches":   true,
		"batches, allocated in the second half; " + small + "; ours/batches": false,
		"small batches, CPU; " + small + "; ours/batches":                    false, // 1.4 ×
		"small batches, CPU; " + small + "; ours/getmany":                    true,
		"peak RSS; " + big + "; ours/batches":                                true,
		"peak RSS; " + big + "; ours/getmany":                                false,
	}, got)
}

func TestFurtherGoals_OnKafkaAreToBeAheadOnEveryTopic(t *testing.T) {
	b := Bench{Server: KafkaServer, Baseline: "franz-go/defaults", Cases: topic.Cases, Runs: []Run{
		run("franz-go/defaults", 0, 2, 1), run("ours/getmany", 0, 1, 1.1),
	}}
	v := further(&b, b.Rows())
	require.Len(t, v, 2)
	require.True(t, v[0].reached != v[1].reached)
	var s strings.Builder
	require.NoError(t, b.WriteMarkdown(&s))
	require.NotContains(t, s.String(), "### Goals against", "those are of the replay server")
}

func TestFurtherGoals_AreOfTopicsThatExist(t *testing.T) {
	titles := map[string]bool{}
	for _, c := range append(append([]topic.Case{}, topic.Cases...), topic.MoreCases...) {
		titles[c.Title] = true
	}
	for small, big := range smallBatches {
		require.True(t, titles[small] && titles[big], small)
	}
	for title := range floorGoals {
		require.True(t, titles[title], title)
	}
}
