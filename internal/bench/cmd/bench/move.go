package main

import (
	"context"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/figures"
)

// moveTopic has 32 partitions with always more to read.
const moveTopic = "v1024-lz4-p32-h0-b16384"

// move measures what moving one partition costs the 31 others.
func move(ctx context.Context, l *lab) ([]*figures.Table, error) {
	t := &figures.Table{
		Title: "Moving one of 32 partitions",
		Note: "32 partitions on 3 brokers in flow; then partition 0 is moved. Of the 31 others, in the time after that: records that were sent " +
			"again, and connections opened to fetch on, by the brokers' account; other connections beside. Flow is records a second after it to before it, of all partitions.",
		Baseline: baselineSubject,
		Columns: []figures.Column{
			{Name: "refetched", Unit: "records", Goal: figures.Goal{Zero: true}},
			{Name: "opened", Unit: "connections", Goal: figures.Goal{Zero: true}}, {Name: "others opened", Unit: "connections"},
			{Name: "flow", Unit: "×"},
		},
	}
	for _, c := range []struct {
		name string
		act  func(srv *server, p prober) error
	}{
		{"nothing", func(*server, prober) error { return nil }},
		{"leader moves", func(srv *server, _ prober) error {
			_, err := srv.command("move 0 1")
			return err
		}},
		{"Seek", func(_ *server, p prober) error {
			_, err := p.do("place 0 0")
			return err
		}},
		{"Pause", func(_ *server, p prober) error {
			_, err := p.do("pause 0")
			return err
		}},
	} {
		err := l.each(ctx, t, c.name, func(client string) ([]float64, error) { return l.moveOne(ctx, client, c.act) })
		if err != nil {
			return nil, err
		}
	}
	return []*figures.Table{t}, nil
}

// moveOne has a server of its own, whose account is of this consumer only.
func (l *lab) moveOne(ctx context.Context, client string, act func(*server, prober) error) ([]float64, error) {
	srv, err := startReplay(l.bins, "-topics", moveTopic, "-records", endless, "-brokers", "3")
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	p, err := l.probe(client, srv.ready)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := p.do("first"); err != nil {
		return nil, err
	}
	if err := wait(ctx, l.settle); err != nil {
		return nil, err
	}
	before, err := l.flow(ctx, p, l.window)
	if err != nil {
		return nil, err
	}
	start, err := srv.detail()
	if err != nil {
		return nil, err
	}
	if err := act(srv, p); err != nil {
		return nil, err
	}
	after, err := l.flow(ctx, p, l.window)
	if err != nil {
		return nil, err
	}
	end, err := srv.detail()
	if err != nil {
		return nil, err
	}
	fetching := end.Fetching - start.Fetching
	return []float64{
		float64(sumOthers(end.Resent) - sumOthers(start.Resent)), float64(fetching), float64(end.Connections - start.Connections - fetching),
		after / before,
	}, nil
}

// sumOthers adds up all partitions but 0, the one that is moved.
func sumOthers(byPartition map[int32]int64) int64 {
	n := int64(0)
	for p, records := range byPartition {
		if p != 0 {
			n += records
		}
	}
	return n
}

// flow is how many records a second the consumer hands out.
func (l *lab) flow(ctx context.Context, p prober, window time.Duration) (float64, error) {
	a, err := p.do("usage")
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := wait(ctx, window); err != nil {
		return 0, err
	}
	b, err := p.do("usage")
	return float64(b.Records-a.Records) / time.Since(start).Seconds(), err
}
