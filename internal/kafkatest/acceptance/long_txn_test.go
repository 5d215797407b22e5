//go:build kafka && long

package acceptance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

const (
	crowdTxn   = 200 * time.Millisecond // a transaction's length
	crowdAbort = 3                      // every so many transactions is aborted
)

// writeTxns begins to write to partitions [0, to) so many records a second, in transactions. What a transaction wrote counts as
// acknowledged when it is committed.
func (cr *crowd) writeTxns(t *testing.T, to int32, rate int) *crowdFeed {
	t.Helper()
	client, err := kgo.NewClient(cr.cluster.ClientOptions(
		kgo.TransactionalID(kafkatest.TopicName(t)), kgo.TransactionTimeout(30*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second), kgo.DialTimeout(time.Second),
	)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	done := inBackground(func() error {
		pace := time.NewTicker(crowdTxn)
		defer pace.Stop()
		began, written := time.Now(), 0
		for n := 1; ctx.Err() == nil; n++ {
			<-pace.C
			due := int(time.Since(began).Seconds() * float64(rate))
			records := cr.records(to, written, due)
			written = due
			if err := cr.oneTxn(client, records, n%crowdAbort != 0); err != nil {
				return err
			}
		}
		return nil
	})
	return &crowdFeed{stop: stop, done: done}
}

func (cr *crowd) records(partitions int32, from, to int) (records []*kgo.Record) {
	for n := from; n < to; n++ {
		records = append(records, &kgo.Record{Topic: cr.topic, Partition: int32(n) % partitions, Value: make([]byte, 100)})
	}
	return records
}

// oneTxn writes records and commits or aborts them. One that ends otherwise than it was told to is an error: what became of it is not
// known.
func (cr *crowd) oneTxn(client *kgo.Client, records []*kgo.Record, commit bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	wrong := client.ProduceSync(ctx, records...).FirstErr()
	if !commit {
		cr.mu.Lock()
		for _, r := range records {
			part := cr.part(r.Partition, r.Offset)
			if part.aborted == nil {
				part.aborted = make(map[int64]bool)
			}
			part.aborted[r.Offset] = true
		}
		cr.mu.Unlock()
	}
	err := errors.Join(wrong, client.EndTransaction(ctx, kgo.TransactionEndTry(commit)))
	if err != nil || !commit {
		return err
	}
	now := time.Now()
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for _, r := range records {
		cr.part(r.Partition, r.Offset).acked[r.Offset] = now
	}
	return nil
}
