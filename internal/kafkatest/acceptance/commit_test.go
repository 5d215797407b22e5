package acceptance

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

func TestCommit_NextConsumerBeginsWhereThisOneCommitted(t *testing.T) {
	kafkatest.EachVersion(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 3}), kafkatest.TopicName(t)
		p0, p1, p2 := tpOf(topic, 0), tpOf(topic, 1), tpOf(topic, 2)
		for p := range int32(2) {
			produce(t, c, topic, p, numbered(0, 10)...)
		}
		first := startOn(t, c, byHand(group), p0, p1, p2)
		for _, tp := range []kafka.TopicPartition{p0, p1, p2} {
			position(t, first, tp)
		}
		read(t, first, 5, kafka.FromPartitions(p0))
		last := read(t, first, 3, kafka.FromPartitions(p1))[2]
		require.Empty(t, stored(t, c, group), "with autocommit off, nothing is committed before it is asked for")
		require.NoError(t, first.Commit(within(t)))

		at := stored(t, c, group)
		require.Len(t, at, 3)
		require.EqualValues(t, 5, at[p0].Offset)
		require.Equal(t, kafka.OffsetAndMetadata{Offset: 3, LeaderEpoch: last.LeaderEpoch}, at[p1], "with the epoch of the last message")
		require.EqualValues(t, 0, at[p2].Offset, "a position that was looked up is committed too")
		committed, err := first.Committed(within(t))
		require.NoError(t, err)
		require.Equal(t, at, committed, "none named: all assigned")
		require.NoError(t, first.Close())

		second := newConsumer(t, c, append(byHand(group), kafka.WithAutoOffsetReset(kafka.ResetLatest))...)
		defer second.Close()
		require.NoError(t, second.Assign(p0, p1, p2), "before Start")
		require.NoError(t, second.Start(within(t)))
		got := readMany(t, second, 12)
		consecutive(t, 5, got[p0])
		consecutive(t, 3, got[p1])
	})
}

// The original takes no leader epoch, and its Committed gives no metadata.
func TestCommitOffsets_MetadataAndEpochAreKept(t *testing.T) {
	kafkatest.EachVersion(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		p0, p1 := tpOf(topic, 0), tpOf(topic, 1)
		consumer := startOn(t, c, byHand(group), p0, p1)
		require.EqualValues(t, 0, position(t, consumer, p0))
		require.NoError(t, consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{
			p0: {Offset: 3, LeaderEpoch: 7, Metadata: "where I was, ünïcode"},
			p1: {Offset: 5, LeaderEpoch: 0},
		}))
		committed, err := consumer.Committed(within(t), p1, p0)
		require.NoError(t, err)
		require.Equal(t, map[kafka.TopicPartition]kafka.OffsetAndMetadata{
			p0: {Offset: 3, LeaderEpoch: 7, Metadata: "where I was, ünïcode"},
			p1: {Offset: 5, LeaderEpoch: -1},
		}, committed, "0 and less mean an epoch that is not known")
		require.EqualValues(t, 0, position(t, consumer, p0), "a commit moves no position")
	})
}

func TestCommitMessages_CommitsBehindTheHighestOfEachPartition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		p0, p1 := tpOf(topic, 0), tpOf(topic, 1)
		for p := range int32(2) {
			produce(t, c, topic, p, numbered(0, 10)...)
		}
		consumer := startOn(t, c, byHand(group), p0, p1)
		got := readMany(t, consumer, 20)
		require.NoError(t, consumer.CommitMessages(within(t), got[p0][6], got[p1][2], got[p0][1], got[p1][0]))
		require.Equal(t, map[kafka.TopicPartition]kafka.OffsetAndMetadata{
			p0: {Offset: 7, LeaderEpoch: got[p0][6].LeaderEpoch}, p1: {Offset: 3, LeaderEpoch: got[p1][2].LeaderEpoch},
		}, stored(t, c, group))
		require.NoError(t, consumer.CommitMessages(within(t), got[p1][5]))
		require.EqualValues(t, 7, storedAt(t, c, group, p0), "only the partitions of the messages")
		require.EqualValues(t, 6, storedAt(t, c, group, p1))
		require.NoError(t, consumer.CommitMessages(within(t)), "none")
	})
}

