package acceptance

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A static member that is stopped and started within its session timeout has its partitions again, and the others do
// not hear of it (KIP-345).
func TestGroupMember_StaticRestartIsNoRebalance(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range map[string]kafka.ConsumerOption{"eager": assignorLists["default"], "cooperative": cooperative} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 4, 10)
				static := func(id string) (*kafka.Consumer, *recorder) {
					return startMember(t, c, topic, []string{topic}, assignors, kafka.WithGroupInstanceID(id), kafka.WithSessionTimeout(5*time.Second))
				}
				a, heardA := static("a")
				b, heardB := static("b")
				shared(t, tps, a, b)
				was, _ := a.GroupMetadata()
				had := b.Assignment()
				readMany(t, b, 4, kafka.UpTo(4))
				heardA.await(t, callsUntilShared[name])
				heardA.forget()
				heardB.forget()
				require.NoError(t, b.Stop(within(t)))
				require.Equal(t, []told{revoked(had...)}, heardB.so())
				require.Len(t, described(t, c, topic), 2, "a static member does not leave")
				b, heardB = static("b")
				require.Equal(t, had, b.Assignment())
				require.Equal(t, []told{assigned(had...)}, heardB.so())
				readMany(t, b, 16)
				if c.Fake() != nil {
					return // it does not know KIP-814: a leader that restarts causes a rebalance
				}
				had = a.Assignment()
				require.Empty(t, heardA.so())
				require.NoError(t, a.Stop(within(t)))
				heardB.forget()
				a, heardA = static("a")
				require.Equal(t, had, a.Assignment())
				require.Equal(t, []told{assigned(had...)}, heardA.so())
				now, _ := a.GroupMetadata()
				require.Equal(t, was.GenerationID, now.GenerationID)
				nothing(t, b)
				require.Empty(t, heardB.so())
			})
		}
	})
}

// A second consumer with the same instance id takes the place; the first one fails for good, and says why.
func TestGroupMember_FencedInstanceIsFatal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 5)
		a, heard := startMember(t, c, topic, []string{topic}, kafka.WithGroupInstanceID("same"))
		readMany(t, a, 10)
		b, _ := startMember(t, c, topic, []string{topic}, kafka.WithGroupInstanceID("same"))
		shared(t, tps, b)
		for range 2 {
			_, err := a.GetOne(within(t))
			require.ErrorIs(t, err, protocol.FencedInstanceID)
			require.ErrorContains(t, err, topic)
		}
		for m, err := range a.All(within(t)) { // ends after the fatal error
			require.Nil(t, m)
			require.ErrorIs(t, err, protocol.FencedInstanceID)
		}
		require.Empty(t, a.Assignment())
		require.Equal(t, lost(tps...), heard.so()[1])
		_, err := a.Committed(within(t), tps...)
		require.NoError(t, err)
		require.NoError(t, a.Unsubscribe(within(t)))
		_, err = a.GetOne(within(t))
		require.ErrorIs(t, err, protocol.FencedInstanceID, "with nothing subscribed too")
		require.NoError(t, a.Subscribe([]string{topic}))
		_, err = a.GetMany(within(t))
		require.ErrorIs(t, err, protocol.FencedInstanceID, "a new subscription does not help")
		require.NoError(t, a.Stop(within(t)))
		produce(t, c, topic, 0, "next")
		eventually(t, func() bool {
			got, err := b.GetMany(within(t), kafka.WaitFor(short))
			require.NoError(t, err)
			msgs := got[tps[0]]
			return len(msgs) > 0 && string(msgs[len(msgs)-1].Value) == "next"
		}, "the other one goes on")
	})
}

// A member whose application takes nothing leaves, says so, and joins again at the next call.
func TestGroupMember_MaxPollInterval(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		var book logBook
		a, heard := startMember(t, c, topic, []string{topic}, kafka.WithMaxPollInterval(500*time.Millisecond), kafka.WithLogger(book.logger(slog.LevelWarn)))
		consecutive(t, 0, read(t, a, 3, kafka.FromPartitions(tps[0])))
		began := time.Now()
		eventually(t, func() bool { return len(described(t, c, topic)) == 0 }, "it is a member still")
		t.Logf("it left after %v", time.Since(began).Round(time.Millisecond))
		require.GreaterOrEqual(t, time.Since(began), 400*time.Millisecond)
		heard.await(t, 2)
		require.Equal(t, revoked(tps...), heard.so()[1])
		book.hasSome(t, "WARN", "max poll interval")
		require.EqualValues(t, 2, storedAt(t, c, topic, tps[0]), "what is settled is committed; the message in hand is not")
		require.Empty(t, a.Assignment())
		got := readMany(t, a, 18) // the next call brings it back
		consecutive(t, 2, got[tps[0]])
		require.Equal(t, assigned(tps...), heard.so()[2])
		// A call that waits, and paused partitions, are no idleness.
		_, err := a.GetOne(until(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, a.Pause(tps...))
		produce(t, c, topic, 0, "paused")
		<-time.After(time.Second)
		require.Len(t, heard.so(), 3)
		require.Len(t, a.Assignment(), 2)
	})
}

