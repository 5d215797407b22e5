// Read-committed prints the messages of committed transactions, and how far the end of what may be read is away.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=payments go run ./read-committed
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

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), cmp.Or(os.Getenv("TOPIC"), "payments"))
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker, topic string) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithTopics(topic),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithIsolationLevel(kafka.ReadCommitted),
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()

	for msg, err := range consumer.All(ctx) {
		switch {
		case errors.Is(err, context.Canceled):
			return nil // Ctrl-C
		case err != nil:
			return err
		}
		// Both are known here: a fetch brought the message. Neither call asks the broker.
		stable, _ := consumer.LastStableOffset(msg.TopicPartition())
		highwater, _ := consumer.Highwater(msg.TopicPartition())
		fmt.Fprintf(out, "offset %d: %s (decided up to %d of %d)\n", msg.Offset, msg.Value, stable, highwater)
	}
	return nil
}
