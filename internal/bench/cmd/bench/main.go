// Bench reads the same topics with several Kafka clients side by side, and reports how they compare. See the README of
// the module.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// config is what the flags say.
type config struct {
	cases     []topic.Case
	clients   []client
	gogc      []string
	baseline  string
	rounds    int
	seconds   float64
	timeout   time.Duration
	atMost    time.Duration
	brokers   int
	bootstrap string
	json      string
	markdown  string
	docs      string
	from      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start runs the command that is named first, the results table where none is.
func start(ctx context.Context) error {
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		return figuresMain(ctx, os.Args[1], os.Args[2:])
	}
	cfg, err := parseFlags()
	if err != nil {
		return err
	}
	if cfg.from != "" {
		b, err := report.Read(strings.Split(cfg.from, ",")...)
		if err != nil {
			return err
		}
		return write(cfg, b)
	}
	return run(ctx, cfg)
}

func parseFlags() (config, error) {
	var cfg config
	topics := flag.String("topics", "table", "what to read: table, more (with those of table that they are compared with), first-look, all, or names of topics separated by commas")
	clients := flag.String("clients", defaultClients, "which clients, and in which mode, separated by commas")
	gogc := flag.String("gogc", "100", "settings of GOGC for the clients, separated by commas")
	flag.StringVar(&cfg.baseline, "baseline", "franz-go/defaults", "the client that ratios are to")
	flag.IntVar(&cfg.rounds, "rounds", 5, "runs of each client on each topic")
	flag.Float64Var(&cfg.seconds, "seconds", 2, "how long a good client reads a topic: sets its number of records")
	flag.DurationVar(&cfg.timeout, "timeout", time.Minute, "give a run up after this time")
	flag.DurationVar(&cfg.atMost, "at-most", time.Hour, "start no new round after this time")
	flag.IntVar(&cfg.brokers, "brokers", 1, "brokers of the replay server")
	flag.StringVar(&cfg.bootstrap, "bootstrap", "", "read from this Kafka cluster instead; the topics are made in it, and stay")
	flag.StringVar(&cfg.json, "json", "", "file for all runs as JSON")
	flag.StringVar(&cfg.markdown, "markdown", "", "file for the tables, beside standard output")
	flag.StringVar(&cfg.docs, "docs", "", "docs folder whose page of figures, and plots, are written anew")
	flag.StringVar(&cfg.from, "from", "", "run nothing: report the runs in these files of -json, separated by commas, as one")
	flag.Parse()
	if flag.NArg() > 0 {
		return cfg, fmt.Errorf("unknown command %q: there are latency, first, scale and move", flag.Arg(0))
	}
	cfg.gogc = strings.Split(*gogc, ",")
	var err error
	if cfg.cases, err = selectCases(*topics); err != nil {
		return cfg, err
	}
	cfg.clients, err = selectClients(*clients)
	return cfg, err
}

// firstLook are the topics that say most in the shortest time.
var firstLook = []string{"100 B, none, 1 partition", "1 KiB, lz4, 6", "1 KiB, zstd, 6"}

func selectCases(topics string) ([]topic.Case, error) {
	all := append(append([]topic.Case{}, topic.Cases...), topic.MoreCases...)
	switch topics {
	case "table":
		return topic.Cases, nil
	case "more":
		return topic.WithPartners(topic.MoreCases, topic.Cases), nil
	case "all":
		return all, nil
	case "first-look":
		topics = ""
		for _, c := range all {
			for _, title := range firstLook {
				if c.Title == title {
					topics += "," + c.Spec.Name()
				}
			}
		}
		topics = strings.TrimPrefix(topics, ",")
	}
	var cases []topic.Case
	for _, name := range strings.Split(topics, ",") {
		spec, err := topic.ParseName(name)
		if err != nil {
			return nil, err
		}
		c := topic.Case{Title: name, Spec: spec, Rate: 1_000_000}
		for _, known := range all {
			if known.Spec == spec {
				c = known
			}
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func run(ctx context.Context, cfg config) error {
	bins, err := build(ctx, cfg.clients, "replay")
	if err != nil {
		return err
	}
	defer bins.cleanup()
	b := &report.Bench{
		Machine: machine(), Commit: commit(ctx), Server: report.ReplayServer, Baseline: cfg.baseline, Cases: cfg.cases, Skipped: bins.skipped,
	}
	if cfg.bootstrap != "" {
		b.Server = report.KafkaServer
	}
	deadline := time.Now().Add(cfg.atMost)
	var runErr error
	for _, group := range topic.Together(cfg.cases) {
		runs, err := runGroup(ctx, cfg, bins, group, deadline)
		b.Runs = append(b.Runs, runs...)
		if err != nil {
			runErr = fmt.Errorf("%s: %w", group[0].Title, err)
			break
		}
	}
	return errors.Join(runErr, write(cfg, b))
}

// write reports whatever has been run, also after an error.
func write(cfg config, b *report.Bench) error {
	if cfg.json != "" {
		data, err := json.MarshalIndent(b, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(cfg.json, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if cfg.markdown != "" {
		f, err := os.Create(cfg.markdown)
		if err != nil {
			return err
		}
		if err := errors.Join(b.WriteMarkdown(f), f.Close()); err != nil {
			return err
		}
	}
	if cfg.docs != "" {
		section := "replay"
		if b.Server == report.KafkaServer {
			section = "kafka"
		}
		if err := b.WriteDocs(cfg.docs, section); err != nil {
			return err
		}
	}
	return b.WriteMarkdown(os.Stdout)
}
