package main

import (
	"context"
	"io"
	"testing"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestReadsCommittedTransactionsUpToTheOpenOne(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "payments", kafkatest.Topic{})
	txn := kafkatest.BeginTxn(t, c)
	txn.Produce(t, "payments", 0, kafkatest.Values("10 to ada")...) // offset 0, its marker 1
	txn.Commit(t)
	c.AwaitStable(t, "payments", 0)
	txn.Begin(t)
	txn.Produce(t, "payments", 0, kafkatest.Values("20 to nobody")...) // offset 2, its marker 3
	txn.Abort(t)
	c.AwaitStable(t, "payments", 0)
	kafkatest.Produce(t, c, "payments", 0, kafkatest.Values("30 to grace")) // offset 4
	txn.Begin(t)
	txn.Produce(t, "payments", 0, kafkatest.Values("40 to ken")...) // offset 5, open

	p := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, out, c.Bootstrap()[0], "payments")
	})
	p.Prints("offset 0: 10 to ada (decided up to 5 of 6)", "offset 4: 30 to grace (decided up to 5 of 6)")
	txn.Commit(t)
	p.Prints("offset 5: 40 to ken (decided up to 7 of 7)")
	p.Stop()
}
