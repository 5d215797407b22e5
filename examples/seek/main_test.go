package main

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReplaysFromTheOffsetToTheEnd(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{Partitions: 2})
	kafkatest.Produce(t, c, "orders", 1, kafkatest.Values("a", "b", "c", "d"))

	p := start(t, c, kafka.TopicPartition{Topic: "orders", Partition: 1}, 2)
	p.Prints("2: c", "3: d", "orders-1 is read up to offset 4")
	p.Ends()
}

func TestEndsBehindATransactionsMarker(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	txn := kafkatest.BeginTxn(t, c)
	txn.Produce(t, "orders", 0, kafkatest.Values("a")...)
	txn.Commit(t)
	c.AwaitStable(t, "orders", 0)

	p := start(t, c, kafka.TopicPartition{Topic: "orders"}, 0)
	p.Prints("0: a", "orders-0 is read up to offset 2")
	p.Ends()
}

func TestSaysWhichPartitionIsNotThere(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	err := run(t.Context(), io.Discard, c.Bootstrap()[0], kafka.TopicPartition{Topic: "orders", Partition: 7}, 0)
	require.ErrorContains(t, err, "orders-7")
	require.ErrorContains(t, err, "UNKNOWN_TOPIC_OR_PARTITION")
}

func start(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition, offset int64) *exampletest.Program {
	return exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], tp, offset)
	})
}