func TestCommit_IsPastControlRecords(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
		tp := tpOf(topic, 0)
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values("a", "b")...)
		txn.Commit(t)
		c.AwaitStable(t, topic, 0)
		consumer := startOn(t, c, byHand(group), tp)
		read(t, consumer, 2)
		eventually(t, func() bool { return position(t, consumer, tp) == 3 }, "the position does not pass the marker")
		require.NoError(t, consumer.Commit(within(t)))
		require.EqualValues(t, 3, storedAt(t, c, group, tp))
	})
}

func TestCommit_NeedsAGroup(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		tp := tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
		consumer := startOn(t, c, nil, tp)
		ctx := within(t)
		for name, call := range map[string]func() error{
			"Commit":          func() error { return consumer.Commit(ctx) },
			"CommitOffsets":   func() error { return consumer.CommitOffsets(ctx, nil) },
			"CommitMessages":  func() error { return consumer.CommitMessages(ctx) },
			"Committed":       func() error { _, err := consumer.Committed(ctx, tp); return err },
			"SeekToCommitted": func() error { return consumer.SeekToCommitted(ctx) },
		} {
			err := call()
			require.ErrorIs(t, err, kafka.ErrIllegalState, name)
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, "WithGroupID", "it says what to do")
		}
	})
}

func TestCommit_SenselessArgumentsAreErrorsAndCommitNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		mine, other := tpOf(topic, 0), tpOf(topic, 1)
		consumer := startOn(t, c, byHand(group), mine)
		ctx := within(t)
		type offsets = map[kafka.TopicPartition]kafka.OffsetAndMetadata
		for name, bad := range map[string]offsets{
			"not assigned": {mine: {Offset: 1}, other: {Offset: 1}},
			"negative":     {mine: {Offset: -1}},
		} {
			require.ErrorIs(t, consumer.CommitOffsets(ctx, bad), kafka.ErrIllegalState, name)
		}
		require.ErrorIs(t, consumer.CommitMessages(ctx, nil), kafka.ErrIllegalState)
		require.ErrorIs(t, consumer.CommitMessages(ctx, &kafka.Message{Topic: topic, Partition: 1}), kafka.ErrIllegalState)
		_, err := consumer.Committed(ctx, tpOf(topic, -1))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		require.ErrorIs(t, consumer.SeekToCommitted(ctx, other), kafka.ErrIllegalState)
		require.NoError(t, consumer.CommitOffsets(ctx, offsets{}), "an empty map commits nothing")
		require.Empty(t, stored(t, c, group))
	})
}

func TestCommitted_AnswersOnlyWhatIsCommitted(t *testing.T) {
	kafkatest.EachVersion(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 3}), kafkatest.TopicName(t)
		p0, p1, p2 := tpOf(topic, 0), tpOf(topic, 1), tpOf(topic, 2)
		consumer := startOn(t, c, byHand(group), p0, p1)
		ctx := within(t)
		committed, err := consumer.Committed(ctx, p0, p1)
		require.NoError(t, err, "of a group that does not exist")
		require.Empty(t, committed)
		store(t, c, group, p2, 4)
		store(t, c, group, p1, 0)
		committed, err = consumer.Committed(ctx, p0, p1, p2, p2)
		require.NoError(t, err, "also of partitions not assigned")
		require.Len(t, committed, 2)
		require.EqualValues(t, 4, committed[p2].Offset)
		require.EqualValues(t, 0, committed[p1].Offset)
		committed, err = consumer.Committed(ctx)
		require.NoError(t, err)
		require.Len(t, committed, 1, "none named: all assigned")

		began := time.Now()
		for _, unknown := range []kafka.TopicPartition{tpOf(topic, 99), tpOf(kafkatest.TopicName(t), 0)} {
			_, err = consumer.Committed(ctx, p1, unknown)
			require.ErrorIs(t, err, protocol.UnknownTopicOrPartition)
			require.ErrorContains(t, err, unknown.String())
		}
		require.Less(t, time.Since(began), soon, "after one fresh metadata answer")
	})
}

