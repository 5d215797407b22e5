package acceptance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A journal is a listener that keeps what it was told, and looks that calls come one at a time and never with nothing.
type journal struct {
	t  *testing.T
	mu sync.Mutex // never waited for: a second caller is a failure

	calls    chan string // "assigned topic-0 topic-1"
	assigned func(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error
	revoked  func(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error
}

func newJournal(t *testing.T) *journal { return &journal{t: t, calls: make(chan string, 100)} }

func (j *journal) note(what string, tps []kafka.TopicPartition) func() {
	if !j.mu.TryLock() {
		j.t.Error("two calls at the same time")
		return func() {}
	}
	if len(tps) == 0 || !slices.IsSortedFunc(tps, func(a, b kafka.TopicPartition) int {
		return slices.Compare([]string{a.Topic, fmt.Sprint(a.Partition)}, []string{b.Topic, fmt.Sprint(b.Partition)})
	}) {
		j.t.Errorf("%s %v: empty or not sorted", what, tps)
	}
	for _, tp := range tps {
		what += " " + tp.String()
	}
	return func() {
		j.calls <- what
		j.mu.Unlock()
	}
}

func (j *journal) OnPartitionsAssigned(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
	defer j.note("assigned", tps)()
	if j.assigned != nil {
		return j.assigned(ctx, c, tps)
	}
	return nil
}

func (j *journal) OnPartitionsRevoked(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
	defer j.note("revoked", tps)()
	if j.revoked != nil {
		return j.revoked(ctx, c, tps)
	}
	return nil
}

// next gives the next call.
func (j *journal) next() string {
	j.t.Helper()
	select {
	case call := <-j.calls:
		return call
	case <-time.After(testTime):
		require.Fail(j.t, "the listener was not called")
		return ""
	}
}

// told sees that these were the calls, and no more.
func (j *journal) told(want ...string) {
	j.t.Helper()
	for _, w := range want {
		require.Equal(j.t, w, j.next())
	}
	require.Empty(j.t, j.calls)
}

// withLoss is a journal that also has the callback for lost partitions.
type withLoss struct{ *journal }

func (j withLoss) OnPartitionsLost(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
	defer j.note("lost", tps)()
	return nil
}

// The original calls no listener without a group.
func TestListener_IsCalledWithoutAGroupToo(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		one, two := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), c.NewTopic(t, kafkatest.Topic{})
		j := newJournal(t)
		consumer := start(t, c, quick, kafka.WithTopics(one), kafka.WithRebalanceListener(j))
		j.told(fmt.Sprintf("assigned %s-0 %s-1", one, one)) // before Start has returned
		c.AddPartitions(t, one, 4)
		if j.next() != fmt.Sprintf("assigned %s-2 %s-3", one, one) { // a broker may learn of one before the other
			j.next()
		}
		require.Len(t, consumer.Assignment(), 4)
		j.told()
		require.NoError(t, consumer.Subscribe([]string{one, two}, kafka.WithListener(j)))
		j.told("assigned " + two + "-0")
		require.NoError(t, consumer.Subscribe([]string{two}, kafka.WithListener(j)))
		j.told(fmt.Sprintf("revoked %s-0 %s-1 %s-2 %s-3", one, one, one, one))
		require.NoError(t, consumer.Subscribe([]string{one}, kafka.WithListener(j)))
		j.told("revoked "+two+"-0", fmt.Sprintf("assigned %s-0 %s-1 %s-2 %s-3", one, one, one, one))
		require.NoError(t, consumer.Unsubscribe(within(t)))
		j.told(fmt.Sprintf("revoked %s-0 %s-1 %s-2 %s-3", one, one, one, one))
		require.NoError(t, consumer.Subscribe([]string{two}, kafka.WithListener(j)))
		j.told("assigned " + two + "-0")
		require.NoError(t, consumer.Stop(within(t)))
		j.told("revoked " + two + "-0")
	})
}

func TestListener_AssignCallsNone(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		j := newJournal(t)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithRebalanceListener(j))
		j.told("assigned " + topic + "-0")
		require.NoError(t, consumer.Unsubscribe(within(t)))
		j.told("revoked " + topic + "-0")
		require.NoError(t, consumer.Assign(tpOf(topic, 0)))
		position(t, consumer, tpOf(topic, 0))
		require.NoError(t, consumer.Close())
		j.told()
	})
}

