package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

// Offsets are committed where the work is done; the next consumer of the group goes on there.
func ExampleConsumer_CommitMessages() {
	brokers := cluster()
	tp := kafka.TopicPartition{Topic: "orders", Partition: 0}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	first, _ := reading(brokers, []kafka.TopicPartition{tp}, kafka.WithGroupID("billing"), kafka.WithAutoCommit(false))
	for range 2 {
		msg, err := first.GetOne(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("billed %s\n", msg.Value)
		if err := first.CommitMessages(ctx, msg); err != nil {
			log.Fatal(err)
		}
	}
	if err := first.Stop(ctx); err != nil {
		log.Fatal(err)
	}

	second, stop := reading(brokers, []kafka.TopicPartition{tp}, kafka.WithGroupID("billing"))
	defer stop()
	committed, err := second.Committed(ctx, tp)
	if err != nil {
		log.Fatal(err)
	}
	msg, err := second.GetOne(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("committed up to %d, next is %s\n", committed[tp].Offset, msg.Value)
	// Output:
	// billed apples
	// billed bread
	// committed up to 2, next is cheese
}

// A deserializer's failure comes with the message; a loop that goes on skips it.
func ExampleTyped() {
	brokers := cluster()
	brokers.CreateTopic("sizes", 1)
	brokers.AppendValues("sizes", 0, `{"width":3}`, `{"width":`, `{"width":4}`)
	consumer, stop := reading(brokers, []kafka.TopicPartition{{Topic: "sizes", Partition: 0}})
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	type size struct{ Width int }
	left := 3
	for msg, err := range kafka.Typed(consumer, kafka.String, kafka.JSON[size]()).All(ctx) {
		var bad *kafka.DeserializationError
		switch {
		case errors.As(err, &bad):
			fmt.Printf("the %v at %d cannot be read: %s\n", bad.Side, bad.Message.Offset, bad.Message.Value)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Printf("%d wide\n", msg.Value.Width)
		}
		if left--; left == 0 {
			break
		}
	}
	// Output:
	// 3 wide
	// the value at 1 cannot be read: {"width":
	// 4 wide
}

// Every topic whose whole name matches is consumed.
func ExampleConsumer_SubscribePattern() {
	brokers := cluster()
	defer brokers.Close()
	brokers.CreateTopic("orders.eu", 1)
	brokers.CreateTopic("reorders", 1)
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(brokers.Addrs()...),
		kafka.WithDialer(brokers.Dial),
	)
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.SubscribePattern(`orders(\..*)?`); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	fmt.Println(consumer.Subscription())
	fmt.Println(consumer.Assignment())
	// Output:
	// [orders orders.eu]
	// [orders-0 orders-1 orders.eu-0]
}

// The listener is told what comes and goes, also without a group.
func ExampleWithListener() {
	brokers := cluster()
	defer brokers.Close()
	consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers(brokers.Addrs()...), kafka.WithDialer(brokers.Dial))
	if err != nil {
		log.Fatal(err)
	}
	err = consumer.Subscribe([]string{"orders"}, kafka.WithListener(kafka.RebalanceFuncs{
		Assigned: func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
			fmt.Println("assigned", tps)
			return nil
		},
		Revoked: func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
			fmt.Println("revoked", tps)
			return nil
		},
	}))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := consumer.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// assigned [orders-0 orders-1]
	// revoked [orders-0 orders-1]
}
