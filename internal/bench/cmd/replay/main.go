// Replay serves generated topics to any Kafka consumer until its standard input ends. It says where in one line of JSON, and
// what it has done so far in another for every line that it reads.
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
	flag.Parse()
	if err := run(strings.Split(*topics, ","), *records, *brokers, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func run(names []string, records int64, brokers int, seed uint64) error {
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
	srv, err := replay.Start(brokers, logs...)
	if err != nil {
		return err
	}
	defer srv.Close()
	ready := replay.Ready{Brokers: srv.Addrs()}
	for _, l := range logs {
		ready.Topics = append(ready.Topics, replay.ReadyTopic(l))
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(ready); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		stats := srv.Stats()
		stats.CPUSeconds = runner.CPUTime().Seconds()
		if err := out.Encode(stats); err != nil {
			return err
		}
	}
	return in.Err()
}
