// Listener keeps, for every partition it reads, a total of its own, which it takes up when the partition comes and puts
// away when it goes.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=payments go run ./listener
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
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), cmp.Or(os.Getenv("TOPIC"), "payments"))
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker, topic string) error {
	totals := make(map[kafka.TopicPartition]int)
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(broker),
		kafka.WithTopics(topic),
		kafka.WithGroupID("totals"),
		kafka.WithAutoCommit(false),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithRebalanceListener(kafka.RebalanceFuncs{
			// Nothing of a partition is handed out before this has returned. The total is kept beside the committed offset.
			Assigned: func(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
				committed, err := c.Committed(ctx, tps...)
				for _, tp := range tps {
					totals[tp], _ = strconv.Atoi(committed[tp].Metadata)
					fmt.Fprintf(out, "%v came, with a total of %d\n", tp, totals[tp])
				}
				return err
			},
			// What is taken away goes to somebody else, who will look for the total where we leave it.
			Revoked: func(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
				offsets := make(map[kafka.TopicPartition]kafka.OffsetAndMetadata)
				for _, tp := range tps {
					position, err := c.Position(ctx, tp)
					if err != nil {
						return err
					}
					offsets[tp] = kafka.OffsetAndMetadata{Offset: position, Metadata: strconv.Itoa(totals[tp])}
					fmt.Fprintf(out, "%v goes at offset %d, with a total of %d\n", tp, position, totals[tp])
				}
				return c.CommitOffsets(ctx, offsets)
			},
		}),
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	for msg, err := range consumer.All(ctx) {
		switch {
		case errors.Is(err, context.Canceled):
			return consumer.Close() // calls Revoked
		case err != nil:
			return errors.Join(err, consumer.Close())
		}
		amount, _ := strconv.Atoi(string(msg.Value))
		totals[msg.TopicPartition()] += amount
		fmt.Fprintf(out, "%v offset %d: total %d\n", msg.TopicPartition(), msg.Offset, totals[msg.TopicPartition()])
	}
	return nil
}
