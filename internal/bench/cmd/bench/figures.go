package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/figures"
	"github.com/seed-7379b4e8/kafka/internal/bench/report"
	"github.com/seed-7379b4e8/kafka/internal/bench/subject"
)

// figuresConfig is what the flags of the commands beside the results table say.
type figuresConfig struct {
	clients   []string
	rounds    int
	window    time.Duration // how long is measured at a time
	settle    time.Duration // how long what was started is left alone before
	bootstrap string
	tries     int // of an action that is measured several times a round
	scale     int // partitions of the largest topic
	json      string
	docs      string
}

// lab is where figures are taken: the programs, and what to take.
type lab struct {
	figuresConfig
	bins *built
}

// commands are the figures beside the results table, by the command that takes them.
var commands = map[string]func(context.Context, *lab) ([]*figures.Table, error){
	"latency": latency,
	"first":   firstMessage,
	"scale":   scale,
	"move":    move,
}

const baselineSubject = "franz-go/defaults"

func figuresMain(ctx context.Context, name string, args []string) error {
	var cfg figuresConfig
	flags := flag.NewFlagSet("bench "+name, flag.ExitOnError)
	clients := flags.String("clients", strings.Join(subject.Names, ","), "which consumers, separated by commas")
	flags.IntVar(&cfg.rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&cfg.window, "window", 5*time.Second, "how long is measured at a time")
	flags.DurationVar(&cfg.settle, "settle", time.Second, "how long what was started is left alone before that")
	flags.StringVar(&cfg.bootstrap, "bootstrap", "", "latency: measure on this Kafka cluster instead of a fake broker")
	flags.IntVar(&cfg.tries, "tries", 5, "first: seeks and resumes in each round")
	flags.IntVar(&cfg.scale, "partitions", 10_000, "scale: partitions of the largest topic, a multiple of 100")
	flags.StringVar(&cfg.json, "json", "", "file for all figures as JSON")
	flags.StringVar(&cfg.docs, "docs", "", "docs folder whose page of figures is written anew")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg.clients = strings.Split(*clients, ",")
	for _, c := range cfg.clients {
		if !slices.Contains(subject.Names, c) {
			return fmt.Errorf("unknown consumer %q: there are %s", c, strings.Join(subject.Names, ", "))
		}
	}
	_, err := takeFigures(ctx, name, cfg)
	return err
}

// takeFigures writes whatever could be measured, also after an error.
func takeFigures(ctx context.Context, name string, cfg figuresConfig) ([]*figures.Table, error) {
	bins, err := build(ctx, nil, "replay", "probe", "fake")
	if err != nil {
		return nil, err
	}
	defer bins.cleanup()
	where := machine()
	tables, err := commands[name](ctx, &lab{cfg, bins})
	return tables, errors.Join(err, writeFigures(cfg, name, fmt.Sprintf("%s, commit %s", where, commit(ctx)), tables))
}

func writeFigures(cfg figuresConfig, name, where string, tables []*figures.Table) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s. Medians of %d rounds, with (min–max); goals are against %s.\n", where, cfg.rounds, baselineSubject)
	for _, t := range tables {
		s.WriteString("\n" + t.Markdown())
	}
	fmt.Print(s.String())
	if cfg.json != "" {
		data, err := json.MarshalIndent(tables, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(cfg.json, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if cfg.docs == "" {
		return nil
	}
	if name == "latency" && cfg.bootstrap == "" {
		name = "latency-fake"
	}
	return report.WriteSection(cfg.docs, name, s.String())
}

// each runs a measurement for every client in every round, each round starting with another client. A failed one is noted in the
// table and does not end the others, unless ctx has ended.
func (l *lab) each(ctx context.Context, t *figures.Table, name string, measure func(client string) ([]float64, error)) error {
	for round := range l.rounds {
		for i := range l.clients {
			client := l.clients[(i+round)%len(l.clients)]
			values, err := measure(client)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s, %s, %s: FAILED: %v\n", t.Title, name, client, err)
				t.Fail(name, client, err)
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, %s, %s: %.4g\n", t.Title, name, client, values)
			t.Add(name, client, values...)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
