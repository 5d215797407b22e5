package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Commit commits the position of every assigned partition that has one: everything handed out so far, whether settled or
// not. It waits for the group's coordinator to have it; what may pass is tried again until ctx ends. Commits need a group
// id, and go one after the other. While the group rebalances it waits for that, but in a listener; what has gone to another
// member by then is a [*CommitFailedError]. So is, once, what was handed out of a partition that has gone since with the membership, as after
// the max poll interval, or in a rebalance in which no listener was told that it is revoked. Errors of partitions are joined.
func (c *Consumer) Commit(ctx context.Context) error {
	if err := c.canCommit("Commit"); err != nil {
		return err
	}
	place := c.commits.enter()
	defer place.leave()
	offsets, missed := c.handedOut(ctx)
	err := c.commitByHand(ctx, "Commit", place, offsets)
	if len(missed) > 0 {
		return errors.Join(append(missed, err)...)
	}
	return err
}

// handedOut gives what Commit commits: the positions of what is assigned, and of what was given up in the rebalance that is under
// way, or came back with it, where something of it was handed out that is not committed; and the errors for what has gone with something
// that was not. In a listener's ctx, which would wait for itself, only what is assigned.
func (c *Consumer) handedOut(ctx context.Context) (offsets map[TopicPartition]OffsetAndMetadata, missed []error) {
	offsets = make(map[TopicPartition]OffsetAndMetadata)
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	for tp, p := range c.sub.partitions {
		if p.known {
			offsets[tp] = OffsetAndMetadata{Offset: p.position, LeaderEpoch: p.lastEpoch}
		}
	}
	if c.insideListener(ctx) {
		return offsets, nil
	}
	for tp, given := range c.sub.givenUp {
		if p := given.p; p.uncommitted() {
			offsets[tp] = OffsetAndMetadata{Offset: p.position, LeaderEpoch: p.lastEpoch}
		}
	}
	return offsets, c.missing(offsets)
}

// CommitOffsets commits the given offsets, each that of the next message to read, with leader epochs and metadata as they
// are. A partition that this consumer never had is ErrIllegalState, one that it had and lost [*CommitFailedError]. While the group
// rebalances it waits as Commit does. An empty map commits nothing.
func (c *Consumer) CommitOffsets(ctx context.Context, offsets map[TopicPartition]OffsetAndMetadata) error {
	offsets = maps.Clone(offsets)
	for tp, o := range offsets {
		if o.LeaderEpoch == 0 { // not set; only positions and messages are known to be of epoch 0
			o.LeaderEpoch = -1
			offsets[tp] = o
		}
	}
	return c.commitOffsets(ctx, "CommitOffsets", offsets)
}

// commitOffsets commits what call was given, if all of it makes sense.
func (c *Consumer) commitOffsets(ctx context.Context, call string, offsets map[TopicPartition]OffsetAndMetadata) error {
	if err := c.canCommit(call); err != nil {
		return err
	}
	place := c.commits.enter()
	defer place.leave()
	c.sub.mu.Lock()
	for tp, o := range offsets {
		_, err := c.sub.find(call, tp)
		if why, had := c.sub.had[tp]; had && err != nil {
			err = c.lostError(tp, why)
		}
		if _, given := c.sub.givenUp[tp]; given && !c.insideListener(ctx) {
			err = nil // it is waited for
		}
		if err == nil && o.Offset < 0 {
			err = illegalState(call, "%v to %d: offsets begin at 0", tp, o.Offset)
		}
		if err != nil {
			c.sub.mu.Unlock()
			return err
		}
	}
	c.sub.mu.Unlock()
	return c.commitByHand(ctx, call, place, offsets)
}

// CommitMessages commits, for each partition, the offset behind the highest of the messages: they and all before them
// have been dealt with.
func (c *Consumer) CommitMessages(ctx context.Context, msgs ...*Message) error {
	if err := c.canCommit("CommitMessages"); err != nil {
		return err
	}
	offsets := make(map[TopicPartition]OffsetAndMetadata)
	for _, m := range msgs {
		if m == nil {
			return illegalState("CommitMessages", "a message is nil")
		}
		tp := m.TopicPartition()
		if have, ok := offsets[tp]; !ok || have.Offset <= m.Offset {
			offsets[tp] = OffsetAndMetadata{Offset: m.Offset + 1, LeaderEpoch: m.LeaderEpoch}
		}
	}
	return c.commitOffsets(ctx, "CommitMessages", offsets)
}

