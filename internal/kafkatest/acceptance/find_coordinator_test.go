package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// lookingFor makes the first three brokers that are asked for a group's coordinator answer with an error, and says how often
// that came to pass.
func lookingFor(t *testing.T, c *kafkatest.Cluster, group string, code *kerr.Error, what func()) {
	t.Helper()
	injected := fault(c, kmsg.FindCoordinator, group, code, 3)
	defer injected.Remove()
	what()
	require.Equal(t, 3, injected.Hits())
}

// coordinatorIsLost makes a consumer that knows the group's coordinator look for it with its next commit.
func coordinatorIsLost(c *kafkatest.Cluster, group string) {
	fault(c, kmsg.OffsetCommit, group, kerr.NotCoordinator, 1)
}

// A coordinator that cannot be named yet is asked for again, whoever needs it.
func TestFindCoordinator_WhatMayPassIsTriedAgain(t *testing.T) {
	needs := map[string]func(t *testing.T, c *kafkatest.Cluster, code *kerr.Error, tp kafka.TopicPartition, group string){
		"Commit": func(t *testing.T, c *kafkatest.Cluster, code *kerr.Error, tp kafka.TopicPartition, group string) {
			consumer := startOn(t, c, append(byHand(group), quickRetry), tp)
			position(t, consumer, tp)
			coordinatorIsLost(c, group)
			lookingFor(t, c, group, code, func() {
				require.NoError(t, consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 6}}))
			})
			require.EqualValues(t, 6, storedAt(t, c, group, tp))
		},
		"Committed": func(t *testing.T, c *kafkatest.Cluster, code *kerr.Error, tp kafka.TopicPartition, group string) {
			lookingFor(t, c, group, code, func() {
				at, err := start(t, c, append(byHand(group), quickRetry)...).Committed(within(t), tp)
				require.NoError(t, err)
				require.EqualValues(t, 5, at[tp].Offset)
			})
		},
		"position": func(t *testing.T, c *kafkatest.Cluster, code *kerr.Error, tp kafka.TopicPartition, group string) {
			lookingFor(t, c, group, code, func() {
				consecutive(t, 5, read(t, startOn(t, c, append(byHand(group), quickRetry), tp), 5))
			})
		},
		"join": func(t *testing.T, c *kafkatest.Cluster, code *kerr.Error, tp kafka.TopicPartition, _ string) {
			group := kafkatest.TopicName(t) // one that nobody has used
			lookingFor(t, c, group, code, func() {
				consumer := start(t, c, append(groupOptions(group), kafka.WithTopics(tp.Topic), quickRetry)...)
				require.Equal(t, []kafka.TopicPartition{tp}, consumer.Assignment())
			})
		},
	}
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, code := range []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.RequestTimedOut, kerr.UnknownServerError} {
			for name, need := range needs {
				t.Run(code.Message+"/"+name, func(t *testing.T) {
					tp, group := committedAt5(t, c)
					need(t, c, code, tp, group)
				})
			}
		}
	})
}

// What does not pass by itself is told at once, after one question.
func TestFindCoordinator_WhatDoesNotPassIsToldAtOnce(t *testing.T) {
	eachFake(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, code := range []*kerr.Error{kerr.InvalidGroupID, kerr.GroupAuthorizationFailed} {
			t.Run(code.Message, func(t *testing.T) {
				topic, group := c.NewTopic(t, kafkatest.Topic{}), kafkatest.TopicName(t)
				tp := tpOf(topic, 0)
				consumer := startOn(t, c, append(byHand(group), quickRetry), tp)
				position(t, consumer, tp)
				coordinatorIsLost(c, group)
				injected := fault(c, kmsg.FindCoordinator, group, code, -1)
				defer injected.Remove()
				began := time.Now()
				refused := func(err error) {
					t.Helper()
					require.ErrorIs(t, err, protocol.ErrorCode(code.Code))
					require.ErrorContains(t, err, group)
				}
				refused(consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: 1}}))
				require.Equal(t, 1, injected.Hits())
				_, err := consumer.Committed(within(t), tp)
				refused(err)
				require.Equal(t, 2, injected.Hits())
				refused(newConsumer(t, c, append(groupOptions(group), kafka.WithTopics(topic))...).Start(within(t)))
				require.Less(t, time.Since(began), soon)
			})
		}
	})
}
