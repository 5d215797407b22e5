//go:build kafka && long

package acceptance

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
)

// Members of this library and of franz-go are killed, leave and join in the same way, under the same load and settings: what that
// costs is measured with one yardstick. Only what this library promises is asserted; franz-go's figures are what others can do.
func TestLong_ChurnBesideFranz(t *testing.T) {
	c := longCluster(t, 3*time.Second)
	churn := groupFault{do: comeAndGo}
	figures := make(map[string]crowdFigure)
	measure := func(name string, over func(t *testing.T) crowdFigure) {
		t.Run(name, func(t *testing.T) {
			f := over(t)
			figures[name] = f
			t.Logf("%s: %d records | duplicates %d of what was given up in good order, %d of killed | late %.1f %% (of killed %.1f %%) | longest stall %v, %s | rebalances %d, lost %d",
				name, f.records, f.duplicates, f.redone, f.late, f.orphans, ms(f.stall), f.note, f.generations, f.lost)
		})
	}
	measure("ours, cooperative", func(t *testing.T) crowdFigure {
		f := churn.measure(t, c)
		assert.Zero(t, f.duplicates, "duplicates of what was given up in good order")
		assert.LessOrEqual(t, f.late-f.orphans, 5.0, "percent late, without what waited for a killed member's session to end")
		return f
	})
	franz := func(balancer kgo.GroupBalancer) func(t *testing.T) crowdFigure {
		return func(t *testing.T) crowdFigure {
			cr := churn.crowd(t, c)
			cr.begin = func(t *testing.T, m *crowdMember) crowdClient { return cr.beginFranz(t, m, balancer) }
			f := churn.over(t, cr)
			cr.mu.Lock()
			defer cr.mu.Unlock()
			if len(cr.wrong) > 0 { // it would fail our own; here it tells how far the figures can be trusted
				t.Logf("%d times something was wrong, first %s", len(cr.wrong), cr.wrong[0])
			}
			return f
		}
	}
	measure("franz-go, cooperative", franz(kgo.CooperativeStickyBalancer()))
	measure("franz-go, eager", franz(kgo.StickyBalancer()))

	ours, measured := figures["ours, cooperative"]
	theirs, beside := figures["franz-go, cooperative"]
	if measured && beside { // a run may be asked for one of them
		assert.LessOrEqual(t, ours.late, theirs.late+5, "percent late, beside franz-go's")
	}
}

// A crowdFranz is a client of franz-go.
type crowdFranz struct {
	client *kgo.Client
	tell   *recorder
	line   cable
	cancel context.CancelFunc // ends all that the client does
	close  func()

	mu    sync.Mutex
	owned map[kafka.TopicPartition]bool // by what it was told
}

// beginFranz starts a client with the settings of the crowd's own.
func (cr *crowd) beginFranz(t *testing.T, m *crowdMember, balancer kgo.GroupBalancer) crowdClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &crowdFranz{tell: &m.recorder, cancel: cancel, owned: make(map[kafka.TopicPartition]bool)}
	client, err := kgo.NewClient(append(franzListener(f.told),
		kgo.WithContext(ctx), kgo.SeedBrokers(cr.cluster.Bootstrap()...), kgo.Dialer(f.line.dial), kgo.ClientID(m.name),
		kgo.ConsumerGroup(cr.group), kgo.ConsumeTopics(cr.topic), kgo.Balancers(balancer), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(crowdSession), kgo.HeartbeatInterval(time.Second), kgo.AutoCommitInterval(time.Second),
		kgo.MetadataMaxAge(2*time.Second), kgo.MetadataMinAge(100*time.Millisecond), // its default is longer than that age
		kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	require.NoError(t, err)
	f.client, f.close = client, sync.OnceFunc(client.Close)
	t.Cleanup(func() { // a member that was killed, or is left over by a test that failed, says nothing more either
		f.line.cut(true)
		cancel()
		f.close()
	})
	return f
}

// told takes in what the client tells of its partitions.
func (f *crowdFranz) told(ctx context.Context, call told) {
	if len(call.parts) == 0 {
		return
	}
	f.mu.Lock()
	for _, tp := range call.parts {
		if call.callback == "OnPartitionsAssigned" {
			f.owned[tp] = true
		} else {
			delete(f.owned, tp)
		}
	}
	f.mu.Unlock()
	_ = f.tell.call(ctx, nil, call.callback, call.parts)
}

func (f *crowdFranz) Assignment() []kafka.TopicPartition {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(f.owned), compareTPs)
}

func (f *crowdFranz) generation() (int, bool) {
	id, generation := f.client.GroupMetadata()
	return int(generation), id != ""
}

func (f *crowdFranz) take() (map[kafka.TopicPartition][]*kafka.Message, error) {
	if f.client.Context().Err() != nil {
		return nil, kafka.ErrConsumerStopped // it would still give what it has fetched, which the end of a process does not
	}
	fetches := f.client.PollRecords(context.Background(), crowdBatch)
	if fetches.IsClientClosed() {
		return nil, kafka.ErrConsumerStopped
	}
	batch := make(map[kafka.TopicPartition][]*kafka.Message)
	fetches.EachRecord(func(r *kgo.Record) {
		tp := tpOf(r.Topic, r.Partition)
		batch[tp] = append(batch[tp], &kafka.Message{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Value: r.Value})
	})
	return batch, nil
}

// leave commits what was read before it closes the client, which leaves the group.
func (f *crowdFranz) leave(t *testing.T) {
	t.Helper()
	if err := f.client.CommitUncommittedOffsets(within(t)); err != nil {
		t.Logf("a commit before leaving: %v", err) // as in a rebalance; giving the partitions up commits once more
	}
	f.close()
}

// crash cuts the connections first, so that nothing of what the client does at its end gets out.
func (f *crowdFranz) crash(t *testing.T) {
	t.Helper()
	f.line.cut(true)
	f.cancel()
}
