// Manual-assignment reads the partitions of a topic that are named, and no others.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders go run ./manual-assignment 0 2
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var tps []kafka.TopicPartition
	for _, arg := range os.Args[1:] {
		n, err := strconv.ParseInt(arg, 10, 32)
		if err != nil {
			log.Fatal(err)
		}
		tps = append(tps, kafka.TopicPartition{Topic: cmp.Or(os.Getenv("TOPIC"), "orders"), Partition: int32(n)})
	}
	if err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), tps); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker string, tps []kafka.TopicPartition) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	)
	if err != nil {
		return err
	}
	if err := consumer.Assign(tps...); err != nil { // before Start or later; replaces what was assigned
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()
	fmt.Fprintln(out, "assigned:", consumer.Assignment())

	for msg, err := range consumer.All(ctx) {
		switch {
		case errors.Is(err, context.Canceled):
			return nil // Ctrl-C
		case err != nil:
			return err
		}
		fmt.Fprintf(out, "%v offset %d: %s\n", msg.TopicPartition(), msg.Offset, msg.Value)
	}
	return nil
}
