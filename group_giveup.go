package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// This file is how partitions are given up: in good order, or, where the group has taken them already, at once. One giving up has
// one rebalance timeout, for the grace, the commit and the listener together; and where somebody waits for the member to leave,
// each step has a share of what time is left for that, so that one that hangs leaves some to those behind it.

// A departure is a Stop or an Unsubscribe that waits for the member to leave.
type departure struct {
	by     time.Time // when it waits no longer
	failed []error   // what has gone wrong since it began
}

// The shares of the time left until a departure: the rest is for what follows.
const (
	startShare    = 0.25
	commitShare   = 0.5
	listenerShare = 0.75
)

// startPatience is how long positions are waited for at most that are being looked up.
const startPatience = time.Second

// giveUp gives up what a rebalance takes, or everything.
func (g *group) giveUp(ctx context.Context, a actGiveUp) {
	if a.lost {
		g.lose(ctx, &loss{a.reason, a.cause})
		return
	}
	c, s := g.c, g.c.sub
	s.mu.Lock()
	goes := make(map[TopicPartition]*partition)
	for tp, p := range s.partitions {
		if s.kind.following() && (p.dropped != nil || a.all || c.eager()) {
			goes[tp] = p
		}
	}
	if a.all {
		s.rebalanceEnds()
	}
	s.mu.Unlock()
	var leaves *loss
	if a.all {
		leaves = &loss{reason: a.reason}
	}
	g.giveUpThese(ctx, goes, leaves)
	if a.all {
		g.leadsNoMore()
	}
}

// lose takes everything out of the assignment that the group has taken. It ends when no call of the listener is out any more, also one
// that was told before that partitions go: no join goes out before, and no leave.
func (g *group) lose(ctx context.Context, why *loss) {
	c, s := g.c, g.c.sub
	telling, cancel := g.step(ctx, time.Time{}, listenerShare)
	defer cancel()
	s.mu.Lock()
	c.loseWhatWasTold(telling, time.Now().Add(c.rebalanceTimeout()))
	calls := c.callsOut()
	var all []TopicPartition
	if s.kind.following() { // else the group has been left, and these are assigned by hand
		for tp, p := range s.partitions {
			p.evicted = true
			all = append(all, tp)
		}
	}
	s.rebalanceEnds()
	for _, tp := range all {
		s.miss(heldPart{p: s.partitions[tp], generation: -1}, why)
	}
	s.loseAll(all, why)
	s.wake(nil)
	s.signal()
	s.mu.Unlock()
	if len(all) > 0 {
		c.log.Warn("kafka: partitions were lost", "group", c.cfg.groupID, "partitions", len(all), "reason", why.reason, "err", why.err)
	}
	g.leadsNoMore()
	awaitCalls(telling, calls)
}