// Weakness 6.13 of the original: messages come before the callback has said where to begin.
func TestWeakness_6_13_NothingIsHandedOutBeforeAssignedHasReturned(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		for p := range int32(2) {
			produce(t, c, topic, p, numbered(0, 10)...)
		}
		release := make(chan struct{})
		j := newJournal(t)
		j.assigned = func(ctx context.Context, consumer *kafka.Consumer, tps []kafka.TopicPartition) error {
			<-release
			for _, tp := range tps {
				if err := consumer.Seek(tp, 7); err != nil {
					return err
				}
			}
			return nil
		}
		consumer := start(t, c)
		require.NoError(t, consumer.Subscribe([]string{topic}, kafka.WithListener(j)))
		got, err := consumer.GetMany(within(t), kafka.WaitFor(short))
		require.NoError(t, err, "WaitFor bounds the call then too; the original's does not (6.6)")
		require.Empty(t, got)
		_, err = consumer.GetOne(until(t, short))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(release)
		for _, msgs := range readMany(t, consumer, 6) {
			consecutive(t, 7, msgs)
		}
	})
}

// What takes part in deciding where to go on works inside a listener, with its ctx.
func TestListener_CallsInsideOne(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		for p := range int32(2) {
			produce(t, c, topic, p, numbered(0, 10)...)
		}
		p0, p1 := tpOf(topic, 0), tpOf(topic, 1)
		j := newJournal(t)
		problem := make(chan error, 1)
		j.assigned = func(ctx context.Context, consumer *kafka.Consumer, tps []kafka.TopicPartition) error {
			problem <- func() error {
				at, err := consumer.Position(ctx, p0)
				ends, err2 := consumer.EndOffsets(ctx, tps...)
				begins, err3 := consumer.BeginningOffsets(ctx)
				if err := errors.Join(err, err2, err3); err != nil {
					return err
				}
				if at != 0 || ends[p1] != 10 || begins[p0] != 0 {
					return fmt.Errorf("position %d, ends %v, beginnings %v", at, ends, begins)
				}
				_, err = consumer.OffsetsForTimes(ctx, map[kafka.TopicPartition]time.Time{p0: time.Now()})
				return errors.Join(err, consumer.SeekToEnd(ctx, p0), consumer.SeekToBeginning(ctx, p1), consumer.Seek(p0, 9), consumer.Pause(p1))
			}()
			return nil
		}
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithRebalanceListener(j))
		require.NoError(t, <-problem)
		require.EqualValues(t, 9, read(t, consumer, 1)[0].Offset)
		require.Equal(t, []kafka.TopicPartition{p1}, consumer.Paused())
	})
}

// Calls that would wait for the listener fail at once, where the original deadlocks; Subscribe takes effect after it.
func TestListener_CallsThatWouldWaitForItAreIllegal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, other := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, other, 0, "of the other")
		j := newJournal(t)
		first := true
		problem := make(chan error, 2)
		j.assigned = func(ctx context.Context, consumer *kafka.Consumer, _ []kafka.TopicPartition) error {
			if !first {
				return nil
			}
			first = false
			_, one := consumer.GetOne(ctx)
			_, many := consumer.GetMany(ctx, kafka.WaitFor(time.Second))
			var all error
			for _, all = range consumer.All(ctx) {
				break
			}
			_, typed := kafka.Typed(consumer, kafka.String, kafka.String).GetOne(ctx)
			for i, err := range []error{one, many, all, typed, consumer.Unsubscribe(ctx), consumer.Stop(ctx)} {
				if !errors.Is(err, kafka.ErrIllegalState) {
					problem <- fmt.Errorf("call %d: %w", i, err)
					return nil
				}
			}
			problem <- consumer.Subscribe([]string{other}, kafka.WithListener(j))
			return nil
		}
		consumer := start(t, c)
		require.NoError(t, consumer.Subscribe([]string{topic}, kafka.WithListener(j)))
		require.NoError(t, <-problem)
		j.told("assigned "+topic+"-0", "revoked "+topic+"-0", "assigned "+other+"-0")
		require.Equal(t, []string{"of the other"}, texts(read(t, consumer, 1)))
	})
}

