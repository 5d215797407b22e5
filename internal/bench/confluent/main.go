// Client-confluent reads a topic with confluent-kafka-go, which is librdkafka under Go. Its memory figures of Go say nothing
// of what the C library allocates, so that the bench leaves them out.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
)

func main() { runner.Main("confluent", read) }

func read(ctx context.Context, t runner.Task, c *runner.Count) error {
	c.HideAllocations()
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers":         strings.Join(t.Brokers, ","),
		"group.id":                  "bench", // it insists on one; nothing is committed
		"enable.auto.commit":        false,
		"auto.offset.reset":         "earliest",
		"fetch.max.bytes":           t.MaxBytes,
		"max.partition.fetch.bytes": t.MaxPartitionBytes,
		"fetch.min.bytes":           t.MinBytes,
		"fetch.wait.max.ms":         int(t.MaxWait.Milliseconds()),
		"check.crcs":                true, // as all others do; its default is not to
	})
	if err != nil {
		return err
	}
	var parts []kafka.TopicPartition
	counts := make([]*runner.Part, t.Partitions)
	for p := range t.Partitions {
		// Offset 0, where all topics of the bench begin: it has to look OffsetBeginning up, and takes half a second until it does.
		parts = append(parts, kafka.TopicPartition{Topic: &t.Topic, Partition: int32(p), Offset: 0})
		counts[p] = runner.NewPart(t, c)
	}
	if err := consumer.Assign(parts); err != nil {
		return err
	}
	for left := t.Partitions; left > 0 && ctx.Err() == nil; {
		switch e := consumer.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return e.TopicPartition.Error
			}
			part := counts[e.TopicPartition.Partition]
			if part != nil && part.Done(int64(e.TopicPartition.Offset), payload(e)) {
				counts[e.TopicPartition.Partition] = nil // the task may be a part of the topic
				left--
			}
		case kafka.Error:
			return fmt.Errorf("librdkafka: %w", e)
		}
	}
	return ctx.Err() // Close leaves the group first: not for the end of a measurement
}

func payload(m *kafka.Message) int {
	n := len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}
