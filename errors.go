package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

var (
	// ErrConsumerStopped is what calls get that were blocked when the consumer was stopped, or came after it.
	ErrConsumerStopped = errors.New("kafka: the consumer is stopped")
	// ErrNotStarted is what a call gets that needs a running consumer, before Start.
	ErrNotStarted = errors.New("kafka: the consumer is not started: call Start first")
	// ErrIllegalState is wrapped by the error of a call that makes no sense in the consumer's state, such as Seek on a
	// partition that is not assigned. Nothing has been changed then.
	ErrIllegalState = errors.New("illegal state")
)

// illegalState says what was asked and why it makes no sense now.
func illegalState(call, why string, args ...any) error {
	return fmt.Errorf("kafka: %s: %s: %w", call, fmt.Sprintf(why, args...), ErrIllegalState)
}

// withHint puts what to do next behind what went wrong.
func withHint(msg, hint string) string {
	if hint == "" {
		return msg
	}
	return msg + " (" + hint + ")"
}

// A ConfigError says what is wrong with one option. NewConsumer reports all of them, joined.
type ConfigError struct {
	Option string // as the function is named: "WithFetchMaxBytes"
	Value  any
	Reason string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("kafka: %s(%s): %s", e.Option, optionValue(e.Value), e.Reason)
}

// optionValue writes an option's value as it would stand in a program.
func optionValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string, GroupProtocol:
		return fmt.Sprintf("%q", v)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return strings.Join(quoted, ", ")
	case RebalanceListener, Assignor:
		return fmt.Sprintf("%T", v)
	}
	return fmt.Sprint(v)
}

// Hint is empty: the reason says what to change.
func (e *ConfigError) Hint() string { return "" }

// Unwrap is nil: there is no deeper cause.
func (e *ConfigError) Unwrap() error { return nil }

// A CommitFailedError says that the group does not take offsets from this consumer: it has moved past it. Messages after
// the last successful commit may be delivered again, to whoever has their partitions now.
type CommitFailedError struct {
	GroupID, Reason string
	Err             error
}

func (e *CommitFailedError) Error() string {
	msg := fmt.Sprintf("kafka: commit to group %q failed: %s", e.GroupID, e.Reason)
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return withHint(msg, e.Hint())
}

// Hint says what to do next.
func (e *CommitFailedError) Hint() string {
	return "go on with what is assigned now; to commit in time when partitions go, use a RebalanceListener"
}

// Unwrap gives the broker's error code, where there was one.
func (e *CommitFailedError) Unwrap() error { return e.Err }

// A DeserializationError is a failure or a panic of a deserializer. The position is past the message already.
type DeserializationError struct {
	Message *Message
	Side    DeserializationSide
	Err     error // of a panic, with the stack when it is printed with %+v
}

func (e *DeserializationError) Error() string {
	return withHint(fmt.Sprintf("kafka: %v at offset %d: the %v cannot be decoded: %v", e.Message.TopicPartition(), e.Message.Offset, e.Side, e.Err), e.Hint())
}

// Hint says what to do next.
func (e *DeserializationError) Hint() string {
	return "go on to skip the message, which Message has raw, or Seek back to it"
}

// Unwrap gives the deserializer's error.
func (e *DeserializationError) Unwrap() error { return e.Err }

// A ListenerError is an error or a panic of a rebalance listener. After one in OnPartitionsAssigned, the partitions are not
// consumed until they are sought or assigned again.
type ListenerError struct {
	Callback   string // "OnPartitionsRevoked", "OnPartitionsAssigned" or "OnPartitionsLost"
	Partitions []TopicPartition
	Err        error // of a panic, with the stack when it is printed with %+v
}

func (e *ListenerError) Error() string {
	return withHint(fmt.Sprintf("kafka: %s of %v failed: %v", e.Callback, e.Partitions, e.Err), e.Hint())
}