// Partitions whose listener failed to take them are told until sought or assigned again; others are read meanwhile.
func TestListener_ErrorInAssignedIsToldUntilSought(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, fail := range map[string]func() error{
			"error": func() error { return errors.New("no room for them") },
			"panic": func() error { panic("no room for them") },
		} {
			t.Run(name, func(t *testing.T) {
				fine, bad := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
				produce(t, c, fine, 0, numbered(0, 3)...)
				produce(t, c, bad, 0, numbered(0, 3)...)
				j := newJournal(t)
				j.assigned = func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
					if tps[0].Topic == bad {
						return fail()
					}
					return nil
				}
				consumer := start(t, c, quickRetry, kafka.WithTopics(fine), kafka.WithRebalanceListener(j))
				require.NoError(t, consumer.Subscribe([]string{fine, bad}, kafka.WithListener(j)))
				require.Equal(t, "assigned "+fine+"-0", j.next())
				require.Equal(t, "assigned "+bad+"-0", j.next())
				buffered(t, consumer, tpOf(fine, 0))
				require.Equal(t, numbered(0, 3), texts(read(t, consumer, 3)), "the others")
				for range 3 {
					_, err := consumer.GetOne(within(t))
					var failed *kafka.ListenerError
					require.ErrorAs(t, err, &failed)
					require.Equal(t, "OnPartitionsAssigned", failed.Callback)
					require.Equal(t, []kafka.TopicPartition{tpOf(bad, 0)}, failed.Partitions)
					require.ErrorContains(t, err, "no room for them")
					require.NotEmpty(t, failed.Hint())
				}
				require.NoError(t, consumer.Seek(tpOf(bad, 0), 1))
				consecutive(t, 1, read(t, consumer, 2))
				nothing(t, consumer)
			})
		}
	})
}

func TestListener_ErrorInRevokedIsToldOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		one, two := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, two, 0, "of two")
		cause := errors.New("could not save")
		j := newJournal(t)
		j.revoked = func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { return cause }
		consumer := start(t, c, kafka.WithTopics(one), kafka.WithRebalanceListener(j))
		require.NoError(t, consumer.Subscribe([]string{two}, kafka.WithListener(j)))
		var got []string
		var failed []error
		for len(got) == 0 || len(failed) == 0 {
			m, err := consumer.GetOne(within(t))
			if err != nil {
				failed = append(failed, err)
			} else {
				got = append(got, string(m.Value))
			}
		}
		require.ErrorIs(t, failed[0], cause)
		var listener *kafka.ListenerError
		require.ErrorAs(t, failed[0], &listener)
		require.Equal(t, "OnPartitionsRevoked", listener.Callback)
		require.Len(t, failed, 1)
		nothing(t, consumer) // told once
		err := consumer.Stop(within(t))
		require.ErrorIs(t, err, cause, "Stop joins what went wrong")
		require.ErrorIs(t, consumer.Err(), nil)
	})
}

// A topic that is dropped and wanted again before its listener has returned goes, and comes back by the reset policy, though
// metadata has nothing new to say.
func TestListener_TopicSubscribedAgainWhileItIsRevoked(t *testing.T) {
	for name, inside := range map[string]bool{"inside the listener": true, "from elsewhere": false} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
				back, stays := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), c.NewTopic(t, kafkatest.Topic{})
				produce(t, c, back, 0, numbered(0, 5)...)
				both := []string{back, stays}
				j := newJournal(t)
				entered, leave, first := make(chan struct{}), make(chan struct{}), true
				j.revoked = func(_ context.Context, consumer *kafka.Consumer, _ []kafka.TopicPartition) error {
					if !first {
						return nil
					}
					first = false
					if inside {
						return consumer.Subscribe(both, kafka.WithListener(j))
					}
					close(entered)
					<-leave
					return nil
				}
				consumer := start(t, c, kafka.WithTopics(both...), kafka.WithRebalanceListener(j), kafka.WithAutoOffsetReset(kafka.ResetLatest))
				j.next()
				j.told(fmt.Sprintf("assigned %s-0", stays))
				require.NoError(t, consumer.Subscribe([]string{stays}, kafka.WithListener(j)))
				if !inside {
					<-entered
					require.NoError(t, consumer.Subscribe(both, kafka.WithListener(j)))
					require.NotContains(t, consumer.Assignment(), tpOf(back, 0), "it was dropped")
					nothing(t, consumer) // metadata comes, and brings nothing on
					close(leave)
				}
				j.told(fmt.Sprintf("revoked %s-0 %s-1", back, back), fmt.Sprintf("assigned %s-0 %s-1", back, back))
				require.EqualValues(t, 5, position(t, consumer, tpOf(back, 0)))
				produce(t, c, back, 0, "after")
				require.Equal(t, []string{"after"}, texts(read(t, consumer, 1)))
			})
		})
	}
}

