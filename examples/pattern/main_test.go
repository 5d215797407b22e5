package main

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReadsTopicsThatAppearLater(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders-eu", kafkatest.Topic{})
	c.CreateTopic(t, "returns", kafkatest.Topic{})
	kafkatest.Produce(t, c, "orders-eu", 0, kafkatest.Values("tea"))
	kafkatest.Produce(t, c, "returns", 0, kafkatest.Values("not this"))

	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "orders-.*", 50*time.Millisecond)
	})
	p.Prints("matching now: [orders-eu]", "orders-eu-0 offset 0: tea")
	c.CreateTopic(t, "orders-us", kafkatest.Topic{})
	kafkatest.Produce(t, c, "orders-us", 0, kafkatest.Values("coffee"))
	p.Prints("orders-us-0 offset 0: coffee")
	p.Stop()
}
