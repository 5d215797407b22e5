package kafka

import (
	"context"
	"maps"
	"slices"
	"time"
)

// eager says whether this member gives everything up before each join: one eager assignor in the list makes it so.
func (c *Consumer) eager() bool {
	return slices.ContainsFunc(c.cfg.assignors, func(a Assignor) bool { return !a.Cooperative() })
}

// apply takes the assignment in: what is not in it is given up first, then what is new is added. It reports whether
// partitions were given up that others wait for, so that the group has to rebalance once more (KIP-429).
func (g *group) apply(ctx context.Context, round uint64) (again bool) {
	c, s := g.c, g.c.sub
	g.mu.Lock()
	share, generation, member, void := g.assigned, g.m.generation, g.m.memberID, g.m.round != round
	g.mu.Unlock()
	if void {
		return false
	}
	assigned := make(map[TopicPartition]struct{})
	s.mu.Lock()
	if !s.kind.following() { // an Unsubscribe had no time to wait: what there is now is not the group's
		s.mu.Unlock()
		return false
	}
	for _, t := range share {
		if _, ok := slices.BinarySearch(s.topics, t.Topic); !ok {
			continue // the subscription has changed since, and a rebalance is due for that; or the assignor is wrong
		}
		for _, p := range t.Partitions {
			if p >= 0 {
				assigned[TopicPartition{Topic: t.Topic, Partition: p}] = struct{}{}
			}
		}
	}
	revoked := make(map[TopicPartition]*partition)
	for tp, p := range s.partitions {
		if _, stays := assigned[tp]; !stays || p.dropped != nil {
			revoked[tp] = p
		}
	}
	s.mu.Unlock()
	gives := len(revoked)
	again = gives > 0
	g.giveUpThese(ctx, revoked, nil)
	telling, cancel := g.step(ctx, time.Time{}, listenerShare) // one that hangs is not to keep the rest from being committed, and the member from leaving
	defer cancel()
	call, added, void := g.take(telling, round, assigned, generation)
	if void {
		return false
	}
	c.log.Info("kafka: rebalanced", "group", c.cfg.groupID, "member", member, "generation", generation,
		"assigned", len(assigned), "added", len(added), "revoked", gives)
	if call != nil {
		awaitCalls(telling, []*listenerCall{call})
	}
	c.wakePositions()
	c.watchTopics()
	s.mu.Lock()
	s.assigned = s.assigned || s.joinedAt == s.drops // else it is of the topics before: those there are now have a rebalance of their own
	s.wake(nil)
	s.signal()
	s.mu.Unlock()
	if _, yes := g.grown(c.cluster.Metadata()); yes {
		return true // it has grown while the group was rebalancing
	}
	return again
}

// take adds what is new in the assignment, and has the listener told with a ctx that ends with ctx; nothing, where the membership has
// moved on meanwhile, or the subscription is gone.
func (g *group) take(ctx context.Context, round uint64, assigned map[TopicPartition]struct{}, generation int32) (call *listenerCall, added []TopicPartition, void bool) {
	c, s := g.c, g.c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	void = g.m.round != round || !s.kind.following()
	g.mu.Unlock()
	if void {
		return nil, nil, true
	}
	for tp := range assigned {
		if _, ok := slices.BinarySearch(s.topics, tp.Topic); ok && s.partitions[tp] == nil {
			added = append(added, tp)
			delete(s.had, tp)
			s.add([]TopicPartition{tp}, c.groupStart(tp))
		}
	}
	s.lastOwned, s.lastGeneration = slices.Collect(maps.Keys(assigned)), generation
	slices.SortFunc(s.lastOwned, compareTopicPartitions)
	s.rebalanceEnds()
	s.changedAssignment()
	c.applyLeaders()
	return c.callListenerUntil(ctx, time.Now().Add(c.rebalanceTimeout()), s.listener, onAssigned, added), added, false
}

// applyLeaders gives new partitions what metadata knows already. Called with sub.mu held.
func (c *Consumer) applyLeaders() {
	meta := c.cluster.Metadata()
	for _, p := range c.sub.partitions {
		if p.fetch.leader < 0 {
			c.applyLeader(p, meta)
		}
	}
}

// groupStart is how a partition starts that the group gave to this member: at its committed offset; where nothing is
// committed, where this consumer first started on it (in a topic made again since, at its first record); else by the reset policy, or at its first record if the
// partition appeared while this consumer watched.
func (c *Consumer) groupStart(tp TopicPartition) startAt {
	start := c.resetStart()
	if first, ok := c.sub.firstStart[tp]; ok {
		start.fallback, start.hasFallback = first, true
		return start
	}
	if w := c.sub.seen[tp.Topic]; w != nil && w.answered && w.appeared(tp.Partition) {
		start = c.newStart(partitionIsNew)
	}
	return start
}
