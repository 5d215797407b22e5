package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Txn is a transaction of a producer of its own. One that is still open when the test ends is aborted.
type Txn struct {
	producer *Producer
	open     bool
}

// BeginTxn begins a transaction. The records it produces are in the log at once, and seen by readers of uncommitted records.
func BeginTxn(t testing.TB, c *Cluster, options ...ProduceOption) *Txn {
	t.Helper()
	options = append([]ProduceOption{With(
		kgo.TransactionalID(TopicName(t)), kgo.TransactionTimeout(5*time.Minute),
	)}, options...)
	txn := &Txn{producer: NewProducer(t, c, options...)}
	txn.Begin(t)
	t.Cleanup(func() {
		if txn.open {
			_ = txn.end(kgo.TryAbort) // the cluster may be gone; an open transaction harms no other test's topic
		}
	})
	return txn
}

// Begin begins the next transaction of the same producer, after Commit or Abort.
func (x *Txn) Begin(t testing.TB) {
	t.Helper()
	if err := x.producer.client.BeginTransaction(); err != nil {
		t.Fatalf("begin a transaction: %v", err)
	}
	x.open = true
}

// Produce writes records inside the transaction and returns once they are in the log.
func (x *Txn) Produce(t testing.TB, topic string, partition int32, records ...*Record) []*Record {
	t.Helper()
	return x.producer.Produce(t, topic, partition, records...)
}

// Commit ends the transaction and returns once its outcome is decided; the markers follow at once, see [Cluster.AwaitStable].
func (x *Txn) Commit(t testing.TB) {
	t.Helper()
	if err := x.end(kgo.TryCommit); err != nil {
		t.Fatalf("commit a transaction: %v", err)
	}
}

// Abort ends the transaction without effect. Its records stay in the log, to be left out by readers of committed ones.
func (x *Txn) Abort(t testing.TB) {
	t.Helper()
	if err := x.end(kgo.TryAbort); err != nil {
		t.Fatalf("abort a transaction: %v", err)
	}
}

func (x *Txn) end(how kgo.TransactionEndTry) error {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	x.open = false
	return x.producer.client.EndTransaction(ctx, how)
}

// AwaitStable waits until the last stable offset of a partition is its high watermark: all its transactions have their markers.
func (c *Cluster) AwaitStable(t testing.TB, topic string, partition int32) {
	t.Helper()
	c.await(t, "the transactions of "+topic+" to be marked", func(context.Context) (bool, error) {
		return c.LastStableOffset(t, topic, partition) == c.EndOffset(t, topic, partition), nil
	})
}