// Hint says what to do next.
func (e *ListenerError) Hint() string {
	if e.Callback == onAssigned {
		return "Seek the partitions to consume them all the same"
	}
	return ""
}

// Unwrap gives the listener's error.
func (e *ListenerError) Unwrap() error { return e.Err }

// A NoOffsetForPartitionError says that nothing is committed for a partition, and no reset policy says where to start.
// GroupID is empty where there is no group.
type NoOffsetForPartitionError struct {
	TopicPartition TopicPartition
	GroupID        string
}

func (e *NoOffsetForPartitionError) Error() string {
	why := "there is no group id, so nothing is committed"
	if e.GroupID != "" {
		why = fmt.Sprintf("group %q has committed none", e.GroupID)
	}
	return withHint(fmt.Sprintf("kafka: %v has no position: %s", e.TopicPartition, why), e.Hint())
}

// Hint says what to do next.
func (e *NoOffsetForPartitionError) Hint() string { return "Seek it, or set WithAutoOffsetReset" }

// Unwrap is nil: no broker gave an error.
func (e *NoOffsetForPartitionError) Unwrap() error { return nil }

// An OffsetOutOfRangeError says that a position is not in the partition's log, and no reset policy says where to go
// on. LogStart and LogEnd are what the log had when it was asked, -1 where it could not be. A log that was cut since it
// was read may have come as far again, with other records; then the text has where it was cut.
type OffsetOutOfRangeError struct {
	TopicPartition   TopicPartition
	Offset           int64
	LogStart, LogEnd int64
	cut              int64 // where the log was cut; 0: it was not, or that is not known
}

func (e *OffsetOutOfRangeError) Error() string {
	what := "the log "
	if e.cut > 0 {
		what += fmt.Sprintf("was cut at %d since it was read, and ", e.cut)
	}
	return withHint(fmt.Sprintf("kafka: fetch of %v at offset %d: %s%s: %v", e.TopicPartition, e.Offset, what, e.has(), protocol.OffsetOutOfRange.Name()), e.Hint())
}

// has says what the log has, as far as it could be asked.
func (e *OffsetOutOfRangeError) has() string {
	switch start, end := e.LogStart >= 0, e.LogEnd >= 0; {
	case start && end:
		return fmt.Sprintf("has %d to %d", e.LogStart, e.LogEnd)
	case start:
		return fmt.Sprintf("begins at %d, where it ends is not known", e.LogStart)
	case end:
		return fmt.Sprintf("ends at %d, where it begins is not known", e.LogEnd)
	}
	return "could not be asked for what it has"
}

// Hint says what to do next.
func (e *OffsetOutOfRangeError) Hint() string {
	switch {
	case e.cut > 0:
		return fmt.Sprintf("Seek to offset %d to read what came instead, or set WithAutoOffsetReset", e.cut)
	case e.LogStart < 0 || e.LogEnd < 0:
		return "SeekToBeginning or SeekToEnd, or set WithAutoOffsetReset"
	}
	return "Seek to an offset in that range, or set WithAutoOffsetReset"
}

// Unwrap gives protocol.OffsetOutOfRange.
func (e *OffsetOutOfRangeError) Unwrap() error { return protocol.OffsetOutOfRange }

// A CorruptRecordError says that a batch does not match its checksum or makes no sense. It was fetched again before it
// was told, so it is corrupt on the broker. It is told until the partition's position is changed.
type CorruptRecordError struct {
	TopicPartition TopicPartition
	Offset         int64 // of the first record that cannot be read
	NextOffset     int64 // where to seek to skip the batch
	Err            error
}

func (e *CorruptRecordError) Error() string {
	return withHint(fmt.Sprintf("kafka: %v at offset %d: corrupt record batch: %v", e.TopicPartition, e.Offset, e.Err), e.Hint())
}

