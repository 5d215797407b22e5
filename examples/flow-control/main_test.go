package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReadsThePartitionThatIsFarBehindUntilItHasCaughtUp(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{Partitions: 2})
	kafkatest.Produce(t, c, "orders", 0, kafkatest.Numbered(20, 10))
	kafkatest.Produce(t, c, "orders", 1, kafkatest.Numbered(2000, 10))

	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "orders")
	})
	p.Prints("far behind: [orders-1]", "far behind: []")
	p.Stop()
}
