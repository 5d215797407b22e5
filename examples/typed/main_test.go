package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReadsOrdersAndSkipsWhatIsNone(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	kafkatest.Produce(t, c, "orders", 0, []*kafkatest.Record{
		kafkatest.Keyed("ada", `{"item":"tea","quantity":2}`),
		kafkatest.Keyed("grace", `{"item":`),
		kafkatest.Keyed("ken", `{"item":"olives","quantity":9}`),
	})
	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "orders")
	})
	p.Prints("offset 0: ada wants 2 of tea", `offset 1 is no order: "{\"item\":"`, "offset 2: ken wants 9 of olives")
	p.Stop()
}
