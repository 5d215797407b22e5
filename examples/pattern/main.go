// Pattern reads every topic whose name matches, those that are created later too.
//
//	KAFKA_BOOTSTRAP=localhost:9092 go run ./pattern 'orders-.*'
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
	"time"

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 2 {
		log.Fatal("usage: pattern REGULAR-EXPRESSION")
	}
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), os.Args[1], 10*time.Second)
	if err != nil {
		log.Fatal(err)
	}
}

// run looks for new topics every so often.
func run(ctx context.Context, out io.Writer, broker, pattern string, every time.Duration) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithPattern(pattern),
		kafka.WithMetadataMaxAge(every),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()
	fmt.Fprintln(out, "matching now:", consumer.Subscription())

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
