package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// embedded is a broker inside this process, and a producer that writes orders to it.
type embedded struct {
	broker   *kfake.Cluster
	producer *kgo.Client
	topic    string
	stop     context.CancelFunc
	written  chan int      // gets the number of orders when the last one is in the log
	done     chan struct{} // closed when the producer has ended
}

// partitions is how many the topic has.
const partitions = 6

// startEmbedded starts the broker, and the producer for a while.
func startEmbedded(produceFor time.Duration) (*embedded, error) {
	const topic = "orders"
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		broker.Close()
		return nil, fmt.Errorf("make the producer: %w", err)
	}
	ctx, stop := context.WithTimeout(context.Background(), produceFor)
	e := &embedded{broker: broker, producer: producer, topic: topic, stop: stop, written: make(chan int, 1), done: make(chan struct{})}
	go e.produce(ctx) // ended by close
	return e, nil
}

func (e *embedded) addr() string { return e.broker.ListenAddrs()[0] }

// close ends the producer and the broker.
func (e *embedded) close() {
	e.stop()
	<-e.done
	e.producer.Close()
	e.broker.Close()
}

// waves are the sizes of the bursts in which orders come.
var waves = []int{2, 3, 6, 12, 20, 8, 3, 1}

// produce writes orders until ctx ends.
func (e *embedded) produce(ctx context.Context) {
	defer close(e.done)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	n := 0
	for burst := 0; ctx.Err() == nil; burst++ {
		for range waves[burst%len(waves)] {
			e.producer.Produce(context.Background(), order(n), nil)
			n++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if err := e.producer.Flush(context.Background()); err == nil {
		e.written <- n
	}
}

var (
	customers = []string{"ada", "leslie", "grace", "edsger", "dennis", "tony", "karen", "emmy", "frances", "rob", "joan"}
	goods     = []string{"tea", "coffee", "rye bread", "honey", "apples", "oat milk", "blue cheese", "olives"}
)

// order makes the n-th order.
func order(n int) *kgo.Record {
	return kgo.KeyStringRecord(customers[n%len(customers)],
		fmt.Sprintf(`{"order":%d,"item":%q,"quantity":%d}`, n, goods[n*5%len(goods)], 1+n%4))
}
