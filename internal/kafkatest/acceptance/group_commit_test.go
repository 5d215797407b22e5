package acceptance

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

type offsetMap = map[kafka.TopicPartition]kafka.OffsetAndMetadata

// startMember starts a consumer in a group, whose listener notes its calls.
func startMember(t *testing.T, c *kafkatest.Cluster, group string, topics []string, opts ...kafka.ConsumerOption) (*kafka.Consumer, *recorder) {
	t.Helper()
	r := &recorder{}
	opts = append([]kafka.ConsumerOption{kafka.WithTopics(topics...), kafka.WithRebalanceListener(r)}, opts...)
	return start(t, c, append(groupOptions(group), opts...)...), r
}

var noAutoCommit = kafka.WithAutoCommit(false)

// filled makes a topic whose partitions have n records each, and names it as a group, too.
func filled(t *testing.T, c *kafkatest.Cluster, partitions, n int) (topic string, tps []kafka.TopicPartition) {
	t.Helper()
	topic = c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
	tps = allOf(topic, partitions)
	for _, tp := range tps {
		produce(t, c, topic, tp.Partition, numbered(0, n)...)
	}
	return topic, tps
}

// Stop settles what GetOne and GetMany returned, and commits it; not the message that an iterator was left on.
func TestGroupCommit_StopAndResumeAreAtLeastOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 1, 30)
		at := func(want int64, take func(*kafka.Consumer)) {
			consumer, _ := startMember(t, c, topic, []string{topic}, kafka.WithAutoCommitInterval(time.Hour))
			take(consumer)
			require.NoError(t, consumer.Stop(within(t)))
			require.Equal(t, want, storedAt(t, c, topic, tps[0]))
		}
		at(5, func(consumer *kafka.Consumer) { consecutive(t, 0, readMany(t, consumer, 5, kafka.UpTo(5))[tps[0]]) })
		at(8, func(consumer *kafka.Consumer) { consecutive(t, 5, read(t, consumer, 3)) })
		at(10, func(consumer *kafka.Consumer) {
			for m, err := range consumer.All(within(t)) {
				require.NoError(t, err)
				if m.Offset == 10 {
					break
				}
			}
		})
		consumer, _ := startMember(t, c, topic, []string{topic}, kafka.WithAutoCommitInterval(time.Hour))
		consecutive(t, 10, read(t, consumer, 4))
		crash(t, consumer)
		require.EqualValues(t, 10, storedAt(t, c, topic, tps[0]), "a crash commits nothing")
		at(13, func(consumer *kafka.Consumer) { consecutive(t, 10, read(t, consumer, 3)) })
	})
}

func TestGroupCommit_ByHand(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		consumer, _ := startMember(t, c, topic, []string{topic}, noAutoCommit)
		readMany(t, consumer, 4, kafka.UpTo(4), kafka.FromPartitions(tps[0]))
		last := read(t, consumer, 3, kafka.FromPartitions(tps[1]))[2]
		require.NoError(t, consumer.CommitMessages(within(t), last))
		require.NoError(t, consumer.CommitOffsets(within(t), offsetMap{tps[0]: {Offset: 2, Metadata: "two"}}))
		committed, err := consumer.Committed(within(t))
		require.NoError(t, err)
		require.EqualValues(t, 2, committed[tps[0]].Offset)
		require.Equal(t, "two", committed[tps[0]].Metadata)
		require.EqualValues(t, 3, committed[tps[1]].Offset)
		require.NoError(t, consumer.Commit(within(t)))
		require.EqualValues(t, 4, storedAt(t, c, topic, tps[0]))
		err = consumer.CommitOffsets(within(t), offsetMap{tpOf(topic, 7): {Offset: 1}})
		require.ErrorIs(t, err, kafka.ErrIllegalState, "it never had that one")
	})
}

