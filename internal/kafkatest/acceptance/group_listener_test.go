package acceptance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// inCallback makes a hook of what is to be done in one kind of call.
func inCallback(callback string, do func(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error) func(context.Context, *kafka.Consumer, told) error {
	return func(ctx context.Context, c *kafka.Consumer, call told) error {
		if call.callback != callback {
			return nil
		}
		return do(ctx, c, call.parts)
	}
}

// Over a member's life: assigned by Start, revoked before assigned in each rebalance, revoked by Unsubscribe and Stop;
// each call with something, one at a time.
func TestGroupListener_CallsOverALife(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 1)
		a, calls := startMember(t, c, topic, []string{topic})
		require.Equal(t, []told{assigned(tps...)}, calls.so(), "by Start")
		calls.forget()
		require.NoError(t, a.EnforceRebalance("for the test"))
		calls.hears(t, revoked(tps...), assigned(tps...))
		calls.forget()
		require.NoError(t, a.Unsubscribe(within(t)))
		require.Equal(t, []told{revoked(tps...)}, calls.so(), "when Unsubscribe returns")
		calls.forget()
		require.NoError(t, a.Subscribe([]string{topic}, kafka.WithListener(calls)))
		calls.hears(t, assigned(tps...))
		calls.forget()
		require.NoError(t, a.Stop(within(t)))
		require.Equal(t, []told{revoked(tps...)}, calls.so(), "when Stop returns")
		calls.inOrder(t)
	})
}

// A member without a share hears nothing: no list is empty.
func TestGroupListener_NothingToTell(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 1, 1)
		for _, assignors := range []kafka.ConsumerOption{cooperative, assignorLists["default"]} {
			a, _ := startMember(t, c, topic, []string{topic}, assignors, kafka.WithGroupInstanceID("a"))
			b, calls := startMember(t, c, topic, []string{topic}, assignors, kafka.WithGroupInstanceID("b"))
			shared(t, tps, a, b)
			require.NoError(t, b.Stop(within(t)))
			require.Empty(t, calls.so())
			require.NoError(t, a.Stop(within(t)))
			topic, tps = filled(t, c, 1, 1)
		}
	})
}

// Nothing of a new partition is handed out before OnPartitionsAssigned has returned, nor anything else meanwhile.
func TestGroupListener_NothingIsHandedOutMeanwhile(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		other, more := filled(t, c, 1, 10)
		a, calls := startMember(t, c, topic, []string{topic}, cooperative, noAutoCommit)
		readMany(t, a, 4, kafka.UpTo(4))
		calls.forget()
		release := make(chan struct{})
		calls.on(inCallback("OnPartitionsAssigned", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { <-release; return nil }))
		require.NoError(t, a.Subscribe([]string{topic, other}, kafka.WithListener(calls)))
		calls.hears(t, assigned(more...))
		nothing(t, a)
		require.EqualValues(t, 0, position(t, a, more[0]))
		close(release)
		got := readMany(t, a, 26)
		require.Len(t, got[more[0]], 10)
		_ = tps
	})
}

// What works inside a listener, for the partitions that go and come; and what would wait for itself.
func TestGroupListener_CallsFromInside(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range map[string]kafka.ConsumerOption{"eager": assignorLists["default"], "cooperative": cooperative} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 10)
				calls := &recorder{}
				errs := make(chan error, 100)
				see := func(err error) error {
					if err != nil {
						errs <- err
					}
					return err
				}
				calls.on(func(ctx context.Context, consumer *kafka.Consumer, call told) error {
					tp := call.parts[0]
					_, err := consumer.GetOne(ctx)
					if !errors.Is(err, kafka.ErrIllegalState) {
						return see(errors.Join(err, errors.New("GetOne is let in")))
					}
					_, err = consumer.GetMany(ctx, kafka.WaitFor(time.Second))
					if !errors.Is(err, kafka.ErrIllegalState) {
						return see(errors.Join(err, errors.New("GetMany is let in")))
					}
					for _, err := range consumer.All(ctx) {
						if !errors.Is(err, kafka.ErrIllegalState) {
							return see(errors.Join(err, errors.New("All is let in")))
						}
						break
					}
					if err := consumer.Unsubscribe(ctx); !errors.Is(err, kafka.ErrIllegalState) {
						return see(errors.Join(err, errors.New("Unsubscribe is let in")))
					}
					if err := consumer.Stop(ctx); !errors.Is(err, kafka.ErrIllegalState) {
						return see(errors.Join(err, errors.New("Stop is let in")))
					}
					at, err := consumer.Position(ctx, tp)
					if see(err) != nil {
						return err
					}
					_, err = consumer.Committed(ctx, tp)
					_ = see(err)
					_, err = consumer.EndOffsets(ctx, tp)
					_ = see(err)
					_, err = consumer.BeginningOffsets(ctx)
					_ = see(err)
					_ = see(consumer.Pause(tp))
					_ = see(consumer.Resume(tp))
					if call.callback == "OnPartitionsAssigned" {
						_ = see(consumer.SeekToBeginning(ctx, tp))
						_ = see(consumer.SeekToEnd(ctx, tp))
						_ = see(consumer.SeekToCommitted(ctx, tp))
						_ = see(consumer.Seek(tp, at+1))
					}
					_ = see(consumer.Commit(ctx))
					return see(consumer.CommitOffsets(ctx, offsetMap{tp: {Offset: 7, Metadata: call.callback}}))
				})
				a := start(t, c, append(groupOptions(topic), assignors, noAutoCommit, kafka.WithTopics(topic), kafka.WithRebalanceListener(calls))...)
				require.EqualValues(t, 1, read(t, a, 1, kafka.FromPartitions(tps[0]))[0].Offset, "where the listener has sought")
				b, _ := startMember(t, c, topic, []string{topic}, assignors, noAutoCommit)
				shared(t, tps, a, b)
				require.NoError(t, a.Stop(within(t)))
				close(errs)
				for err := range errs {
					require.NoError(t, err)
				}
				require.Equal(t, "OnPartitionsRevoked", stored(t, c, topic)[calls.so()[len(calls.so())-1].parts[0]].Metadata)
				calls.inOrder(t)
			})
		}
	})
}

