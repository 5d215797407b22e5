// Commit processes messages in batches, and commits each partition's as soon as they are processed: what a crash leaves
// uncommitted comes again.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders GROUP=billing go run ./commit
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
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"),
		cmp.Or(os.Getenv("TOPIC"), "orders"), cmp.Or(os.Getenv("GROUP"), "billing"))
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker, topic, group string) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithTopics(topic),
		kafka.WithGroupID(group),
		kafka.WithAutoCommit(false),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest), // where the group has nothing committed yet
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()

	for {
		batch, err := consumer.GetMany(ctx, kafka.UpTo(100))
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		if err != nil {
			return err
		}
		for tp, msgs := range batch {
			process(msgs)
			if err := consumer.CommitMessages(ctx, msgs...); err != nil {
				return err
			}
			fmt.Fprintf(out, "%v: processed and committed offsets %d to %d\n", tp, msgs[0].Offset, msgs[len(msgs)-1].Offset)
		}
	}
}

func process([]*kafka.Message) {} // the application's work
