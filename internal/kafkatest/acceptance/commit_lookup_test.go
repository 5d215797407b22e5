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
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Weakness 6.1, the original's worst: brokers answer an OffsetFetch that fails as a whole with no topics and one code, which it takes
// for "nothing committed": it resets the position, and commits what it reset to.

var lookupErrors = []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.GroupAuthorizationFailed}

// committedAt5 gives a partition of 10 messages and a group that has committed 5 of them.
func committedAt5(t *testing.T, c *kafkatest.Cluster) (tp kafka.TopicPartition, group string) {
	t.Helper()
	tp, group = tpOf(c.NewTopic(t, kafkatest.Topic{}), 0), kafkatest.TopicName(t)
	produce(t, c, tp.Topic, 0, numbered(0, 10)...)
	store(t, c, group, tp, 5)
	return tp, group
}

func TestWeakness_6_1_FailedLookupIsNeverNothingCommitted(t *testing.T) {
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, code := range lookupErrors {
			for name, reset := range map[string]kafka.OffsetReset{"earliest": kafka.ResetEarliest, "latest": kafka.ResetLatest, "none": kafka.ResetNone} {
				t.Run(code.Message+"/"+name, func(t *testing.T) {
					tp, group := committedAt5(t, c)
					injected := fault(c, kmsg.OffsetFetch, group, code, -1)
					defer injected.Remove()
					var book logBook
					consumer := startOn(t, c, append(autocommits(group), kafka.WithAutoOffsetReset(reset), quickRetry,
						kafka.WithLogger(book.logger(slog.LevelInfo))), tp)
					require.NoError(t, injected.Wait(within(t), 3))
					_, err := consumer.GetMany(within(t), kafka.WaitFor(short))
					if code == kerr.GroupAuthorizationFailed {
						var denied *kafka.AuthorizationError
						require.ErrorAs(t, err, &denied, "what does not pass by itself is told")
						require.Equal(t, "group", denied.Resource)
						require.Equal(t, group, denied.Name)
						require.ErrorIs(t, err, protocol.GroupAuthorizationFailed)
					} else {
						require.NoError(t, err)
					}
					injected.Remove()
					require.EqualValues(t, 5, position(t, consumer, tp))
					consecutive(t, 5, read(t, consumer, 5))
					require.Empty(t, book.matching("reset"))
					awaitStored(t, c, group, tp, 9)
				})
			}
		}
	})
}

func TestWeakness_6_1_CommittedAndSeekToCommittedTellAFailedLookup(t *testing.T) {
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, code := range lookupErrors {
			t.Run(code.Message, func(t *testing.T) {
				tp, group := committedAt5(t, c)
				consumer := startOn(t, c, append(byHand(group), quickRetry), tp)
				consecutive(t, 5, read(t, consumer, 3))
				injected := fault(c, kmsg.OffsetFetch, group, code, -1)
				defer injected.Remove()
				calls := map[string]func() error{
					"Committed":       func() error { _, err := consumer.Committed(until(t, short)); return err },
					"SeekToCommitted": func() error { return consumer.SeekToCommitted(until(t, short)) },
				}
				for name, call := range calls {
					require.ErrorIs(t, call(), protocol.ErrorCode(code.Code), name)
				}
				require.EqualValues(t, 8, position(t, consumer, tp), "nothing is sought")
				injected.Remove()
				require.NoError(t, consumer.SeekToCommitted(within(t)))
				require.EqualValues(t, 5, position(t, consumer, tp))
			})
		}
	})
}

// Nor is a partition's own error, or one that the answer leaves out.
func TestWeakness_6_1_UnansweredPartitionIsAskedForAgain(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	for name, spoil := range map[string]func(p *kmsg.OffsetFetchResponseGroup){
		"left out":           func(g *kmsg.OffsetFetchResponseGroup) { g.Topics = nil },
		"unstable (KIP-447)": func(g *kmsg.OffsetFetchResponseGroup) { spoilPartitions(g, kerr.UnstableOffsetCommit) },
		"load in progress":   func(g *kmsg.OffsetFetchResponseGroup) { spoilPartitions(g, kerr.CoordinatorLoadInProgress) },
		"of another group":   func(g *kmsg.OffsetFetchResponseGroup) { g.Group = "other"; spoilPartitions(g, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			tp, group := committedAt5(t, c)
			asked := 0
			c.Fake().ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
				if asked++; asked > 3 {
					c.Fake().DropControl()
					return nil, nil, false
				}
				c.Fake().KeepControl()
				req := r.(*kmsg.OffsetFetchRequest)
				resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
				g := kmsg.NewOffsetFetchResponseGroup()
				g.Group = req.Groups[0].Group
				for _, topic := range req.Groups[0].Topics {
					rt := kmsg.NewOffsetFetchResponseGroupTopic()
					rt.Topic = topic.Topic
					for _, p := range topic.Partitions {
						rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
						rp.Partition, rp.Offset, rp.LeaderEpoch = p, -1, -1
						rt.Partitions = append(rt.Partitions, rp)
					}
					g.Topics = append(g.Topics, rt)
				}
				spoil(&g)
				resp.Groups = append(resp.Groups, g)
				return resp, nil, true
			})
			consumer := startOn(t, c, append(byHand(group), quickRetry), tp)
			require.EqualValues(t, 5, position(t, consumer, tp))
			require.Equal(t, 4, asked)
		})
	}
}

