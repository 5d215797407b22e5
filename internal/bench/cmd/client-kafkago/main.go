// Client-kafkago reads a topic with segmentio/kafka-go, a Reader for each partition.
package main

import (
	"context"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/segmentio/kafka-go"
)

func main() { runner.Main("kafka-go", read) }

func read(ctx context.Context, t runner.Task, c *runner.Count) error {
	ended := make(chan error, t.Partitions)
	for p := range t.Partitions {
		go func() { ended <- readPartition(ctx, t, p, runner.NewPart(t, c)) }()
	}
	for range t.Partitions {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

func readPartition(ctx context.Context, t runner.Task, partition int, part *runner.Part) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: t.Brokers, Topic: t.Topic, Partition: partition,
		MinBytes: t.MinBytes, MaxBytes: t.MaxPartitionBytes, MaxWait: t.MaxWait,
	})
	for {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return fmt.Errorf("partition %d: %w", partition, err)
		}
		n := len(m.Key) + len(m.Value)
		for i := range m.Headers {
			n += len(m.Headers[i].Key) + len(m.Headers[i].Value)
		}
		if part.Done(m.Offset, n) {
			return nil
		}
	}
}
