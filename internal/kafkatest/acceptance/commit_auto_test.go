package acceptance

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Weakness 6.2 of the original: its autocommit commits what was handed out, so that a crash loses the message in hand. Here a message
// is committed by time once the application has asked for the next one.

// autocommitted starts a consumer of one partition of n messages that commits by time, and gives its group.
func autocommitted(t *testing.T, c *kafkatest.Cluster, n int, opts ...kafka.ConsumerOption) (consumer *kafka.Consumer, tp kafka.TopicPartition, group string) {
	t.Helper()
	tp, group = tpOf(c.NewTopic(t, kafkatest.Topic{}), 0), kafkatest.TopicName(t)
	produce(t, c, tp.Topic, 0, numbered(0, n)...)
	return startOn(t, c, append(autocommits(group), opts...), tp), tp, group
}

// resumes sees where the next consumer of a group begins.
func resumes(t *testing.T, c *kafkatest.Cluster, group string, tp kafka.TopicPartition, at int64) {
	t.Helper()
	next := startOn(t, c, byHand(group), tp)
	require.Equal(t, at, position(t, next, tp))
	require.Equal(t, at, read(t, next, 1)[0].Offset)
}

func TestWeakness_6_2_MessageInHandIsDeliveredAgainAfterACrash(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10)
		require.EqualValues(t, 0, read(t, consumer, 1)[0].Offset)
		awaitStored(t, c, group, tp, 0) // the start position is settled at once
		staysStored(t, c, group, tp, 0)
		require.EqualValues(t, 1, read(t, consumer, 1)[0].Offset)
		awaitStored(t, c, group, tp, 1)
		staysStored(t, c, group, tp, 1)
		require.EqualValues(t, 2, position(t, consumer, tp), "the position is not held back")
		crash(t, consumer)
		resumes(t, c, group, tp, 1)
	})
}

func TestAutoCommit_BatchIsSettledWhenTheNextCallBegins(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10)
		readMany(t, consumer, 4, kafka.UpTo(4))
		awaitStored(t, c, group, tp, 0)
		staysStored(t, c, group, tp, 0)
		got, err := consumer.GetMany(within(t), kafka.UpTo(6))
		require.NoError(t, err)
		awaitStored(t, c, group, tp, 4)
		staysStored(t, c, group, tp, 4)
		for n := count(got); n < 6; n += count(got) {
			got, err = consumer.GetMany(within(t), kafka.UpTo(6))
			require.NoError(t, err)
		}
		nothing(t, consumer)
		awaitStored(t, c, group, tp, 10) // the call asked, though it got nothing
	})
}

// By time, in the background: nobody needs to come by, as with the Java client.
func TestAutoCommit_GoesOnWhileACallWaits(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 1)
		read(t, consumer, 1)
		waiting := inBackground(func() error { _, err := consumer.GetOne(within(t)); return err })
		awaitStored(t, c, group, tp, 1)
		blocked(t, waiting)
		produce(t, c, tp.Topic, 0, "next")
		require.NoError(t, ended(t, waiting).err)
		staysStored(t, c, group, tp, 1)
	})
}

// The iterators settle a message when the loop comes round; the one that it was left on is not settled by Stop or Unsubscribe.
func TestAutoCommit_IteratorSettlesWhenTheLoopComesRound(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		loops := map[string]func(*kafka.Consumer, func(*kafka.Message) bool){
			"All": func(consumer *kafka.Consumer, body func(*kafka.Message) bool) {
				for m, err := range consumer.All(within(t)) {
					require.NoError(t, err)
					if !body(m) {
						return
					}
				}
			},
			"Messages": func(consumer *kafka.Consumer, body func(*kafka.Message) bool) {
				for m := range consumer.Messages() {
					if !body(m) {
						return
					}
				}
			},
			"typed": func(consumer *kafka.Consumer, body func(*kafka.Message) bool) {
				for m := range kafka.Typed(consumer, kafka.Bytes, kafka.String).Messages() {
					if !body(m.Message) {
						return
					}
				}
			},
			"panic": func(consumer *kafka.Consumer, body func(*kafka.Message) bool) {
				defer func() { _ = recover() }()
				for m := range consumer.Messages() {
					if !body(m) {
						panic("in the middle of a message")
					}
				}
			},
		}
		for name, loop := range loops {
			for ending, end := range endings {
				t.Run(name+"/"+ending, func(t *testing.T) {
					consumer, tp, group := autocommitted(t, c, 10)
					loop(consumer, func(m *kafka.Message) bool {
						if m.Offset == 3 {
							awaitStored(t, c, group, tp, 3)
							staysStored(t, c, group, tp, 3)
						}
						return m.Offset < 3
					})
					require.NoError(t, end(t, consumer))
					require.EqualValues(t, 3, storedAt(t, c, group, tp))
				})
			}
		}
	})
}

