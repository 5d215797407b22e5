package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// OffsetsForTimes asks, for each partition, for the first message with a timestamp at or after the time given. A
// partition with nothing that late has no key in the answer. The partitions need not be assigned. Times before 1970 are
// ErrIllegalState.
func (c *Consumer) OffsetsForTimes(ctx context.Context, times map[TopicPartition]time.Time) (map[TopicPartition]OffsetAndTimestamp, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	asked := make(map[TopicPartition]int64, len(times))
	for tp, t := range times {
		if tp.Partition < 0 {
			return nil, illegalState("OffsetsForTimes", "%v: partitions are numbered from 0", tp)
		}
		ms, err := searchTime("OffsetsForTimes", t)
		if err != nil {
			return nil, err
		}
		asked[tp] = ms
	}
	found, err := c.listOffsets(ctx, "OffsetsForTimes", asked)
	if err != nil {
		return nil, err
	}
	out := make(map[TopicPartition]OffsetAndTimestamp, len(found))
	for tp, a := range found {
		if a.offset >= 0 {
			out[tp] = OffsetAndTimestamp{Offset: a.offset, LeaderEpoch: a.leaderEpoch, Timestamp: millis(a.timestamp)}
		}
	}
	return out, nil
}

// searchTime gives the milliseconds to search for; a time within a millisecond is at or after the next one.
func searchTime(call string, t time.Time) (int64, error) {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	if ms < 0 || t.Before(time.UnixMilli(0)) {
		return 0, illegalState(call, "%v: times begin at 1970", t)
	}
	return ms, nil
}

// SeekToTime sets the positions to the first messages with a timestamp at or after t, to the end where nothing is that
// late; of all assigned partitions where none is named.
func (c *Consumer) SeekToTime(ctx context.Context, t time.Time, tps ...TopicPartition) error {
	if err := c.usable(); err != nil {
		return err
	}
	ms, err := searchTime("SeekToTime", t)
	if err != nil {
		return err
	}
	return c.seekTo(ctx, "SeekToTime", ms, tps)
}

// SeekToCommitted sets the positions to the committed offsets, by the reset policy where nothing is committed; of all
// assigned partitions where none is named.
func (c *Consumer) SeekToCommitted(ctx context.Context, tps ...TopicPartition) error {
	if err := c.canCommit("SeekToCommitted"); err != nil {
		return err
	}
	c.sub.mu.Lock()
	parts, err := c.sub.named("SeekToCommitted", tps)
	asked, commits := make([]TopicPartition, len(parts)), make([]uint32, len(parts))
	for i, p := range parts {
		asked[i], commits[i] = p.tp, p.commits
	}
	c.sub.mu.Unlock()
	if err != nil {
		return err
	}
	found, err := c.findCommitted(ctx, "SeekToCommitted", asked)
	if err != nil {
		return err
	}
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	if err := lostOf("SeekToCommitted", parts); err != nil {
		return err
	}
	for i, p := range parts {
		c.sub.sought(p)
		if o := found[p.tp]; o.Offset >= 0 {
			c.sub.seek(p, o.Offset, o.LeaderEpoch)
			c.sub.foundCommitted(p, o.Offset, commits[i])
		} else {
			start := c.resetStart()
			start.committed = false
			c.sub.reset(p, start)
		}
	}
	return nil
}

// lostOf says which of the partitions has gone from the assignment.
func lostOf(call string, parts []*partition) error {
	for _, p := range parts {
		if p.gone {
			return illegalState(call, "partition %v was lost meanwhile", p.tp)
		}
	}
	return nil
}

// Topics asks for the names of all topics that this client may see, without the internal ones, sorted.
func (c *Consumer) Topics(ctx context.Context) ([]string, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	meta, err := c.fetchMetadata(ctx, "Topics", nil)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for name, t := range meta.Topics {
		if t.Err == protocol.None && !t.Internal {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// PartitionsForTopic asks for the partitions of a topic, sorted. A topic that the cluster does not know is
// UNKNOWN_TOPIC_OR_PARTITION; it is not created.
func (c *Consumer) PartitionsForTopic(ctx context.Context, topic string) ([]int32, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if err := validateTopics([]string{topic}); err != nil {
		return nil, illegalState("PartitionsForTopic", "%v", err)
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	backoff := c.cfg.backoff()
	for attempt := 1; ; attempt++ {
		meta, err := c.fetchMetadata(ctx, "PartitionsForTopic", []string{topic})
		if err != nil {
			return nil, err
		}
		t := meta.Topics[topic]
		if t != nil && t.Err == protocol.None {
			out := make([]int32, len(t.Partitions))
			for i := range out {
				out[i] = int32(i)
			}
			return out, nil
		}
		err = unknownPartition(meta, TopicPartition{Topic: topic, Partition: -1})
		if t == nil || !t.Err.Retriable() || t.Err == protocol.UnknownTopicOrPartition {
			return nil, err
		}
		if !sleep(ctx, backoff.After(attempt)) {
			return nil, timedOut("PartitionsForTopic", ctx, err)
		}
	}
}

// unknownPartition makes the error for a partition that metadata does not have.
func unknownPartition(meta *cluster.Metadata, tp TopicPartition) error {
	t := meta.Topics[tp.Topic]
	switch {
	case t == nil:
		return brokerError("Metadata", meta.From, tp, protocol.UnknownTopicOrPartition)
	case t.Err == protocol.None:
		return brokerError("Metadata", t.From, tp, protocol.UnknownTopicOrPartition)
	}
	return brokerError("Metadata", t.From, tp, t.Err)
}

// withoutLeader makes the error for a partition that metadata has, and nobody leads.
func withoutLeader(meta *cluster.Metadata, tp TopicPartition) error {
	return brokerError("Metadata", meta.Topics[tp.Topic].From, tp, protocol.LeaderNotAvailable)
}

// fetchMetadata asks for topics, nil for all, until there is an answer or ctx ends.
func (c *Consumer) fetchMetadata(ctx context.Context, call string, topics []string) (*cluster.Metadata, error) {
	backoff := c.cfg.backoff()
	var last error
	for attempt := 1; ; attempt++ {
		meta, err := c.cluster.FetchMetadata(ctx, topics)
		switch {
		case err == nil:
			return meta, nil
		case ctx.Err() != nil:
			return nil, timedOut(call, ctx, last)
		case !cluster.IsRetriable(err):
			return nil, callFailed(call, err)
		}
		last = fmt.Errorf("metadata: %w", err)
		if !sleep(ctx, backoff.After(attempt)) {
			return nil, timedOut(call, ctx, last)
		}
	}
}
