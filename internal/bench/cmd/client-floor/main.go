// Client-floor does what no consumer can leave out, on one goroutine, and nothing else. Its modes:
//
//	socket  read the responses into one buffer, look at batch headers only
//	reused  and check the CRC, decompress into one buffer, walk the records
//	fresh   the same into fresh memory: the records of a partition, the decompressed batch, a slab of messages per batch
//	memory  reused without the socket: the batches lie in memory
package main

import (
	"context"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

func main() { runner.Main("floor", read) }

func read(ctx context.Context, t runner.Task, c *runner.Count) error {
	spec, err := topic.ParseName(t.Topic)
	if err != nil {
		return err
	}
	w := &walker{codec: spec.Codec, fresh: t.Mode == "fresh", payload: int64(spec.PayloadBytes())}
	switch t.Mode {
	case "socket":
		return readSocket(ctx, t, c, w.skip, false)
	case "reused", "fresh":
		return readSocket(ctx, t, c, w.walk, w.fresh)
	case "memory":
		return readMemory(spec, t, c, w)
	}
	return fmt.Errorf("unknown mode %q", t.Mode)
}

// readMemory makes the topic in its own process; that is in its peak memory, not in its times.
func readMemory(spec topic.Spec, t runner.Task, c *runner.Count, w *walker) error {
	l, err := topic.NewLog(spec, t.Records, 1)
	if err != nil {
		return err
	}
	c.Restart()
	for p := range int32(spec.Partitions) {
		for offset := int64(0); offset < l.End(); {
			batch, base := l.Batch(p, offset)
			n, err := w.walk(batch)
			if err != nil {
				return err
			}
			c.Add(n.records, n.offsetSum+base*n.records, n.bytes)
			offset = base + n.records
		}
	}
	return nil
}
