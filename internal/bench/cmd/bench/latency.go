package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/figures"
	"github.com/seed-7379b4e8/kafka/internal/bench/probe"
	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	sendEvery         = time.Millisecond
	latencyPartitions = 6
	latencyValueBytes = 100
)

// latency measures from produced to handed out, one producer in this process, the consumer in another.
func latency(ctx context.Context, l *lab) ([]*figures.Table, error) {
	broker := "the real broker"
	srv := &server{ready: replay.Ready{Brokers: strings.Split(l.bootstrap, ",")}}
	if l.bootstrap == "" {
		broker = "a fake broker (kfake)"
		var err error
		if srv, err = startServer(l.bins, "fake"); err != nil {
			return nil, err
		}
		defer srv.stop()
	}
	t := &figures.Table{
		Title: "Latency at 1,000 messages a second",
		Note: fmt.Sprintf("On %s: from just before the message is given to the producer, which sends it at once, until it is handed out. One producer "+
			"(franz-go, acks of all), 100-byte values, 6 partitions in turn, a new topic for each run.", broker),
		Baseline: baselineSubject,
		Columns: []figures.Column{
			{Name: "p50", Unit: "ms", Goal: figures.Goal{Ratio: 1}}, {Name: "p99", Unit: "ms", Goal: figures.Goal{Ratio: 1}},
			{Name: "p99.9", Unit: "ms", Goal: figures.Goal{Ratio: 1}}, {Name: "worst", Unit: "ms"}, {Name: "messages", Unit: ""},
		},
	}
	run := 0
	err := l.each(ctx, t, "1,000/s", func(client string) ([]float64, error) {
		run++
		ready := srv.ready
		ready.Topics = []replay.Topic{{Name: fmt.Sprintf("bench-latency-%d-%d", time.Now().Unix(), run)}}
		return l.latencyOf(ctx, client, ready)
	})
	return []*figures.Table{t}, err
}

// latencyOf sends for the settling time and the window; what was sent in the former does not count.
func (l *lab) latencyOf(ctx context.Context, client string, ready replay.Ready) (values []float64, err error) {
	name := ready.Topics[0].Name
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(ready.Brokers...), kgo.DefaultProduceTopic(name), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	if err := makeTopic(ctx, cl, name); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dropTopic(ctx, cl, name)) }()
	p, err := l.probe(client, ready, "-stamped")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := p.do("usage"); err != nil { // answers once the consumer has started
		return nil, err
	}
	warm, err := send(ctx, cl, l.settle, 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.do("await %d", warm); err != nil {
		return nil, err
	}
	if _, err := p.do("samples"); err != nil {
		return nil, err
	}
	sent, err := send(ctx, cl, l.window, warm)
	if err != nil {
		return nil, err
	}
	if _, err := p.do("await %d", warm+sent); err != nil {
		return nil, err
	}
	a, err := p.do("samples")
	if err == nil && len(a.Samples) != sent {
		err = fmt.Errorf("%d messages were sent, %d came", sent, len(a.Samples))
	}
	s := a.Samples
	return []float64{
		figures.Median(s) * 1e3, figures.Percentile(s, 0.99) * 1e3, figures.Percentile(s, 0.999) * 1e3, figures.Percentile(s, 1) * 1e3,
		float64(len(s)),
	}, err
}

// send sends a message each millisecond for a time, and returns when all are acknowledged. One that is late is sent at once, so that the
// rate is kept.
func send(ctx context.Context, cl *kgo.Client, d time.Duration, from int) (n int, err error) {
	failed := make(chan error, 1)
	start := time.Now()
	for ; time.Duration(n)*sendEvery < d; n++ {
		if early := time.Until(start.Add(time.Duration(n) * sendEvery)); early > 0 {
			if err := wait(ctx, early); err != nil {
				return n, err
			}
		}
		value := make([]byte, latencyValueBytes)
		probe.Stamp(value, time.Now())
		cl.Produce(ctx, &kgo.Record{Value: value, Partition: int32((from + n) % latencyPartitions)}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return n, err
	}
	select {
	case err := <-failed:
		return n, fmt.Errorf("producing: %w", err)
	default:
		return n, nil
	}
}

func makeTopic(ctx context.Context, cl *kgo.Client, name string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, latencyPartitions, 1
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

func dropTopic(ctx context.Context, cl *kgo.Client, name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &name
	req.Topics, req.TopicNames = append(req.Topics, rt), []string{name}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}
