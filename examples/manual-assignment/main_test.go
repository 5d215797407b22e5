package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReadsTheAssignedPartitionsOnly(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{Partitions: 3})
	kafkatest.Produce(t, c, "orders", 1, kafkatest.Values("not this"))
	kafkatest.Produce(t, c, "orders", 0, kafkatest.Values("tea"))
	kafkatest.Produce(t, c, "orders", 2, kafkatest.Values("rye bread"))

	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], []kafka.TopicPartition{{Topic: "orders", Partition: 2}, {Topic: "orders", Partition: 0}})
	})
	p.Prints("assigned: [orders-0 orders-2]")
	p.PrintsInAnyOrder("orders-0 offset 0: tea", "orders-2 offset 0: rye bread")
	kafkatest.Produce(t, c, "orders", 1, kafkatest.Values("nor this"))
	kafkatest.Produce(t, c, "orders", 2, kafkatest.Values("olives"))
	p.Prints("orders-2 offset 1: olives")
	p.Stop()
}
