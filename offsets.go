package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// The timestamps of ListOffsets that stand for the ends of the log.
const (
	latestTimestamp   = -1 // the highwater, or the last stable offset under ReadCommitted
	earliestTimestamp = -2
)

// An offsetAnswer is what ListOffsets found for a partition; offset -1: nothing.
type offsetAnswer struct {
	offset      int64
	timestamp   int64
	leaderEpoch int32
	code        protocol.ErrorCode
}

// An offsetQuestion is one partition to ask for.
type offsetQuestion struct {
	tp          TopicPartition
	timestamp   int64
	leaderEpoch int32
}

// askOffsets asks one broker, which leads the partitions; once. Partitions that the answer leaves out are not in the
// result.
func (c *Consumer) askOffsets(ctx context.Context, node int32, questions []offsetQuestion, attempt int) (map[TopicPartition]offsetAnswer, error) {
	req := protocol.NewListOffsetsRequest()
	req.IsolationLevel = int8(c.cfg.isolation)
	req.TimeoutMs = int32(c.cfg.requestTimeout.Milliseconds())
	at := make(map[string]int)
	for _, q := range questions {
		i, ok := at[q.tp.Topic]
		if !ok {
			i = len(req.Topics)
			at[q.tp.Topic] = i
			req.Topics = append(req.Topics, protocol.ListOffsetsRequestTopic{Name: q.tp.Topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, protocol.ListOffsetsRequestPartition{
			PartitionIndex: q.tp.Partition, CurrentLeaderEpoch: q.leaderEpoch, Timestamp: q.timestamp,
		})
	}
	resp, _, err := c.cluster.Do(ctx, node, cluster.KindGeneral, req, broker.CallOptions{Timeout: c.patience(attempt)})
	if err != nil {
		return nil, err
	}
	out := make(map[TopicPartition]offsetAnswer, len(questions))
	for _, t := range resp.(*protocol.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			a := offsetAnswer{offset: p.Offset, timestamp: p.Timestamp, leaderEpoch: p.LeaderEpoch, code: p.ErrorCode}
			if p.ErrorCode == protocol.None && p.Offset < -1 {
				a.code = protocol.UnknownServerError // an offset that cannot be
			}
			out[TopicPartition{Topic: t.Name, Partition: p.PartitionIndex}] = a
		}
	}
	return out, nil
}

// listOffsetsAction says what is done about a partition's error code in ListOffsets.
type listOffsetsAction int8

const (
	offsetsFail    listOffsetsAction = iota // the caller is told
	offsetsRetry                            // asked again
	offsetsRefresh                          // asked again with new metadata
	offsetsNothing                          // there is no such offset
)

var listOffsetsActions = map[protocol.ErrorCode]listOffsetsAction{
	protocol.NotLeaderOrFollower:         offsetsRefresh,
	protocol.ReplicaNotAvailable:         offsetsRefresh,
	protocol.KafkaStorageError:           offsetsRefresh,
	protocol.OffsetNotAvailable:          offsetsRefresh,
	protocol.LeaderNotAvailable:          offsetsRefresh,
	protocol.FencedLeaderEpoch:           offsetsRefresh,
	protocol.UnknownLeaderEpoch:          offsetsRefresh,
	protocol.UnknownTopicOrPartition:     offsetsRefresh,
	protocol.UnknownTopicID:              offsetsRefresh,
	protocol.UnknownServerError:          offsetsRetry,
	protocol.UnsupportedForMessageFormat: offsetsNothing,
	protocol.TopicAuthorizationFailed:    offsetsFail,
	protocol.UnsupportedVersion:          offsetsFail,
}

func actionForListOffsets(code protocol.ErrorCode) listOffsetsAction {
	if a, ok := listOffsetsActions[code]; ok {
		return a
	}
	if code.Retriable() {
		return offsetsRetry
	}
	return offsetsFail
}

// An offsetSearch is one call's search for offsets of partitions, assigned or not.
type offsetSearch struct {
	c       *Consumer
	call    string
	pending map[TopicPartition]int64 // timestamps
	found   map[TopicPartition]offsetAnswer
	failed  []error
	last    error // why something is still pending
	attempt int
}

const (
	// firstPatience is the patience of the first tries.
	firstPatience = 2 * time.Second
	// firstTries is how many they are. They take ten seconds, in which a cluster finds out that a broker hangs: a controller
	// waits for 9 s (broker.session.timeout.ms). A broker that is still the one to ask then is likely to be slow.
	firstTries = 5
	// mostDoublings bounds the patience at half an hour, as a shift must have a bound; as a rule WithRequestTimeout is less.
	mostDoublings = 10
)

// patience is how long one try of a request may take that is answered at once by a broker that is well: little for the
// first tries, so that one that hangs does not hold everything up once there is another leader or coordinator; then twice as
// much with each try, for one that is merely slow.
func (c *Consumer) patience(attempt int) time.Duration {
	return min(c.cfg.requestTimeout, firstPatience<<min(max(attempt-firstTries, 0), mostDoublings))
}

// listOffsets asks the partitions' leaders, until every partition has an answer or ctx ends.
func (c *Consumer) listOffsets(ctx context.Context, call string, timestamps map[TopicPartition]int64) (map[TopicPartition]offsetAnswer, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s := &offsetSearch{c: c, call: call, pending: maps.Clone(timestamps), found: make(map[TopicPartition]offsetAnswer, len(timestamps))}
	backoff := c.cfg.backoff()
	for attempt := 1; len(s.pending) > 0; attempt++ {
		s.attempt = attempt
		if err := s.round(ctx, attempt > 1); err != nil {
			return nil, err
		}
		if len(s.pending) == 0 {
			break
		}
		if !sleep(ctx, backoff.After(attempt)) {
			return nil, timedOut(call, ctx, s.last)
		}
	}
	return s.found, errors.Join(s.failed...)
}

// round asks once for everything that is pending.
func (s *offsetSearch) round(ctx context.Context, fresh bool) error {
	meta, err := s.metadata(ctx, fresh)
	if err != nil {
		if ctx.Err() != nil {
			return timedOut(s.call, ctx, s.last)
		}
		if !cluster.IsRetriable(err) {
			return callFailed(s.call, err)
		}
		s.last = err
		return nil
	}
	byLeader := make(map[int32][]offsetQuestion)
	for tp, ts := range s.pending {
		part, ok := meta.Partition(tp.Topic, tp.Partition)
		switch {
		case !ok:
			s.unknown(tp, meta)
		case part.Leader < 0:
			s.last = withoutLeader(meta, tp)
		default:
			byLeader[part.Leader] = append(byLeader[part.Leader], offsetQuestion{tp: tp, timestamp: ts, leaderEpoch: part.LeaderEpoch})
		}
	}
	s.ask(ctx, byLeader)
	return nil
}

// metadata gives leaders: what is known, where that has all partitions and is not to be asked afresh.
func (s *offsetSearch) metadata(ctx context.Context, fresh bool) (*cluster.Metadata, error) {
	known := s.c.cluster.Metadata()
	topics := make(map[string]struct{})
	complete := true
	for tp := range s.pending {
		topics[tp.Topic] = struct{}{}
		part, ok := known.Partition(tp.Topic, tp.Partition)
		complete = complete && ok && part.Leader >= 0
	}
	if complete && !fresh {
		return known, nil
	}
	return s.c.cluster.FetchMetadata(ctx, slices.Collect(maps.Keys(topics)))
}

// unknown is for a partition that a fresh metadata answer does not have.
func (s *offsetSearch) unknown(tp TopicPartition, meta *cluster.Metadata) {
	err := unknownPartition(meta, tp)
	if t := meta.Topics[tp.Topic]; t != nil && t.Err.Retriable() && t.Err != protocol.UnknownTopicOrPartition {
		s.last = err
		return
	}
	delete(s.pending, tp)
	s.failed = append(s.failed, err)
}

// ask puts the questions to the leaders, all at the same time.
func (s *offsetSearch) ask(ctx context.Context, byLeader map[int32][]offsetQuestion) {
	type result struct {
		node      int32
		questions []offsetQuestion
		answers   map[TopicPartition]offsetAnswer
		err       error
	}
	results := make(chan result, len(byLeader))
	for node, questions := range byLeader {
		go func() { // ends with the request, which ctx bounds
			answers, err := s.c.askOffsets(ctx, node, questions, s.attempt)
			results <- result{node, questions, answers, err}
		}()
	}
	for range byLeader {
		r := <-results
		if r.err != nil {
			s.last = r.err
			s.c.cluster.Refresh("ListOffsets failed: " + r.err.Error())
			continue
		}
		for _, q := range r.questions {
			if a, ok := r.answers[q.tp]; ok {
				s.answer(r.node, q.tp, a)
			} else {
				s.last = fmt.Errorf("broker %d left %v out of its ListOffsets answer", r.node, q.tp)
			}
		}
	}
}

func (s *offsetSearch) answer(node int32, tp TopicPartition, a offsetAnswer) {
	if a.code == protocol.None {
		s.found[tp] = a
		delete(s.pending, tp)
		return
	}
	err := brokerError("ListOffsets", fmt.Sprint(node), tp, a.code)
	switch actionForListOffsets(a.code) {
	case offsetsNothing:
		s.found[tp] = offsetAnswer{offset: -1, timestamp: -1, leaderEpoch: -1}
		delete(s.pending, tp)
	case offsetsFail:
		s.failed = append(s.failed, err)
		delete(s.pending, tp)
	default:
		s.last = err
	}
}
