// Replay serves generated topics to any Kafka consumer until its standard input ends. It says where in one line of JSON, and
// answers every line that it reads with one: an empty line with what it has done so far, "detail" with what it knows of its
// clients, "move PARTITION BROKER" with the same once the partition has its new leader.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

func main() {
	topics := flag.String("topics", topic.Cases[0].Spec.Name(), "the topics, by name, separated by commas")
	records := flag.Int64("records", 10_000_000, "records in each of them, rounded up to full batches")
	brokers := flag.Int("brokers", 1, "number of brokers")
	seed := flag.Uint64("seed", 1, "seed of the generated text")
	var g replay.Growth
	flag.DurationVar(&g.Every, "grow", 0, "the topics grow: a batch a partition this often")
	flag.IntVar(&g.Whole, "whole", 0, "with -grow, how many partitions are whole from the start, the first ones")
	flag.IntVar(&g.Active, "active", 0, "with -grow, how many partitions grow, behind those; the others stay empty")
	flag.Parse()
	if err := run(strings.Split(*topics, ","), *records, *brokers, *seed, g); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func run(names []string, records int64, brokers int, seed uint64, g replay.Growth) error {
	var logs []*topic.Log
	for _, name := range names {
		spec, err := topic.ParseName(name)
		if err != nil {
			return err
		}
		l, err := topic.NewLog(spec, records, seed)
		if err != nil {
			return err
		}
		logs = append(logs, l)
	}
	srv, err := replay.StartGrowing(brokers, g, logs...)
	if err != nil {
		return err
	}
	defer srv.Close()
	ready := replay.Ready{Brokers: srv.Addrs(), Began: srv.Began().UnixNano()}
	for _, l := range logs {
		ready.Topics = append(ready.Topics, replay.ReadyTopic(l))
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(ready); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		answer, err := obey(srv, in.Text())
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return in.Err()
}

func obey(srv *replay.Server, line string) (any, error) {
	var partition, node int32
	switch n, _ := fmt.Sscanf(line, "move %d %d", &partition, &node); {
	case line == "":
		stats := srv.Stats()
		stats.CPUSeconds = runner.CPUTime().Seconds()
		return stats, nil
	case line == "detail":
		return srv.Detail(), nil
	case n == 2:
		return srv.Detail(), srv.Move(partition, node)
	}
	return nil, fmt.Errorf("unknown command %q", line)
}
