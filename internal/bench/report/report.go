// Package report turns the runs of a benchmark into what people read: medians with their spread, ratios to a
// baseline, tables.
package report

import (
	"cmp"
	"math"
	"slices"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// Run is one run of one client on one topic.
type Run struct {
	Topic  string        `json:"topic"`  // its title
	Client string        `json:"client"` // and mode, as in "franz-go/pools"
	GOGC   string        `json:"gogc"`
	Round  int           `json:"round"`
	Server replay.Stats  `json:"server"` // what the replay server did meanwhile
	Result runner.Result `json:"result"`
}

// Bench is everything that was run.
type Bench struct {
	Machine  string       `json:"machine"`
	Commit   string       `json:"commit,omitempty"`
	Server   string       `json:"server"`   // what was read from: ReplayServer or KafkaServer
	Baseline string       `json:"baseline"` // the client that ratios are to
	Cases    []topic.Case `json:"cases"`
	// Skipped clients could not be run on this machine, for the reasons given.
	Skipped map[string]string `json:"skipped,omitempty"`
	Runs    []Run             `json:"runs"`
}

// What a Bench was read from.
const (
	ReplayServer = "replay server"
	KafkaServer  = "Apache Kafka"
)

// Metric is a figure of a run.
type Metric struct {
	Name string
	Unit string
	Of   func(Run) float64
}

// allocated is a figure of allocations, which not every client tells.
func allocated(of func(Run) float64) func(Run) float64 {
	return func(r Run) float64 {
		if r.Result.Mallocs == 0 && r.Result.AllocBytes == 0 {
			return math.NaN()
		}
		return of(r)
	}
}

func perRecord(of func(Run) float64) func(Run) float64 {
	return func(r Run) float64 { return of(r) / float64(r.Result.Records) }
}

// The metrics reported.
var (
	Rate       = Metric{"records", "M/s", func(r Run) float64 { return float64(r.Result.Records) / r.Result.Seconds / 1e6 }}
	Throughput = Metric{"payload", "MB/s", func(r Run) float64 { return float64(r.Result.Bytes) / r.Result.Seconds / 1e6 }}
	CPU        = Metric{"CPU", "µs/record", perRecord(func(r Run) float64 { return r.Result.CPUSeconds * 1e6 })}
	Mallocs    = Metric{"allocations", "/record", allocated(perRecord(func(r Run) float64 { return float64(r.Result.Mallocs) }))}
	AllocBytes = Metric{"allocated", "B/record", allocated(perRecord(func(r Run) float64 { return float64(r.Result.AllocBytes) }))}
	LateBytes  = Metric{"allocated later", "B/record", func(r Run) float64 { return float64(r.Result.LateAllocBytes) / float64(r.Result.LateRecords) }}
	PeakRSS    = Metric{"peak RSS", "MiB", func(r Run) float64 { return float64(r.Result.PeakRSS) / (1 << 20) }}
	First      = Metric{"first record", "ms", func(r Run) float64 { return r.Result.FirstSeconds * 1e3 }}
	FetchSize  = Metric{"response", "KiB", func(r Run) float64 {
		return float64(r.Server.FetchBytes) / float64(max(1, r.Server.Fetches)) / 1024
	}}
	ServerCPU = Metric{"server CPU", "µs/record", perRecord(func(r Run) float64 { return r.Server.CPUSeconds * 1e6 })}
)

// Spread is a median with its range.
type Spread struct{ Median, Min, Max float64 }

// SpreadOf is the Spread of the values; zero without any, NaN if one is.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	if math.IsNaN(v[0]) { // which sorts before all others
		return Spread{v[0], v[0], v[0]}
	}
	mid := len(v) / 2
	median := v[mid]
	if len(v)%2 == 0 {
		median = (v[mid-1] + v[mid]) / 2
	}
	return Spread{median, v[0], v[len(v)-1]}
}

// Row is a client on a topic.
type Row struct {
	Topic, Client, GOGC string
	Failed              []string // what went wrong in runs that are not counted
	runs, base          []Run
}

// Value is the metric over the rounds.
func (r *Row) Value(m Metric) Spread {
	var v []float64
	for _, run := range r.runs {
		v = append(v, m.Of(run))
	}
	return SpreadOf(v)
}

// Ratio is that of the metric to the baseline's, round by round; false without a baseline, or where one of both is not known.
func (r *Row) Ratio(m Metric) (Spread, bool) { return ratio(m, r.runs, r.base) }

// RatioTo is Ratio to another client on the same topic.
func (r *Row) RatioTo(o *Row, m Metric) (Spread, bool) { return ratio(m, r.runs, o.runs) }

func ratio(m Metric, runs, base []Run) (Spread, bool) {
	var v []float64
	for _, run := range runs {
		i := slices.IndexFunc(base, func(b Run) bool { return b.Round == run.Round })
		if i < 0 {
			continue
		}
		if q := m.Of(run) / m.Of(base[i]); !math.IsNaN(q) && !math.IsInf(q, 0) {
			v = append(v, q)
		}
	}
	return SpreadOf(v), len(v) > 0
}

// Rounds is the number of runs counted.
func (r *Row) Rounds() int { return len(r.runs) }

// Rows groups the runs by topic, GOGC and client, in the order in which they first came.
func (b *Bench) Rows() []*Row {
	var rows []*Row
	for _, run := range b.Runs {
		i := slices.IndexFunc(rows, func(r *Row) bool { return r.Topic == run.Topic && r.Client == run.Client && r.GOGC == run.GOGC })
		if i < 0 {
			i = len(rows)
			rows = append(rows, &Row{Topic: run.Topic, Client: run.Client, GOGC: run.GOGC})
		}
		if run.Result.Error != "" {
			rows[i].Failed = append(rows[i].Failed, run.Result.Error)
			continue
		}
		rows[i].runs = append(rows[i].runs, run)
	}
	for _, r := range rows {
		i := slices.IndexFunc(rows, func(o *Row) bool { return o.Topic == r.Topic && o.Client == b.Baseline && o.GOGC == r.GOGC })
		if i >= 0 {
			r.base = rows[i].runs
		}
	}
	place := func(r *Row) int {
		return slices.IndexFunc(b.Cases, func(c topic.Case) bool { return c.Title == r.Topic })
	}
	slices.SortStableFunc(rows, func(a, c *Row) int {
		return cmp.Or(cmp.Compare(place(a), place(c)), cmp.Compare(a.GOGC, c.GOGC))
	})
	return rows
}
