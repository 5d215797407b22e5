// Getmany reads a topic in batches of up to 100 messages, each partition's in order, and waits at most a second for one.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders go run ./getmany
package main

import (
	"cmp"
	"context"
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

	for {
		batch, err := consumer.GetMany(ctx, kafka.UpTo(100), kafka.WaitFor(time.Second))
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			fmt.Fprintln(out, "nothing new")
		}
		for tp, msgs := range batch {
			fmt.Fprintf(out, "%v: %d messages, offsets %d to %d\n", tp, len(msgs), msgs[0].Offset, msgs[len(msgs)-1].Offset)
		}
	}
}
