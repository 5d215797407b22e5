package kafka

import (
	"context"
	"errors"
	"log/slog"
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
	var revoked []TopicPartition
	for tp, p := range s.partitions {
		if _, stays := assigned[tp]; !stays || p.dropped {
			revoked = append(revoked, tp)
		}
	}
	s.mu.Unlock()
	if len(revoked) > 0 {
		again = true
		g.giveUpThese(ctx, revoked, c.cfg.revokeGrace)
	}
	call, added, void := g.take(round, assigned, generation)
	if void {
		return false
	}
	c.log.Info("kafka: rebalanced", "group", c.cfg.groupID, "member", member, "generation", generation,
		"assigned", len(assigned), "added", len(added), "revoked", len(revoked))
	if call != nil {
		select {
		case <-call.done:
		case <-ctx.Done():
		}
	}
	c.wakePositions()
	c.watchTopics()
	s.mu.Lock()
	s.assigned = true
	s.wake(nil)
	s.signal()
	s.mu.Unlock()
	if _, yes := g.grown(c.cluster.Metadata()); yes {
		return true // it has grown while the group was rebalancing
	}
	return again
}

// take adds what is new in the assignment; nothing, where the membership has moved on meanwhile.
func (g *group) take(round uint64, assigned map[TopicPartition]struct{}, generation int32) (call *listenerCall, added []TopicPartition, void bool) {
	c, s := g.c, g.c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	void = g.m.round != round
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
	s.changedAssignment()
	c.applyLeaders()
	return c.callListener(s.listener, onAssigned, added), added, false
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
// committed, where this consumer first started on it; else by the reset policy, or at its first record if the
// partition appeared while this consumer watched.
func (c *Consumer) groupStart(tp TopicPartition) startAt {
	start := c.resetStart()
	if first, ok := c.sub.firstStart[tp]; ok {
		start.fallback, start.hasFallback = first, true
		return start
	}
	if w := c.watch[tp.Topic]; w != nil && w.answered && int(tp.Partition) >= w.initial {
		start = c.newStart("the partition is new")
	}
	return start
}

// giveUp gives up what a rebalance takes, or everything.
func (g *group) giveUp(ctx context.Context, a actGiveUp) {
	c, s := g.c, g.c.sub
	s.mu.Lock()
	var dropped, all []TopicPartition
	for tp, p := range s.partitions {
		switch {
		case p.dropped && !a.lost:
			dropped = append(dropped, tp)
		case a.all || c.eager():
			all = append(all, tp)
		}
	}
	if a.lost {
		revoking := s.revokingNow()
		s.loseAll(all)
		call := c.callListener(s.listener, onLost, without(all, revoking))
		s.wake(nil)
		s.signal()
		s.mu.Unlock()
		if len(all) > 0 {
			c.log.Warn("kafka: partitions were lost", "group", c.cfg.groupID, "partitions", len(all), "reason", a.reason)
		}
		awaitCall(ctx, call)
		return
	}
	s.mu.Unlock()
	grace := c.cfg.revokeGrace
	if a.all {
		grace = 0
	}
	if len(dropped) > 0 {
		g.giveUpThese(ctx, dropped, grace)
	}
	if len(all) > 0 {
		g.giveUpThese(ctx, all, grace)
	}
}

// revokingNow gives the partitions of which a listener has been told that they go. Called with mu held.
func (s *subscription) revokingNow() map[TopicPartition]struct{} {
	out := make(map[TopicPartition]struct{})
	for tp, p := range s.partitions {
		if p.revoking {
			out[tp] = struct{}{}
		}
	}
	return out
}

// without gives tps without those in a set.
func without(tps []TopicPartition, set map[TopicPartition]struct{}) []TopicPartition {
	return slices.DeleteFunc(slices.Clone(tps), func(tp TopicPartition) bool {
		_, in := set[tp]
		return in
	})
}

func awaitCall(ctx context.Context, call *listenerCall) {
	if call == nil {
		return
	}
	select {
	case <-call.done:
	case <-ctx.Done():
	}
}

// giveUpThese gives partitions up in good order: nothing more of them is handed out, what is in hand gets its grace to
// settle, what is settled is committed, the listener is called, and they are gone.
func (g *group) giveUpThese(ctx context.Context, tps []TopicPartition, grace time.Duration) {
	c, s := g.c, g.c.sub
	parts := make(map[TopicPartition]*partition, len(tps))
	s.mu.Lock()
	for _, tp := range tps {
		if p := s.partitions[tp]; p != nil {
			p.leaving = true
			parts[tp] = p
		}
	}
	s.mu.Unlock()
	if c.autoCommits() {
		if grace > 0 {
			c.awaitSettling(ctx, parts, grace)
		}
		g.commitLeaving(ctx, parts)
	}
	s.mu.Lock()
	told := s.listener
	for tp, p := range parts {
		if s.partitions[tp] != p {
			delete(parts, tp) // lost or dropped meanwhile, and told so
		}
		p.revoking = true
		if p.dropped {
			told = s.dropTo
		}
	}
	call := c.callListener(told, onRevoked, slices.Collect(maps.Keys(parts)))
	s.mu.Unlock()
	awaitCall(ctx, call)
	s.mu.Lock()
	gone := make([]TopicPartition, 0, len(parts))
	for tp, p := range parts {
		if s.partitions[tp] == p {
			gone = append(gone, tp)
		}
	}
	s.loseAll(gone)
	s.wake(nil)
	s.signal()
	s.mu.Unlock()
}

// commitLeaving commits what is settled of partitions that go, within half the rebalance timeout.
func (g *group) commitLeaving(ctx context.Context, parts map[TopicPartition]*partition) {
	c := g.c
	c.sub.mu.Lock()
	offsets := c.sub.toCommit(parts, time.Now())
	c.sub.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.rebalanceTimeout/2, 2*c.cfg.requestTimeout))
	defer cancel()
	who := func(context.Context) (memberIdentity, error) {
		id := g.identity()
		if id.generation < 0 {
			return id, errors.New("the membership was lost")
		}
		return id, nil
	}
	if err := c.commit(ctx, "commit before partitions go", offsets, who, false); err != nil && ctx.Err() == nil {
		c.log.Log(ctx, slog.LevelWarn, "kafka: committing what was settled before partitions go failed; it may be delivered again",
			"group", c.cfg.groupID, "err", err)
	}
}

// awaitSettling waits until nothing of the partitions is in hand, or the grace has passed.
func (c *Consumer) awaitSettling(ctx context.Context, parts map[TopicPartition]*partition, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	s := c.sub
	for {
		s.mu.Lock()
		inHand := false
		for _, p := range parts {
			offset, _ := s.settled(p)
			inHand = inHand || (p.known && !p.gone && offset < p.position)
		}
		changed := s.watch()
		s.awaitTurn = inHand
		s.mu.Unlock()
		if !inHand {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
