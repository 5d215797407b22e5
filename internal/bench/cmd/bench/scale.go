package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/figures"
	"github.com/seed-7379b4e8/kafka/internal/bench/probe"
	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
)

// scale measures what many partitions cost.
func scale(ctx context.Context, l *lab) ([]*figures.Table, error) {
	var tables []*figures.Table
	for _, take := range []func(context.Context, *lab) (*figures.Table, error){quietScale, costPerMessage, fairness} {
		t, err := take(ctx, l)
		if t != nil {
			tables = append(tables, t)
		}
		if err != nil {
			return tables, err
		}
	}
	return tables, nil
}

// onReplay runs a measurement with a replay server of three brokers and a consumer of its own.
func (l *lab) onReplay(client, topic, records string, g replay.Growth, measure func(*server, prober) ([]float64, error)) ([]float64, error) {
	srv, err := startReplay(l.bins, append([]string{"-topics", topic, "-records", records, "-brokers", "3"}, growing(g)...)...)
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	var flags []string
	if g.Active > 0 {
		flags = append(growing(g), "-began", strconv.FormatInt(srv.ready.Began, 10))
	}
	p, err := l.probe(client, srv.ready, flags...)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	return measure(srv, p)
}

// quietScale is of many partitions of which few or none have anything new.
func quietScale(ctx context.Context, l *lab) (*figures.Table, error) {
	goal := figures.Goal{Ratio: 1}
	bytesGoal := figures.Goal{Ratio: 1.02} // a fetch or two more or less fall into the window, of the 120 of idleWindows
	t := &figures.Table{
		Title: fmt.Sprintf("%d partitions on 3 brokers, nearly all quiet", l.scale),
		Note: "Positions: from the start of the consumer until the brokers have been asked for records of every partition, which takes a " +
			"position of each. Then, per second: CPU of the consumer, bytes both ways. Active partitions get a batch of 8 records a second.",
		Baseline: baselineSubject,
		Columns: []figures.Column{
			{Name: "positions", Unit: "ms", Goal: goal}, {Name: "RSS", Unit: "MiB", Goal: goal}, {Name: "peak RSS", Unit: "MiB", Goal: goal},
			{Name: "CPU", Unit: "ms/s", Goal: goal}, {Name: "sent", Unit: "B/s", Goal: bytesGoal}, {Name: "received", Unit: "B/s", Goal: bytesGoal},
			{Name: "records", Unit: "/s"},
		},
	}
	topic := fmt.Sprintf("v100-none-p%d-h0-b1024", l.scale)
	for _, c := range []struct {
		name    string
		growth  replay.Growth
		windows time.Duration
	}{
		{"idle", replay.Growth{Every: time.Hour}, idleWindows},
		{"1 % active", replay.Growth{Every: time.Second, Active: l.scale / 100}, 1},
	} {
		err := l.each(ctx, t, c.name, func(client string) ([]float64, error) {
			return l.onReplay(client, topic, endless, c.growth, func(srv *server, p prober) ([]float64, error) {
				return l.quiet(ctx, srv, p, c.windows*l.window)
			})
		})
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// idleWindows is for how many windows an idle consumer is watched: it sends 30 requests in one, and where that begins would be a
// thirtieth of what is measured.
const idleWindows = 4

func (l *lab) quiet(ctx context.Context, srv *server, p prober, window time.Duration) ([]float64, error) {
	known, err := allFetched(ctx, srv)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, l.settle); err != nil {
		return nil, err
	}
	a, err := p.do("usage")
	if err != nil {
		return nil, err
	}
	sent, err := srv.detail()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := wait(ctx, window); err != nil {
		return nil, err
	}
	b, err := p.do("usage")
	if err != nil {
		return nil, err
	}
	seconds := time.Since(start).Seconds()
	after, err := srv.detail()
	return []float64{
		time.Duration(known-a.Began).Seconds() * 1e3, mib(b.RSS), mib(b.PeakRSS), (b.CPUSeconds - a.CPUSeconds) * 1e3 / seconds,
		float64(after.BytesIn-sent.BytesIn) / seconds, float64(after.BytesOut-sent.BytesOut) / seconds,
		float64(b.Records-a.Records) / seconds,
	}, err
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// allFetched waits until every partition has been asked for, and says when that was.
func allFetched(ctx context.Context, srv *server) (int64, error) {
	for deadline := time.Now().Add(time.Minute); ; {
		d, err := srv.detail()
		if err != nil || d.AllFetchedAt > 0 {
			return d.AllFetchedAt, err
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%d partitions have been asked for in a minute, not all", d.Partitions)
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// costPerMessage is of partitions that always have more.
func costPerMessage(ctx context.Context, l *lab) (*figures.Table, error) {
	t := &figures.Table{
		Title:    "Cost per message by the number of partitions",
		Note:     "100-byte values in batches of 16 KiB, always more of them in every partition, on 3 brokers; in full flow, without the start.",
		Baseline: baselineSubject,
		Columns: []figures.Column{
			{Name: "CPU", Unit: "µs/record", Goal: figures.Goal{Ratio: 1}}, {Name: "records", Unit: "M/s"}, {Name: "RSS", Unit: "MiB"},
		},
	}
	for _, partitions := range []int{1, 100, l.scale} {
		topic := fmt.Sprintf("v100-none-p%d-h0-b16384", partitions)
		name := fmt.Sprintf("%d partitions", partitions)
		err := l.each(ctx, t, name, func(client string) ([]float64, error) {
			return l.onReplay(client, topic, endless, replay.Growth{}, func(_ *server, p prober) ([]float64, error) {
				a, b, seconds, err := l.inFlow(ctx, p)
				records := float64(b.Records - a.Records)
				return []float64{(b.CPUSeconds - a.CPUSeconds) * 1e6 / records, records / seconds / 1e6, mib(b.RSS)}, err
			})
		})
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// inFlow gives what the consumer has used before and after a window in full flow.
func (l *lab) inFlow(ctx context.Context, p prober) (a, b probe.Answer, seconds float64, err error) {
	if _, err = p.do("first"); err != nil {
		return a, b, 0, err
	}
	if err = wait(ctx, l.settle); err != nil {
		return a, b, 0, err
	}
	if a, err = p.do("usage"); err != nil {
		return a, b, 0, err
	}
	start := time.Now()
	if err = wait(ctx, l.window); err != nil {
		return a, b, 0, err
	}
	b, err = p.do("usage")
	return a, b, time.Since(start).Seconds(), err
}

// fairness is how long messages of other partitions wait beside one that is far behind.
func fairness(ctx context.Context, l *lab) (*figures.Table, error) {
	t := &figures.Table{
		Title: "Fairness: one partition far behind, 99 trickling",
		Note: "Partition 0 has always more; the others get a batch of 16 KiB each every 200 ms, and the time is from then until it is handed out. " +
			"The last column is what is read of all, mostly of partition 0.",
		Baseline: baselineSubject,
		Columns: []figures.Column{
			{Name: "p50", Unit: "ms", Goal: figures.Goal{Ratio: 1}}, {Name: "p99", Unit: "ms", Goal: figures.Goal{Ratio: 1}},
			{Name: "worst", Unit: "ms", Goal: figures.Goal{Ratio: 1}}, {Name: "batches", Unit: ""}, {Name: "records", Unit: "M/s"},
		},
	}
	growth := replay.Growth{Every: 200 * time.Millisecond, Whole: 1, Active: 99}
	err := l.each(ctx, t, "others", func(client string) ([]float64, error) {
		return l.onReplay(client, "v100-none-p100-h0-b16384", endless, growth, func(_ *server, p prober) ([]float64, error) {
			if _, err := p.do("first"); err != nil {
				return nil, err
			}
			if err := wait(ctx, l.settle); err != nil {
				return nil, err
			}
			if _, err := p.do("samples"); err != nil { // drops what came while it started
				return nil, err
			}
			flow, err := l.flow(ctx, p, l.window)
			if err != nil {
				return nil, err
			}
			a, err := p.do("samples")
			w := a.Samples
			return []float64{
				figures.Median(w) * 1e3, figures.Percentile(w, 0.99) * 1e3, figures.Percentile(w, 1) * 1e3, float64(len(w)), flow / 1e6,
			}, err
		})
	})
	return t, err
}