func TestGroupCommit_OfALostPartitionFails(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		a, _ := startMember(t, c, topic, []string{topic}, noAutoCommit, cooperative)
		readMany(t, a, 20)
		b, _ := startMember(t, c, topic, []string{topic}, noAutoCommit, cooperative)
		shared(t, tps, a, b)
		moved, stays := b.Assignment()[0], a.Assignment()[0]
		err := a.CommitOffsets(within(t), offsetMap{moved: {Offset: 5}})
		var failed *kafka.CommitFailedError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, topic, failed.GroupID)
		require.Contains(t, failed.Reason, moved.String())
		require.EqualValues(t, -1, storedAt(t, c, topic, moved))
		require.NoError(t, a.Commit(within(t)), "it commits what it has")
		require.EqualValues(t, 10, storedAt(t, c, topic, stays))
		require.EqualValues(t, -1, storedAt(t, c, topic, moved))
		require.NoError(t, a.Unsubscribe(within(t)))
		err = a.CommitOffsets(within(t), offsetMap{moved: {Offset: 5}})
		require.ErrorIs(t, err, kafka.ErrIllegalState, "Unsubscribe makes it as if never had")
	})
}

// While the group has not agreed on a generation, a commit waits, and then goes through for what is still owned.
func TestGroupCommit_WaitsForARebalance(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		a, calls := startMember(t, c, topic, []string{topic}, noAutoCommit, cooperative)
		readMany(t, a, 20)
		slow := make(chan struct{})
		holds := (&recorder{}).on(func(context.Context, *kafka.Consumer, told) error { <-slow; return nil })
		b := newConsumer(t, c, append(groupOptions(topic), noAutoCommit, cooperative, kafka.WithTopics(topic), kafka.WithRebalanceListener(holds))...)
		t.Cleanup(func() { _ = b.Close() })
		starting := inBackground(func() error { return b.Start(within(t)) })
		holds.await(t, 1) // b has its share, and takes it in; it will join no rebalance before
		calls.forget()
		before, ok := a.GroupMetadata()
		require.True(t, ok)
		require.NoError(t, a.EnforceRebalance("for the test"))
		committing := make(chan result, 1)
		eventually(t, func() bool {
			done := inBackground(func() error { return a.Commit(within(t)) })
			select {
			case r := <-done:
				require.NoError(t, r.err)
				return false // the rebalance had not begun yet
			case <-time.After(short):
				go func() { committing <- <-done }()
				return true
			}
		}, "no commit waits for the rebalance")
		blocked(t, committing)
		close(slow)
		require.NoError(t, ended(t, starting).err)
		require.NoError(t, ended(t, committing).err)
		now, ok := a.GroupMetadata()
		require.True(t, ok)
		require.Greater(t, now.GenerationID, before.GenerationID)
		require.Empty(t, calls.so(), "nothing has moved")
		for _, tp := range a.Assignment() {
			require.EqualValues(t, 10, storedAt(t, c, topic, tp))
		}
		shared(t, tps, a, b)
	})
}

// An eager member has given everything up while the group rebalances. Commits by hand wait for the end, and go through for what is
// back.
func TestGroupCommit_WaitsForAnEagerRebalance(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		eager := kafka.WithAssignors(kafka.StickyAssignor)
		a, _ := startMember(t, c, topic, []string{topic}, noAutoCommit, eager)
		b, holds := startMember(t, c, topic, []string{topic}, noAutoCommit, eager)
		shared(t, tps, a, b)
		tp := a.Assignment()[0]
		msgs := read(t, a, 10)
		slow := make(chan struct{})
		holds.forget()
		holds.on(inCallback("OnPartitionsRevoked", func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error { <-slow; return nil }))
		require.NoError(t, a.EnforceRebalance("for the test"))
		holds.await(t, 1) // b joins when that returns
		eventually(t, func() bool { return len(a.Assignment()) == 0 }, "a does not give up")
		all := inBackground(func() error { return a.Commit(within(t)) })
		blocked(t, all)
		one := inBackground(func() error { return a.CommitMessages(within(t), msgs[9]) })
		blocked(t, one)
		close(slow)
		require.NoError(t, ended(t, all).err)
		require.NoError(t, ended(t, one).err)
		require.Equal(t, []kafka.TopicPartition{tp}, a.Assignment())
		require.EqualValues(t, 10, storedAt(t, c, topic, tp))
	})
}

