package kafka

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// An errorCase is an error, what its text has to say, and what its hint says; an empty hint: there is nothing to do.
type errorCase struct {
	err   error
	says  []string
	hint  string
	cause error
}

func errorCases() []errorCase {
	tp := TopicPartition{"orders", 3}
	cause := errors.New("the cause")
	refusal := &BrokerError{API: "Fetch", Broker: "7", TopicPartition: tp, Code: protocol.TopicAuthorizationFailed}
	return []errorCase{
		{&OffsetOutOfRangeError{TopicPartition: tp, Offset: 5, LogStart: 10, LogEnd: 20}, []string{"orders-3", "5", "10", "20", "OFFSET_OUT_OF_RANGE"}, "Seek", protocol.OffsetOutOfRange},
		{&OffsetOutOfRangeError{TopicPartition: tp, Offset: 5, LogStart: -1, LogEnd: -1}, []string{"offset 5: the log could not be asked for what it has: OFFSET"}, "SeekToBeginning or SeekToEnd", protocol.OffsetOutOfRange},
		{&OffsetOutOfRangeError{TopicPartition: tp, Offset: 5, LogStart: 10, LogEnd: -1}, []string{"begins at 10, where it ends is not known"}, "SeekToBeginning or SeekToEnd", protocol.OffsetOutOfRange},
		{&OffsetOutOfRangeError{TopicPartition: tp, Offset: 5, LogStart: -1, LogEnd: 20}, []string{"ends at 20, where it begins is not known"}, "SeekToBeginning or SeekToEnd", protocol.OffsetOutOfRange},
		{&OffsetOutOfRangeError{TopicPartition: tp, Offset: 5, LogStart: -1, LogEnd: -1, cut: 3}, []string{"the log was cut at 3 since it was read, and could not be asked"}, "Seek to offset 3", protocol.OffsetOutOfRange},
		{&NoOffsetForPartitionError{TopicPartition: tp, GroupID: "billing"}, []string{"orders-3", `group "billing"`}, "WithAutoOffsetReset", nil},
		{&NoOffsetForPartitionError{TopicPartition: tp}, []string{"orders-3", "there is no group id"}, "WithAutoOffsetReset", nil},
		{&CorruptRecordError{TopicPartition: tp, Offset: 5, NextOffset: 9, Err: cause}, []string{"orders-3", "5", "the cause"}, "Seek to offset 9", cause},
		{&RecordTooLargeError{TopicPartition: tp, Offset: 5, NextOffset: 9, Size: 777, Limit: 700}, []string{"orders-3", "5", "777", "700"}, "WithMaxBatchBytes to 777", nil},
		{&AuthorizationError{Resource: "topic", Name: "orders", Err: refusal}, []string{`topic "orders": Fetch for orders-3 at broker 7: TOPIC_AUTHORIZATION_FAILED`}, "grant this principal READ and DESCRIBE on the topic", protocol.TopicAuthorizationFailed},
		{&AuthorizationError{Resource: "group", Name: "billing", Err: protocol.GroupAuthorizationFailed}, []string{`group "billing": GROUP_AUTHORIZATION_FAILED`}, "READ, which includes DESCRIBE, on the group", protocol.GroupAuthorizationFailed},
		{&AuthorizationError{Resource: "cluster", Err: &BrokerError{API: "JoinGroup of group g", Broker: "7", Code: protocol.ClusterAuthorizationFailed}}, []string{"broker 7"}, "what JoinGroup needs on the cluster", protocol.ClusterAuthorizationFailed},
		{&AuthorizationError{Resource: "cluster", Err: protocol.ClusterAuthorizationFailed}, []string{"for cluster: CLUSTER_AUTHORIZATION_FAILED"}, "what the request needs on the cluster", protocol.ClusterAuthorizationFailed},
		{&AuthenticationError{Mechanism: "SCRAM-SHA-256", Broker: "b:9093", Err: protocol.SASLAuthenticationFailed}, []string{"SCRAM-SHA-256", "b:9093", "SASL_AUTHENTICATION_FAILED"}, "credentials", protocol.SASLAuthenticationFailed},
		{&BrokerError{API: "Fetch", Broker: "7", TopicPartition: tp, Code: protocol.UnknownTopicOrPartition, Message: "told\n"}, []string{"Fetch", "broker 7", "orders-3", "UNKNOWN_TOPIC_OR_PARTITION", `"told\n"`}, "create the topic", protocol.UnknownTopicOrPartition},
		{&BrokerError{API: "Metadata", TopicPartition: TopicPartition{"orders", -1}, Code: protocol.InvalidTopic}, []string{`topic "orders"`}, "", protocol.InvalidTopic},
		{&BrokerError{API: "ListOffsets", Code: protocol.UnsupportedVersion}, []string{"ListOffsets"}, "too old", protocol.UnsupportedVersion},
		{&BrokerError{API: "JoinGroup", Broker: "7", Code: protocol.FencedInstanceID}, []string{"JoinGroup at broker 7"}, "make a new consumer", protocol.FencedInstanceID},
		{&CommitFailedError{GroupID: "billing", Reason: "the reason", Err: protocol.UnknownMemberID}, []string{"billing", "the reason"}, "RebalanceListener", protocol.UnknownMemberID},
		{&DeserializationError{Message: &Message{Topic: "orders", Partition: 3, Offset: 5}, Side: ValueSide, Err: cause}, []string{"orders-3", "offset 5", "value", "the cause"}, "skip the message", cause},
		{&ListenerError{Callback: "OnPartitionsAssigned", Partitions: []TopicPartition{tp}, Err: cause}, []string{"OnPartitionsAssigned", "orders-3", "the cause"}, "Seek the partitions", cause},
		{&ListenerError{Callback: "OnPartitionsRevoked", Partitions: []TopicPartition{tp}, Err: cause}, []string{"OnPartitionsRevoked", "orders-3", "the cause"}, "", cause},
		{&ConfigError{Option: "WithX", Value: 3, Reason: "must be more"}, []string{"WithX", "3", "must be more"}, "", nil},
	}
}

