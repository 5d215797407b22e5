package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// This file is the leader's part of a group: sharing the partitions out, and noticing when that has to be done again.

// assign is the leader's part of a rebalance: the assignor that the group chose shares the partitions of all topics that
// members subscribe to.
func (g *group) assign(ctx context.Context, name string, answer *protocol.JoinGroupResponse) ([]protocol.SyncGroupRequestAssignment, error) {
	i := slices.IndexFunc(g.c.cfg.assignors, func(a Assignor) bool { return a.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("the coordinator chose the assignor %q, which this member does not offer", name)
	}
	members, topics := g.members(answer)
	g.mu.Lock()
	g.racked = slices.ContainsFunc(members, func(m GroupMember) bool { return m.RackID != "" })
	g.mu.Unlock()
	parts, err := g.partitionsOf(ctx, topics)
	if err != nil {
		return nil, err
	}
	if answer.SkipAssignment {
		return nil, nil // a static leader that came back; the assignment stays (KIP-814)
	}
	shares, err := guardedAssign(g.c.cfg.assignors[i], members, parts)
	if err == nil {
		err = checkShares(shares, members, parts)
	}
	if err != nil {
		return nil, fmt.Errorf("assignor %q: %w", name, err)
	}
	out := make([]protocol.SyncGroupRequestAssignment, 0, len(members))
	for _, m := range members {
		share := slices.Clone(shares[m.ID])
		slices.SortFunc(share, compareTopicPartitions)
		data, err := protocol.AppendConsumerProtocolAssignment(nil, 1, &protocol.ConsumerProtocolAssignment{AssignedPartitions: byTopic(share)})
		if err != nil {
			return nil, fmt.Errorf("assignor %q: %w", name, err)
		}
		out = append(out, protocol.SyncGroupRequestAssignment{MemberID: m.ID, Assignment: data})
	}
	return out, nil
}

// guardedAssign calls user code; a panic becomes an error.
func guardedAssign(a Assignor, members []GroupMember, topics map[string][]PartitionInfo) (shares map[string][]TopicPartition, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in Assign: %v", v)
		}
	}()
	return a.Assign(members, topics)
}

// guardedUserData calls user code; a panic becomes an error.
func guardedUserData(a Assignor, owned []TopicPartition, generation int32) (data []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("assignor %q: panic in UserData: %v", a.Name(), v)
		}
	}()
	return a.UserData(owned, generation), nil
}

// checkShares holds what an assignor has made to what a group promises: only members get something, only of topics they subscribe
// to, only what exists, and nothing goes to two of them.
func checkShares(shares map[string][]TopicPartition, members []GroupMember, topics map[string][]PartitionInfo) error {
	subscribed := make(map[string][]string, len(members))
	for _, m := range members {
		subscribed[m.ID] = m.Topics
	}
	owner := make(map[TopicPartition]string)
	for _, id := range slices.Sorted(maps.Keys(shares)) {
		own, member := subscribed[id]
		if !member {
			return fmt.Errorf("it gives partitions to %q, which is no member of the group", id)
		}
		for _, tp := range shares[id] {
			if !slices.ContainsFunc(topics[tp.Topic], func(p PartitionInfo) bool { return p.Partition == tp.Partition }) {
				return fmt.Errorf("it gives %v to member %q, which is no partition of the group's topics", tp, id)
			}
			if !slices.Contains(own, tp.Topic) {
				return fmt.Errorf("it gives %v to member %q, which does not subscribe to the topic", tp, id)
			}
			if other, twice := owner[tp]; twice {
				return fmt.Errorf("it gives %v to member %q and to member %q", tp, other, id)
			}
			owner[tp] = id
		}
	}
	return nil
}

// members reads what the members of the group have said of themselves, and gives the union of their topics.
func (g *group) members(answer *protocol.JoinGroupResponse) (members []GroupMember, topics []string) {
	union := make(map[string]struct{})
	for _, jm := range answer.Members {
		m := GroupMember{ID: jm.MemberID, Generation: -1}
		if jm.GroupInstanceID != nil {
			m.InstanceID = *jm.GroupInstanceID
		}
		_, sub, err := protocol.DecodeConsumerProtocolSubscription(jm.Metadata)
		if err != nil {
			// One member's garbage is not to stop the group: it gets nothing.
			g.c.log.Warn("kafka: a member's subscription cannot be read", "group", g.c.cfg.groupID, "member", jm.MemberID, "err", err)
			members = append(members, m)
			continue
		}
		m.Topics, m.UserData, m.Generation = sub.Topics, sub.UserData, sub.GenerationID
		if sub.RackID != nil {
			m.RackID = *sub.RackID
		}
		for _, t := range sub.OwnedPartitions {
			for _, p := range t.Partitions {
				m.Owned = append(m.Owned, TopicPartition{Topic: t.Topic, Partition: p})
			}
		}
		for _, t := range sub.Topics {
			union[t] = struct{}{}
		}
		members = append(members, m)
	}
	return members, slices.Sorted(maps.Keys(union))
}

