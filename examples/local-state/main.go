// Local-state counts the messages of a partition by key, and keeps counts and offset together in a file: whenever it is
// started again, it goes on behind the last message it has counted, and counts each exactly once.
//
//	KAFKA_BOOTSTRAP=localhost:9092 TOPIC=orders go run ./local-state counts.json
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 2 {
		log.Fatal("usage: local-state FILE")
	}
	tp := kafka.TopicPartition{Topic: cmp.Or(os.Getenv("TOPIC"), "orders")}
	if err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), tp, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// state is what is kept: the counts, and the offset of the next message to count. They belong together, so they are
// stored together.
type state struct {
	Next   int64          `json:"next"`
	Counts map[string]int `json:"counts"`
}

func run(ctx context.Context, out io.Writer, broker string, tp kafka.TopicPartition, file string) error {
	s, err := load(file)
	if err != nil {
		return err
	}
	consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers(broker))
	if err != nil {
		return err
	}
	if err := consumer.Assign(tp); err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	defer consumer.Close()
	if err := consumer.Seek(tp, s.Next); err != nil {
		return err
	}
	fmt.Fprintf(out, "going on at offset %d\n", s.Next)

	for {
		batch, err := consumer.GetMany(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		if err != nil {
			return err
		}
		for _, msg := range batch[tp] {
			s.Counts[string(msg.Key)]++
			s.Next = msg.Offset + 1
		}
		if err := s.save(file); err != nil {
			return err
		}
		fmt.Fprintln(out, "counted up to offset", s.Next-1, s.Counts)
	}
}

func load(file string) (*state, error) {
	s := &state{Counts: make(map[string]int)}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return s, json.Unmarshal(b, s)
}

// save replaces the file in one step: a crash leaves the old state or the new one, never half of one.
func (s *state) save(file string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
