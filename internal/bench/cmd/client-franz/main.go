// Client-franz reads a topic with franz-go: in mode "defaults", or "pools" with its pools of decompressed bytes and records on
// and every record recycled.
package main

import (
	"context"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() { runner.Main("franz-go", read) }

func read(ctx context.Context, t runner.Task, c *runner.Count) error {
	opts := []kgo.Opt{
		kgo.SeedBrokers(t.Brokers...),
		kgo.ConsumeTopics(t.Topic),
		kgo.FetchMaxBytes(int32(t.MaxBytes)),
		kgo.FetchMaxPartitionBytes(int32(t.MaxPartitionBytes)),
		kgo.FetchMinBytes(int32(t.MinBytes)),
		kgo.FetchMaxWait(t.MaxWait),
	}
	recycle := false
	switch t.Mode {
	case "defaults":
	case "pools":
		recycle = true
		opts = append(opts, kgo.WithPools(&pool{}))
	default:
		return fmt.Errorf("unknown mode %q", t.Mode)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for !c.Full() {
		fetches := cl.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("partition %d of %q: %w", errs[0].Partition, errs[0].Topic, errs[0].Err)
		}
		var n, offsets, bytes int64
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				offsets += r.Offset
				bytes += int64(len(r.Key) + len(r.Value))
				for i := range r.Headers {
					bytes += int64(len(r.Headers[i].Key) + len(r.Headers[i].Value))
				}
			}
			n += int64(len(p.Records))
			if recycle {
				for _, r := range p.Records {
					r.Recycle()
				}
			}
		})
		c.Add(n, offsets, bytes)
	}
	return nil
}
