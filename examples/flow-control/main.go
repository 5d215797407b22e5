// Flow-control reads a topic, and as long as some of its partitions are far behind, those alone.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders go run ./flow-control
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), cmp.Or(os.Getenv("TOPIC"), "orders"))
	if err != nil {
		log.Fatal(err)
	}
}

// farBehind is the lag from which on a partition goes first.
const farBehind = 500

func run(ctx context.Context, out io.Writer, broker, topic string) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithTopics(topic),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()

	var first []kafka.TopicPartition // none: all take turns
	for {
		batch, err := consumer.GetMany(ctx, kafka.FromPartitions(first...), kafka.UpTo(100), kafka.WaitFor(time.Second))
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		if err != nil {
			return err
		}
		for _, msgs := range batch {
			process(msgs)
		}

		var behind []kafka.TopicPartition
		for _, tp := range consumer.Assignment() {
			if lag, ok := consumer.Lag(tp); ok && lag > farBehind {
				behind = append(behind, tp)
			}
		}
		if !slices.Equal(behind, first) {
			fmt.Fprintln(out, "far behind:", behind)
		}
		first = behind
	}
}

func process([]*kafka.Message) {} // the application's work
