// Seek replays one partition of a topic from an offset to where it ends now.
//
//	KAFKA_BOOTSTRAP=localhost:9092 go run ./seek orders 0 1200
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 4 {
		log.Fatal("usage: seek TOPIC PARTITION OFFSET")
	}
	partition, err1 := strconv.ParseInt(os.Args[2], 10, 32)
	offset, err2 := strconv.ParseInt(os.Args[3], 10, 64)
	if err := cmp.Or(err1, err2); err != nil {
		log.Fatal(err)
	}
	tp := kafka.TopicPartition{Topic: os.Args[1], Partition: int32(partition)}
	if err := run(ctx, os.Stdout, cmp.Or(os.Getenv("KAFKA_BOOTSTRAP"), "localhost:9092"), tp, offset); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, broker string, tp kafka.TopicPartition, offset int64) error {
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

	ends, err := consumer.EndOffsets(ctx, tp)
	if err != nil {
		return err
	}
	if err := consumer.Seek(tp, offset); err != nil {
		return err
	}
	for {
		// The position also moves past records that are never handed out, so it reaches the end where the last
		// message's offset may not.
		position, err := consumer.Position(ctx, tp)
		if err != nil {
			return err
		}
		if position >= ends[tp] {
			fmt.Fprintf(out, "%v is read up to offset %d\n", tp, ends[tp])
			return nil
		}
		batch, err := consumer.GetMany(ctx)
		if err != nil {
			return err
		}
		for _, msg := range batch[tp] {
			fmt.Fprintf(out, "%d: %s\n", msg.Offset, msg.Value)
		}
	}
}
