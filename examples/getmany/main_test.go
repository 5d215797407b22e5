package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReadsInBatchesAndGivesUpWaitingAfterASecond(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	kafkatest.Produce(t, c, "orders", 0, kafkatest.Numbered(250, 10))

	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "orders")
	})
	p.Prints(
		"orders-0: 100 messages, offsets 0 to 99",
		"orders-0: 100 messages, offsets 100 to 199",
		"orders-0: 50 messages, offsets 200 to 249",
		"nothing new",
	)
	p.Stop()
}
