package main

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestGoesOnWhereItsFileSays(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	produce := func(keys ...string) {
		var records []*kafkatest.Record
		for _, key := range keys {
			records = append(records, kafkatest.Keyed(key, "an order"))
		}
		kafkatest.Produce(t, c, "orders", 0, records)
	}
	file := filepath.Join(t.TempDir(), "counts.json")
	start := func() *exampletest.Program {
		return exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
			return run(ctx, out, c.Bootstrap()[0], kafka.TopicPartition{Topic: "orders"}, file)
		})
	}

	produce("ada", "grace", "ada")
	p := start()
	p.Prints("going on at offset 0", "counted up to offset 2 map[ada:2 grace:1]")
	p.Stop()

	produce("ken", "ada")
	p = start()
	p.Prints("going on at offset 3", "counted up to offset 4 map[ada:3 grace:1 ken:1]")
	p.Stop()
}
