package acceptance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// abortEvery is which transactions are aborted in these tests.
const abortEvery = 3

// newTxnClient gives a producer of transactions that notices soon what becomes of brokers, and its transactional id.
func newTxnClient(t *testing.T, c *kafkatest.Cluster) (*kgo.Client, string) {
	t.Helper()
	id := kafkatest.TopicName(t)
	client, err := kgo.NewClient(c.ClientOptions(
		kgo.TransactionalID(id), kgo.TransactionTimeout(30*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second), kgo.DialTimeout(time.Second),
	)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client, id
}

// transact writes records in one transaction and commits it, or calls aborting and aborts it. One that ends otherwise is an error: what
// became of it is not known.
func transact(client *kgo.Client, records []*kgo.Record, commit bool, aborting func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	wrong := client.ProduceSync(ctx, records...).FirstErr()
	if !commit {
		aborting()
	}
	return errors.Join(wrong, client.EndTransaction(ctx, kgo.TransactionEndTry(commit)))
}

// A txnFeed writes transactions one after the other, and notes what became of their records.
type txnFeed struct {
	mu                 sync.Mutex
	committed, aborted map[kafka.TopicPartition][]int64
	ended              int // transactions

	stop context.CancelFunc
	done <-chan result
	id   string
}

func startTxnFeed(t *testing.T, c *kafkatest.Cluster, tps []kafka.TopicPartition) *txnFeed {
	t.Helper()
	client, id := newTxnClient(t, c)
	ctx, stop := context.WithCancel(within(t))
	f := &txnFeed{committed: make(map[kafka.TopicPartition][]int64), aborted: make(map[kafka.TopicPartition][]int64), stop: stop, id: id}
	f.done = inBackground(func() error {
		pace := time.NewTicker(4 * feedPace)
		defer pace.Stop()
		for n := 1; ctx.Err() == nil; n++ {
			var records []*kgo.Record
			for i := range 4 * len(tps) {
				tp := tps[i%len(tps)]
				records = append(records, &kgo.Record{Topic: tp.Topic, Partition: tp.Partition, Value: fmt.Append(nil, n)})
			}
			commit := n%abortEvery != 0
			if err := transact(client, records, commit, func() { f.note(f.aborted, records) }); err != nil {
				return err
			}
			if commit {
				f.note(f.committed, records)
			}
			<-pace.C
		}
		return nil
	})
	return f
}

func (f *txnFeed) note(what map[kafka.TopicPartition][]int64, records []*kgo.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended++
	for _, r := range records {
		tp := tpOf(r.Topic, r.Partition)
		what[tp] = append(what[tp], r.Offset)
	}
}

// goesOn waits for so many transactions more.
func (f *txnFeed) goesOn(t *testing.T, more int) {
	t.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.ended
	}
	before := count()
	eventually(t, func() bool { return count() >= before+more }, "there are no more transactions")
}

// A leader is killed while transactions are written to its partitions, some to be aborted: the group gets all that was committed, once,
// and nothing that was aborted.
func TestGroupFailover_TransactionsWithALeaderKilled(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		const partitions = 6
		topic, l := c.NewTopic(t, kafkatest.Topic{Partitions: partitions}), newLedger()
		l.gaps = true
		var consumers []*kafka.Consumer
		for i := range 3 {
			opts := append(groupOptions(topic), kafka.WithSessionTimeout(10*time.Second), kafka.WithIsolationLevel(kafka.ReadCommitted))
			consumers = append(consumers, l.join(t, c, fmt.Sprint("member-", i), []string{topic}, opts...).Consumer)
		}
		shared(t, allOf(topic, partitions), consumers...)
		f := startTxnFeed(t, c, allOf(topic, partitions))
		f.goesOn(t, 10)

		victim := leaderToKill(t, c, topic, f.id)
		c.Node(t, victim).Kill(t)
		for p := range int32(partitions) {
			c.AwaitNewLeader(t, topic, p, victim)
		}
		f.goesOn(t, 10)
		f.stop()
		require.NoError(t, ended(t, f.done).err)
		l.completeTxns(t, f)
		c.Node(t, victim).Start(t)
	})
}

// leaderToKill gives a leader; with a fake, whose coordinators stay with a node that is killed, one that coordinates nothing here.
func leaderToKill(t *testing.T, c *kafkatest.Cluster, topic, txnID string) int32 {
	t.Helper()
	fake := c.Fake()
	if fake == nil {
		return c.Leader(t, topic, 0)
	}
	return c.AwaitLeader(t, topic, 0, func(leader int32) bool {
		if fake.CoordinatorFor(topic) == leader || fake.CoordinatorFor(txnID) == leader {
			c.MoveLeader(t, topic, 0, (leader+1)%3)
			return false
		}
		return true
	})
}

// completeTxns waits until all that was committed was seen, and sees that nothing else was, and nothing twice.
func (l *ledger) completeTxns(t *testing.T, f *txnFeed) {
	t.Helper()
	eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for tp, offsets := range f.committed {
			for _, offset := range offsets {
				if l.seen[tp][offset] == 0 {
					return false
				}
			}
		}
		return true
	}, "committed records are missing")
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.wrong)
	require.Zero(t, l.duplicates)
	require.NotEmpty(t, f.aborted)
	for tp, offsets := range f.aborted {
		for _, offset := range offsets {
			require.Zero(t, l.seen[tp][offset], "%v offset %d was aborted", tp, offset)
		}
	}
}