func spoilPartitions(g *kmsg.OffsetFetchResponseGroup, code *kerr.Error) {
	for i := range g.Topics {
		for j := range g.Topics[i].Partitions {
			if code != nil {
				g.Topics[i].Partitions[j].ErrorCode = code.Code
			}
		}
	}
}

// quickRetry makes what is tried again be so at once.
var quickRetry = kafka.WithRetryBackoff(time.Millisecond, 10*time.Millisecond)

// A coordinator that is lost just when the consumer starts: the committed offset is waited for.
func TestWeakness_6_1_CoordinatorAwayAtStart(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 3}), kafkatest.TopicName(t)
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 10)...)
		store(t, c, group, tp, 5)
		coordinator := c.Node(t, coordinatorOf(t, c, group))
		coordinator.Pause(t)
		if c.Fake() != nil { // a real cluster elects another by itself
			t.Cleanup(func() { coordinator.Continue(t) })
		}
		consumer := startOn(t, c, append(byHand(group), quick, kafka.WithRequestTimeout(2*time.Second), kafka.WithAutoOffsetReset(kafka.ResetLatest)), tp)
		if c.Fake() != nil {
			nothing(t, consumer)
			coordinator.Continue(t)
		}
		require.EqualValues(t, 5, position(t, consumer, tp))
		consecutive(t, 5, read(t, consumer, 5))
	})
}

// Weakness 6.24 of the original: 0 is an offset too.
func TestWeakness_6_24_SeekToCommittedGoesToZeroAsAnywhere(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 3}), kafkatest.TopicName(t)
		var tps []kafka.TopicPartition
		for p := range int32(3) {
			tps = append(tps, tpOf(topic, p))
			produce(t, c, topic, p, numbered(0, 10)...)
		}
		store(t, c, group, tps[0], 0)
		store(t, c, group, tps[1], 7)
		consumer := startOn(t, c, append(byHand(group), kafka.WithAutoOffsetReset(kafka.ResetLatest)), tps...)
		require.EqualValues(t, 0, position(t, consumer, tps[0]))
		require.EqualValues(t, 10, position(t, consumer, tps[2]), "nothing committed: the reset policy")
		readMany(t, consumer, 13)
		require.NoError(t, consumer.Seek(tps[2], 2))
		require.NoError(t, consumer.SeekToCommitted(within(t), tps[0]))
		require.EqualValues(t, 0, position(t, consumer, tps[0]))
		require.EqualValues(t, 10, position(t, consumer, tps[1]), "only those named")
		require.EqualValues(t, 2, position(t, consumer, tps[2]))
		require.NoError(t, consumer.SeekToCommitted(within(t)), "none named: all")
		require.EqualValues(t, 7, position(t, consumer, tps[1]))
		require.EqualValues(t, 10, position(t, consumer, tps[2]), "nothing committed: the reset policy")
		got := readMany(t, consumer, 13)
		consecutive(t, 0, got[tps[0]])
		consecutive(t, 7, got[tps[1]])
	})
}

// What is committed is of use only while the log has it.
func TestCommit_OffsetOutOfRangeIsResetAndLogged(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp, group := committedAt5(t, c)
		c.DeleteRecords(t, tp.Topic, 0, 8)
		var book logBook
		consumer := startOn(t, c, append(byHand(group), kafka.WithLogger(book.logger(slog.LevelInfo))), tp)
		consecutive(t, 8, read(t, consumer, 2))
		book.has(t, 1, "WARN", "position reset", "from=5", "offset=8")
	})
}

// Offsets that a producer commits inside a transaction count when it commits, and not where it aborts. While it is open, what is
// committed is not decided, and nobody starts at the old ones (KIP-447).
func TestCommitted_WaitsForTheTransactionThatHasSentOffsets(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp, group := committedAt5(t, c)
		consumer := startOn(t, c, append(byHand(group), quickRetry), tp)
		committed := func() int64 {
			got, err := consumer.Committed(within(t), tp)
			require.NoError(t, err)
			return got[tp].Offset
		}
		want := int64(5)
		require.Equal(t, want, committed())
		for _, round := range []struct {
			offset int64
			commit bool
		}{{7, true}, {9, false}, {8, true}} {
			txn := beginRawTxn(t, c)
			txn.sendOffset(t, group, tp, round.offset)
			_, err := consumer.Committed(until(t, short), tp)
			require.ErrorIs(t, err, protocol.UnstableOffsetCommit, "it is open")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			waiting := inBackground(func() error { _, err := consumer.Committed(within(t), tp); return err })
			starting := startOn(t, c, append(byHand(group), quickRetry), tp)
			_, err = starting.Position(until(t, short), tp)
			require.ErrorIs(t, err, context.DeadlineExceeded, "nor does a consumer start meanwhile")
			blocked(t, waiting)
			txn.end(t, round.commit)
			if round.commit {
				want = round.offset
			}
			require.NoError(t, ended(t, waiting).err)
			require.Equal(t, want, committed())
			require.Equal(t, want, position(t, starting, tp))
		}
	})
}