// rebalanceEnds is for commits that wait for what the rebalance brings back: it has, or will not. Called with mu held.
func (s *subscription) rebalanceEnds() {
	for tp, given := range s.givenUp {
		if !given.p.told {
			s.miss(given, s.had[tp])
		}
	}
	clear(s.givenUp)
	s.signal()
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

func awaitCalls(ctx context.Context, calls []*listenerCall) {
	for _, call := range calls {
		select {
		case <-call.done:
		case <-ctx.Done():
		}
	}
}

// giveUpThese gives partitions up in good order: nothing more of them is handed out, what is in hand gets its grace to
// settle, what is settled is committed, the listener is called, and they are gone. leaves says why the member leaves: the application takes no
// more messages then, and what is in hand has settled or never will. nil: it is for a rebalance, that may bring them back, and commits by hand
// wait for its end.
func (g *group) giveUpThese(ctx context.Context, parts map[TopicPartition]*partition, leaves *loss) {
	if len(parts) == 0 {
		return
	}
	c, s := g.c, g.c.sub
	end := time.Now().Add(c.rebalanceTimeout())
	s.mu.Lock()
	for _, p := range parts {
		p.leaving = true
	}
	s.mu.Unlock()
	if c.autoCommits() {
		starting, cancel := g.step(ctx, time.Now().Add(startPatience), startShare)
		c.awaitStarts(starting, parts)
		cancel()
		if leaves == nil && c.cfg.revokeGrace > 0 {
			settling, cancel := g.step(ctx, time.Now().Add(c.cfg.revokeGrace), 0)
			c.awaitSettling(settling, parts)
			cancel()
		}
		patience := min(time.Until(end)/2, 2*c.cfg.requestTimeout)
		share := listenerShare // nobody is to be told: the commit has that time, too
		if c.listens(parts) {
			share = commitShare
		}
		committing, cancel := g.step(ctx, time.Now().Add(patience), share)
		err := g.commitLeaving(committing, parts)
		cancel()
		if err = butForGoneTopics(err); err != nil && ctx.Err() == nil {
			g.wentWrong(slog.LevelWarn, "kafka: committing what was settled before partitions go failed; it may be delivered again",
				fmt.Errorf("committing what was settled before partitions go: %w", err))
		}
	}
	telling, cancel := g.step(ctx, time.Time{}, listenerShare)
	defer cancel()
	s.mu.Lock()
	for tp, p := range parts {
		if s.partitions[tp] != p {
			delete(parts, tp) // lost meanwhile, and told so
		}
		p.revoking = true
	}
	calls := c.tellGone(telling, end, onRevoked, parts)
	for _, call := range calls {
		for _, tp := range call.parts {
			parts[tp].told = hearsRevoked(call.listener)
		}
		call.after = func() { g.part(parts, call.parts, leaves) }
	}
	s.mu.Unlock()
	awaitCalls(telling, calls)
	s.mu.Lock()
	g.part(parts, slices.Collect(maps.Keys(parts)), leaves) // those that nobody was told of, or whose call hangs
	s.wake(nil)
	s.signal()
	s.mu.Unlock()
}

// part takes those of the partitions given up out of the assignment that are named and still in it. What a listener has been told of is
// gone when its call returns, whatever others are still to be told of. Called with sub.mu held.
func (g *group) part(parts map[TopicPartition]*partition, named []TopicPartition, leaves *loss) {
	s := g.c.sub
	gone := make([]TopicPartition, 0, len(named))
	generation := g.identity().generation
	for _, tp := range named {
		if p := parts[tp]; p != nil && s.partitions[tp] == p {
			gone = append(gone, tp)
			switch given := (heldPart{p: p, generation: generation}); {
			case leaves != nil: // also where a listener could commit: it cannot have known what the application is in the middle of
				s.miss(given, leaves)
			case leaves == nil && p.dropped == nil:
				s.givenUp[tp] = given
			}
		}
	}
	s.loseAll(gone, leaves)
}

// listens says whether there is a listener to tell of partitions that go.
func (c *Consumer) listens(parts map[TopicPartition]*partition) bool {
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	for _, p := range parts {
		if p.dropped != nil && p.dropped.told != nil || c.sub.listener != nil {
			return true
		}
	}
	return false
}

// commitLeaving commits what is settled of partitions that go, as the member that has them: what was lost meanwhile is another's, also
// when this one is a member again.
func (g *group) commitLeaving(ctx context.Context, parts map[TopicPartition]*partition) error {
	const call = "commit before partitions go"
	c := g.c
	place := c.commits.enter()
	defer place.leave()
	if err := place.wait(ctx, call); err != nil { // what is settled then is looked up, as commitSettledOf does
		return err
	}
	c.sub.mu.Lock()
	held := maps.Clone(parts)
	maps.DeleteFunc(held, func(tp TopicPartition, p *partition) bool { return c.sub.partitions[tp] != p })
	offsets := c.sub.toCommit(held, time.Now())
	asked := g.identity()
	c.sub.mu.Unlock()
	if len(offsets) == 0 {
		return nil
	}
	who := func(context.Context) (memberIdentity, error) {
		id := g.identity()
		if !id.follows(asked) {
			return id, &CommitFailedError{GroupID: c.cfg.groupID, Reason: "the membership was lost"}
		}
		return id, nil
	}
	return c.commit(ctx, call, place, offsets, who, false)
}

// butForGoneTopics leaves out what a commit says of topics that do not exist any more: nothing of them is delivered again.
func butForGoneTopics(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	return errors.Join(slices.DeleteFunc(slices.Clone(joined.Unwrap()), func(err error) bool {
		return errors.Is(err, protocol.UnknownTopicOrPartition) || errors.Is(err, protocol.UnknownTopicID)
	})...)
}

// awaitStarts waits until it is known where the partitions start, or ctx ends. A start that is not known cannot be committed: the
// next owner would look it up anew, and skip what was written meanwhile, under ResetLatest.
func (c *Consumer) awaitStarts(ctx context.Context, parts map[TopicPartition]*partition) {
	c.awaitAll(ctx, parts, func(p *partition) bool { return !p.starting() })
}

// awaitSettling waits until nothing of the partitions is in hand, or ctx ends.
func (c *Consumer) awaitSettling(ctx context.Context, parts map[TopicPartition]*partition) {
	s := c.sub
	c.awaitAll(ctx, parts, func(p *partition) bool {
		offset, _ := s.settled(p)
		inHand := p.known && !p.gone && offset < p.position
		s.awaitTurn = s.awaitTurn || inHand
		return !inHand
	})
}

// awaitAll waits until all of the partitions are as they should be, or ctx ends. is is called with sub.mu held.
func (c *Consumer) awaitAll(ctx context.Context, parts map[TopicPartition]*partition, is func(p *partition) bool) {
	s := c.sub
	for {
		s.mu.Lock()
		all := true
		for _, p := range parts {
			all = is(p) && all
		}
		changed := s.watch()
		s.mu.Unlock()
		if all {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// step gives the ctx of one step of giving up. It ends at end (zero: never), and, where somebody waits for the member to leave, also
// one who comes only while it runs, when its share of the time left for that has passed.
func (g *group) step(ctx context.Context, end time.Time, share float64) (context.Context, context.CancelFunc) {
	cancelEnd := context.CancelFunc(func() {})
	if !end.IsZero() {
		ctx, cancelEnd = context.WithDeadline(ctx, end)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	g.c.spawn(func() { // ends with the step
		var by, at time.Time
		for {
			first, changed := g.leavesBy()
			if !first.IsZero() && (by.IsZero() || first.Before(by)) {
				by, at = first, sooner(at, time.Now().Add(time.Duration(share*float64(time.Until(first)))))
			}
			if !at.IsZero() && !time.Now().Before(at) {
				cancel(context.DeadlineExceeded)
				return
			}
			if !waitFor(ctx, changed, at) {
				return
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		cancelEnd()
	}
}

// leavesBy says until when somebody waits for the member to leave; zero: nobody does. changed is closed when that may have changed.
func (g *group) leavesBy() (by time.Time, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.departures {
		by = sooner(by, d.by)
	}
	return by, g.watch()
}

// wentWrong tells an error of the group to those who wait for the member to leave, or, where nobody does, the log.
func (g *group) wentWrong(level slog.Level, what string, err error) {
	g.mu.Lock()
	waiting := len(g.departures) > 0
	for _, d := range g.departures {
		d.failed = append(d.failed, err)
	}
	g.mu.Unlock()
	if !waiting {
		g.c.log.Log(context.Background(), level, what, "group", g.c.cfg.groupID, "err", err)
	}
}

// leaveGroup gives everything up in good order and leaves, for Stop and Unsubscribe; it waits for that until ctx ends. Its error joins
// what went wrong on the way, but for what the listener says: see subscription.unsubscribe.
func (g *group) leaveGroup(ctx context.Context) error {
	d := &departure{}
	d.by, _ = ctx.Deadline()
	g.mu.Lock()
	g.departures = append(g.departures, d)
	g.signal()
	g.mu.Unlock()
	g.post(evUnwanted{over: g.c.state.Load() == stateStopped})
	err := g.awaitLeft(ctx)
	if err != nil {
		err = fmt.Errorf("leaving group %q: %w", g.c.cfg.groupID, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.departures = slices.DeleteFunc(g.departures, func(other *departure) bool { return other == d })
	return errors.Join(append(d.failed, err)...)
}