// The usual loop of a program that is asked to end: ctx ends while a body runs, the body is finished, the loop comes round and ends. The
// message was dealt with; that the loop's ctx has ended does not make it come again.
func TestAutoCommit_LoopThatComesRoundAfterItsContextHasEndedSettles(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		loops := map[string]func(context.Context, *kafka.Consumer, func(*kafka.Message)) error{
			"All": func(ctx context.Context, consumer *kafka.Consumer, body func(*kafka.Message)) (last error) {
				for m, err := range consumer.All(ctx) {
					if last = err; err == nil {
						body(m)
					}
				}
				return last
			},
			"typed All": func(ctx context.Context, consumer *kafka.Consumer, body func(*kafka.Message)) (last error) {
				for m, err := range kafka.Typed(consumer, kafka.Bytes, kafka.String).All(ctx) {
					if last = err; err == nil {
						body(m.Message)
					}
				}
				return last
			},
		}
		for name, loop := range loops {
			for ending, end := range endings {
				t.Run(name+"/"+ending, func(t *testing.T) {
					consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoCommitInterval(time.Hour))
					ctx, cancel := context.WithCancel(within(t))
					defer cancel()
					err := loop(ctx, consumer, func(m *kafka.Message) {
						if m.Offset == 3 {
							cancel()
						}
					})
					require.ErrorIs(t, err, context.Canceled)
					require.EqualValues(t, 4, position(t, consumer, tp), "nothing more is taken")
					require.NoError(t, end(t, consumer))
					require.EqualValues(t, 4, storedAt(t, c, group, tp))
				})
			}
		}
	})
}

// Messages has no ctx: it ends with Stop. One that is called while a body runs does not settle that body's message, however the loop
// goes on.
func TestAutoCommit_StopWhileABodyRunsDoesNotSettleIt(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoCommitInterval(time.Hour))
		for m := range consumer.Messages() {
			if m.Offset == 3 {
				require.NoError(t, consumer.Stop(within(t)))
			}
		}
		require.NoError(t, consumer.Err())
		require.EqualValues(t, 3, storedAt(t, c, group, tp))
	})
}

// A call has begun, whether its ctx has ended or not.
func TestAutoCommit_CallWhoseContextHasEndedSettlesWhatCameBefore(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		calls := map[string]func(*kafka.Consumer) error{
			"GetOne": func(consumer *kafka.Consumer) error { _, err := consumer.GetOne(ended); return err },
			"GetMany": func(consumer *kafka.Consumer) error {
				_, err := consumer.GetMany(ended, kafka.WaitFor(time.Hour))
				return err
			},
			"typed": func(consumer *kafka.Consumer) error {
				_, err := kafka.Typed(consumer, kafka.Bytes, kafka.Bytes).GetOne(ended)
				return err
			},
		}
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				consumer, tp, group := autocommitted(t, c, 10)
				read(t, consumer, 3)
				awaitStored(t, c, group, tp, 2)
				require.ErrorIs(t, call(consumer), context.Canceled)
				awaitStored(t, c, group, tp, 3)
				require.EqualValues(t, 3, position(t, consumer, tp), "and takes nothing")
			})
		}
	})
}