// A sharedTopic is what the shares of a topic were made from, to notice when they have to be made again.
type sharedTopic struct {
	id     protocol.UUID // zero: the topic is not there, or the brokers know no ids
	racks  [][]string    // of each partition, sorted
	before *cluster.Topic
}

// partitionsOf gives the partitions of the group's topics, asking the cluster, and keeps what they were like to notice when that
// changes.
func (g *group) partitionsOf(ctx context.Context, topics []string) (map[string][]PartitionInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, g.c.cfg.requestTimeout)
	defer cancel()
	g.c.sub.mu.Lock()
	g.c.sub.groupTopics = topics
	g.c.sub.mu.Unlock()
	g.c.watchTopics()
	known, meta := g.c.cluster.Metadata(), &cluster.Metadata{}
	if len(topics) > 0 {
		var err error
		if meta, err = g.c.fetchMetadata(ctx, "assignment", topics); err != nil {
			return nil, err
		}
	}
	out := make(map[string][]PartitionInfo, len(topics))
	shared := make(map[string]sharedTopic, len(topics))
	for _, name := range topics {
		is := sharedTopic{before: known.Topics[name]}
		if t := newerOf(known.Topics[name], meta.Topics[name]); t != nil && (t.Err == protocol.None || len(t.Partitions) > 0) {
			is.id = t.ID
			for i, p := range t.Partitions {
				racks := meta.Racks(p)
				out[name] = append(out[name], PartitionInfo{Partition: int32(i), Racks: racks})
				is.racks = append(is.racks, rackSet(racks))
			}
		}
		shared[name] = is
	}
	g.mu.Lock()
	g.shared = shared
	g.mu.Unlock()
	return out, nil
}

// newerOf gives what is to be believed of a topic, where a broker that lags may have been asked: that one does not know all partitions,
// or not even the topic, while the view of the cluster, of what others have said, does. Another topic of that name is another matter.
func newerOf(known, told *cluster.Topic) *cluster.Topic {
	switch none := (protocol.UUID{}); {
	case told == nil || known == nil || known.Err != protocol.None || len(known.Partitions) <= len(told.Partitions):
		return told
	case told.Err == protocol.None && known.ID != told.ID && known.ID != none && told.ID != none:
		return told
	}
	return known
}

// rackSet is what of a partition's racks matters to an assignor: which there are.
func rackSet(racks []string) []string { return slices.Compact(slices.Sorted(slices.Values(racks))) }

// grown says, to the leader, which of the group's topics is other now than when it was shared.
func (g *group) grown(meta *cluster.Metadata) (topic string, yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.m.leader || (g.m.state != memberStable && g.m.state != memberApplying) {
		return "", false
	}
	for topic, was := range g.shared {
		if t := meta.Topics[topic]; t != nil && t.Err == protocol.None && was.differs(t, meta, g.racked) {
			return topic, true
		}
	}
	return "", false
}

// differs says whether t is to be shared anew: it has more partitions; or fewer, being a topic made again (of one that is the same,
// fewer are a view from before); or, where members tell their racks, its replicas are in other racks (KIP-881). While a broker is
// away its rack is not known: that is no change.
func (was *sharedTopic) differs(t *cluster.Topic, meta *cluster.Metadata, racked bool) bool {
	if t == was.before {
		return false // known before the shares were made
	}
	if len(t.Partitions) > len(was.racks) {
		return true
	}
	if len(t.Partitions) < len(was.racks) {
		return t.ID != was.id || t.ID == protocol.UUID{}
	}
	for i, p := range t.Partitions {
		away := slices.ContainsFunc(p.Replicas, func(id int32) bool { _, ok := meta.Broker(id); return !ok })
		if racked && !away && !slices.Equal(rackSet(meta.Racks(p)), was.racks[i]) {
			return true
		}
	}
	return false
}

// leadsNoMore drops what only a leader needs: the topics of the other members are not this one's concern.
func (g *group) leadsNoMore() {
	g.mu.Lock()
	g.shared = nil
	g.mu.Unlock()
	g.c.sub.mu.Lock()
	led := g.c.sub.groupTopics != nil
	g.c.sub.groupTopics = nil
	g.c.sub.mu.Unlock()
	if led {
		g.c.watchTopics()
	}
}
