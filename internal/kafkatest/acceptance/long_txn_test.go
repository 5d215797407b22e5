//go:build kafka && long

package acceptance

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// crowdTxn is how often a transaction begins.
const crowdTxn = 200 * time.Millisecond

// writeTxns begins to write to partitions [0, to) so many records a second, in transactions. What a transaction wrote counts as
// acknowledged when it is committed.
func (cr *crowd) writeTxns(t *testing.T, to int32, rate int) *crowdFeed {
	t.Helper()
	client, _ := newTxnClient(t, cr.cluster)
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
			if err := cr.oneTxn(client, records, n%abortEvery != 0); err != nil {
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

// oneTxn writes records in a transaction, and notes what becomes of them.
func (cr *crowd) oneTxn(client *kgo.Client, records []*kgo.Record, commit bool) error {
	err := transact(client, records, commit, func() {
		cr.mu.Lock()
		defer cr.mu.Unlock()
		for _, r := range records {
			part := cr.part(r.Partition, r.Offset)
			if part.aborted == nil {
				part.aborted = make(map[int64]bool)
			}
			part.aborted[r.Offset] = true
		}
	})
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
