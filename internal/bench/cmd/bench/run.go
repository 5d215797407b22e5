package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// runGroup runs all clients on some topics, round by round: on each topic in turn, each round starting with another client.
func runGroup(ctx context.Context, cfg config, bins *built, group []topic.Case, deadline time.Time) ([]report.Run, error) {
	var servers []*server
	for _, c := range group {
		srv, err := serve(ctx, cfg, bins, c)
		if err != nil {
			return nil, err
		}
		defer srv.stop()
		servers = append(servers, srv)
	}
	var runs []report.Run
	for round := range cfg.rounds {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%s: time is up after %d rounds\n", group[0].Title, round)
			break
		}
		for i, c := range group {
			of, err := runRound(ctx, cfg, bins, c, servers[i], round)
			runs = append(runs, of...)
			if err != nil {
				return runs, err
			}
		}
	}
	return runs, nil
}

// runRound runs all clients on one topic.
func runRound(ctx context.Context, cfg config, bins *built, c topic.Case, srv *server, round int) (runs []report.Run, err error) {
	clients := bins.runnable(cfg.clients)
	for _, gogc := range cfg.gogc {
		for i := range clients {
			cl := clients[(i+round)%len(clients)]
			if programs[cl.name].prepare != nil && gogc != cfg.gogc[0] {
				continue // it is not Go, or hardly
			}
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
func runClient(ctx context.Context, cfg config, bins *built, cl client, gogc string, ready replay.Ready) (runner.Result, error) {
	t := part(ready.Topics[0], programs[cl.name].share)
	command := append([]string{}, bins.commands[cl.name]...)
	command = append(command, "-brokers", strings.Join(ready.Brokers, ","))
	command = append(command, arguments(t, cl.mode, cfg.timeout)...)
	runCtx, cancel := context.WithTimeout(ctx, 2*cfg.timeout) // for a client that does not keep its own
	defer cancel()
	cmd := exec.CommandContext(runCtx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "GOGC="+gogc)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return runner.Result{}, ctx.Err()
	}
	var res runner.Result
	if jsonErr := json.Unmarshal(stdout.Bytes(), &res); jsonErr != nil {
		if programs[cl.name].prepare != nil {
			res.Error = fmt.Sprintf("no result (%v): %s", err, firstLine(stderr.String()))
			return res, nil
		}
		return runner.Result{}, fmt.Errorf("%s: %w, and no result: %s", cl, err, bytes.TrimSpace(stderr.Bytes()))
	}
	if res.Error == "" && (res.Records != t.Records || res.OffsetSum != t.OffsetSum || res.Bytes != t.Bytes) {
		res.Error = fmt.Sprintf("wrong sums: %d records, offsets %d, bytes %d; the topic has %d, %d, %d",
			res.Records, res.OffsetSum, res.Bytes, t.Records, t.OffsetSum, t.Bytes)
	}
	return res, nil
}

// arguments are the flags that every client knows, whatever it is written in; the brokers go before them.
func arguments(t replay.Topic, mode string, timeout time.Duration) []string {
	l := runner.DefaultLimits
	return []string{
		"-topic", t.Name, "-partitions", strconv.Itoa(t.Partitions), "-records", strconv.FormatInt(t.Records, 10),
		"-mode", mode, "-timeout-seconds", strconv.FormatFloat(timeout.Seconds(), 'f', -1, 64),
		"-max-bytes", strconv.Itoa(l.MaxBytes), "-max-partition-bytes", strconv.Itoa(l.MaxPartitionBytes),
		"-min-bytes", strconv.Itoa(l.MinBytes), "-max-wait-ms", strconv.FormatInt(l.MaxWait.Milliseconds(), 10),
	}
}

// part is the topic cut to the first of every partition's records, one in share of them.
func part(t replay.Topic, share int64) replay.Topic {
	if share < 2 {
		return t
	}
	partitions := int64(t.Partitions)
	each := max(1, t.Records/partitions/share)
	payload := t.Bytes / t.Records // all records of a topic have the same
	t.Records, t.OffsetSum, t.Bytes = each*partitions, each*(each-1)/2*partitions, each*partitions*payload
	return t
}