func TestGroupMember_UnsubscribeThenSubscribe(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		other, _ := filled(t, c, 1, 10)
		a, heard := startMember(t, c, topic, []string{topic})
		readMany(t, a, 4, kafka.UpTo(2))
		require.NoError(t, a.Unsubscribe(within(t)))
		require.Empty(t, described(t, c, topic), "it has left")
		require.Empty(t, a.Assignment())
		nothing(t, a)
		require.NoError(t, a.Assign(tpOf(other, 0)))
		read(t, a, 2)
		require.NoError(t, a.Commit(within(t)))
		require.NoError(t, a.Unsubscribe(within(t)))
		require.NoError(t, a.Subscribe([]string{topic}, kafka.WithListener(heard)))
		n := 0
		for _, msgs := range readMany(t, a, 16) {
			n += len(msgs)
		}
		require.Equal(t, 16, n, "from where it was")
		nothing(t, a)
		require.Equal(t, []told{assigned(tps...), revoked(tps...), assigned(tps...)}, heard.so())
	})
}

// The subscription is changed over and over, also in the middle of rebalances; the last one counts.
func TestGroupMember_SubscriptionChangesInTheMiddle(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range map[string]kafka.ConsumerOption{"eager": assignorLists["default"], "cooperative": cooperative} {
			t.Run(name, func(t *testing.T) {
				one, first := filled(t, c, 2, 5)
				two, second := filled(t, c, 2, 5)
				a, heardA := startMember(t, c, one, []string{one}, assignors, noAutoCommit)
				b, heardB := startMember(t, c, one, []string{one, two}, assignors, noAutoCommit)
				for i := range 20 {
					topics := [][]string{{one}, {two}, {one, two}}[i%3]
					require.NoError(t, a.Subscribe(topics, kafka.WithListener(heardA)))
					if i%4 == 0 {
						<-time.After(20 * time.Millisecond)
					}
					for _, tp := range a.Assignment() {
						require.Contains(t, topics, tp.Topic)
					}
				}
				require.NoError(t, a.Subscribe([]string{two}, kafka.WithListener(heardA)))
				eventually(t, func() bool {
					all := append(a.Assignment(), b.Assignment()...)
					return len(all) == 4 && len(a.Assignment()) > 0
				}, "they do not come to an agreement")
				for _, tp := range a.Assignment() {
					require.Contains(t, second, tp)
				}
				require.Subset(t, b.Assignment(), first)
				heardA.inOrder(t)
				heardB.inOrder(t)
			})
		}
	})
}

// Heartbeats go on, and the membership with them, while the application or a listener takes longer than the session.
func TestGroupMember_SlownessIsNoReasonToBeRemoved(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		slow := (&recorder{}).on(inCallback("OnPartitionsAssigned", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error {
			<-time.After(1200 * time.Millisecond)
			return nil
		}))
		opts := append(groupOptions(topic), kafka.WithSessionTimeout(700*time.Millisecond), kafka.WithTopics(topic))
		a := start(t, c, append(opts, kafka.WithRebalanceListener(slow))...)
		was, ok := a.GroupMetadata()
		require.True(t, ok)
		read(t, a, 1)
		<-time.After(1200 * time.Millisecond) // the application is busy
		now, _ := a.GroupMetadata()
		require.Equal(t, was, now)
		require.Equal(t, []told{assigned(tps...)}, slow.so())
		require.Len(t, described(t, c, topic), 1)
	})
}

