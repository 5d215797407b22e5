// Client-ours reads a topic with the consumer of this project. Its modes:
//
//	getmany      GetMany, 500 messages at most at a time, as by default
//	getmany-all  GetMany without a limit
//	messages     the iterator Messages
//	getone       GetOne
//	batches      the iterator Batches, whose memory is used again
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
)

func main() { runner.Main("ours", read) }

func read(ctx context.Context, t runner.Task, c *runner.Count) (err error) {
	opts := []kafka.ConsumerOption{
		kafka.WithBootstrapServers(t.Brokers...),
		kafka.WithTopics(t.Topic),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithFetchMaxBytes(t.MaxBytes),
		kafka.WithMaxPartitionFetchBytes(t.MaxPartitionBytes),
		kafka.WithFetchMinBytes(t.MinBytes),
		kafka.WithFetchMaxWait(t.MaxWait),
	}
	mode := getMany
	switch t.Mode {
	case "getmany":
	case "getmany-all":
		opts = append(opts, kafka.WithMaxPollRecords(0))
	case "messages":
		mode = messages
	case "getone":
		mode = getOne
	case "batches":
		mode = batches
	default:
		return fmt.Errorf("unknown mode %q", t.Mode)
	}
	consumer, err := kafka.NewConsumer(opts...)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	return mode(ctx, consumer, t, c)
}

func getMany(ctx context.Context, consumer *kafka.Consumer, _ runner.Task, c *runner.Count) error {
	for !c.Full() {
		taken, err := consumer.GetMany(ctx)
		if err != nil {
			return err
		}
		var n, offsets, bytes int64
		for _, msgs := range taken {
			for _, m := range msgs {
				offsets += m.Offset
				bytes += int64(payload(m))
			}
			n += int64(len(msgs))
		}
		c.Add(n, offsets, bytes)
	}
	return nil
}

func messages(ctx context.Context, consumer *kafka.Consumer, t runner.Task, c *runner.Count) error {
	// Messages ends when the consumer is closed: it has no context of its own.
	stop := context.AfterFunc(ctx, func() { _ = consumer.Close() })
	defer stop()
	count := runner.NewPart(runner.Task{Records: t.Records, Partitions: 1}, c)
	for m := range consumer.Messages() {
		if count.Done(m.Offset, payload(m)) {
			return nil
		}
	}
	return errors.Join(consumer.Err(), context.Cause(ctx))
}

func getOne(ctx context.Context, consumer *kafka.Consumer, t runner.Task, c *runner.Count) error {
	count := runner.NewPart(runner.Task{Records: t.Records, Partitions: 1}, c)
	for {
		m, err := consumer.GetOne(ctx)
		if err != nil {
			return err
		}
		if count.Done(m.Offset, payload(m)) {
			return nil
		}
	}
}

func batches(ctx context.Context, consumer *kafka.Consumer, _ runner.Task, c *runner.Count) error {
	for batch, err := range consumer.Batches(ctx) {
		if err != nil {
			return err
		}
		var offsets, bytes int64
		for m := range batch.Messages() {
			offsets += m.Offset
			bytes += int64(payload(&m))
		}
		c.Add(int64(batch.Len()), offsets, bytes)
		if c.Full() {
			return nil
		}
	}
	return context.Cause(ctx)
}

func payload(m *kafka.Message) int {
	n := len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}
