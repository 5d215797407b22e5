package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Position gives the offset of the next message to be handed out. It waits until that is known, also for a partition
// that does not exist yet, and, once it waits, through rebalances that give the partition back.
func (c *Consumer) Position(ctx context.Context, tp TopicPartition) (int64, error) {
	if err := c.usable(); err != nil {
		return 0, err
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s := c.sub
	for waited := false; ; waited = true {
		s.mu.Lock()
		p, err := s.find("Position", tp)
		if _, given := s.givenUp[tp]; err != nil && (!waited || !given || c.insideListener(ctx)) {
			s.mu.Unlock()
			if stopped := c.usable(); stopped != nil {
				return 0, stopped
			}
			return 0, err
		}
		switch {
		case err != nil: // the rebalance that is under way may bring it back
		case p.known:
			defer s.mu.Unlock()
			return p.position, nil
		case p.failure != nil:
			told := p.failure.err
			if _, none := errors.AsType[*NoOffsetForPartitionError](told); none {
				s.mu.Unlock()
				return 0, told // waiting does not help
			}
		}
		changed := s.watch()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, timedOut("Position of "+tp.String(), ctx, c.whyNoPosition(tp))
		}
	}
}

// whyNoPosition is what is known to keep a partition from having a position; nil where nothing has gone wrong.
func (c *Consumer) whyNoPosition(tp TopicPartition) error {
	meta, unanswered := c.cluster.Metadata(), c.cluster.RefreshFailure()
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	p := c.sub.get(tp)
	switch {
	case p == nil && c.group != nil:
		return c.group.failed()
	case p == nil:
		return nil
	case p.failure != nil:
		return p.failure.err
	}
	if meta.Topics[tp.Topic] == nil {
		return unanswered
	}
	if why := c.whyStuck(p, meta); why != nil {
		return why
	}
	return unanswered
}

// Seek sets the position: the next message handed out is the first at or behind offset. What was buffered is dropped.
func (c *Consumer) Seek(tp TopicPartition, offset int64) error {
	if err := c.usable(); err != nil {
		return err
	}
	if offset < 0 {
		return illegalState("Seek", "%v to %d: offsets begin at 0", tp, offset)
	}
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	p, err := c.sub.find("Seek", tp)
	if err != nil {
		return err
	}
	c.sub.sought(p)
	c.sub.seek(p, offset, -1)
	return nil
}

// SeekToBeginning sets the positions to the first messages the partitions still have; of all that are assigned where
// none is named.
func (c *Consumer) SeekToBeginning(ctx context.Context, tps ...TopicPartition) error {
	return c.seekTo(ctx, "SeekToBeginning", earliestTimestamp, tps)
}

// SeekToEnd sets the positions to the ends of the partitions, under ReadCommitted to their last stable offsets; of all
// that are assigned where none is named.
func (c *Consumer) SeekToEnd(ctx context.Context, tps ...TopicPartition) error {
	return c.seekTo(ctx, "SeekToEnd", latestTimestamp, tps)
}

// seekTo looks offsets up and seeks to them; nothing is sought where one cannot be found.
func (c *Consumer) seekTo(ctx context.Context, call string, timestamp int64, tps []TopicPartition) error {
	if err := c.usable(); err != nil {
		return err
	}
	c.sub.mu.Lock()
	parts, err := c.sub.named(call, tps)
	if err != nil {
		c.sub.mu.Unlock()
		return err
	}
	asked := make(map[TopicPartition]int64, len(parts))
	for _, p := range parts {
		asked[p.tp] = timestamp
	}
	c.sub.mu.Unlock()
	found, err := c.listOffsets(ctx, call, asked)
	if err != nil {
		return err
	}
	if late := notFound(found); timestamp >= 0 && len(late) > 0 { // nothing that late: the end
		ends, err := c.listOffsets(ctx, call, late)
		if err != nil {
			return err
		}
		maps.Copy(found, ends)
	}
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	if err := lostOf(call, parts); err != nil {
		return err
	}
	for _, p := range parts {
		if a := found[p.tp]; a.offset >= 0 {
			c.sub.sought(p)
			c.sub.seek(p, a.offset, -1)
		}
	}
	return nil
}

