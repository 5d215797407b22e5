package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A committedAnswer is what OffsetFetch said of a partition: offset below 0 is Kafka's word for nothing committed. A
// partition without an answer is never taken for that.
type committedAnswer struct {
	OffsetAndMetadata
	node int32 // the coordinator that said so
	code protocol.ErrorCode
}

// errGroup is a whole answer's error code.
type errGroup struct {
	node int32 // the coordinator that said so
	code protocol.ErrorCode
}

func (e *errGroup) Error() string { return e.code.Error() }
func (e *errGroup) Unwrap() error { return e.code }

// askCommitted asks the group's coordinator once.
func (c *Consumer) askCommitted(ctx context.Context, tps []TopicPartition, attempt int) (map[TopicPartition]committedAnswer, error) {
	group := c.cfg.groupID
	node, err := c.cluster.Coordinator(ctx, group)
	if err != nil {
		return nil, err
	}
	req := c.committedRequest(tps)
	resp, version, err := c.cluster.Do(ctx, node, cluster.KindGeneral, req, broker.CallOptions{Timeout: c.patience(attempt), MaxVersion: firstVersionByID - 1})
	if err != nil {
		c.coordinatorFailed(ctx, node, err)
		return nil, err
	}
	topics, code := committedTopics(resp.(*protocol.OffsetFetchResponse), version, group)
	switch code {
	case protocol.None:
	case protocol.GroupIDNotFound: // a group that does not exist has committed nothing
		out := make(map[TopicPartition]committedAnswer, len(tps))
		for _, tp := range tps {
			out[tp] = committedAnswer{OffsetAndMetadata: OffsetAndMetadata{Offset: -1, LeaderEpoch: -1}}
		}
		return out, nil
	default:
		if code == protocol.NotCoordinator || code == protocol.CoordinatorNotAvailable {
			c.cluster.ForgetCoordinator(group, node)
		}
		return nil, &errGroup{node, code}
	}
	out := make(map[TopicPartition]committedAnswer, len(tps))
	for _, t := range topics {
		for _, p := range t.Partitions {
			a := committedAnswer{node: node, code: p.ErrorCode}
			a.Offset, a.LeaderEpoch = p.CommittedOffset, p.CommittedLeaderEpoch
			if p.Metadata != nil {
				a.Metadata = *p.Metadata
			}
			if p.ErrorCode == protocol.NotCoordinator {
				c.cluster.ForgetCoordinator(group, node)
			}
			out[TopicPartition{Topic: t.Name, Partition: p.PartitionIndex}] = a
		}
	}
	return out, nil
}

// coordinatorFailed is for a coordinator that brought no answer: it is looked for anew, metadata is asked for, and one that
// hangs is asked last.
func (c *Consumer) coordinatorFailed(ctx context.Context, node int32, err error) {
	c.cluster.ForgetCoordinator(c.cfg.groupID, node)
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, broker.ErrTimeout) {
		c.cluster.Avoid(node)
	}
	c.cluster.Refresh("the group's coordinator did not answer: " + err.Error())
}