// In OnPartitionsRevoked a commit works also when it is the consumer itself that gives partitions up.
func TestGroupCommit_InsideOnPartitionsRevoked(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range map[string]kafka.ConsumerOption{"eager": assignorLists["default"], "cooperative": cooperative} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 10)
				other, _ := filled(t, c, 1, 10)
				a, calls := startMember(t, c, topic, []string{topic}, noAutoCommit, assignors)
				calls.on(func(ctx context.Context, consumer *kafka.Consumer, call told) error {
					if call.callback != "OnPartitionsRevoked" {
						return nil
					}
					offsets := make(offsetMap)
					for _, tp := range call.parts {
						at, err := consumer.Position(ctx, tp)
						if err != nil {
							return err
						}
						offsets[tp] = kafka.OffsetAndMetadata{Offset: at}
					}
					return consumer.CommitOffsets(ctx, offsets)
				})
				take := func(consumer *kafka.Consumer, n int) {
					for _, tp := range consumer.Assignment() {
						read(t, consumer, n, kafka.FromPartitions(tp))
					}
				}
				take(a, 2)
				b, _ := startMember(t, c, topic, []string{topic}, noAutoCommit, assignors)
				shared(t, tps, a, b)
				require.EqualValues(t, 2, storedAt(t, c, topic, b.Assignment()[0]), "another member came")
				kept := a.Assignment()[0]
				take(a, 3)
				require.NoError(t, a.Subscribe([]string{other}, kafka.WithListener(calls)))
				require.Empty(t, a.Assignment(), "at once")
				awaitStored(t, c, topic, kept, 5)
				require.Equal(t, "message 0", string(read(t, a, 1)[0].Value))
				require.NoError(t, a.Unsubscribe(within(t)))
				require.EqualValues(t, 1, storedAt(t, c, topic, tpOf(other, 0)))
				calls.inOrder(t)
			})
		}
	})
}

// The message in hand settles before its partition goes: the new owner begins behind it.
func TestGroupCommit_RevokeGraceLetsASlowMessageSettle(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range map[string]kafka.ConsumerOption{"eager": assignorLists["default"], "cooperative": cooperative} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 10)
				a, calls := startMember(t, c, topic, []string{topic}, assignors, kafka.WithRevokeGrace(4*time.Second))
				var inHand *kafka.Message
				slow, taken := make(chan struct{}), make(chan struct{})
				next := make(chan *kafka.Message, 1)
				go func() {
					inHand, _ = a.GetOne(context.Background())
					close(taken)
					<-slow
					m, _ := a.GetOne(context.Background())
					next <- m
				}()
				<-taken
				calls.forget()
				b := newConsumer(t, c, append(groupOptions(topic), assignors, kafka.WithTopics(topic))...)
				t.Cleanup(func() { _ = b.Close() })
				starting := inBackground(func() error { return b.Start(within(t)) })
				time.Sleep(time.Second)           // the message takes its time
				for _, call := range calls.so() { // a cooperative member may have to give up the other partition
					require.NotContains(t, call.parts, inHand.TopicPartition(), "it waits for the message in hand")
				}
				began := time.Now()
				close(slow)
				require.NoError(t, ended(t, starting).err)
				shared(t, tps, a, b)
				t.Logf("the partition went %v after its message was done", time.Since(began).Round(time.Millisecond))
				require.Less(t, time.Since(began), 3*time.Second)
				// Where it went, the new owner begins behind what was in hand; where it came back, so does the old one.
				m := <-next
				require.NotNil(t, m)
				owner := a
				if b.Assignment()[0] == inHand.TopicPartition() {
					owner = b
				}
				require.EqualValues(t, 1, inHand.Offset+1)
				if owner == b {
					require.EqualValues(t, 1, read(t, b, 1)[0].Offset)
				} else if m.TopicPartition() == inHand.TopicPartition() {
					require.EqualValues(t, 1, m.Offset)
				}
			})
		}
	})
}

