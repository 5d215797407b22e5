// Client-sarama reads a topic with sarama's partition consumers.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
)

func main() { runner.Main("sarama", read) }

func read(ctx context.Context, t runner.Task, c *runner.Count) error {
	cfg := sarama.NewConfig()
	cfg.Consumer.Fetch.Default = int32(t.MaxPartitionBytes)
	cfg.Consumer.Fetch.Min = int32(t.MinBytes)
	cfg.Consumer.MaxWaitTime = t.MaxWait
	consumer, err := sarama.NewConsumer(t.Brokers, cfg)
	if err != nil {
		return err
	}
	ended := make(chan error, t.Partitions)
	for p := range int32(t.Partitions) {
		pc, err := consumer.ConsumePartition(t.Topic, p, sarama.OffsetOldest)
		if err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		go func() { ended <- readPartition(ctx, pc, runner.NewPart(t, c)) }()
	}
	for range t.Partitions {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

func readPartition(ctx context.Context, pc sarama.PartitionConsumer, part *runner.Part) error {
	for {
		select {
		case m, ok := <-pc.Messages():
			if !ok {
				return errors.New("the message channel was closed")
			}
			n := len(m.Key) + len(m.Value)
			for _, h := range m.Headers {
				n += len(h.Key) + len(h.Value)
			}
			if part.Done(m.Offset, n) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
