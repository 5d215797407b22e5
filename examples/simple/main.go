// Simple prints every message of a topic, beginning with the first, until Ctrl-C.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders go run ./simple
package main

import (
	"cmp"
	"context"
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
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), cmp.Or(os.Getenv("TOPIC"), "orders"))
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker, topic string) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithTopics(topic),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest), // without this: only what is written from now on
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()
	defer context.AfterFunc(ctx, func() { consumer.Close() })() // Ctrl-C ends the loop

	for msg := range consumer.Messages() {
		fmt.Fprintf(out, "%v offset %d: %s = %s\n", msg.TopicPartition(), msg.Offset, msg.Key, msg.Value)
	}
	return consumer.Err() // nil when Close has ended the loop
}