// What keeps a consumer out of its group fails Start at once, with the reason.
func TestGroupMember_StartErrors(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 1)
		fails := func(t *testing.T, code protocol.ErrorCode, opts ...kafka.ConsumerOption) error {
			consumer := newConsumer(t, c, append([]kafka.ConsumerOption{kafka.WithGroupID(topic), kafka.WithTopics(topic)}, opts...)...)
			began := time.Now()
			err := consumer.Start(within(t))
			require.ErrorIs(t, err, code)
			require.ErrorContains(t, err, topic)
			require.Less(t, time.Since(began), soon)
			t.Log(err)
			return err
		}
		t.Run("session timeout", func(t *testing.T) {
			_ = fails(t, protocol.InvalidSessionTimeout, kafka.WithSessionTimeout(200*time.Millisecond), kafka.WithHeartbeatInterval(50*time.Millisecond))
		})
		t.Run("protocol", func(t *testing.T) {
			a, heard := startMember(t, c, topic, []string{topic}, cooperative)
			shared(t, tps, a)
			_ = fails(t, protocol.InconsistentGroupProtocol, kafka.WithAssignors(kafka.RangeAssignor))
			require.Equal(t, []told{assigned(tps...)}, heard.so(), "the others do not hear of it")
		})
		if c.Fake() == nil {
			return
		}
		for _, key := range []kmsg.Key{kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup} {
			t.Run("authorization of "+key.Name(), func(t *testing.T) {
				refused := fault(c, key, topic, kerr.GroupAuthorizationFailed, -1)
				err := fails(t, protocol.GroupAuthorizationFailed)
				var denied *kafka.AuthorizationError
				require.ErrorAs(t, err, &denied)
				require.Equal(t, "group", denied.Resource)
				require.Equal(t, topic, denied.Name)
				refused.Remove()
			})
		}
	})
}

// A refusal while it runs is told by the Get calls, and passes when the right comes back.
func TestGroupMember_AuthorizationComesBack(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	topic, tps := filled(t, c, 2, 5)
	a, _ := startMember(t, c, topic, []string{topic}, kafka.WithRetryBackoff(10*time.Millisecond, 30*time.Millisecond))
	readMany(t, a, 10)
	refused := fault(c, kmsg.JoinGroup, topic, kerr.GroupAuthorizationFailed, -1)
	require.NoError(t, a.EnforceRebalance("for the test"))
	var denied *kafka.AuthorizationError
	_, err := a.GetOne(within(t))
	require.ErrorAs(t, err, &denied)
	refused.Remove()
	produce(t, c, topic, 0, "after")
	eventually(t, func() bool {
		m, err := a.GetOne(within(t))
		require.True(t, err == nil || errors.As(err, &denied), "%v", err)
		return err == nil && string(m.Value) == "after"
	}, "it does not come back")
	shared(t, tps, a)
}

// The start has its bound while others keep the group waiting, and leaves nothing behind.
func TestGroupMember_StartEndsWithItsContext(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 1)
		release := make(chan struct{})
		var hold atomic.Bool
		heard := (&recorder{}).on(inCallback("OnPartitionsRevoked", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error {
			if hold.Load() {
				<-release
			}
			return nil
		}))
		hold.Store(true)
		a := start(t, c, append(groupOptions(topic), kafka.WithTopics(topic), kafka.WithRebalanceListener(heard), noAutoCommit)...)
		b := newConsumer(t, c, append(groupOptions(topic), kafka.WithTopics(topic))...)
		began := time.Now()
		require.ErrorIs(t, b.Start(until(t, 700*time.Millisecond)), context.DeadlineExceeded)
		require.Less(t, time.Since(began), 700*time.Millisecond+soon)
		close(release)
		hold.Store(false)
		require.NoError(t, b.Start(within(t)), "it may be called again")
		shared(t, tps, a, b)
		require.NoError(t, b.Stop(within(t)))
	})
}

func TestGroupMember_EnforceRebalance(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 4, 1)
		a, heard := startMember(t, c, topic, []string{topic}, cooperative)
		b, _ := startMember(t, c, topic, []string{topic}, cooperative)
		shared(t, tps, a, b)
		was, _ := b.GroupMetadata()
		heard.forget()
		require.NoError(t, a.EnforceRebalance("for the test"))
		eventually(t, func() bool { now, ok := b.GroupMetadata(); return ok && now.GenerationID > was.GenerationID }, "no rebalance")
		shared(t, tps, a, b)
		require.Empty(t, heard.so(), "nothing has moved")
		require.NoError(t, a.Unsubscribe(within(t)))
		require.NoError(t, a.Assign(tps[0]))
		require.ErrorIs(t, a.EnforceRebalance("no"), kafka.ErrIllegalState)
	})
}
