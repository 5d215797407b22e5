package acceptance

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A Position that waits goes on waiting through a rebalance, and fails when the partition is given up for good.
func TestGroupChange_PendingPosition(t *testing.T) {
	for name, assignors := range eagerAndCooperative {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Fake(t, kafkatest.FakeOptions{})
			topic, tps := filled(t, c, 2, 5)
			loading := fault(c, kmsg.OffsetFetch, topic, kerr.CoordinatorLoadInProgress, -1)
			a, heard := startMember(t, c, topic, []string{topic}, assignors, noAutoCommit)
			asked := inBackground(func() error {
				at, err := a.Position(within(t), tps[0])
				require.Zero(t, at)
				return err
			})
			blocked(t, asked)
			was := generationOf(t, a)
			require.NoError(t, a.EnforceRebalance("for the test"))
			awaitMember(t, a, was+1, tps...)
			blocked(t, asked)
			loading.Remove()
			require.NoError(t, ended(t, asked).err)
			heard.inOrder(t)

			fault(c, kmsg.OffsetFetch, topic+"-again", kerr.CoordinatorLoadInProgress, -1)
			b, _ := startMember(t, c, topic+"-again", []string{topic}, assignors, noAutoCommit)
			asked = inBackground(func() error { _, err := b.Position(within(t), tps[0]); return err })
			blocked(t, asked)
			require.NoError(t, b.Unsubscribe(within(t)))
			require.ErrorIs(t, ended(t, asked).err, kafka.ErrIllegalState)
		})
	}
}

// Stop waits for OnPartitionsAssigned to return, and then has the partitions revoked.
func TestGroupChange_StopWaitsForARunningListener(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 5)
		a, heard := startMember(t, c, topic, []string{topic})
		release := make(chan struct{})
		heard.on(inCallback("OnPartitionsAssigned", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { <-release; return nil }))
		require.NoError(t, a.EnforceRebalance("for the test"))
		heard.await(t, 3)
		stopping := inBackground(func() error { return a.Stop(within(t)) })
		blocked(t, stopping)
		close(release)
		require.NoError(t, ended(t, stopping).err)
		require.Equal(t, []told{assigned(tps...), revoked(tps...), assigned(tps...), revoked(tps...)}, heard.so())
		heard.inOrder(t)
		require.Empty(t, described(t, c, topic))
		require.NoError(t, a.Stop(within(t)))
	})
}

// What a member held that takes no messages is taken over by another one; it can come back.
func TestGroupChange_AnIdleMemberIsReplacedAndComesBack(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		idle, _ := startMember(t, c, topic, []string{topic}, kafka.WithMaxPollInterval(time.Second))
		l := newLedger()
		busy := l.join(t, c, "busy", []string{topic}, groupOptions(topic)...)
		shared(t, tps, idle, busy.Consumer)
		began := time.Now()
		shared(t, tps, busy.Consumer)
		t.Logf("taken over after %v", time.Since(began).Round(time.Millisecond))
		require.Less(t, time.Since(began), time.Second+soon)
		l.complete(t, map[kafka.TopicPartition]int64{tps[0]: 10, tps[1]: 10})
		require.Zero(t, l.duplicates)
		nothing(t, idle) // it joins again, and takes part
		shared(t, tps, idle, busy.Consumer)
		tp := idle.Assignment()[0]
		produce(t, c, topic, tp.Partition, "for the one that was idle")
		require.Equal(t, []string{"for the one that was idle"}, texts(read(t, idle, 1)))
	})
}

// The leader shares out what the cluster has now, not what it knew: it waits for metadata.
func TestGroupChange_LeaderWaitsForMetadata(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 1)
		a, heard := startMember(t, c, topic, []string{topic})
		shared(t, tps, a)
		heard.await(t, 1)
		c.AddPartitions(t, topic, 4) // metadata is looked at every five minutes
		heard.forget()
		was, release, held := generationOf(t, a), make(chan struct{}), atomic.Int64{}
		if c.Fake() != nil {
			c.Fake().ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.Fake().KeepControl()
				held.Add(1)
				c.Fake().SleepControl(func() { <-release })
				return nil, nil, false
			})
		}
		require.NoError(t, a.EnforceRebalance("for the test"))
		if c.Fake() != nil {
			eventually(t, func() bool { return held.Load() > 0 }, "the leader does not ask for metadata")
			<-time.After(short)
			require.Equal(t, []told{revoked(tps...)}, heard.so())
		}
		close(release)
		awaitMember(t, a, was+1, allOf(topic, 4)...)
		require.Equal(t, was+1, generationOf(t, a), "in one rebalance")
		heard.hears(t, revoked(tps...), assigned(allOf(topic, 4)...))
	})
}

// A subscription that is replaced, or added to, in the middle of a rebalance ends with the new topics, in no more rebalances than
// that takes: none where the join has not gone out, and one after it.
func TestGroupChange_SubscriptionInTheMiddleOfARebalance(t *testing.T) {
	for when, more := range map[string]int32{"before the join": 1, "while the join is out": 2} {
		for how, replace := range map[string]bool{"replaced": true, "added to": false} {
			t.Run(when+", "+how, func(t *testing.T) {
				c := kafkatest.Fake(t, kafkatest.FakeOptions{})
				one, first := filled(t, c, 2, 2)
				two, second := filled(t, c, 2, 2)
				a, heardA := startMember(t, c, one, []string{one})
				b, heardB := startMember(t, c, one, []string{one})
				shared(t, first, a, b)
				awaitSame(t, a, b)
				heardA.await(t, 3)
				heardB.await(t, 1)
				was := generationOf(t, a)
				join := c.Fake().Fault(joins(one))

				holds := heardB // whose rebalance is held up: b's, so that a's join is out
				if more == 1 {
					holds = heardA
				}
				release := make(chan struct{})
				var once sync.Once
				t.Cleanup(func() { once.Do(func() { close(release) }) })
				holds.forget()
				holds.on(inCallback("OnPartitionsRevoked", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { <-release; return nil }))
				require.NoError(t, a.EnforceRebalance("for the test"))
				holds.await(t, 1)
				if more == 2 {
					eventually(t, func() bool { return join.Hits() > 0 }, "a does not join")
				}
				topics := []string{one, two}
				if replace {
					topics = []string{two}
				}
				require.NoError(t, a.Subscribe(topics, kafka.WithListener(heardA)))
				once.Do(func() { close(release) })
				eventually(t, func() bool {
					all := append(a.Assignment(), b.Assignment()...)
					slices.SortFunc(all, compareTPs)
					both := append(slices.Clone(first), second...)
					slices.SortFunc(both, compareTPs)
					is, ok := a.GroupMetadata()
					return ok && is.GenerationID >= was+more && slices.Equal(all, both)
				}, "they do not share both topics")
				awaitSame(t, a, b)
				require.Equal(t, was+more, generationOf(t, a), "rebalances")
				require.Subset(t, a.Assignment(), second)
				if replace {
					require.Equal(t, second, a.Assignment())
					require.Equal(t, first, b.Assignment())
				}
				heardA.inOrder(t)
				heardB.inOrder(t)
			})
		}
	}
}

// joins observes the JoinGroups of a group.
func joins(group string) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: group, Observe: true, Count: -1}
}
