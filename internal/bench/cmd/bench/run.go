package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// runCase runs all clients on a topic, round by round, each round starting with another client.
func runCase(ctx context.Context, cfg config, bins string, c topic.Case, deadline time.Time) ([]report.Run, error) {
	srv, err := serve(ctx, cfg, bins, c)
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	var runs []report.Run
	for round := range cfg.rounds {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%s: time is up after %d rounds\n", c.Title, round)
			break
		}
		for _, gogc := range cfg.gogc {
			for i := range cfg.clients {
				cl := cfg.clients[(i+round)%len(cfg.clients)]
				before, err := srv.stats()
				if err != nil {
					return runs, err
				}
				res, err := runClient(ctx, cfg, bins, cl, gogc, srv.ready)
				if err != nil {
					return runs, err
				}
				after, err := srv.stats()
				if err != nil {
					return runs, err
				}
				r := report.Run{Topic: c.Title, Client: cl.String(), GOGC: gogc, Round: round, Server: after.Minus(before), Result: res}
				runs = append(runs, r)
				progress(r)
			}
		}
	}
	return runs, nil
}

func progress(r report.Run) {
	if r.Result.Error != "" {
		fmt.Fprintf(os.Stderr, "%-30s %-20s FAILED: %s\n", r.Topic, r.Client, r.Result.Error)
		return
	}
	fmt.Fprintf(os.Stderr, "%-30s %-20s GOGC %s: %6.2f M/s, %.3f µs CPU, first after %.1f ms, %.0f MiB\n",
		r.Topic, r.Client, r.GOGC, report.Rate.Of(r), report.CPU.Of(r), report.First.Of(r), report.PeakRSS.Of(r))
}

// runClient runs a client on the server's topic. A run that failed, or whose sums are wrong, has that as the error in its Result;
// the error returned is of the bench itself.
func runClient(ctx context.Context, cfg config, bins string, cl client, gogc string, ready replay.Ready) (runner.Result, error) {
	t := ready.Topics[0]
	cmd := exec.CommandContext(ctx, filepath.Join(bins, programs[cl.name]),
		"-brokers", strings.Join(ready.Brokers, ","), "-topic", t.Name, "-partitions", strconv.Itoa(t.Partitions),
		"-records", strconv.FormatInt(t.Records, 10), "-mode", cl.mode, "-timeout", cfg.timeout.String())
	cmd.Env = append(os.Environ(), "GOGC="+gogc)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return runner.Result{}, ctx.Err()
	}
	var res runner.Result
	if jsonErr := json.Unmarshal(stdout.Bytes(), &res); jsonErr != nil {
		return runner.Result{}, fmt.Errorf("%s: %w, and no result: %s", cl, err, bytes.TrimSpace(stderr.Bytes()))
	}
	if res.Error == "" && (res.Records != t.Records || res.OffsetSum != t.OffsetSum || res.Bytes != t.Bytes) {
		res.Error = fmt.Sprintf("wrong sums: %d records, offsets %d, bytes %d; the topic has %d, %d, %d",
			res.Records, res.OffsetSum, res.Bytes, t.Records, t.OffsetSum, t.Bytes)
	}
	return res, nil
}