// Errors and panics are told by the Get calls. Partitions whose OnPartitionsAssigned failed are not consumed until sought.
func TestGroupListener_FailuresAreTold(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		sorry := errors.New("sorry")
		failures := map[string]func() error{"error": func() error { return sorry }, "panic": func() error { panic("oh no") }}
		for name, fails := range failures {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 5)
				calls := (&recorder{}).on(inCallback("OnPartitionsAssigned", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { return fails() }))
				a := start(t, c, append(groupOptions(topic), kafka.WithRetryBackoff(10*time.Millisecond, 20*time.Millisecond), noAutoCommit, kafka.WithTopics(topic), kafka.WithRebalanceListener(calls))...)
				require.Len(t, a.Assignment(), 2)
				var failed *kafka.ListenerError
				for range 3 { // until it changes
					_, err := a.GetOne(within(t))
					require.ErrorAs(t, err, &failed)
					require.Equal(t, "OnPartitionsAssigned", failed.Callback)
					require.Equal(t, tps, failed.Partitions)
					if name == "error" {
						require.ErrorIs(t, err, sorry)
					} else {
						require.ErrorContains(t, err, "oh no")
					}
				}
				require.NoError(t, a.Seek(tps[0], 2))
				consecutive(t, 2, read(t, a, 3, kafka.FromPartitions(tps[0])))
				_, err := a.GetOne(within(t), kafka.FromPartitions(tps[1]))
				require.ErrorAs(t, err, &failed, "the other one is blocked still")

				// When partitions go, it is told once, and the rebalance goes on.
				calls.forget()
				calls.on(inCallback("OnPartitionsRevoked", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { return fails() }))
				require.NoError(t, a.EnforceRebalance("for the test"))
				calls.await(t, 2)
				_, err = a.GetOne(within(t), kafka.FromPartitions(tps[1]))
				for err == nil {
					_, err = a.GetMany(within(t), kafka.WaitFor(short))
				}
				require.ErrorAs(t, err, &failed)
				require.Equal(t, "OnPartitionsRevoked", failed.Callback)
				require.NoError(t, a.SeekToBeginning(within(t)))
				readMany(t, a, 10)
				nothing(t, a)
				calls.on(nil)
			})
		}
	})
}

