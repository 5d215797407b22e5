package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// verdict is one goal on one row.
type verdict struct {
	goal    string
	row     *Row
	is      string
	limit   string
	reached bool
}

// floorGoals is how many times the floor with all memory reused ours/batches may cost, by topic.
var floorGoals = map[string]float64{
	"100 B, none, 1 partition": 2,
	"100 B, lz4, 6 partitions": 2,
	"1 KiB, none, 6":           1.4,
	"1 KiB, lz4, 6":            1.4,
	"1 KiB, snappy, 6":         1.25,
	"1 KiB, zstd, 6":           1.25,
	"1 KiB, gzip, 6":           1.25,
}

const (
	batchesClient = "ours/batches"
	floorClient   = "floor/reused"
	poolsClient   = "franz-go/pools"

	batchesAllocBytes = 5.0 // a record, at most, in the second half of a run: what is in use all the time is there by then
	smallBatchCost    = 1.2 // times that at 1 MiB batches, at most
)

// smallBatches are the topics of 16 KiB batches with those of the same records in batches of 1 MiB.
var smallBatches = func() map[string]string {
	large := make(map[string]string)
	for _, group := range topic.Together(topic.WithPartners(topic.MoreCases, topic.Cases)) {
		for _, c := range group[1:] {
			large[group[0].Title] = c.Title
		}
	}
	return large
}()

// further gives the goals that hold on every topic, or between topics, at the GOGC that they are of.
func further(b *Bench, rows []*Row) []verdict {
	var all []verdict
	for _, r := range rows {
		if r.Rounds() == 0 || !strings.HasPrefix(r.Client, "ours/") {
			continue
		}
		switch {
		case b.Server == KafkaServer:
			all = append(all, ahead("ahead on real Kafka", r, find(rows, r.Topic, r.GOGC, b.Baseline))...)
			continue
		case r.Client == batchesClient:
			all = append(all, batches(r, rows)...)
		case slices.Contains(goalClients, r.Client) && r.GOGC != "100":
			all = append(all, ahead("ahead at this GOGC, too", r, find(rows, r.Topic, r.GOGC, b.Baseline))...)
		}
		if r.GOGC == "100" {
			all = append(all, smallBatch(r, rows)...)
			all = append(all, atMost("peak RSS", r, find(rows, r.Topic, r.GOGC, b.Baseline), b.Baseline, PeakRSS, 1)...)
		}
	}
	slices.SortStableFunc(all, func(a, c verdict) int { return strings.Compare(a.goal, c.goal) })
	return all
}

// batches are the goals of reused buffers.
func batches(r *Row, rows []*Row) []verdict {
	all := ahead("batches ahead", r, find(rows, r.Topic, r.GOGC, poolsClient))
	if r.GOGC != "100" {
		return all
	}
	if limit, ok := floorGoals[r.Topic]; ok {
		all = append(all, atMost("batches, CPU near the floor", r, find(rows, r.Topic, r.GOGC, floorClient), floorClient, CPU, limit)...)
	}
	bytes := r.Value(LateBytes)
	return append(all, verdict{"batches, allocated in the second half", r, number(bytes.Median) + " B/record", "< 5 B/record", bytes.Median < batchesAllocBytes})
}

// smallBatch compares with the same client on another topic, in the same rounds.
func smallBatch(r *Row, rows []*Row) []verdict {
	return atMost("small batches, CPU", r, find(rows, smallBatches[r.Topic], r.GOGC, r.Client), "that at 1 MiB batches", CPU, smallBatchCost)
}

// ahead is a higher rate for less CPU.
func ahead(goal string, r, base *Row) []verdict {
	if base == nil {
		return nil
	}
	rate, ok := r.RatioTo(base, Rate)
	if !ok {
		return nil
	}
	cpu, _ := r.RatioTo(base, CPU)
	return []verdict{
		{goal + ", rate", r, rate.String() + " × " + base.Client, "> 1 ×", rate.Median > 1},
		{goal + ", CPU", r, cpu.String() + " × " + base.Client, "< 1 ×", cpu.Median < 1},
	}
}

// atMost is so many times what base has, which is called name.
func atMost(goal string, r, base *Row, name string, m Metric, limit float64) []verdict {
	if base == nil {
		return nil
	}
	q, ok := r.RatioTo(base, m)
	if !ok {
		return nil
	}
	return []verdict{{goal, r, q.String() + " × " + name, fmt.Sprintf("≤ %v ×", limit), q.Median <= limit}}
}

func find(rows []*Row, topic, gogc, client string) *Row {
	for _, r := range rows {
		if r.Topic == topic && r.GOGC == gogc && r.Client == client {
			return r
		}
	}
	return nil
}