// Partitions that are gone already go to OnPartitionsLost, or, where a listener has none, to OnPartitionsRevoked.
func TestListener_TopicsThatAreGoneAreLost(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, kind := range map[string]struct {
			listener func(*journal) kafka.RebalanceListener
			call     string
		}{
			"with OnPartitionsLost": {func(j *journal) kafka.RebalanceListener { return withLoss{j} }, "lost"},
			"without":               {func(j *journal) kafka.RebalanceListener { return j }, "revoked"},
			"functions": {func(j *journal) kafka.RebalanceListener {
				return kafka.RebalanceFuncs{Assigned: j.OnPartitionsAssigned, Revoked: j.OnPartitionsRevoked}
			}, "revoked"},
			"functions with Lost": {func(j *journal) kafka.RebalanceListener {
				return kafka.RebalanceFuncs{Assigned: j.OnPartitionsAssigned, Lost: withLoss{j}.OnPartitionsLost}
			}, "lost"},
		} {
			t.Run(name, func(t *testing.T) {
				prefix, pattern := family(t)
				topic := prefix + "-1"
				c.CreateTopic(t, topic, kafkatest.Topic{})
				j := newJournal(t)
				start(t, c, quick, kafka.WithPattern(pattern), kafka.WithRebalanceListener(kind.listener(j)))
				j.told("assigned " + topic + "-0")
				c.DeleteTopic(t, topic)
				j.told(kind.call + " " + topic + "-0")
			})
		}
	})
}

// The lock that the original's guide warns of: here the log names both sides, the listener's ctx ends, and Stop comes back.
func TestListener_LikelyDeadlockIsLoggedAndEnds(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		j := newJournal(t)
		j.assigned = func(ctx context.Context, _ *kafka.Consumer, _ []kafka.TopicPartition) error {
			<-ctx.Done() // waits for a lock that the caller of GetOne holds
			return ctx.Err()
		}
		var book logBook
		consumer := start(t, c, quickRetry, kafka.WithRebalanceTimeout(time.Second), kafka.WithLogger(book.logger(slog.LevelWarn)))
		require.NoError(t, consumer.Subscribe([]string{topic}, kafka.WithListener(j)))
		_, err := consumer.GetOne(within(t))
		var failed *kafka.ListenerError
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, err, context.DeadlineExceeded, "its ctx ended with the rebalance timeout")
		book.has(t, 1, "WARN", "deadlock", "GetOne", "OnPartitionsAssigned", topic)
	})
}

func TestListener_StopLeavesOneThatHangsAndNamesIt(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		release := make(chan struct{})
		j := newJournal(t)
		j.revoked = func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { <-release; return nil }
		consumer := newConsumer(t, c, kafka.WithTopics(topic), kafka.WithRebalanceListener(j))
		require.NoError(t, consumer.Start(within(t)))
		began := time.Now()
		err := consumer.Stop(until(t, time.Second))
		require.Less(t, time.Since(began), time.Second+soon)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "kafka: Stop: OnPartitionsRevoked of the rebalance listener hangs and is left behind: context deadline exceeded",
			"all else is closed")
		close(release)
		require.Equal(t, "assigned "+topic+"-0", j.next())
		require.Equal(t, "revoked "+topic+"-0", j.next())
	})
}

func TestListener_UnsubscribeNamesOneThatHangs(t *testing.T) {
	for name, opts := range map[string][]kafka.ConsumerOption{"alone": nil, "member": {kafka.WithGroupID("hangs")}} {
		kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
			topic := c.NewTopic(t, kafkatest.Topic{})
			release := make(chan struct{})
			j := newJournal(t)
			j.revoked = func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { <-release; return nil }
			consumer := start(t, c, append(opts, kafka.WithTopics(topic), kafka.WithRebalanceListener(j))...)
			require.Equal(t, "assigned "+topic+"-0", j.next())
			err := consumer.Unsubscribe(until(t, time.Second))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualError(t, err, "kafka: Unsubscribe: OnPartitionsRevoked of the rebalance listener has not returned: context deadline exceeded", name)
			require.Empty(t, consumer.Assignment(), "everything is dropped all the same")
			close(release)
			require.Equal(t, "revoked "+topic+"-0", j.next())
		})
	}
}
