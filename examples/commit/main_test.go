package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestGoesOnBehindWhatWasCommitted(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	start := func() *exampletest.Program {
		return exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
			return run(ctx, out, c.Bootstrap()[0], "orders", "billing")
		})
	}

	kafkatest.Produce(t, c, "orders", 0, kafkatest.Numbered(3, 10))
	p := start()
	p.Prints("orders-0: processed and committed offsets 0 to 2")
	p.Stop()

	kafkatest.Produce(t, c, "orders", 0, kafkatest.Numbered(2, 10))
	p = start()
	p.Prints("orders-0: processed and committed offsets 3 to 4")
	p.Stop()
}
