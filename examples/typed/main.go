// Typed reads orders as values of a type of its own, and skips what is no order.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders go run ./typed
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

type order struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

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
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()

	orders := kafka.Typed(consumer, kafka.String, kafka.JSON[order]())
	for msg, err := range orders.All(ctx) {
		var bad *kafka.DeserializationError
		switch {
		case errors.Is(err, context.Canceled):
			return nil // Ctrl-C
		case errors.As(err, &bad): // going on skips it
			fmt.Fprintf(out, "offset %d is no order: %q\n", bad.Message.Offset, bad.Message.Value)
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "offset %d: %s wants %d of %s\n", msg.Offset, msg.Key, msg.Value.Quantity, msg.Value.Item)
		}
	}
	return nil
}
