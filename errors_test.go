package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// Each error says what, where and why; a hint, where there is one, is part of it.
func TestErrors_TextsHintsAndCauses(t *testing.T) {
	tp := TopicPartition{"orders", 3}
	cause := errors.New("the cause")
	cases := []struct {
		err   error
		says  []string
		hint  string
		cause error
	}{
		{&OffsetOutOfRangeError{TopicPartition: tp, Offset: 5, LogStart: 10, LogEnd: 20}, []string{"orders-3", "5", "10", "20", "OFFSET_OUT_OF_RANGE"}, "Seek", protocol.OffsetOutOfRange},
		{&NoOffsetForPartitionError{TopicPartition: tp, GroupID: "billing"}, []string{"orders-3", "billing"}, "WithAutoOffsetReset", nil},
		{&CorruptRecordError{TopicPartition: tp, Offset: 5, NextOffset: 9, Err: cause}, []string{"orders-3", "5", "the cause"}, "Seek to offset 9", cause},
		{&RecordTooLargeError{TopicPartition: tp, Offset: 5, NextOffset: 9, Size: 777, Limit: 700}, []string{"orders-3", "5", "777", "700"}, "WithMaxBatchBytes to 777", nil},
		{&AuthorizationError{Resource: "topic", Name: "orders", Err: protocol.TopicAuthorizationFailed}, []string{"topic", "orders", "TOPIC_AUTHORIZATION_FAILED"}, "grant", protocol.TopicAuthorizationFailed},
		{&BrokerError{API: "Fetch", Broker: "7", TopicPartition: tp, Code: protocol.UnknownTopicOrPartition, Message: "told\n"}, []string{"Fetch", "broker 7", "orders-3", "UNKNOWN_TOPIC_OR_PARTITION", `"told\n"`}, "create the topic", protocol.UnknownTopicOrPartition},
		{&BrokerError{API: "Metadata", TopicPartition: TopicPartition{"orders", -1}, Code: protocol.InvalidTopic}, []string{`topic "orders"`}, "", protocol.InvalidTopic},
		{&BrokerError{API: "ListOffsets", Code: protocol.UnsupportedVersion}, []string{"ListOffsets"}, "too old", protocol.UnsupportedVersion},
		{&CommitFailedError{GroupID: "billing", Reason: "the reason", Err: protocol.UnknownMemberID}, []string{"billing", "the reason"}, "", protocol.UnknownMemberID},
		{&ListenerError{Callback: "OnPartitionsAssigned", Partitions: []TopicPartition{tp}, Err: cause}, []string{"OnPartitionsAssigned", "orders-3", "the cause"}, "", cause},
		{&ConfigError{Option: "WithX", Value: 3, Reason: "must be more"}, []string{"WithX", "3", "must be more"}, "", nil},
	}
	for _, c := range cases {
		text := c.err.Error()
		require.True(t, strings.HasPrefix(text, "kafka: "), text)
		require.NotContains(t, text, "\n")
		for _, s := range c.says {
			require.Contains(t, text, s)
		}
		h, ok := c.err.(interface{ Hint() string }) //nolint:errorlint // the error itself
		require.True(t, ok, "%T has no Hint", c.err)
		require.Contains(t, text, h.Hint())
		require.Contains(t, h.Hint(), c.hint)
		if c.cause != nil {
			require.ErrorIs(t, c.err, c.cause)
		} else {
			require.NoError(t, errors.Unwrap(c.err))
		}
	}
}

func TestErrors_CodesOfRightsBecomeAuthorizationErrors(t *testing.T) {
	for code, resource := range map[protocol.ErrorCode]string{
		protocol.TopicAuthorizationFailed: "topic", protocol.GroupAuthorizationFailed: "group", protocol.ClusterAuthorizationFailed: "cluster",
	} {
		var refused *AuthorizationError
		require.ErrorAs(t, brokerError("Fetch", "1", TopicPartition{"orders", 3}, code), &refused)
		require.Equal(t, resource, refused.Resource)
	}
	var other *BrokerError
	require.ErrorAs(t, brokerError("Fetch", "1", TopicPartition{"orders", 3}, protocol.InvalidTopic), &other)
}

func TestErrors_TimedOutSaysWhatKeptTheCallFromSucceeding(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	err := timedOut("EndOffsets", ctx, protocol.NotLeaderOrFollower)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, protocol.NotLeaderOrFollower)
	require.ErrorContains(t, err, "EndOffsets")

	stopped, end := context.WithCancelCause(t.Context())
	end(ErrConsumerStopped)
	require.Equal(t, ErrConsumerStopped, timedOut("EndOffsets", stopped, protocol.NotLeaderOrFollower))
}
