package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestCountsWordsOfLentMessages(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "lines", kafkatest.Topic{})
	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "lines")
	})
	kafkatest.Produce(t, c, "lines", 0, kafkatest.Values("to be or not to be"))
	require.Equal(t, "1 messages more, 4 different words so far", p.Line())
	kafkatest.Produce(t, c, "lines", 0, kafkatest.Values("that is the question"))
	require.Equal(t, "1 messages more, 8 different words so far", p.Line())
	p.Stop()
}
