// Batches counts the words of a topic on the fast path: the memory of a batch is lent for a turn of the loop and used again,
// so the program copies what it keeps, and only that.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=lines go run ./batches
package main

import (
	"bytes"
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
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), cmp.Or(os.Getenv("TOPIC"), "lines"))
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

	count := make(map[string]int)
	for batch, err := range consumer.Batches(ctx) {
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		if err != nil {
			return err
		}
		for msg := range batch.Messages() {
			for word := range bytes.FieldsSeq(msg.Value) {
				count[string(word)]++ // looking it up copies nothing; a new key is a copy
			}
		}
		fmt.Fprintf(out, "%d messages more, %d different words so far\n", batch.Len(), len(count))
	}
	return nil
}