// A message that takes longer than the grace holds nobody up; it is delivered again to the new owner.
func TestGroupCommit_RevokeGraceEnds(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		a, _ := startMember(t, c, topic, []string{topic}, cooperative, kafka.WithRevokeGrace(400*time.Millisecond))
		for _, tp := range tps {
			read(t, a, 2, kafka.FromPartitions(tp))
		}
		began := time.Now()
		b, _ := startMember(t, c, topic, []string{topic}, cooperative)
		shared(t, tps, a, b)
		require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
		require.Less(t, time.Since(began), 400*time.Millisecond+soon)
		moved := b.Assignment()[0]
		want := map[kafka.TopicPartition]int64{tps[0]: 2, tps[1]: 1}[moved] // the last message read is in hand
		require.Equal(t, want, read(t, b, 1)[0].Offset)
		_, err := a.GetOne(within(t), kafka.FromPartitions(moved))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		for range 8 {
			require.NotEqual(t, moved, read(t, a, 1)[0].TopicPartition())
		}
	})
}

// A commit that the group refuses says so in words.
func TestGroupCommit_OfAMemberThatTheGroupHasMovedPast(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 2, 10)
		line := &cable{}
		a, calls := startMember(t, c, topic, []string{topic}, noAutoCommit, cooperative, kafka.WithDialer(line.dial))
		readMany(t, a, 20)
		line.cut(true)
		b := newConsumer(t, c, append(groupOptions(topic), noAutoCommit, cooperative, kafka.WithTopics(topic))...)
		t.Cleanup(func() { _ = b.Close() })
		require.NoError(t, b.Start(within(t)))
		shared(t, tps, b)
		committing := inBackground(func() error {
			return a.CommitOffsets(within(t), offsetMap{tps[0]: {Offset: 7}, tps[1]: {Offset: 7}})
		})
		blocked(t, committing)
		line.cut(false)
		err := ended(t, committing).err
		var failed *kafka.CommitFailedError
		require.ErrorAs(t, err, &failed)
		require.NotEmpty(t, failed.Reason)
		require.NotEmpty(t, failed.Hint())
		t.Log(err)
		calls.await(t, 2)
		require.Equal(t, lost(tps...), calls.so()[1])
		for _, tp := range tps {
			require.EqualValues(t, -1, storedAt(t, c, topic, tp))
		}
		shared(t, tps, a, b)
	})
}

func TestGroup_Metadata(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, _ := filled(t, c, 2, 1)
		opts := append(groupOptions(topic), kafka.WithTopics(topic), kafka.WithGroupInstanceID("first"))
		a := newConsumer(t, c, opts...)
		t.Cleanup(func() { _ = a.Close() })
		_, ok := a.GroupMetadata()
		require.False(t, ok, "before Start")
		require.NoError(t, a.Start(within(t)))
		one, ok := a.GroupMetadata()
		require.True(t, ok)
		require.Equal(t, topic, one.GroupID)
		require.Equal(t, "first", one.GroupInstanceID)
		require.NotEmpty(t, one.MemberID)
		require.GreaterOrEqual(t, one.GenerationID, int32(1))
		require.NoError(t, a.EnforceRebalance("for the test"))
		var again atomic.Int32
		eventually(t, func() bool {
			two, ok := a.GroupMetadata()
			again.Store(two.GenerationID)
			return ok && two.GenerationID > one.GenerationID
		}, "no rebalance: generation %v", again.Load())
		require.NoError(t, a.Unsubscribe(within(t)))
		_, ok = a.GroupMetadata()
		require.False(t, ok, "after Unsubscribe")
		require.ErrorIs(t, a.EnforceRebalance("no member"), kafka.ErrIllegalState)
		require.NoError(t, a.Stop(within(t)))
		_, ok = a.GroupMetadata()
		require.False(t, ok)
	})
}