// endings are the ways to give all partitions up in good order.
var endings = map[string]func(*testing.T, *kafka.Consumer) error{
	"Stop":        func(t *testing.T, consumer *kafka.Consumer) error { return consumer.Stop(within(t)) },
	"Unsubscribe": func(t *testing.T, consumer *kafka.Consumer) error { return consumer.Unsubscribe(within(t)) },
}

// The original gives up partitions before it commits (6.14), and so loses what it would commit.
func TestWeakness_6_14_StopAndUnsubscribeCommitWhatWasReturned(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, end := range endings {
			t.Run(name, func(t *testing.T) {
				consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoCommitInterval(time.Hour))
				read(t, consumer, 2)
				require.NotEmpty(t, readMany(t, consumer, 1, kafka.UpTo(1)))
				require.EqualValues(t, -1, storedAt(t, c, group, tp), "it is not time yet")
				require.NoError(t, end(t, consumer))
				require.EqualValues(t, 3, storedAt(t, c, group, tp))
			})
		}
		t.Run("Assign", func(t *testing.T) { // gives up what it does not name
			consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoCommitInterval(time.Hour))
			read(t, consumer, 3)
			require.NoError(t, consumer.Assign(tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)))
			awaitStored(t, c, group, tp, 2) // the third message is in hand still
		})
	})
}

func TestAutoCommit_StopWithAnEndedContextSkipsTheCommitAndSaysSo(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoCommitInterval(time.Hour))
		read(t, consumer, 3)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		err := consumer.Stop(ended)
		require.ErrorIs(t, err, context.Canceled)
		require.EqualError(t, err, "kafka: Stop: the last commit was skipped: context canceled")
		require.EqualValues(t, -1, storedAt(t, c, group, tp))
	})
}

func TestAutoCommit_CommitByHandSettles(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10)
		for m := range consumer.Messages() {
			require.NoError(t, consumer.CommitMessages(within(t), m))
			if m.Offset == 2 {
				break
			}
		}
		staysStored(t, c, group, tp, 3) // autocommit does not take it back
		for range consumer.Messages() {
			require.NoError(t, consumer.Commit(within(t)))
			require.EqualValues(t, 4, storedAt(t, c, group, tp), "Commit is not held back by what is in hand")
			break
		}
		staysStored(t, c, group, tp, 4)
		require.NoError(t, consumer.Close())
		require.EqualValues(t, 4, storedAt(t, c, group, tp))
	})
}

// A position that no message led to is settled at once: what lies between it and a first message cannot be skipped later.
func TestAutoCommit_StartAndSoughtPositionsAreSettledAtOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoOffsetReset(kafka.ResetLatest))
		awaitStored(t, c, group, tp, 10)
		crash(t, consumer)
		produce(t, c, tp.Topic, 0, "written meanwhile")
		consumer = startOn(t, c, append(autocommits(group), kafka.WithAutoOffsetReset(kafka.ResetLatest)), tp)
		require.Equal(t, []string{"written meanwhile"}, texts(read(t, consumer, 1)))
		require.NoError(t, consumer.Seek(tp, 4))
		awaitStored(t, c, group, tp, 4)
		require.EqualValues(t, 4, read(t, consumer, 1)[0].Offset)
		require.NoError(t, consumer.SeekToEnd(within(t)))
		awaitStored(t, c, group, tp, 11)
	})
}

func TestAutoCommit_IsPastControlRecords(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp, group := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0), kafkatest.TopicName(t)
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, tp.Topic, 0, kafkatest.Values("a", "b")...)
		txn.Commit(t)
		txn.Begin(t)
		txn.Produce(t, tp.Topic, 0, kafkatest.Values("c")...)
		txn.Abort(t)
		c.AwaitStable(t, tp.Topic, 0)
		consumer := startOn(t, c, append(autocommits(group), kafka.WithIsolationLevel(kafka.ReadCommitted)), tp)
		read(t, consumer, 2)
		eventually(t, func() bool { return position(t, consumer, tp) == 5 }, "the position")
		awaitStored(t, c, group, tp, 1)
		staysStored(t, c, group, tp, 1) // the second message is in hand, whatever follows it
		nothing(t, consumer)
		awaitStored(t, c, group, tp, 5)
	})
}

