package kafka

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// topicWatch is what was seen of a subscribed topic, or one with partitions assigned by hand.
type topicWatch struct {
	answered bool // metadata has spoken of it
	listed   bool // metadata has named its partitions
	absent   bool // it did not exist when metadata last spoke of it
	warned   bool
	initial  int // partitions it had when it was first seen; those beyond have appeared since
}

// metadataLoop keeps the assignment of subscribed topics, and every partition's leader, as the cluster has them. It ends
// when the consumer stops.
func (c *Consumer) metadataLoop(ctx context.Context) {
	for {
		changed := c.cluster.Changed()
		c.applyMetadata(c.cluster.Metadata())
		select {
		case <-changed:
		case <-c.topicWork:
			c.watchTopics()
		case <-ctx.Done():
			return
		}
	}
}

// watchTopics tells the cluster which topics matter.
func (c *Consumer) watchTopics() {
	c.sub.mu.Lock()
	topics, all := slices.Concat(c.sub.topics, c.sub.groupTopics), c.sub.kind == subscribedPattern
	c.sub.mu.Unlock()
	if all {
		c.cluster.SetAllTopics()
	} else {
		c.cluster.SetTopics(topics)
	}
}

// applyMetadata takes in a new view of the cluster.
func (c *Consumer) applyMetadata(meta *cluster.Metadata) {
	var events []logEvent
	s := c.sub
	s.mu.Lock()
	names := make(map[protocol.UUID]string, len(meta.ByID))
	for id, t := range meta.ByID {
		names[id] = t.Name
	}
	c.fetcher.topics = names
	rejoin := false
	complete := s.kind == subscribedTopics
	if s.kind == subscribedPattern {
		before, again := s.topics, s.matched
		events = append(events, c.matchTopics(meta)...)
		if c.group != nil && meta.All && !again {
			c.group.post(evWanted{reason: "the subscription has changed"}) // with mu held: Unsubscribe comes before or after
		}
		rejoin = meta.All && again && !slices.Equal(before, s.topics)
		complete = meta.All
	}
	for _, topic := range s.topics {
		w := c.watch[topic]
		if w == nil {
			w = &topicWatch{}
			c.watch[topic] = w
		}
		if t := meta.Topics[topic]; t != nil {
			events = append(events, c.applyTopic(t, w)...)
		}
		complete = complete && w.answered
	}
	complete = complete && c.group == nil
	for topic := range c.watch {
		if !slices.Contains(s.topics, topic) {
			delete(c.watch, topic)
		}
	}
	for _, p := range s.partitions {
		if e, ok := c.applyLeader(p, meta); ok {
			events = append(events, e)
		}
	}
	if complete && !s.assigned {
		s.assigned = true
		s.wake(nil)
		s.signal()
	}
	s.mu.Unlock()
	c.logAll(events)
	c.wakePositions()
	c.fetcher.wake()
	if c.group == nil {
		return
	}
	if rejoin {
		c.group.post(evChanged{reason: "the pattern matches other topics"})
	} else if topic, yes := c.group.grown(meta); yes {
		c.group.post(evChanged{reason: "topic " + topic + " has other partitions"})
	}
}

// applyTopic takes in what metadata says of a topic: whether it is there, and, where topics are subscribed, its
// partitions.
func (c *Consumer) applyTopic(t *cluster.Topic, w *topicWatch) (events []logEvent) {
	s := c.sub
	switch t.Err {
	case protocol.None:
		s.failAs(aboutTopic(t.Name), nil)
	case protocol.TopicAuthorizationFailed, protocol.InvalidTopic:
		w.answered = true
		s.failAs(aboutTopic(t.Name), brokerError("Metadata", "", TopicPartition{Topic: t.Name, Partition: -1}, t.Err))
		return nil
	case protocol.UnknownTopicOrPartition, protocol.UnknownTopicID:
		w.answered, w.absent = true, true
		if !w.warned {
			w.warned = true
			events = append(events, logEvent{slog.LevelWarn, "kafka: the topic does not exist; waiting for it", []any{"topic", t.Name}})
		}
		return events
	default:
		return nil // it passes
	}
	appeared := w.absent || w.listed
	if !appeared {
		w.initial = len(t.Partitions)
	}
	w.answered, w.listed, w.absent, w.warned = true, true, false, false
	if !s.kind.following() || c.group != nil {
		return events // assigned by hand, or by the group
	}
	var add []TopicPartition
	for i := range t.Partitions {
		if tp := (TopicPartition{Topic: t.Name, Partition: int32(i)}); s.partitions[tp] == nil {
			add = append(add, tp)
		}
	}
	if len(add) > 0 {
		start := c.resetStart()
		if appeared {
			start = c.newStart("the partition is new")
		}
		s.add(add, start)
		c.callListener(s.listener, onAssigned, add)
		s.wake(nil)
		s.signal()
		events = append(events, logEvent{slog.LevelInfo, "kafka: partitions assigned", []any{"topic", t.Name, "partitions", len(add), "new", appeared}})
	}
	return events
}