// The original's commit waits behind the fetch that is out, as does every request on a connection.
func TestCommit_IsNotHeldUpByALongPoll(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, "a")
		consumer := startOn(t, c, append(byHand(group), kafka.WithFetchMaxWait(25*time.Second)), tp)
		read(t, consumer, 1)
		require.NoError(t, consumer.Commit(within(t)), "the coordinator is known from here on")
		getting := inBackground(func() error { _, err := consumer.GetOne(within(t)); return err })
		blocked(t, getting)
		began := time.Now()
		require.NoError(t, consumer.Commit(within(t)))
		_, err := consumer.Committed(within(t))
		require.NoError(t, err)
		require.NoError(t, consumer.SeekToCommitted(within(t)))
		require.Less(t, time.Since(began), 2*soon)
		blocked(t, getting)
		produce(t, c, topic, 0, "b")
		require.NoError(t, ended(t, getting).err)
	})
}

// Each partition's error is told, joined, and the others are committed.
func TestCommit_ErrorsOfPartitionsAreJoined(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 4}), kafkatest.TopicName(t)
		var tps []kafka.TopicPartition
		offsets := make(map[kafka.TopicPartition]kafka.OffsetAndMetadata)
		for p := range int32(4) {
			tps = append(tps, tpOf(topic, p))
			offsets[tpOf(topic, p)] = kafka.OffsetAndMetadata{Offset: 1}
		}
		tooMuch := strings.Repeat("x", 5000) // offset.metadata.max.bytes is 4096
		offsets[tps[1]] = kafka.OffsetAndMetadata{Offset: 1, Metadata: tooMuch}
		offsets[tps[2]] = kafka.OffsetAndMetadata{Offset: 1, Metadata: tooMuch}
		refuseMetadata(c, topic, 1, 2)
		consumer := startOn(t, c, byHand(group), tps...)
		err := consumer.CommitOffsets(within(t), offsets)
		require.ErrorIs(t, err, protocol.OffsetMetadataTooLarge)
		require.ErrorContains(t, err, tps[1].String())
		require.ErrorContains(t, err, tps[2].String())
		var broker *kafka.BrokerError
		require.ErrorAs(t, err, &broker)
		require.Equal(t, "OffsetCommit", broker.API)
		at := stored(t, c, group)
		require.Len(t, at, 2, "the others are committed")
		require.Contains(t, at, tps[0])
		require.Contains(t, at, tps[3])
	})
}

// A group with live members takes no offsets from somebody else; the error says so in words.
func TestCommit_ToAGroupWithMembersFails(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
		assigned := make(chan struct{}, 1)
		member, err := kgo.NewClient(c.ClientOptions(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
			kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }))...)
		require.NoError(t, err)
		defer member.Close()
		select {
		case <-assigned:
		case <-within(t).Done():
			require.Fail(t, "the other client does not become a member")
		}
		consumer := startOn(t, c, byHand(group), tpOf(topic, 0))
		position(t, consumer, tpOf(topic, 0))
		err = consumer.Commit(within(t))
		var failed *kafka.CommitFailedError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, group, failed.GroupID)
		require.Contains(t, failed.Reason, "members of its own")
		require.ErrorIs(t, err, protocol.UnknownMemberID)
		require.NotEmpty(t, failed.Hint())
		require.ErrorContains(t, err, failed.Hint())
		require.Empty(t, stored(t, c, group))
	})
}