// committedRequest asks by name, in both forms: for the one group, and for the list of groups from version 8 on (KIP-709).
// Offsets that a transaction has not decided about yet are an error rather than the old ones (KIP-447).
func (c *Consumer) committedRequest(tps []TopicPartition) *protocol.OffsetFetchRequest {
	byTopic := make(map[string][]int32)
	for _, tp := range tps {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	g := protocol.NewOffsetFetchRequestGroup()
	g.GroupID = c.cfg.groupID
	g.Topics = []protocol.OffsetFetchRequestTopics{}
	req := &protocol.OffsetFetchRequest{GroupID: c.cfg.groupID, RequireStable: true, Topics: []protocol.OffsetFetchRequestTopic{}}
	for topic, partitions := range byTopic {
		g.Topics = append(g.Topics, protocol.OffsetFetchRequestTopics{Name: topic, PartitionIndexes: partitions})
		req.Topics = append(req.Topics, protocol.OffsetFetchRequestTopic{Name: topic, PartitionIndexes: partitions})
	}
	req.Groups = []protocol.OffsetFetchRequestGroup{g}
	return req
}

// committedTopics gives the topics of an answer and the code of it as a whole, which brokers send with an empty list.
func committedTopics(r *protocol.OffsetFetchResponse, version int16, group string) ([]protocol.OffsetFetchResponseTopics, protocol.ErrorCode) {
	if version >= 8 {
		for _, g := range r.Groups {
			if g.GroupID == group {
				return g.Topics, g.ErrorCode
			}
		}
		return nil, protocol.UnknownServerError
	}
	out := make([]protocol.OffsetFetchResponseTopics, 0, len(r.Topics))
	for _, t := range r.Topics {
		out = append(out, protocol.OffsetFetchResponseTopics{Name: t.Name, Partitions: t.Partitions})
	}
	return out, r.ErrorCode
}

// committedAction says what is done about an error code in OffsetFetch, of the group or of a partition.
type committedAction int8

const (
	committedFail committedAction = iota
	committedRetry
	committedUnknown // the partition does not exist
)

var committedActions = map[protocol.ErrorCode]committedAction{
	protocol.CoordinatorLoadInProgress: committedRetry,
	protocol.CoordinatorNotAvailable:   committedRetry,
	protocol.NotCoordinator:            committedRetry,
	protocol.UnstableOffsetCommit:      committedRetry,
	protocol.StaleMemberEpoch:          committedRetry,
	protocol.UnknownMemberID:           committedRetry,
	protocol.UnknownServerError:        committedRetry,
	protocol.RequestTimedOut:           committedRetry,
	protocol.UnknownTopicOrPartition:   committedUnknown,
	protocol.UnknownTopicID:            committedUnknown,
	protocol.GroupAuthorizationFailed:  committedFail,
	protocol.TopicAuthorizationFailed:  committedFail,
	protocol.InvalidGroupID:            committedFail,
}

func actionForCommitted(code protocol.ErrorCode) committedAction {
	if a, ok := committedActions[code]; ok {
		return a
	}
	if code.Retriable() {
		return committedRetry
	}
	return committedFail
}

// findCommitted asks until every partition has an answer or ctx ends. Partitions with nothing committed have offset -1.
func (c *Consumer) findCommitted(ctx context.Context, call string, tps []TopicPartition) (map[TopicPartition]OffsetAndMetadata, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	out := make(map[TopicPartition]OffsetAndMetadata, len(tps))
	var failed []error
	var last error
	backoff := c.cfg.backoff()
	for attempt := 1; len(tps) > 0; attempt++ {
		if attempt > 1 && !sleep(ctx, backoff.After(attempt-1)) {
			return nil, timedOut(call, ctx, last)
		}
		answers, err := c.askCommitted(ctx, tps, attempt)
		if err != nil {
			if ctx.Err() != nil {
				return nil, timedOut(call, ctx, last)
			}
			if !committedMayPass(err) {
				return nil, c.groupError(call, err)
			}
			last = err
			continue
		}
		var pending []TopicPartition
		for _, tp := range tps {
			a, ok := answers[tp]
			switch {
			case !ok:
				last = fmt.Errorf("the coordinator left %v out of its OffsetFetch answer", tp)
				pending = append(pending, tp)
			case a.code == protocol.None:
				out[tp] = a.OffsetAndMetadata
			case actionForCommitted(a.code) == committedRetry:
				last = brokerError("OffsetFetch", fmt.Sprint(a.node), tp, a.code)
				pending = append(pending, tp)
			default:
				failed = append(failed, brokerError("OffsetFetch", fmt.Sprint(a.node), tp, a.code))
			}
		}
		tps = pending
	}
	return out, errors.Join(failed...)
}

// committedMayPass says of an error of OffsetFetch whether asking again can help.
func committedMayPass(err error) bool {
	if code, ok := errors.AsType[protocol.ErrorCode](err); ok {
		return actionForCommitted(code) == committedRetry
	}
	return cluster.IsRetriable(err)
}

// groupError makes the public error of one that concerns the group as a whole, with what is known of who refused what.
func (c *Consumer) groupError(call string, err error) error {
	code, ok := errors.AsType[protocol.ErrorCode](err)
	if !ok {
		return callFailed(call, err)
	}
	by := whoAnswered(answerer{api: call}, err)
	b := &BrokerError{API: by.api, Broker: by.broker, Message: by.message, Code: code}
	switch code {
	case protocol.GroupAuthorizationFailed:
		return &AuthorizationError{Resource: "group", Name: c.cfg.groupID, Err: b}
	case protocol.ClusterAuthorizationFailed:
		return &AuthorizationError{Resource: "cluster", Err: b}
	}
	b.API += " of group " + c.cfg.groupID
	return b
}

// whoAnswered is who gave an error, where that is known of it; else by.
func whoAnswered(by answerer, err error) answerer {
	if r, ok := errors.AsType[*groupRefusal](err); ok {
		by = r.by
	}
	if r, ok := errors.AsType[*errGroup](err); ok {
		by = answerer{api: "OffsetFetch", broker: fmt.Sprint(r.node)}
	}
	if r, ok := errors.AsType[*cluster.CoordinatorError](err); ok {
		by = answerer{api: "FindCoordinator", message: r.Message}
		if r.Node >= 0 {
			by.broker = fmt.Sprint(r.Node)
		}
	}
	if r, ok := errors.AsType[*broker.RequestError](err); ok {
		by = answerer{api: r.API.String(), broker: r.Addr}
	}
	return by
}
