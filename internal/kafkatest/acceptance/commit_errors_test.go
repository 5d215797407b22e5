package acceptance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

func TestCommit_WhatMayPassIsTriedAgain(t *testing.T) {
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		for _, code := range []*kerr.Error{
			kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.UnknownTopicOrPartition,
		} {
			t.Run(code.Message, func(t *testing.T) {
				group := kafkatest.TopicName(t)
				injected := fault(c, kmsg.OffsetCommit, group, code, 3)
				consumer := startOn(t, c, append(byHand(group), kafka.WithRetryBackoff(time.Millisecond, 10*time.Millisecond)), tp)
				position(t, consumer, tp)
				require.NoError(t, consumer.Commit(within(t)))
				require.Equal(t, 3, injected.Hits())
				require.EqualValues(t, 0, storedAt(t, c, group, tp))
			})
		}
	})
}

// Weakness 6.8 of the original: its commit knows no end but success.
func TestWeakness_6_8_CommitEndsWithItsContext(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		goes, stays := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
		group := kafkatest.TopicName(t)
		gone, there := tpOf(goes, 0), tpOf(stays, 0)
		consumer := startOn(t, c, byHand(group), gone, there)
		c.DeleteTopic(t, goes)
		began := time.Now()
		err := consumer.CommitOffsets(until(t, time.Second), map[kafka.TopicPartition]kafka.OffsetAndMetadata{gone: {Offset: 1}, there: {Offset: 2}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var broker *kafka.BrokerError
		require.ErrorAs(t, err, &broker, "the last answer stands beside it")
		require.Equal(t, gone, broker.TopicPartition)
		require.True(t, broker.Code == protocol.UnknownTopicOrPartition || broker.Code == protocol.UnknownTopicID, "%v", broker.Code)
		require.Less(t, time.Since(began), time.Second+soon)
		require.EqualValues(t, 2, storedAt(t, c, group, there), "the other partition is committed all the same")
	})
}

// Without a deadline in the ctx, a remote call has twice the request timeout.
func TestCommit_IsBoundedWithoutADeadline(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	group, tp := kafkatest.TopicName(t), tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	fault(c, kmsg.OffsetCommit, group, kerr.CoordinatorLoadInProgress, -1)
	fault(c, kmsg.OffsetFetch, group, kerr.CoordinatorLoadInProgress, -1)
	consumer := startOn(t, c, append(byHand(group), kafka.WithRequestTimeout(300*time.Millisecond)), tp)
	began := time.Now()
	err := consumer.CommitOffsets(context.Background(), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 1}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, protocol.CoordinatorLoadInProgress)
	_, err = consumer.Committed(context.Background())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, protocol.CoordinatorLoadInProgress)
	require.GreaterOrEqual(t, time.Since(began), 1200*time.Millisecond)
	require.Less(t, time.Since(began), 1200*time.Millisecond+soon)
}

func TestCommit_StopEndsOneThatWaits(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	group, tp := kafkatest.TopicName(t), tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	injected := fault(c, kmsg.OffsetCommit, group, kerr.CoordinatorLoadInProgress, -1)
	consumer := startOn(t, c, byHand(group), tp)
	committing := inBackground(func() error {
		return consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 1}})
	})
	require.NoError(t, injected.Wait(within(t), 1))
	require.NoError(t, consumer.Close())
	require.ErrorIs(t, ended(t, committing).err, kafka.ErrConsumerStopped)
}

// One that is tried again keeps those behind it waiting, so that an older offset never comes last.
func TestCommit_NeverOvertakesAnother(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	group, tp := kafkatest.TopicName(t), tpOf(c.NewTopic(t, kafkatest.Topic{}), 0)
	injected := fault(c, kmsg.OffsetCommit, group, kerr.CoordinatorLoadInProgress, -1)
	consumer := startOn(t, c, append(byHand(group), kafka.WithRetryBackoff(time.Millisecond, 5*time.Millisecond)), tp)
	commit := func(offset int64) <-chan result {
		return inBackground(func() error {
			return consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: offset}})
		})
	}
	first := commit(1)
	require.NoError(t, injected.Wait(within(t), 3))
	second := commit(2)
	blocked(t, second)
	blocked(t, first)
	injected.Remove()
	require.NoError(t, ended(t, first).err)
	require.NoError(t, ended(t, second).err)
	require.EqualValues(t, 2, storedAt(t, c, group, tp))

	giveUp := until(t, 50*time.Millisecond)
	injected = fault(c, kmsg.OffsetCommit, group, kerr.CoordinatorLoadInProgress, -1)
	third := commit(3)
	require.NoError(t, injected.Wait(within(t), 1))
	err := consumer.CommitOffsets(giveUp, map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 4}})
	require.ErrorIs(t, err, context.DeadlineExceeded, "one that waits for its turn has its own ctx")
	injected.Remove()
	require.NoError(t, ended(t, third).err)
	require.EqualValues(t, 3, storedAt(t, c, group, tp), "what was given up is not committed later")
}

func TestCommit_RefusedIsTypedAndNotTriedAgain(t *testing.T) {
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		for _, refusal := range []struct {
			code           *kerr.Error
			as             protocol.ErrorCode
			resource, name string
		}{
			{kerr.GroupAuthorizationFailed, protocol.GroupAuthorizationFailed, "group", ""},
			{kerr.TopicAuthorizationFailed, protocol.TopicAuthorizationFailed, "topic", topic},
			{kerr.InvalidCommitOffsetSize, protocol.InvalidCommitOffsetSize, "", ""},
			{kerr.IllegalGeneration, protocol.IllegalGeneration, "", ""},
			{kerr.FencedInstanceID, protocol.FencedInstanceID, "", ""},
		} {
			t.Run(refusal.code.Message, func(t *testing.T) {
				group := kafkatest.TopicName(t)
				if refusal.resource == "group" {
					refusal.name = group
				}
				injected := fault(c, kmsg.OffsetCommit, group, refusal.code, -1)
				defer injected.Remove()
				consumer := startOn(t, c, byHand(group), tp)
				err := consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 1}})
				require.ErrorIs(t, err, refusal.as)
				require.Equal(t, 1, injected.Hits(), "asked once")
				var denied *kafka.AuthorizationError
				if refusal.resource != "" {
					require.ErrorAs(t, err, &denied)
					require.Equal(t, refusal.resource, denied.Resource)
					require.Equal(t, refusal.name, denied.Name)
				}
				var failed *kafka.CommitFailedError
				moved := refusal.as == protocol.IllegalGeneration || refusal.as == protocol.FencedInstanceID
				require.Equal(t, moved, errorAs(err, &failed))
				injected.Remove()
				require.NoError(t, consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 1}}))
			})
		}
	})
}

// A coordinator that moves is found again.
func TestCommit_FollowsTheCoordinator(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 3}), kafkatest.TopicName(t)
		tp := tpOf(topic, 0)
		consumer := startOn(t, c, append(byHand(group), quick), tp)
		commit := func(offset int64) {
			require.NoError(t, consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: offset}}))
			at, err := startOn(t, c, byHand(group), tp).Committed(within(t))
			require.NoError(t, err)
			require.EqualValues(t, offset, at[tp].Offset)
		}
		commit(1)
		coordinator := coordinatorOf(t, c, group)
		if c.Fake() != nil {
			for coordinatorOf(t, c, group) == coordinator {
				c.Fake().RehashCoordinators()
			}
		} else {
			c.Node(t, coordinator).Kill(t)
		}
		commit(2)
	})
}