// A listener that takes half of its time while a Get call waits is likely to wait for what that call's caller holds.
func TestGroupListener_DeadlockIsWarnedOf(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	topic, _ := filled(t, c, 1, 0)
	var book logBook
	ended := make(chan error, 1)
	release := make(chan struct{})
	calls := (&recorder{}).on(inCallback("OnPartitionsAssigned", func(ctx context.Context, _ *kafka.Consumer, _ []kafka.TopicPartition) error {
		select {
		case <-release:
			return nil
		default:
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	}))
	close(release)
	a := start(t, c, append(groupOptions(topic), kafka.WithRebalanceTimeout(time.Second), kafka.WithTopics(topic), kafka.WithRebalanceListener(calls), kafka.WithLogger(book.logger(slog.LevelWarn)))...)
	release = make(chan struct{})
	waits := inBackground(func() error { _, err := a.GetOne(within(t)); return err })
	require.NoError(t, a.EnforceRebalance("for the test"))
	require.ErrorIs(t, <-ended, context.DeadlineExceeded, "the ctx ends with the rebalance timeout")
	book.has(t, 1, "WARN", "deadlock", "OnPartitionsAssigned", "GetOne")
	calls.on(nil)
	produce(t, c, topic, 0, "at last")
	require.NoError(t, (<-waits).err)
}

// Lost partitions go to OnPartitionsLost, where there is one, and to OnPartitionsRevoked elsewhere.
func TestGroupListener_LostPartitions(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 5)
		for name, want := range map[string]string{"with": "lost", "without": "revoked"} {
			t.Run(name, func(t *testing.T) {
				group, line, heard := kafkatest.TopicName(t), &cable{}, make(chan string, 10)
				say := func(what string) func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error {
					return func(ctx context.Context, c *kafka.Consumer, gone []kafka.TopicPartition) error {
						require.Equal(t, tps, gone)
						heard <- what
						return nil
					}
				}
				l := kafka.RebalanceFuncs{Revoked: say("revoked"), Assigned: say("assigned")}
				if name == "with" {
					l.Lost = say("lost")
				}
				a := start(t, c, append(groupOptions(group), noAutoCommit, kafka.WithSessionTimeout(time.Second), kafka.WithTopics(topic), kafka.WithRebalanceListener(l), kafka.WithDialer(line.dial))...)
				require.Equal(t, "assigned", <-heard)
				readMany(t, a, 10)
				line.cut(true)
				eventually(t, func() bool { return len(described(t, c, group)) == 0 }, "it is a member still")
				line.cut(false)
				require.Equal(t, want, <-heard)
				require.Equal(t, "assigned", <-heard)
				readMany(t, a, 10) // nothing was committed
			})
		}
	})
}

// What Subscribe drops while an earlier giving up runs is revoked, and told to the listener of its time, before another member has it.
func TestGroupListener_WhatIsDroppedIsRevokedBeforeAnotherHasIt(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		one, first := filled(t, c, 1, 1)
		two, second := filled(t, c, 1, 1)
		three, _ := filled(t, c, 1, 1)
		group := kafkatest.TopicName(t)
		events, release := make(chan string, 10), make(chan struct{})
		entered := make(chan struct{})
		says := func(name string) kafka.RebalanceFuncs {
			say := func(what string) func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error {
				return func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
					if what == " loses " && tps[0] == first[0] {
						close(entered)
						<-release
					}
					if what == " loses " && tps[0] == second[0] {
						<-time.After(2 * short) // time for another to come first
					}
					events <- name + what + tps[0].Topic
					return nil
				}
			}
			return kafka.RebalanceFuncs{Revoked: say(" loses "), Assigned: say(" gets ")}
		}
		a := start(t, c, append(groupOptions(group), cooperative, kafka.WithTopics(one, two), kafka.WithRebalanceListener(says("a1")))...)
		require.Contains(t, []string{"a1 gets " + one, "a1 gets " + two}, <-events)
		require.NoError(t, a.Subscribe([]string{two}, kafka.WithListener(says("a2"))))
		<-entered
		require.NoError(t, a.Subscribe([]string{three}, kafka.WithListener(says("a3"))))
		b := newConsumer(t, c, append(groupOptions(group), cooperative, kafka.WithTopics(two), kafka.WithRebalanceListener(says("b")))...)
		t.Cleanup(func() { _ = b.Close() })
		starting := inBackground(func() error { return b.Start(within(t)) })
		blocked(t, starting)
		close(release)
		require.NoError(t, ended(t, starting).err)
		var seen []string
		for len(seen) < 4 {
			select {
			case e := <-events:
				seen = append(seen, e)
			case <-time.After(testTime):
				require.Fail(t, "an event is missing", "%v", seen)
			}
		}
		at := func(e string) int { return slices.Index(seen, e) }
		require.ElementsMatch(t, []string{"a1 loses " + one, "a2 loses " + two, "b gets " + two, "a3 gets " + three}, seen)
		require.Less(t, at("a2 loses "+two), at("b gets "+two))
	})
}

// What the listener fails with when everything goes is in the error of Unsubscribe, and of Stop.
func TestGroupListener_FailuresAtTheEndAreReturned(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, _ := filled(t, c, 1, 1)
		sorry := errors.New("sorry")
		a, calls := startMember(t, c, topic, []string{topic})
		calls.on(inCallback("OnPartitionsRevoked", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { return sorry }))
		require.ErrorIs(t, a.Unsubscribe(within(t)), sorry)
		nothing(t, a) // told once
		calls.forget()
		require.NoError(t, a.Subscribe([]string{topic}, kafka.WithListener(calls)))
		calls.await(t, 1)
		err := a.Stop(within(t))
		require.ErrorIs(t, err, sorry)
		var failed *kafka.ListenerError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "OnPartitionsRevoked", failed.Callback)
		require.NoError(t, a.Stop(within(t)), "a second time")
	})
}