// Committed asks the group's coordinator for what is committed; of all assigned partitions where none is named. A
// partition with nothing committed has no key in the answer.
func (c *Consumer) Committed(ctx context.Context, tps ...TopicPartition) (map[TopicPartition]OffsetAndMetadata, error) {
	if err := c.canCommit("Committed"); err != nil {
		return nil, err
	}
	if len(tps) == 0 {
		tps = c.Assignment()
	}
	for _, tp := range tps {
		if tp.Partition < 0 {
			return nil, illegalState("Committed", "%v: partitions are numbered from 0", tp)
		}
	}
	tps = slices.Compact(slices.SortedFunc(slices.Values(tps), compareTopicPartitions))
	if err := c.exist(ctx, "Committed", tps); err != nil {
		return nil, err
	}
	found, err := c.findCommitted(ctx, "Committed", tps)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(found, func(_ TopicPartition, o OffsetAndMetadata) bool { return o.Offset < 0 })
	return found, nil
}

// canCommit says whether there is a group to commit to.
func (c *Consumer) canCommit(call string) error {
	if err := c.usable(); err != nil {
		return err
	}
	if c.cfg.groupID == "" {
		return illegalState(call, "there is no group id; set WithGroupID")
	}
	return nil
}

// commitByHand is a commit that the application has asked for.
func (c *Consumer) commitByHand(ctx context.Context, call string, place *commitPlace, offsets map[TopicPartition]OffsetAndMetadata) error {
	if len(offsets) == 0 {
		return nil
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.commit(ctx, call, place, offsets, c.identity, true)
}

// identity is as whom this consumer commits: as a member of its group, once no rebalance is under way, or as nobody's.
func (c *Consumer) identity(ctx context.Context) (memberIdentity, error) {
	c.sub.mu.Lock()
	byHand := c.sub.kind == assignedByHand
	c.sub.mu.Unlock()
	if c.group == nil || byHand {
		return notMember, nil
	}
	return c.group.awaitSettled(ctx)
}

// exist asks for partitions that metadata does not show: brokers answer OffsetFetch for a partition that does not exist
// as if nothing were committed.
func (c *Consumer) exist(ctx context.Context, call string, tps []TopicPartition) error {
	meta := c.cluster.Metadata()
	var unknown []string
	for _, tp := range tps {
		if _, ok := meta.Partition(tp.Topic, tp.Partition); !ok {
			unknown = append(unknown, tp.Topic)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	meta, err := c.fetchMetadata(ctx, call, slices.Compact(slices.Sorted(slices.Values(unknown))))
	if err != nil {
		return err
	}
	var errs []error
	for _, tp := range tps {
		if !slices.Contains(unknown, tp.Topic) {
			continue
		}
		if _, ok := meta.Partition(tp.Topic, tp.Partition); !ok {
			errs = append(errs, unknownPartition(meta, tp))
		}
	}
	return errors.Join(errs...)
}

// autoCommits says whether offsets are committed by time.
func (c *Consumer) autoCommits() bool { return c.cfg.autoCommit && c.cfg.groupID != "" }

// autoCommitLoop commits by time what is settled. It ends when the consumer stops.
func (c *Consumer) autoCommitLoop(ctx context.Context) {
	said := ""
	for sleep(ctx, c.cfg.autoCommitEvery) {
		bounded, cancel := context.WithTimeout(ctx, 2*c.cfg.requestTimeout)
		err := c.commitSettled(bounded)
		cancel()
		if ctx.Err() != nil {
			return
		}
		said = c.autoCommitted(err, said)
	}
}

// autoCommitted takes in how an automatic commit went: a refusal is told by Get calls until one goes through. What the log
// said already is not said again.
func (c *Consumer) autoCommitted(err error, said string) (saying string) {
	var told error
	if err != nil {
		if saying = err.Error(); saying != said {
			c.log.Warn("kafka: an automatic commit failed", "group", c.cfg.groupID, "err", err)
		}
		if _, refused := errors.AsType[*AuthorizationError](err); refused {
			told = fmt.Errorf("kafka: automatic commit: %w", err)
		}
	}
	c.sub.mu.Lock()
	c.sub.failAs(aboutCommits, told)
	c.sub.mu.Unlock()
	return saying
}

// commitSettled commits what is settled and not yet committed.
func (c *Consumer) commitSettled(ctx context.Context) error {
	place := c.commits.enter()
	defer place.leave()
	return c.commitSettledOf(ctx, place, c.sub.partitions)
}

// commitSettledOf commits what is settled and not yet committed of some partitions. What that is it looks up when it is its turn: a commit
// by hand before it may go further than what was settled when it was called.
func (c *Consumer) commitSettledOf(ctx context.Context, place *commitPlace, parts map[TopicPartition]*partition) error {
	const call = "automatic commit"
	if err := place.wait(ctx, call); err != nil {
		return err
	}
	c.sub.mu.Lock()
	offsets := c.sub.toCommit(parts, time.Now())
	c.sub.mu.Unlock()
	if len(offsets) == 0 {
		return nil
	}
	return c.commit(ctx, call, place, offsets, c.identity, false)
}
