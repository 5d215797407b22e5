package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// columns of the table of a topic: whether the range over the rounds is shown, and the ratio.
var columns = []struct {
	Metric
	spread, ratio bool
}{
	{Rate, true, true},
	{Throughput, false, false},
	{CPU, true, true},
	{Mallocs, false, true},
	{AllocBytes, false, true},
	{PeakRSS, false, true},
	{First, true, true},
	{FetchSize, false, false},
	{ServerCPU, false, false},
}

// WriteMarkdown writes what the figures are of, the goals, where they were measured, and a table for each topic and GOGC. All
// figures are in the JSON; the tables leave the ranges of the less telling ones out.
func (b *Bench) WriteMarkdown(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s; %s%s. Medians of the rounds, with (min–max); × is the ratio to %s in the same round.\n",
		b.Server, b.Machine, b.commit(), b.Baseline)
	for _, name := range slices.Sorted(maps.Keys(b.Skipped)) {
		fmt.Fprintf(&s, "\n**%s was not run**: %s.\n", name, b.Skipped[name])
	}
	rows := b.Rows()
	writeGoals(&s, b, rows)
	last := ""
	for i, r := range rows {
		title := fmt.Sprintf("%s, GOGC %s", r.Topic, r.GOGC)
		if title != last {
			last = title
			writeHeader(&s, title)
		}
		writeRow(&s, b, r)
		if i == len(rows)-1 || rows[i+1].Topic != r.Topic || rows[i+1].GOGC != r.GOGC {
			for _, name := range slices.Sorted(maps.Keys(b.Skipped)) {
				fmt.Fprintf(&s, "| %s | not run: %s |\n", name, b.Skipped[name])
			}
		}
	}
	_, err := io.WriteString(w, s.String())
	return err
}

func (b *Bench) commit() string {
	if b.Commit == "" {
		return ""
	}
	return ", commit " + b.Commit
}

func writeHeader(s *strings.Builder, title string) {
	fmt.Fprintf(s, "\n### %s\n\n| client |", title)
	for _, c := range columns {
		fmt.Fprintf(s, " %s %s |", c.Name, c.Unit)
		if c.ratio {
			s.WriteString(" × |")
		}
	}
	s.WriteString("\n|---|")
	for _, c := range columns {
		s.WriteString("---|")
		if c.ratio {
			s.WriteString("---|")
		}
	}
	s.WriteString("\n")
}

func writeRow(s *strings.Builder, b *Bench, r *Row) {
	fmt.Fprintf(s, "| %s |", r.Client)
	if r.Rounds() > 0 {
		for _, c := range columns {
			fmt.Fprintf(s, " %s |", cell(r.Value(c.Metric), c.spread))
			if !c.ratio {
				continue
			}
			ratio, ok := r.Ratio(c.Metric)
			if !ok || r.Client == b.Baseline {
				s.WriteString(" |")
				continue
			}
			fmt.Fprintf(s, " %s |", cell(ratio, c.spread))
		}
	}
	if n := len(r.Failed); n > 0 {
		fmt.Fprintf(s, " %d of %d runs failed: %s |", n, n+r.Rounds(), r.Failed[0])
	}
	s.WriteString("\n")
}

func cell(v Spread, spread bool) string {
	if spread {
		return v.String()
	}
	return number(v.Median)
}

// String is the median with the range, where there is one.
func (v Spread) String() string {
	if v.Min == v.Max || math.IsNaN(v.Median) {
		return number(v.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(v.Median), number(v.Min), number(v.Max))
}

// number has three significant digits.
func number(f float64) string {
	if math.IsNaN(f) {
		return "–"
	}
	if f == 0 || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(f)))))
	return strconv.FormatFloat(f, 'f', min(digits, 6), 64)
}