// Hint says what to do next.
func (e *CorruptRecordError) Hint() string {
	return fmt.Sprintf("Seek to offset %d to skip the batch, or restore it from a replica", e.NextOffset)
}

// Unwrap gives what is wrong with the batch.
func (e *CorruptRecordError) Unwrap() error { return e.Err }

// A RecordTooLargeError says that a batch is larger than WithMaxBatchBytes, compressed or not. It is told until the
// partition's position is changed.
type RecordTooLargeError struct {
	TopicPartition     TopicPartition
	Offset, NextOffset int64 // of the batch, and where to seek to skip it
	Size, Limit        int   // bytes known to be needed, and allowed
}

func (e *RecordTooLargeError) Error() string {
	return withHint(fmt.Sprintf("kafka: %v at offset %d: a record batch needs %d bytes, more than the %d of WithMaxBatchBytes",
		e.TopicPartition, e.Offset, e.Size, e.Limit), e.Hint())
}

// Hint says what to do next.
func (e *RecordTooLargeError) Hint() string {
	return fmt.Sprintf("set WithMaxBatchBytes to %d or more and WithMaxBufferedBytes to four times that, or Seek to offset %d to skip it", e.Size, e.NextOffset)
}

// Unwrap is nil: no broker gave an error.
func (e *RecordTooLargeError) Unwrap() error { return nil }

// An AuthorizationError says that the brokers refuse this client a resource. The consumer goes on trying, and recovers
// when the right is granted.
type AuthorizationError struct {
	Resource string // "topic", "group" or "cluster"
	Name     string // of the topic or the group
	Err      error  // a *BrokerError: what was asked of whom
}

func (e *AuthorizationError) Error() string {
	what := e.Resource
	if e.Name != "" {
		what += fmt.Sprintf(" %q", e.Name)
	}
	return withHint(fmt.Sprintf("kafka: not authorized for %s: %s", what, innerText(e.Err)), e.Hint())
}

// Hint says what to do next.
func (e *AuthorizationError) Hint() string {
	switch e.Resource {
	case "topic":
		return "grant this principal READ and DESCRIBE on the topic"
	case "group":
		return "grant this principal READ, which includes DESCRIBE, on the group"
	}
	request := "the request"
	if b, ok := errors.AsType[*BrokerError](e.Err); ok {
		request, _, _ = strings.Cut(b.API, " ")
	}
	return "grant this principal what " + request + " needs on the " + e.Resource + ": the broker's authorizer log names it"
}

// Unwrap gives the broker's answer, and so its error code.
func (e *AuthorizationError) Unwrap() error { return e.Err }

// An AuthenticationError says that a broker does not take this client's credentials, or that it cannot be given them. In
// Start it is final; while the consumer runs it is told until it heals.
type AuthenticationError struct {
	Mechanism string // of SASL: "SCRAM-SHA-256"
	Broker    string // host:port
	Err       error
}

func (e *AuthenticationError) Error() string {
	return withHint(fmt.Sprintf("kafka: authentication with %s at broker %s failed: %s", e.Mechanism, e.Broker, innerText(e.Err)), e.Hint())
}

// Hint says what to do next.
func (e *AuthenticationError) Hint() string {
	return "check the credentials, and that the listener takes this mechanism"
}

// Unwrap gives what the broker, or the mechanism, said.
func (e *AuthenticationError) Unwrap() error { return e.Err }

// A BrokerError is an error code that a broker answered with, for which there is no type of its own.
type BrokerError struct {
	API            string         // as the protocol names it: "ListOffsets"
	Broker         string         // host:port or node id; "" where that is not known
	TopicPartition TopicPartition // partition -1: the whole topic
	Code           protocol.ErrorCode
	Message        string // the broker's own words, where its answer has room for some: of those in use, FindCoordinator's
}

