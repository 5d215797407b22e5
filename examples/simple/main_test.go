package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestPrintsEveryMessageAndEndsWithoutAnError(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	kafkatest.Produce(t, c, "orders", 0, []*kafkatest.Record{kafkatest.Keyed("ada", "tea"), kafkatest.Keyed("grace", "rye bread")})

	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "orders")
	})
	p.Prints("orders-0 offset 0: ada = tea", "orders-0 offset 1: grace = rye bread")
	kafkatest.Produce(t, c, "orders", 0, []*kafkatest.Record{kafkatest.Keyed("ken", "olives")})
	p.Prints("orders-0 offset 2: ken = olives")
	p.Stop()
}
