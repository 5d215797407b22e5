package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-7379b4e8/kafka/internal/bench/load"
	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// server is where a topic is read from: a replay server in its own process, or a cluster that runs anyway.
type server struct {
	cmd    *exec.Cmd // nil: a cluster
	stdin  io.WriteCloser
	stdout *json.Decoder
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
	cmd := exec.Command(filepath.Join(bins.dir, "replay"), flags...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	srv := &server{cmd: cmd, stdin: stdin, stdout: json.NewDecoder(stdout)}
	if err := srv.stdout.Decode(&srv.ready); err != nil {
		srv.stop()
		return nil, fmt.Errorf("starting the replay server: %w", err)
	}
	return srv, nil
}

// stop ends a replay server, which goes when its input does.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.stdin.Close()
	_ = s.cmd.Wait()
}

// stats is what a replay server has done so far; nothing is known of a cluster.
func (s *server) stats() (replay.Stats, error) {
	var st replay.Stats
	if s.cmd == nil {
		return st, nil
	}
	if _, err := io.WriteString(s.stdin, "\n"); err != nil {
		return st, fmt.Errorf("asking the replay server for its stats: %w", err)
	}
	return st, s.stdout.Decode(&st)
}
