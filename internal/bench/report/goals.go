package report

import (
	"fmt"
	"slices"
	"strings"
)

// Goal is what the consumer is to reach on a topic at GOGC 100, rate and CPU as ratios to the baseline.
type Goal struct{ Rate, CPU, Mallocs float64 }

// Goals by the title of their topic.
var Goals = map[string]Goal{
	"100 B, none, 1 partition":   {1.8, 0.5, 0.01},
	"100 B, lz4, 6 partitions":   {1.6, 0.55, 0.01},
	"1 KiB, none, 6":             {1.2, 0.9, 0.02},
	"1 KiB, lz4, 6":              {1.8, 0.7, 0.02},
	"1 KiB, lz4, two headers, 6": {1.8, 0.7, 0.05},
	"1 KiB, snappy, 6":           {1.6, 0.8, 0.02},
	"1 KiB, zstd, 6":             {1.6, 0.9, 0.02},
	"1 KiB, gzip, 6":             {1.6, 0.97, 0.02},
}

// goalClients are held against the goals.
var goalClients = []string{"ours/getmany", "ours/messages"}

// writeGoals writes the goals of the topics, which are of the replay server, and those that compare within the table.
func writeGoals(s *strings.Builder, b *Bench, rows []*Row) {
	if b.Server != KafkaServer {
		writeTopicGoals(s, b, rows)
	}
	verdicts := further(b, rows)
	if len(verdicts) == 0 {
		return
	}
	reached := 0
	for _, v := range verdicts {
		if v.reached {
			reached++
		}
	}
	fmt.Fprintf(s, "\n### Further goals: %d of %d reached\n\n| goal | topic | GOGC | client | is | goal | |\n|---|---|---|---|---|---|---|\n",
		reached, len(verdicts))
	for _, v := range verdicts {
		fmt.Fprintf(s, "| %s | %s | %s | %s | %s | %s | %s |\n", v.goal, v.row.Topic, v.row.GOGC, v.row.Client, v.is, v.limit, word(v.reached))
	}
}

func word(reached bool) string {
	if reached {
		return "reached"
	}
	return "**missed**"
}

func writeTopicGoals(s *strings.Builder, b *Bench, rows []*Row) {
	first := true
	for _, r := range rows {
		g, ok := Goals[r.Topic]
		rate, measured := r.Ratio(Rate)
		cpu, _ := r.Ratio(CPU)
		if !ok || !measured || r.GOGC != "100" || !slices.Contains(goalClients, r.Client) {
			continue
		}
		if first {
			first = false
			fmt.Fprintf(s, "\n### Goals against %s\n\n| topic | client | rate × | goal | CPU × | goal | allocations/record | goal | |\n", b.Baseline)
			s.WriteString("|---|---|---|---|---|---|---|---|---|\n")
		}
		mallocs := r.Value(Mallocs)
		reached := rate.Median >= g.Rate && cpu.Median <= g.CPU && mallocs.Median <= g.Mallocs
		fmt.Fprintf(s, "| %s | %s | %s | ≥ %v | %s | ≤ %v | %s | ≤ %v | %s |\n",
			r.Topic, r.Client, rate, g.Rate, cpu, g.CPU, number(mallocs.Median), g.Mallocs, word(reached))
	}
}
