package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// cluster gives the examples a small cluster in memory, with a topic "orders" of two partitions.
func cluster() *fakebroker.Cluster {
	c, err := fakebroker.New(fakebroker.Options{InMemory: true})
	if err != nil {
		log.Fatal(err)
	}
	c.CreateTopic("orders", 2)
	c.AppendValues("orders", 0, "apples", "bread", "cheese")
	c.AppendValues("orders", 1, "dates")
	return c
}

func Example() {
	brokers := cluster()
	defer brokers.Close()

	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(brokers.Addrs()...),
		kafka.WithDialer(brokers.Dial), // only for this example's cluster in memory
		kafka.WithTopics("orders"),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()

	left := 4
	for msg := range consumer.Messages() {
		fmt.Printf("%v at %d: %s\n", msg.TopicPartition(), msg.Offset, msg.Value)
		if left--; left == 0 {
			break
		}
	}
	if err := consumer.Err(); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// orders-0 at 0: apples
	// orders-0 at 1: bread
	// orders-0 at 2: cheese
	// orders-1 at 0: dates
}

// reading gives a started consumer of partitions of the examples' cluster, from their beginnings, and what ends both.
func reading(brokers *fakebroker.Cluster, tps []kafka.TopicPartition, opts ...kafka.ConsumerOption) (*kafka.Consumer, func()) {
	consumer, err := kafka.NewConsumer(append([]kafka.ConsumerOption{
		kafka.WithBootstrapServers(brokers.Addrs()...),
		kafka.WithDialer(brokers.Dial),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithLogger(nil),
	}, opts...)...)
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Assign(tps...); err != nil {
		log.Fatal(err)
	}
	if err := consumer.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return consumer, func() {
		consumer.Close()
		brokers.Close()
	}
}

var (
	orders0 = kafka.TopicPartition{Topic: "orders", Partition: 0}
	orders1 = kafka.TopicPartition{Topic: "orders", Partition: 1}
)

func ExampleConsumer_GetMany() {
	consumer, end := reading(cluster(), []kafka.TopicPartition{orders0, orders1})
	defer end()
	ctx := context.Background()

	// Whatever is there, of one partition; the other one's messages wait.
	for got := 0; got < 3; {
		batches, err := consumer.GetMany(ctx, kafka.FromPartitions(orders0), kafka.WaitFor(5*time.Second), kafka.UpTo(2))
		if err != nil {
			log.Fatal(err)
		}
		for _, msg := range batches[orders0] {
			fmt.Printf("%s\n", msg.Value)
			got++
		}
	}

	// After WaitFor, an empty map and no error.
	batches, err := consumer.GetMany(ctx, kafka.FromPartitions(orders0), kafka.WaitFor(10*time.Millisecond))
	fmt.Println(len(batches), err)
	// Output:
	// apples
	// bread
	// cheese
	// 0 <nil>
}