func (e *BrokerError) Error() string {
	msg := "kafka: " + e.API
	switch tp := e.TopicPartition; {
	case tp.Topic == "":
	case tp.Partition < 0:
		msg += fmt.Sprintf(" for topic %q", tp.Topic)
	default:
		msg += " for " + tp.String()
	}
	if e.Broker != "" {
		msg += " at broker " + e.Broker
	}
	msg += ": " + e.Code.Error()
	if e.Message != "" {
		msg += fmt.Sprintf(": %q", e.Message)
	}
	return withHint(msg, e.Hint())
}

// Hint says what to do next, where there is something.
func (e *BrokerError) Hint() string {
	switch e.Code {
	case protocol.UnknownTopicOrPartition, protocol.UnknownTopicID:
		return "create the topic, or check its name and the partition number"
	case protocol.UnsupportedVersion:
		return "the broker is too old for this call"
	case protocol.InvalidSessionTimeout:
		return "set WithSessionTimeout within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms"
	case protocol.InconsistentGroupProtocol:
		return "the group's members share no assignor, or it is of another kind: offer one that they have in WithAssignors"
	case protocol.FencedInstanceID:
		return "another consumer runs with the same WithGroupInstanceID: give each its own, and make a new consumer in place of this one"
	case protocol.GroupMaxSizeReached:
		return "the group has as many members as the brokers' group.max.size allows"
	}
	return ""
}

// Unwrap gives the error code.
func (e *BrokerError) Unwrap() error { return e.Code }

// brokerError makes the public error of an error code that concerns a partition.
func brokerError(api string, broker string, tp TopicPartition, code protocol.ErrorCode) error {
	b := &BrokerError{API: api, Broker: broker, TopicPartition: tp, Code: code}
	switch code {
	case protocol.TopicAuthorizationFailed:
		return &AuthorizationError{Resource: "topic", Name: tp.Topic, Err: b}
	case protocol.GroupAuthorizationFailed:
		return &AuthorizationError{Resource: "group", Err: b}
	case protocol.ClusterAuthorizationFailed:
		return &AuthorizationError{Resource: "cluster", Err: b}
	}
	return b
}

// innerText is the text of an error within another of this package.
func innerText(err error) string {
	if err == nil {
		return "no reason is known"
	}
	return strings.TrimPrefix(err.Error(), "kafka: ")
}

// timedOut makes the error of a remote call whose time ran out: it wraps why its ctx ended beside the last error that
// kept the call from succeeding.
func timedOut(call string, ctx context.Context, last error) error {
	end := context.Cause(ctx)
	if errors.Is(end, ErrConsumerStopped) {
		return ErrConsumerStopped
	}
	if last == nil {
		return fmt.Errorf("kafka: %s: %w", call, end)
	}
	return &timeoutError{call: call, end: end, last: last}
}

// A timeoutError is the error of a call whose time ran out after a try that failed.
type timeoutError struct {
	call      string
	end, last error
}

func (e *timeoutError) Error() string {
	return "kafka: " + e.call + ": " + e.end.Error() + "; the last try: " + innerText(e.last)
}

func (e *timeoutError) Unwrap() []error { return []error{e.end, e.last} }

// codeOf gives the broker's code in an error, or the error where there is none.
func codeOf(err error) error {
	if code, ok := errors.AsType[protocol.ErrorCode](err); ok {
		return code
	}
	return err
}

// callFailed says which call has failed with err, which can be found in it. The client is closed when the consumer stops, which a call's
// ctx may be told of a moment later.
func callFailed(call string, err error) error {
	if errors.Is(err, cluster.ErrClosed) {
		return ErrConsumerStopped
	}
	return &callError{call: call, err: err}
}

// A callError is the error of one call, around that of a lower layer or one that is public already.
type callError struct {
	call string
	err  error
}

func (e *callError) Error() string {
	return "kafka: " + e.call + ": " + strings.ReplaceAll(innerText(e.err), "\nkafka: ", "\n") // one a line, where several are joined
}

func (e *callError) Unwrap() error { return e.err }
