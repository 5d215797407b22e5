// Group reads a topic together with other processes: start it several times, and the partitions are shared among them; end
// one, and the others take over what it had, from where it left off.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders GROUP=billing go run ./group
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
	err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"),
		cmp.Or(os.Getenv("TOPIC"), "orders"), cmp.Or(os.Getenv("GROUP"), "billing"))
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker, topic, group string, more ...kafka.ConsumerOption) error {
	consumer, err := kafka.NewConsumer(append([]kafka.ConsumerOption{
		kafka.WithBootstrapServers(broker),
		kafka.WithTopics(topic),
		kafka.WithGroupID(group),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		// What does not move between members is read on without a pause. For a group in which all members know it.
		kafka.WithAssignors(kafka.CooperativeStickyAssignor),
		kafka.WithRebalanceListener(kafka.RebalanceFuncs{
			Assigned: func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
				fmt.Fprintln(out, "came:", tps)
				return nil
			},
			Revoked: func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
				fmt.Fprintln(out, "went:", tps)
				return nil
			},
		}),
	}, more...)...)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil { // joins the group
		return err
	}
	for msg, err := range consumer.All(ctx) {
		switch {
		case errors.Is(err, context.Canceled):
			return consumer.Close() // commits, and leaves the group, so that the others need not wait
		case err != nil:
			return errors.Join(err, consumer.Close())
		}
		fmt.Fprintf(out, "%v offset %d: %s\n", msg.TopicPartition(), msg.Offset, msg.Value)
	}
	return nil
}
