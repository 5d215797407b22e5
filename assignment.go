package kafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// topicWatch is what was seen of a subscribed topic, or one with partitions assigned by hand, since it was.
type topicWatch struct {
	answered bool // metadata has spoken of it
	listed   bool // metadata has named its partitions
	absent   bool // it did not exist when metadata last spoke of it
	warned   bool
	id       protocol.UUID // when its partitions were last named; zero where brokers give none
	initial  int           // partitions it had when it was first seen; those beyond have appeared since
}

// take notes that metadata names the topic's partitions, and says whether the topic was made again since it last did. One
// that was missing for a moment is the same one when it comes back under its id (KIP-516); without ids it is taken for
// another.
func (w *topicWatch) take(t *cluster.Topic) (remade bool) {
	if w.listed {
		remade = w.absent
		if none := (protocol.UUID{}); w.id != none && t.ID != none {
			remade = w.id != t.ID
		}
	}
	switch {
	case remade:
		w.initial = 0
	case !w.listed && !w.absent:
		w.initial = len(t.Partitions)
	}
	w.answered, w.listed, w.absent, w.warned, w.id = true, true, false, false, t.ID
	return remade
}

// appeared says whether the partition has come into being since the topic was first seen.
func (w *topicWatch) appeared(partition int32) bool { return int(partition) >= w.initial }

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
		w := s.seen[topic]
		if w == nil {
			w = &topicWatch{}
			s.seen[topic] = w
		}
		if t := meta.Topics[topic]; t != nil {
			events = append(events, c.applyTopic(t, w)...)
		}
		complete = complete && w.answered
	}
	complete = complete && c.group == nil
	s.forgetTopics()
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
	if t.Err != protocol.None {
		return c.topicMissing(t, w)
	}
	s.failAs(aboutTopic(t.Name), nil)
	remade := w.take(t)
	if remade {
		s.remade(t.Name)
	}
	switch {
	case s.kind == assignedByHand:
		return c.applyAssigned(t, w)
	case c.group != nil:
		return nil // the group assigns
	}
	if remade {
		gone := s.assignedWhere(func(p *partition) bool {
			return p.tp.Topic == t.Name && int(p.tp.Partition) >= len(t.Partitions) && p.dropped == nil
		})
		if c.lose(gone) {
			events = append(events, logEvent{slog.LevelWarn, "kafka: the topic was made again with fewer partitions", []any{"topic", t.Name, "partitions", len(t.Partitions), "gone", len(gone)}})
		}
	}
	return append(events, c.addPartitions(t, w)...)
}

// remade is for a topic that was made again: what was committed, and where this consumer started, is of the one that was deleted.
func (s *subscription) remade(topic string) {
	maps.DeleteFunc(s.firstStart, func(tp TopicPartition, _ firstStart) bool { return tp.Topic == topic })
	for _, p := range s.partitions {
		if p.tp.Topic == topic {
			p.committed = unknownCommitted
			p.commits++
		}
	}
}

// addPartitions puts those partitions of a subscribed topic into the assignment that are not there yet.
func (c *Consumer) addPartitions(t *cluster.Topic, w *topicWatch) (events []logEvent) {
	s := c.sub
	var old, fresh []TopicPartition
	for i := range t.Partitions {
		tp := TopicPartition{Topic: t.Name, Partition: int32(i)}
		switch {
		case s.partitions[tp] != nil:
		case w.appeared(tp.Partition):
			fresh = append(fresh, tp)
		default:
			old = append(slices.Grow(old, len(t.Partitions)-i), tp)
		}
	}
	if len(old)+len(fresh) == 0 {
		return nil
	}
	s.add(old, c.resetStart())
	s.add(fresh, c.newStart(partitionIsNew))
	add := append(old, fresh...)
	c.callListener(s.listener, onAssigned, add)
	s.wake(nil)
	s.signal()
	return append(events, logEvent{slog.LevelInfo, "kafka: partitions assigned", []any{"topic", t.Name, "partitions", len(add), "new", len(fresh) > 0}})
}

