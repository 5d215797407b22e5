package main

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestSharesPartitionsAndTakesThemOver(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{Partitions: 2})
	start := func() *exampletest.Program {
		return exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
			return run(ctx, out, c.Bootstrap()[0], "orders", "billing", kafka.WithHeartbeatInterval(50*time.Millisecond))
		})
	}

	kafkatest.Produce(t, c, "orders", 0, kafkatest.Values("tea"))
	first := start()
	first.Prints("came: [orders-0 orders-1]", "orders-0 offset 0: tea")

	second := start()
	went := first.Line()
	require.Contains(t, []string{"went: [orders-0]", "went: [orders-1]"}, went)
	moved, kept, partition, offset := "orders-0", "orders-1", int32(0), "1"
	if went == "went: [orders-1]" {
		moved, kept, partition, offset = "orders-1", "orders-0", 1, "0"
	}
	second.Prints("came: [" + moved + "]")
	kafkatest.Produce(t, c, "orders", partition, kafkatest.Values("olives"))
	second.Prints(moved + " offset " + offset + ": olives") // and the first one's is not repeated
	require.Equal(t, []string{"went: [" + moved + "]"}, second.Stop())

	first.Prints("came: [" + moved + "]")
	require.Equal(t, []string{"went: [orders-0 orders-1]"}, first.Stop(), "nothing twice, "+kept+" not touched")
}
