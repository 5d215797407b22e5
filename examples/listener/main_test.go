package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestPutsTheTotalAwayAndTakesItUpAgain(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "payments", kafkatest.Topic{})
	start := func() *exampletest.Program {
		return exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
			return run(ctx, out, c.Bootstrap()[0], "payments")
		})
	}

	kafkatest.Produce(t, c, "payments", 0, kafkatest.Values("10", "5"))
	p := start()
	p.Prints("payments-0 came, with a total of 0", "payments-0 offset 0: total 10", "payments-0 offset 1: total 15")
	require.Equal(t, []string{"payments-0 goes at offset 2, with a total of 15"}, p.Stop())

	kafkatest.Produce(t, c, "payments", 0, kafkatest.Values("100"))
	p = start()
	p.Prints("payments-0 came, with a total of 15", "payments-0 offset 2: total 115")
	require.Equal(t, []string{"payments-0 goes at offset 3, with a total of 115"}, p.Stop())
}