// applyAssigned takes in which partitions of a topic there are, for those assigned by hand: one that has appeared starts at
// its first record, and one that is not there is said once.
func (c *Consumer) applyAssigned(t *cluster.Topic, w *topicWatch) (events []logEvent) {
	var missing []int32
	for _, p := range c.sub.partitions {
		switch {
		case p.tp.Topic != t.Name:
		case int(p.tp.Partition) < len(t.Partitions):
			p.missing = false
			if !p.start.unseen {
				continue
			}
			p.start = p.start.with(func(s *startAt) {
				if s.unseen = false; w.appeared(p.tp.Partition) {
					fresh := c.newStart(partitionIsNew)
					s.reset, s.why = fresh.reset, fresh.why
				}
			})
		case !p.missing:
			p.missing = true
			missing = append(missing, p.tp.Partition)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return append(events, logEvent{slog.LevelWarn, "kafka: assigned partitions do not exist; waiting for them",
		[]any{"topic", t.Name, "partitions", missing, "existing", len(t.Partitions)}})
}

// lose takes partitions out of the assignment that do not exist any more; false where there are none.
func (c *Consumer) lose(gone []TopicPartition) bool {
	if len(gone) == 0 {
		return false
	}
	s := c.sub
	s.remove(gone)
	c.callListener(s.listener, onLost, gone)
	s.wake(nil)
	s.signal()
	return true
}

// A topicAction says what is done about a topic's error code in Metadata. What is assigned of the topic stays, and metadata
// is asked for again, see internal/cluster.
type topicAction int8

const (
	topicTell   topicAction = iota // the application is told until it passes
	topicAbsent                    // there is no such topic: logged once, and waited for
	topicPasses                    // nothing is known of the topic yet
)

// topicActions has every code that brokers answer with for a topic, and those that the Java client expects.
var topicActions = map[protocol.ErrorCode]topicAction{
	protocol.UnknownTopicOrPartition:  topicAbsent,
	protocol.UnknownTopicID:           topicAbsent,
	protocol.LeaderNotAvailable:       topicPasses,
	protocol.ListenerNotFound:         topicPasses,
	protocol.UnknownServerError:       topicPasses,
	protocol.TopicAuthorizationFailed: topicTell,
	protocol.InvalidTopic:             topicTell,
}

func actionForTopic(code protocol.ErrorCode) topicAction {
	if a, ok := topicActions[code]; ok {
		return a
	}
	if code.Retriable() {
		return topicPasses
	}
	return topicTell
}

// topicMissing is for a topic that metadata has an error for.
func (c *Consumer) topicMissing(t *cluster.Topic, w *topicWatch) []logEvent {
	switch actionForTopic(t.Err) {
	case topicPasses:
		return nil
	case topicTell:
		w.answered = true
		c.sub.failAs(aboutTopic(t.Name), brokerError("Metadata", t.From, TopicPartition{Topic: t.Name, Partition: -1}, t.Err))
		return nil
	}
	w.answered, w.absent = true, true
	c.sub.failAs(aboutTopic(t.Name), nil) // brokers refuse a topic before they say whether it is there
	if w.warned {
		return nil
	}
	w.warned = true
	event := logEvent{slog.LevelWarn, "kafka: the topic does not exist; waiting for it", []any{"topic", t.Name}}
	return []logEvent{event}
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
		if s.seen[name] == nil {
			s.seen[name] = &topicWatch{absent: s.matched}
		}
	}
	s.matched = true
	slices.Sort(topics)
	s.topics = topics
	if c.group != nil {
		return nil // the rebalance that follows takes partitions of topics that are gone
	}
	gone := s.assignedWhere(func(p *partition) bool {
		_, ok := slices.BinarySearch(topics, p.tp.Topic)
		return !ok && p.dropped == nil // of those the listener is told already
	})
	if c.lose(gone) {
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
		p.asking.asked = p.asking.asked && !p.known && p.start.committed // a question to the coordinator is not about the leader
	}
	if p.known && f.lastEpoch >= 0 && part.LeaderEpoch > max(f.leaderEpoch, f.lastEpoch) {
		f.validate = true
		p.asking.asked = false
	}
	f.leader, f.leaderEpoch = part.Leader, part.LeaderEpoch
	c.fetcher.markDirty(p)
	return event, log
}

// resetStart is how a partition starts that is new to this consumer.
func (c *Consumer) resetStart() startAt {
	return startAt{committed: c.cfg.groupID != "", reset: c.cfg.reset, why: "no committed offset, reset to " + c.cfg.reset.String(), from: -1}
}

// partitionIsNew is why a partition starts at its first record that this consumer has seen appear.
const partitionIsNew = "the partition is new"

// assignedStart is how a partition starts that is assigned by hand. Metadata may not have named it yet: whether it is new
// shows when it does.
func (c *Consumer) assignedStart() startAt {
	start := c.resetStart()
	start.unseen = true
	return start
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
