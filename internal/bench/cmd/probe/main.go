// Probe is a consumer that obeys the lines of its standard input, and answers each with one line of JSON: see package probe.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/probe"
)

func main() {
	var t probe.Task
	brokers := flag.String("brokers", "", "broker addresses, separated by commas")
	flag.StringVar(&t.Client, "client", "ours/getmany", "the consumer")
	flag.StringVar(&t.Topic, "topic", "", "the topic to read")
	flag.BoolVar(&t.Stamped, "stamped", false, "the values say when they were sent")
	flag.DurationVar(&t.Growth.Every, "grow", 0, "as the replay server was told")
	flag.IntVar(&t.Growth.Whole, "whole", 0, "as the replay server was told")
	flag.IntVar(&t.Growth.Active, "active", 0, "as the replay server was told")
	flag.Int64Var(&t.Began, "began", 0, "when the growth began")
	flag.DurationVar(&t.Timeout, "timeout", 30*time.Second, "give up waiting after this time")
	flag.Parse()
	t.Brokers = strings.Split(*brokers, ",")
	if err := probe.Serve(context.Background(), t, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
