// Kafka starts a real Apache Kafka on loopback, as the tests do, says where it is, and ends it with Ctrl-C: for the demo,
// the bench and one's own tries.
//
//	cd internal/kafkatest && go run ./cmd/kafka -nodes 3
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

func main() {
	nodes := flag.Int("nodes", 1, "brokers: 1 or 3")
	version := flag.String("version", "", "the release; empty: the one that the tests use")
	heap := flag.Int("heap", 0, "MiB of Java heap for each broker; 0: what the tests give it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := launch.Start(ctx, launch.Options{
		Nodes: *nodes, Version: *version, HeapMB: *heap,
		JVMFlags: []string{"-XX:TieredStopAtLevel=4"}, // it is to run for long, where those of tests are to start soon
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
	fmt.Println("KAFKA_BOOTSTRAP=" + strings.Join(c.Addrs(launch.Plain), ","))
	<-ctx.Done()
	c.Close()
}
