package kafka

import (
	"context"
	"errors"
	"regexp"
	"slices"
)

// Subscribe replaces the subscription: every partition of the topics is consumed, new ones as they appear, those from
// their first message. Partitions of topics that stay are not disturbed. It may come before Start. An empty list, or
// a subscription of another kind, are an error and change nothing. A topic that does not exist is waited for, with one
// WARN, and never created.
func (c *Consumer) Subscribe(topics []string, opts ...SubscribeOption) error {
	if err := c.notStopped(); err != nil {
		return err
	}
	if err := validateTopics(topics); err != nil {
		return illegalState("Subscribe", "%v", err)
	}
	return c.subscribe("Subscribe", topics, nil, opts)
}

// SubscribePattern subscribes to every topic whose whole name matches the pattern, in RE2 syntax. Which ones those are is
// looked at again every WithMetadataMaxAge; a topic that appears is read from its first message. Internal topics match
// only with WithExcludeInternalTopics(false). Otherwise it is as Subscribe.
func (c *Consumer) SubscribePattern(pattern string, opts ...SubscribeOption) error {
	if err := c.notStopped(); err != nil {
		return err
	}
	re, err := compilePattern(pattern)
	if err != nil {
		return illegalState("SubscribePattern", "%v", err)
	}
	return c.subscribe("SubscribePattern", nil, re, opts)
}

// compilePattern makes an expression that matches whole names only.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, errors.New("the pattern is empty")
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(patternBegin + pattern + patternEnd)
}

// What is put around a pattern of the user's, so that it matches whole names only.
const patternBegin, patternEnd = "^(?:", ")$"

func (c *Consumer) subscribe(call string, topics []string, pattern *regexp.Regexp, opts []SubscribeOption) error {
	var o subscribeOptions
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	revoking := c.sub.revokingNow()
	gone, told, err := c.sub.subscribe(call, topics, pattern, o.listener)
	if err != nil {
		return err
	}
	if c.group != nil {
		if pattern == nil { // else when it is known what matches: a join before would be for nothing
			c.group.post(evWanted{reason: "the subscription has changed"}) // the rebalance gives up what was dropped
		}
		return nil
	}
	if c.callListener(told, onRevoked, without(gone, revoking)) == nil {
		c.sub.removeDropped(gone)
	}
	return nil
}

// Subscription gives the subscribed topics, sorted; nil where there are none.
func (c *Consumer) Subscription() []string {
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	if !c.sub.kind.following() {
		return nil
	}
	return slices.Clone(c.sub.topics)
}

// Unsubscribe commits what is settled, where autocommit is on, calls OnPartitionsRevoked, and drops the subscription or
// the partitions assigned by hand, with their positions. Where ctx has no deadline, it takes twice WithRequestTimeout at most. The error
// says what went wrong, and names a listener that has not returned in time; everything is dropped all the same. With a listener's ctx it
// is ErrIllegalState.
func (c *Consumer) Unsubscribe(ctx context.Context) error {
	if c.insideListener(ctx) {
		return illegalState("Unsubscribe", "it was called from a rebalance listener, for which it would wait")
	}
	if err := c.notStopped(); err != nil {
		return err
	}
	var err error
	if c.state.Load() == stateRunning {
		bounded, cancel := c.bounded(ctx)
		err = errors.Join(c.giveUpAll(bounded), c.awaitListener(bounded))
		if errors.Is(context.Cause(bounded), ErrConsumerStopped) {
			cancel()
			return ErrConsumerStopped // Stop does the rest, and tells of it
		}
		cancel()
	}
	err = errors.Join(err, c.sub.unsubscribe())
	if c.group != nil {
		c.group.unsubscribed()
	}
	if err != nil {
		return &callError{call: "Unsubscribe", err: err}
	}
	return nil
}

// Assign replaces the partitions to consume by those given. Partitions that stay keep position, pause and buffer; one
// that leaves is forgotten. It may come before Start. None at all, or subscribed topics, are an error and change
// nothing. A partition that does not exist yet is waited for, with one WARN.
func (c *Consumer) Assign(tps ...TopicPartition) error {
	if err := c.notStopped(); err != nil {
		return err
	}
	if len(tps) == 0 {
		return illegalState("Assign", "no partition is named; Unsubscribe gives up what is assigned")
	}
	for _, tp := range tps {
		if err := validateTopics([]string{tp.Topic}); err != nil {
			return illegalState("Assign", "%v", err)
		}
		if tp.Partition < 0 {
			return illegalState("Assign", "%v: partitions are numbered from 0", tp)
		}
	}
	leaving, err := c.sub.assign(tps, c.assignedStart())
	if err == nil && len(leaving) > 0 && c.autoCommits() {
		c.commitUnassigned(leaving)
	}
	return err
}

// commitUnassigned commits, in the background, what is settled of partitions that Assign has given up. Its place in the queue it has at
// once, so that a commit that is called after Assign is behind it, and so is the last one of Stop, which therefore need not end it; what was
// committed by hand before, it leaves.
func (c *Consumer) commitUnassigned(parts map[TopicPartition]*partition) {
	place := c.commits.enter()
	spawned := c.spawnRunning(func() {
		defer place.leave()
		ctx, cancel := context.WithTimeout(c.life, 2*c.cfg.requestTimeout)
		defer cancel()
		if err := c.commitSettledOf(ctx, place, parts); err != nil {
			c.log.Warn("kafka: committing what was settled of partitions given up failed", "group", c.cfg.groupID, "err", err)
		}
	})
	if !spawned {
		place.leave()
	}
}

// Assignment gives the partitions that are consumed, sorted.
func (c *Consumer) Assignment() []TopicPartition { return c.sub.assignmentNow(nil) }

// Pause stops handing out messages of the partitions, and fetching more of them; what is buffered is kept. Where one of
// them is not assigned, it is ErrIllegalState and none is paused. Pausing none does nothing.
func (c *Consumer) Pause(tps ...TopicPartition) error {
	if err := c.usable(); err != nil {
		return err
	}
	return c.sub.setPaused("Pause", tps, true)
}

// Resume undoes Pause.
func (c *Consumer) Resume(tps ...TopicPartition) error {
	if err := c.usable(); err != nil {
		return err
	}
	return c.sub.setPaused("Resume", tps, false)
}

// Paused gives the paused partitions, sorted.
func (c *Consumer) Paused() []TopicPartition {
	return c.sub.assignmentNow(func(p *partition) bool { return p.paused })
}
