//go:build kafka

package acceptance

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// An uncleanLog is a partition whose leader is going to be lost with records that only it has.
type uncleanLog struct {
	c                *kafkatest.Cluster
	tp               kafka.TopicPartition
	leader, follower int32
}

// The log is 20 records that both replicas have, then 10 that only the leader has.
const common, tail = 20, 10

func newUncleanLog(t *testing.T) *uncleanLog {
	t.Helper()
	c := kafkatest.Shared3(t)
	l := &uncleanLog{c: c, tp: tpOf(c.NewTopic(t, kafkatest.Topic{Replicas: 2}), 0)}
	kafkatest.Produce(t, c, l.tp.Topic, 0, kafkatest.Values(numbered(0, common)...), kafkatest.PerBatch(5), kafkatest.With(kgo.RequiredAcks(kgo.AllISRAcks())))
	l.leader = c.Leader(t, l.tp.Topic, 0)
	for _, id := range c.Replicas(t, l.tp.Topic, 0) {
		if id != l.leader {
			l.follower = id
		}
	}
	c.Node(t, l.follower).Kill(t)
	c.AwaitISR(t, l.tp.Topic, 0, l.leader)
	kafkatest.Produce(t, c, l.tp.Topic, 0, kafkatest.Values(numbered(common, common+tail)...), kafkatest.PerBatch(5),
		kafkatest.With(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()))
	return l
}

// lose makes the other replica the leader, and writes more than was lost, so that no offset is out of range.
func (l *uncleanLog) lose(t *testing.T) {
	t.Helper()
	l.c.Node(t, l.leader).Kill(t)
	l.c.Node(t, l.follower).Start(t)
	require.Equal(t, l.follower, l.c.ElectUnclean(t, l.tp.Topic, 0))
	kafkatest.Produce(t, l.c, l.tp.Topic, 0, kafkatest.Values(instead...), kafkatest.PerBatch(5))
}

var instead = numbered(1000, 1000+3*tail)

// After an unclean election the log goes on with other records at offsets that were read. The original never notices: it goes on at its
// offset, and what was written between is never read (KIP-320).
func TestTruncation_IsFoundByLeaderEpochs(t *testing.T) {
	l := newUncleanLog(t)
	c, tp := l.c, l.tp
	var book, noneBook logBook

	// One that has read all of it, one without a reset policy, one that committed and is away, and one that has the end in its buffer.
	reader := startOn(t, c, []kafka.ConsumerOption{quick, kafka.WithLogger(book.logger(slog.LevelInfo))}, tp)
	require.Equal(t, numbered(0, common+tail), texts(read(t, reader, common+tail)))
	careful := startOn(t, c, []kafka.ConsumerOption{quick, kafka.WithAutoOffsetReset(kafka.ResetNone), kafka.WithLogger(noneBook.logger(slog.LevelInfo))}, tp)
	require.NoError(t, careful.Seek(tp, 0))
	read(t, careful, common+tail)
	group := kafkatest.TopicName(t)
	away := startOn(t, c, append(byHand(group), quick), tp)
	read(t, away, common+tail-2)
	require.NoError(t, away.Commit(within(t)))
	require.NoError(t, away.Close())
	behind := startOn(t, c, []kafka.ConsumerOption{quick}, tp)
	read(t, behind, common-5)
	buffered(t, behind, tp)

	l.lose(t)

	t.Run("a reader is set back to where the logs part", func(t *testing.T) {
		got := read(t, reader, len(instead))
		require.Equal(t, instead, texts(got))
		consecutive(t, common, got)
		lines := book.matching("WARN", "the log was cut", "topic="+tp.Topic, "position=30", "end=20")
		require.Len(t, lines, 1, "it is an event for the log, with both offsets")
	})
	t.Run("without a policy it is an error", func(t *testing.T) {
		for range 2 {
			_, err := careful.GetOne(within(t))
			var outside *kafka.OffsetOutOfRangeError
			require.ErrorAs(t, err, &outside)
			require.Equal(t, tp, outside.TopicPartition)
			require.EqualValues(t, common+tail, outside.Offset)
			require.EqualValues(t, 0, outside.LogStart)
			require.GreaterOrEqual(t, outside.LogEnd, int64(common), "as it was when it was asked for")
			require.LessOrEqual(t, outside.LogEnd, int64(common+len(instead)))
			require.ErrorContains(t, err, "cut at 20")
			require.ErrorIs(t, err, protocol.OffsetOutOfRange)
		}
		require.NoError(t, careful.Seek(tp, common))
		require.Equal(t, instead, texts(read(t, careful, len(instead))))
		require.Len(t, noneBook.matching("WARN", "the log was cut"), 1)
	})
	t.Run("a committed offset is checked by its epoch", func(t *testing.T) {
		back := startOn(t, c, append(byHand(group), quick), tp)
		got := read(t, back, len(instead))
		require.Equal(t, instead, texts(got))
		consecutive(t, common, got)
	})
	t.Run("what is buffered of the lost part goes", func(t *testing.T) {
		got := read(t, behind, 5+len(instead))
		require.Equal(t, append(numbered(common-5, common), instead...), texts(got))
	})
}

// A leader that moves in good order has the same log: its new epochs are looked into, and nothing happens.
func TestTruncation_NothingIsCutWhereALeaderMovesInGoodOrder(t *testing.T) {
	c := kafkatest.Shared3(t)
	tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	group := kafkatest.TopicName(t)
	write := func(n int) {
		kafkatest.Produce(t, c, tp.Topic, 0, kafkatest.Values(numbered(n, n+20)...), kafkatest.PerBatch(5))
	}
	write(0)
	var book logBook
	w := newWire(c)
	opts := append(byHand(group), quick, w.option(), kafka.WithLogger(book.logger(slog.LevelInfo)))
	reader, behind := startOn(t, c, opts, tp), startOn(t, c, opts, tp)
	consecutive(t, 0, read(t, reader, 20))
	consecutive(t, 0, read(t, behind, 7)) // with the rest in its buffer
	require.NoError(t, reader.Commit(within(t)))
	resets := len(book.matching("reset"))
	asked := w.of(kmsg.OffsetForLeaderEpoch)
	for round := range int64(4) {
		if round%2 == 0 {
			c.MoveLeader(t, tp.Topic, 0, otherNode(t, c, c.Leader(t, tp.Topic, 0)).ID)
		} else {
			c.Node(t, c.Leader(t, tp.Topic, 0)).Restart(t) // leaves its leadership to another first
			c.AwaitInSync(t, tp.Topic, 0)
		}
		write(int(20 + 20*round))
		consecutive(t, 20+20*round, read(t, reader, 20))
		back := startOn(t, c, opts, tp) // on an offset of an epoch that is over
		require.EqualValues(t, 20, position(t, back, tp))
		consecutive(t, 20, read(t, back, 20))
		require.NoError(t, back.Close())
	}
	consecutive(t, 7, read(t, behind, 93))
	require.Greater(t, w.of(kmsg.OffsetForLeaderEpoch), asked, "new leaders are asked")
	require.Empty(t, book.matching("cut"))
	book.has(t, resets, "reset")
}