func TestAutoCommit_OffOrWithoutAGroupCommitsNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 5, kafka.WithAutoCommit(false))
		read(t, consumer, 5)
		nothing(t, consumer)
		staysStored(t, c, group, tp, -1)
		require.NoError(t, consumer.Close())
		require.EqualValues(t, -1, storedAt(t, c, group, tp))

		var book logBook
		alone := startOn(t, c, []kafka.ConsumerOption{kafka.WithAutoCommit(true), kafka.WithLogger(book.logger(slog.LevelWarn))}, tp)
		read(t, alone, 5)
		require.NoError(t, alone.Close())
		require.Empty(t, book.matching("commit"))
	})
}

// Settling is per consumer: goroutines that share one settle each other's messages.
func TestAutoCommit_OverlappingCallsAreWarnedOfOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		var book logBook
		consumer, tp, _ := autocommitted(t, c, 0, kafka.WithLogger(book.logger(slog.LevelWarn)))
		get := func() error { _, err := consumer.GetOne(within(t)); return err }
		for range 2 {
			one, two := inBackground(get), inBackground(get)
			book.has(t, 1, "overlap")
			produce(t, c, tp.Topic, 0, "a", "b")
			require.NoError(t, ended(t, one).err)
			require.NoError(t, ended(t, two).err)
		}
		book.has(t, 1, "WARN", "overlap")
	})
}

// A commit that is refused is told by the Get calls, after what they have, until it is not refused any more.
func TestAutoCommit_RefusalIsToldUntilItHeals(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	consumer, tp, group := autocommitted(t, c, 10, kafka.WithRetryBackoff(10*time.Millisecond, 20*time.Millisecond))
	refused := fault(c, kmsg.OffsetCommit, group, kerr.GroupAuthorizationFailed, -1)
	require.NoError(t, refused.Wait(within(t), 1))
	require.Equal(t, numbered(0, 10), texts(read(t, consumer, 10)), "messages come first")
	var denied *kafka.AuthorizationError
	for range 3 {
		_, err := consumer.GetOne(within(t))
		require.ErrorAs(t, err, &denied)
		require.Equal(t, "group", denied.Resource)
		require.Equal(t, group, denied.Name)
	}
	refused.Remove()
	awaitStored(t, c, group, tp, 10)
	eventually(t, func() bool {
		_, err := consumer.GetMany(within(t), kafka.WaitFor(short)) // longer than the pause before it would be told again
		return err == nil
	}, "it does not heal")
	nothing(t, consumer)
}

// Weakness 6.8 of the original: a partition whose topic is gone must not keep the others from being committed, nor Stop from
// ending (KAFKA-16224).
func TestWeakness_6_8_AutoCommitOfADeletedTopicHoldsNobodyUp(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		group := kafkatest.TopicName(t)
		gone, stays := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0), tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
		produce(t, c, gone.Topic, 0, "a", "b")
		var book logBook
		consumer := startOn(t, c, append(autocommits(group), kafka.WithLogger(book.logger(slog.LevelWarn))), gone, stays)
		read(t, consumer, 2)
		c.DeleteTopic(t, gone.Topic)
		for i := range int64(3) {
			produce(t, c, stays.Topic, 0, "more")
			read(t, consumer, 1)
			awaitStored(t, c, group, stays, i)
		}
		require.LessOrEqual(t, len(book.matching("automatic commit failed")), 2, "it is not said at every interval")
		began := time.Now()
		err := consumer.Close()
		require.Less(t, time.Since(began), soon)
		if err != nil {
			require.ErrorContains(t, err, gone.Topic, "what could not be committed is named")
		}
		require.EqualValues(t, 3, storedAt(t, c, group, stays))
	})
}
