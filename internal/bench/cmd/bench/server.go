package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-7379b4e8/kafka/internal/bench/load"
	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// server is where a topic is read from: a replay server in its own process, or a cluster that runs anyway.
type server struct {
	*child // nil: a cluster
	ready  replay.Ready
}

func serve(ctx context.Context, cfg config, bins *built, c topic.Case) (*server, error) {
	records := int64(float64(c.Rate) * cfg.seconds)
	if cfg.bootstrap == "" {
		return startReplay(bins, "-topics", c.Spec.Name(), "-records", strconv.FormatInt(records, 10), "-brokers", strconv.Itoa(cfg.brokers))
	}
	l, err := topic.NewLog(c.Spec, records, 1)
	if err != nil {
		return nil, err
	}
	brokers := strings.Split(cfg.bootstrap, ",")
	if err := load.Ensure(ctx, brokers, l); err != nil {
		return nil, err
	}
	ready := replay.ReadyTopic(l)
	ready.Name = load.Name(l)
	return &server{ready: replay.Ready{Brokers: brokers, Topics: []replay.Topic{ready}}}, nil
}

// startReplay starts a replay server with the flags given.
func startReplay(bins *built, flags ...string) (*server, error) {
	return startServer(bins, "replay", flags...)
}

// startServer starts a program that says in its first line where it serves.
func startServer(bins *built, program string, flags ...string) (*server, error) {
	c, err := startChild(filepath.Join(bins.dir, program), flags...)
	if err != nil {
		return nil, err
	}
	srv := &server{child: c}
	if err := c.stdout.Decode(&srv.ready); err != nil {
		srv.stop()
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	return srv, nil
}

// stop ends a server of the bench's own, which goes when its input does.
func (s *server) stop() {
	if s.child != nil {
		s.child.stop()
	}
}

// stats is what a replay server has done so far; nothing is known of a cluster.
func (s *server) stats() (st replay.Stats, err error) {
	if s.child == nil {
		return st, nil
	}
	return st, s.ask("", &st)
}
