package main

import (
	"context"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/figures"
	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
)

// firstTopic has six partitions of small batches, so that a response is no long read.
const firstTopic = "v1024-lz4-p6-h0-b16384"

// The worst is to be no long poll, which is 500 ms: it hits one at any time, so that it would wait for half of it on average.
var noLongPoll = figures.Goal{Most: 250}

// firstMessage measures how long the first message takes after Start, Seek and Resume.
func firstMessage(ctx context.Context, l *lab) ([]*figures.Table, error) {
	t := &figures.Table{
		Title: "Time to the first message",
		Note: "From the call to the handing out of the message: of Start, of a Seek to the beginning of partition 0, and of a Resume of " +
			"partition 0 after it was paused and sought. Idle: partition 0 has been read to its end, the five others are empty, so that every fetch is a " +
			"long poll of 500 ms. Busy: there is always more in all six, read as fast as it comes.",
		Baseline: baselineSubject,
		Columns: []figures.Column{
			{Name: "Start", Unit: "ms", Goal: figures.Goal{Ratio: 1}},
			{Name: "Seek", Unit: "ms", Goal: figures.Goal{Ratio: 1}}, {Name: "worst Seek", Unit: "ms", Goal: noLongPoll},
			{Name: "Resume", Unit: "ms", Goal: figures.Goal{Ratio: 1}}, {Name: "worst Resume", Unit: "ms", Goal: noLongPoll},
		},
	}
	for _, c := range []struct {
		name    string
		records string
		growth  replay.Growth
	}{
		{"idle", "6000", replay.Growth{Every: time.Hour, Whole: 1}},
		{"busy", endless, replay.Growth{}},
	} {
		srv, err := startReplay(l.bins, append([]string{"-topics", firstTopic, "-records", c.records}, growing(c.growth)...)...)
		if err != nil {
			return nil, err
		}
		perPartition := 0
		if c.growth.On() {
			perPartition = int(srv.ready.Topics[0].Records) / srv.ready.Topics[0].Partitions
		}
		err = l.each(ctx, t, c.name, func(client string) ([]float64, error) {
			return l.firstOf(ctx, client, srv.ready, perPartition)
		})
		srv.stop()
		if err != nil {
			return nil, err
		}
	}
	return []*figures.Table{t}, nil
}

// firstOf measures one consumer, each action several times; the median is the round's figure, beside the worst. What is there has been read before,
// up to a number of records.
func (l *lab) firstOf(ctx context.Context, client string, ready replay.Ready, records int) ([]float64, error) {
	p, err := l.probe(client, ready)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	started, err := p.do("first")
	if err != nil {
		return nil, err
	}
	if _, err := p.do("await %d", max(records, 1)); err != nil {
		return nil, err
	}
	var seeks, resumes []float64
	for i := range l.tries {
		// Anywhere in a long poll, the same for all clients.
		if err := wait(ctx, 200*time.Millisecond+time.Duration(i)*70*time.Millisecond); err != nil {
			return nil, err
		}
		sought, err := p.do("seek 0 0")
		if err != nil {
			return nil, err
		}
		seeks = append(seeks, sought.Seconds*1e3)
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
		resumed, err := pauseSeekResume(ctx, p)
		if err != nil {
			return nil, err
		}
		resumes = append(resumes, resumed*1e3)
	}
	return []float64{
		started.Seconds * 1e3, figures.Median(seeks), figures.Percentile(seeks, 1), figures.Median(resumes), figures.Percentile(resumes, 1),
	}, nil
}

// pauseSeekResume seeks while paused, so that nothing that was buffered can be handed out after the resume.
func pauseSeekResume(ctx context.Context, p prober) (float64, error) {
	for _, line := range []string{"pause 0", "place 0 0"} {
		if _, err := p.do("%s", line); err != nil {
			return 0, err
		}
	}
	if err := wait(ctx, 230*time.Millisecond); err != nil {
		return 0, err
	}
	a, err := p.do("resume 0 0")
	return a.Seconds, err
}