func ExampleConsumer_Seek() {
	consumer, end := reading(cluster(), []kafka.TopicPartition{orders0})
	defer end()
	ctx := context.Background()
	show := func() {
		msg, err := consumer.GetOne(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d: %s\n", msg.Offset, msg.Value)
	}

	show()
	if err := consumer.Seek(orders0, 2); err != nil {
		log.Fatal(err)
	}
	show()
	if err := consumer.SeekToBeginning(ctx, orders0); err != nil {
		log.Fatal(err)
	}
	show()
	position, err := consumer.Position(ctx, orders0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("next:", position)
	// Output:
	// 0: apples
	// 2: cheese
	// 0: apples
	// next: 1
}

func ExampleConsumer_Pause() {
	consumer, end := reading(cluster(), []kafka.TopicPartition{orders0, orders1})
	defer end()
	ctx := context.Background()

	if err := consumer.Pause(orders0); err != nil {
		log.Fatal(err)
	}
	msg, err := consumer.GetOne(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, while %v are paused\n", msg.Value, consumer.Paused())

	if err := consumer.Resume(orders0); err != nil {
		log.Fatal(err)
	}
	if msg, err = consumer.GetOne(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", msg.Value)
	// Output:
	// dates, while [orders-0] are paused
	// apples
}

func ExampleWithIsolationLevel() {
	brokers := cluster()
	// A transaction at offset 3 that was aborted, one at offset 5 that was committed, and one that is open from offset 7 on.
	brokers.AppendRaw("orders", 0, transaction(3, 100, "eggs", protocol.ControlAbort))
	brokers.AppendRaw("orders", 0, transaction(5, 200, "figs", protocol.ControlCommit))
	brokers.SetAborted("orders", 0, protocol.FetchResponseAbortedTransaction{ProducerID: 100, FirstOffset: 3})
	brokers.AppendValues("orders", 0, "grapes")
	brokers.SetLastStable("orders", 0, 7)

	consumer, end := reading(brokers, []kafka.TopicPartition{orders0}, kafka.WithIsolationLevel(kafka.ReadCommitted))
	defer end()

	for msg := range consumer.Messages() {
		fmt.Printf("%d: %s\n", msg.Offset, msg.Value)
		if string(msg.Value) == "figs" {
			break
		}
	}
	stable, _ := consumer.LastStableOffset(orders0)
	highwater, _ := consumer.Highwater(orders0)
	fmt.Println("last stable offset", stable, "of", highwater)
	// Output:
	// 0: apples
	// 1: bread
	// 2: cheese
	// 5: figs
	// last stable offset 7 of 8
}

// transaction is one record of a transaction, and the marker that ends it.
func transaction(offset, producer int64, value string, end protocol.ControlType) []byte {
	h := protocol.NewBatchHeader(offset)
	h.ProducerID, h.ProducerEpoch = producer, 0
	h.Attributes |= protocol.AttributeTransactional
	set, err := protocol.AppendBatch(nil, h, nil, protocol.RecordData{Value: []byte(value)})
	if err != nil {
		log.Fatal(err)
	}
	h.BaseOffset++
	return protocol.AppendControlBatch(set, h, end, 0)
}

func ExampleConsumer_All() {
	brokers := cluster()
	bad, err := protocol.AppendBatch(nil, protocol.NewBatchHeader(3), nil, protocol.RecordData{Value: []byte("eggs")})
	if err != nil {
		log.Fatal(err)
	}
	bad[len(bad)-2] ^= 1 // a bit that flipped on the broker's disk
	brokers.AppendRaw("orders", 0, bad)
	brokers.AppendValues("orders", 0, "figs")

	consumer, end := reading(brokers, []kafka.TopicPartition{orders0})
	defer end()

	for msg, err := range consumer.All(context.Background()) {
		var corrupt *kafka.CorruptRecordError
		switch {
		case errors.As(err, &corrupt):
			fmt.Printf("offset %d is corrupt; going on at %d\n", corrupt.Offset, corrupt.NextOffset)
			if err := consumer.Seek(corrupt.TopicPartition, corrupt.NextOffset); err != nil {
				log.Fatal(err)
			}
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Printf("%s\n", msg.Value)
			if string(msg.Value) == "figs" {
				return
			}
		}
	}
	// Output:
	// apples
	// bread
	// cheese
	// offset 3 is corrupt; going on at 4
	// figs
}

func ExampleConsumer_Batches() {
	consumer, end := reading(cluster(), []kafka.TopicPartition{orders0})
	defer end()

	for batch, err := range consumer.Batches(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(batch.TopicPartition(), batch.Len())
		for msg := range batch.Messages() {
			fmt.Printf("%d: %s\n", msg.Offset, msg.Value) // to keep a value, copy it
		}
		break
	}
	// Output:
	// orders-0 3
	// 0: apples
	// 1: bread
	// 2: cheese
}

func ExampleMessage_Clone() {
	consumer, end := reading(cluster(), []kafka.TopicPartition{orders0})
	defer end()

	msg, err := consumer.GetOne(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	kept := msg.Clone() // what is kept for long should not hold all that was fetched with it
	fmt.Printf("%s\n", kept.Value)
	// Output:
	// apples
}