// notFound gives the questions for the ends of the partitions for which nothing was found.
func notFound(found map[TopicPartition]offsetAnswer) map[TopicPartition]int64 {
	late := make(map[TopicPartition]int64)
	for tp, a := range found {
		if a.offset < 0 {
			late[tp] = latestTimestamp
		}
	}
	return late
}

// BeginningOffsets asks for the offsets of the first messages the partitions still have. They need not be assigned; where
// none is named, it is those that are.
func (c *Consumer) BeginningOffsets(ctx context.Context, tps ...TopicPartition) (map[TopicPartition]int64, error) {
	return c.endsOf(ctx, "BeginningOffsets", earliestTimestamp, tps)
}

// EndOffsets asks for the offsets behind the last messages, under ReadCommitted for the last stable offsets. The
// partitions need not be assigned; where none is named, it is those that are.
func (c *Consumer) EndOffsets(ctx context.Context, tps ...TopicPartition) (map[TopicPartition]int64, error) {
	return c.endsOf(ctx, "EndOffsets", latestTimestamp, tps)
}

func (c *Consumer) endsOf(ctx context.Context, call string, timestamp int64, tps []TopicPartition) (map[TopicPartition]int64, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if len(tps) == 0 {
		tps = c.Assignment()
	}
	asked := make(map[TopicPartition]int64, len(tps))
	for _, tp := range tps {
		if tp.Partition < 0 {
			return nil, illegalState(call, "%v: partitions are numbered from 0", tp)
		}
		asked[tp] = timestamp
	}
	found, err := c.listOffsets(ctx, call, asked)
	if err != nil {
		return nil, err
	}
	out := make(map[TopicPartition]int64, len(found))
	for tp, a := range found {
		if a.offset < 0 {
			return nil, fmt.Errorf("kafka: %s: %v has no such offset", call, tp)
		}
		out[tp] = a.offset
	}
	return out, nil
}

// Highwater gives the offset behind the last message that consumers may see, as the last fetch had it. False: no fetch
// has answered yet, or the partition is not assigned.
func (c *Consumer) Highwater(tp TopicPartition) (int64, bool) {
	return c.known(tp, func(p *partition) (int64, bool) { return p.highwater, p.highwater >= 0 })
}

// LastStableOffset gives the offset up to which every transaction is decided, as the last fetch had it. False: no fetch
// has answered yet, the broker gave none, or the partition is not assigned.
func (c *Consumer) LastStableOffset(tp TopicPartition) (int64, bool) {
	return c.known(tp, func(p *partition) (int64, bool) { return p.stable, p.stable >= 0 })
}

// Lag gives the distance from the position to the highwater, under ReadCommitted to the last stable offset. False: no
// fetch has answered yet, or the partition is not assigned.
func (c *Consumer) Lag(tp TopicPartition) (int64, bool) {
	return c.known(tp, func(p *partition) (int64, bool) { return p.lag(c.cfg.isolation) })
}

// LastPollTimestamp gives the time when a fetch last answered for the partition, with messages or without. False: none
// has yet, or the partition is not assigned.
func (c *Consumer) LastPollTimestamp(tp TopicPartition) (time.Time, bool) {
	var at time.Time
	_, ok := c.known(tp, func(p *partition) (int64, bool) {
		at = c.fetcher.answered(p)
		return 0, !at.IsZero()
	})
	return at, ok
}

func (c *Consumer) known(tp TopicPartition, get func(*partition) (int64, bool)) (int64, bool) {
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	p := c.sub.get(tp)
	if p == nil || c.usable() != nil {
		return 0, false
	}
	v, ok := get(p)
	if !ok {
		return 0, false
	}
	return v, true
}