// Each error says what, where and why; a hint, where there is one, is part of it.
func TestErrors_TextsHintsAndCauses(t *testing.T) {
	for _, c := range errorCases() {
		text := c.err.Error()
		require.True(t, strings.HasPrefix(text, "kafka: "), text)
		require.Equal(t, 1, strings.Count(text, "kafka: "), text)
		require.NotContains(t, text, "\n")
		for _, s := range c.says {
			require.Contains(t, text, s)
		}
		h, ok := c.err.(interface{ Hint() string }) //nolint:errorlint // the error itself
		require.True(t, ok, "%T has no Hint", c.err)
		require.Contains(t, text, h.Hint())
		if c.hint == "" {
			require.Empty(t, h.Hint(), "%T", c.err)
		}
		require.Contains(t, h.Hint(), c.hint)
		if c.cause != nil {
			require.ErrorIs(t, c.err, c.cause)
		} else {
			require.NoError(t, errors.Unwrap(c.err))
		}
	}
}

func TestErrors_EveryExportedTypeIsInTheTable(t *testing.T) {
	tabled := make(map[string]bool)
	for _, c := range errorCases() {
		tabled[reflect.TypeOf(c.err).Elem().Name()] = true
	}
	for name := range packageDeclarations(t) {
		if typ, ok := strings.CutPrefix(name, "type "); ok && strings.HasSuffix(typ, "Error") {
			require.True(t, tabled[typ], "%s has no row in errorCases", typ)
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
		require.ErrorIs(t, refused, code)
		require.ErrorContains(t, refused, "Fetch for orders-3 at broker 1")
	}
	var other *BrokerError
	require.ErrorAs(t, brokerError("Fetch", "1", TopicPartition{"orders", 3}, protocol.InvalidTopic), &other)
}

func TestErrors_TimedOutSaysWhatKeptTheCallFromSucceeding(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	last := &BrokerError{API: "ListOffsets", Broker: "7", Code: protocol.NotLeaderOrFollower}
	err := timedOut("EndOffsets", ctx, last)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, protocol.NotLeaderOrFollower)
	require.ErrorContains(t, err, "kafka: EndOffsets: context deadline exceeded; the last try: ListOffsets at broker 7: NOT_LEADER_OR_FOLLOWER")

	stopped, end := context.WithCancelCause(t.Context())
	end(ErrConsumerStopped)
	require.Equal(t, ErrConsumerStopped, timedOut("EndOffsets", stopped, protocol.NotLeaderOrFollower))
}

// What is known of a refusal is told: which request, which broker, and the broker's own words.
func TestErrors_OfTheGroupSayWhoRefusedWhat(t *testing.T) {
	r := newRooms(t, WithGroupID("billing"))
	for _, c := range []struct {
		err  error
		says string
	}{
		{&errGroup{node: 7, code: protocol.InvalidGroupID}, "OffsetFetch of group billing at broker 7: INVALID_GROUP_ID"},
		{&errGroup{node: 7, code: protocol.GroupAuthorizationFailed}, `group "billing": OffsetFetch at broker 7: GROUP_AUTHORIZATION_FAILED`},
		{groupFailure("JoinGroup", answerer{}, protocol.GroupAuthorizationFailed), `group "billing": JoinGroup: GROUP_AUTHORIZATION_FAILED`},
		{groupFailure("Heartbeat", answerer{broker: "7"}, protocol.FencedInstanceID), `Heartbeat of group billing at broker 7: FENCED_INSTANCE_ID`},
		{groupFailure("JoinGroup", answerer{broker: "7"}, protocol.ClusterAuthorizationFailed), `for cluster: JoinGroup at broker 7: CLUSTER_AUTHORIZATION_FAILED`},
		{&cluster.CoordinatorError{Group: "billing", Node: 3, Message: "not you", Err: protocol.GroupAuthorizationFailed}, `FindCoordinator at broker 3: GROUP_AUTHORIZATION_FAILED`},
		{&cluster.CoordinatorError{Group: "billing", Node: -1, Err: protocol.InvalidGroupID}, `FindCoordinator of group billing: INVALID_GROUP_ID`},
		{&broker.RequestError{API: protocol.KeyOffsetCommit, Addr: "b:9092", Err: protocol.UnsupportedVersion}, "OffsetCommit of group billing at broker b:9092: UNSUPPORTED_VERSION"},
	} {
		err := r.groupError("Committed", c.err)
		require.ErrorContains(t, err, c.says)
		var answer *BrokerError
		require.ErrorAs(t, err, &answer)
		if _, found := errors.AsType[*cluster.CoordinatorError](c.err); found && answer.Broker != "" {
			require.Equal(t, "not you", answer.Message)
		}
	}
}