// matchTopics finds the topics that match the pattern now. One that comes up later than the first time is new: what is in it
// is read from its first record.
func (c *Consumer) matchTopics(meta *cluster.Metadata) (events []logEvent) {
	s := c.sub
	if !meta.All {
		return nil
	}
	var topics []string
	for name, t := range meta.Topics {
		if t.Internal && c.cfg.excludeInternal || t.Err == protocol.UnknownTopicOrPartition || !s.pattern.MatchString(name) {
			continue
		}
		topics = append(topics, name)
		if c.watch[name] == nil {
			c.watch[name] = &topicWatch{absent: s.matched}
		}
	}
	s.matched = true
	slices.Sort(topics)
	s.topics = topics
	if c.group != nil {
		return nil // the rebalance that follows takes partitions of topics that are gone
	}
	var gone []TopicPartition
	for tp := range s.partitions {
		if _, ok := slices.BinarySearch(topics, tp.Topic); !ok {
			gone = append(gone, tp)
		}
	}
	if len(gone) > 0 {
		s.remove(gone)
		c.callListener(s.listener, onLost, gone)
		events = append(events, logEvent{slog.LevelWarn, "kafka: topics that the pattern matched are gone", []any{"topics", topicsOf(gone)}})
	}
	return events
}

// applyLeader takes in who leads a partition now. A topic that was deleted and made again has a new id (KIP-516); what is
// in it is new.
func (c *Consumer) applyLeader(p *partition, meta *cluster.Metadata) (event logEvent, log bool) {
	t := meta.Topics[p.tp.Topic]
	part, ok := meta.Partition(p.tp.Topic, p.tp.Partition)
	if !ok || t.Err != protocol.None {
		part = cluster.Partition{Leader: -1, LeaderEpoch: -1}
	}
	f := &p.fetch
	if t != nil && t.ID != (protocol.UUID{}) && f.topicID != t.ID {
		if f.topicID != ([16]byte{}) {
			event = logEvent{slog.LevelWarn, "kafka: the topic was deleted and made again; starting at its first record",
				[]any{"topic", p.tp.Topic, "partition", p.tp.Partition, "from", p.position}}
			log = true
			c.sub.reset(p, c.remadeStart())
		}
		f.topicID = t.ID
		c.fetcher.markDirty(p)
	}
	c.fetcher.checkReplica(p, meta)
	if f.leader == part.Leader && f.leaderEpoch == part.LeaderEpoch {
		return event, log
	}
	if f.leader != part.Leader {
		c.fetcher.backToLeader(p)
		f.retryAt, f.attempts = time.Time{}, 0
		p.start.asked = false
	}
	if p.known && f.lastEpoch >= 0 && part.LeaderEpoch > max(f.leaderEpoch, f.lastEpoch) {
		f.validate = true
		p.start.asked = false
	}
	f.leader, f.leaderEpoch = part.Leader, part.LeaderEpoch
	c.fetcher.markDirty(p)
	return event, log
}

// resetStart is how a partition starts that is new to this consumer.
func (c *Consumer) resetStart() startAt {
	return startAt{committed: c.cfg.groupID != "", reset: c.cfg.reset, why: "no committed offset, reset to " + c.cfg.reset.String(), from: -1}
}

// newStart is how a partition starts that this consumer has seen appear: what was written since is not to be skipped,
// whatever the policy; but with ResetNone nobody but the application says where to start.
func (c *Consumer) newStart(why string) startAt {
	start := c.resetStart()
	if start.reset != ResetNone {
		start.reset, start.why = ResetEarliest, why
	}
	return start
}

// remadeStart is newStart without the committed offset, which is of the topic that was deleted.
func (c *Consumer) remadeStart() startAt {
	start := c.newStart("the topic was deleted and made again")
	start.committed = false
	return start
}
