package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// What keeps a partition from having a position is beside the end of the ctx.
func TestPosition_ThatTimesOutSaysWhatIsMissing(t *testing.T) {
	failing := func(key protocol.APIKey, answer func(resp protocol.Response)) func(k *fakebroker.Cluster) {
		return func(k *fakebroker.Cluster) {
			k.Handle(key, func(call *fakebroker.Call) fakebroker.Reply {
				resp := call.Default()
				answer(resp)
				return fakebroker.Reply{Response: resp}
			})
		}
	}
	for name, c := range map[string]struct {
		tp      TopicPartition
		opts    []ConsumerOption
		prepare func(k *fakebroker.Cluster)
		code    protocol.ErrorCode
		says    string
	}{
		"no such topic":        {tp: TopicPartition{"missing", 0}, code: protocol.UnknownTopicOrPartition, says: "Metadata for missing-0 at broker "},
		"no such partition":    {tp: TopicPartition{"t", 7}, code: protocol.UnknownTopicOrPartition, says: "create the topic, or check its name and the partition number"},
		"a group and no topic": {tp: TopicPartition{"missing", 0}, opts: []ConsumerOption{WithGroupID("g")}, code: protocol.UnknownTopicOrPartition, says: "Metadata for missing-0"},
		"no leader":            {tp: TopicPartition{"t", 0}, code: protocol.LeaderNotAvailable, says: "Metadata for t-0", prepare: func(k *fakebroker.Cluster) { k.MoveLeader("t", 0, -1) }},
		"a leader that refuses": {tp: TopicPartition{"t", 0}, code: protocol.NotLeaderOrFollower, says: "ListOffsets for t-0 at broker 1", prepare: failing(protocol.KeyListOffsets, func(resp protocol.Response) {
			resp.(*protocol.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode = protocol.NotLeaderOrFollower
		})},
		"no coordinator": {tp: TopicPartition{"t", 0}, opts: []ConsumerOption{WithGroupID("g")}, code: protocol.CoordinatorNotAvailable, says: "FindCoordinator of group g", prepare: failing(protocol.KeyFindCoordinator, func(resp protocol.Response) {
			found := resp.(*protocol.FindCoordinatorResponse)
			found.ErrorCode = protocol.CoordinatorNotAvailable
			for i := range found.Coordinators {
				found.Coordinators[i].ErrorCode = protocol.CoordinatorNotAvailable
			}
		})},
		"a coordinator that loads": {tp: TopicPartition{"t", 0}, opts: []ConsumerOption{WithGroupID("g")}, code: protocol.CoordinatorLoadInProgress, says: "OffsetFetch of group g at broker 1", prepare: failing(protocol.KeyOffsetFetch, func(resp protocol.Response) {
			fetched := resp.(*protocol.OffsetFetchResponse)
			fetched.ErrorCode = protocol.CoordinatorLoadInProgress
			for i := range fetched.Groups {
				fetched.Groups[i].ErrorCode = protocol.CoordinatorLoadInProgress
			}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 1)
				if c.prepare != nil {
					c.prepare(k)
				}
				consumer := startConsumer(t, k, c.opts...)
				require.NoError(t, consumer.Assign(c.tp))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := consumer.Position(ctx, c.tp)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, c.code)
				require.ErrorContains(t, err, "kafka: Position of "+c.tp.String()+": ")
				require.ErrorContains(t, err, c.says)
				stopClean(t, consumer)
			})
		})
	}
}

func TestPosition_ThatTimesOutSaysThatNoBrokerAnswers(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		c := startConsumer(t, k)
		k.StopNode(1)
		require.NoError(t, c.Assign(TopicPartition{"t", 0}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.Position(ctx, TopicPartition{"t", 0})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "connection refused")
		stopClean(t, c)
	})
}
