package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A lookup is a partition about which something is being asked; the answer is void when its epoch has changed meanwhile.
// There may be one for each of many thousand partitions at a time.
type lookup struct {
	p           *partition // its tp never changes; all else of it is read with the lock held
	epoch       uint64
	reset       OffsetReset
	attempts    int
	commits     uint32
	offset      int64 // for a validation: what is to be fetched next
	lastEpoch   int32 // and the leader epoch of what comes before it
	leaderEpoch int32
}

func (l *lookup) void() bool { return l.p.gone || l.p.epoch != l.epoch }

// attemptOf gives which try this is for the partition that has been tried most.
func attemptOf(parts []lookup) int {
	n := 1
	for _, l := range parts {
		n = max(n, l.attempts+1)
	}
	return n
}

// lookups are the questions that can be asked now.
type lookups struct {
	committed []lookup           // to the group's coordinator: the committed offset
	ends      map[int32][]lookup // to leaders: an offset by the reset policy
	epochs    map[int32][]lookup // to leaders: is the log still the one that was read (KIP-320)
	hopeless  []lookup           // no position, and no policy to find one
	again     time.Time          // when to look next, if nothing happens before
}

// positionLoop finds positions for the partitions that have none, and checks those whose leader has changed. It ends when
// the consumer stops.
func (c *Consumer) positionLoop(ctx context.Context) {
	for {
		c.sub.mu.Lock()
		q := c.sub.questions(time.Now())
		c.sub.mu.Unlock()
		if len(q.committed) > 0 {
			c.spawn(func() { c.lookUpCommitted(ctx, q.committed) })
		}
		for node, parts := range q.ends {
			c.spawn(func() { c.lookUpEnds(ctx, node, parts) })
		}
		for node, parts := range q.epochs {
			c.spawn(func() { c.validate(ctx, node, parts) })
		}
		if len(q.hopeless) > 0 {
			c.spawn(func() { c.tellHopeless(ctx, q.hopeless) })
		}
		if !waitFor(ctx, c.positionWork, q.again) {
			return
		}
	}
}

// questions gives what is to be asked now, and marks the partitions as asked about.
func (s *subscription) questions(now time.Time) lookups {
	q := lookups{ends: make(map[int32][]lookup), epochs: make(map[int32][]lookup)}
	for _, p := range s.partitions {
		if (p.known && !p.fetch.validate && !p.fetch.lost) || p.asking.asked {
			continue
		}
		if now.Before(p.asking.retryAt) {
			q.again = sooner(q.again, p.asking.retryAt)
			continue
		}
		l := lookup{
			p: p, epoch: p.epoch, reset: p.start.reset, attempts: int(p.asking.attempts), commits: p.commits,
			offset: p.fetch.offset, lastEpoch: p.fetch.lastEpoch, leaderEpoch: p.fetch.leaderEpoch,
		}
		switch leader := p.fetch.leader; {
		case !p.known && p.start.committed:
			q.committed = append(q.committed, l)
		case p.fetch.lost || (!p.known && p.start.reset == ResetNone):
			q.hopeless = append(q.hopeless, l)
		case leader < 0:
			continue
		case p.known:
			q.epochs[leader] = append(q.epochs[leader], l)
		default:
			q.ends[leader] = append(q.ends[leader], l)
		}
		p.asking.asked = true
	}
	return q
}

// settleLookups takes the answers in: take is called for each partition whose question still stands, and says whether it
// is to be asked again later. What take logs and why it wants metadata is seen to without the lock.
func (c *Consumer) settleLookups(parts []lookup, refresh string, take func(l *lookup, out *lookupResult) (again bool)) {
	backoff := c.cfg.backoff()
	out := &lookupResult{refresh: refresh, least: c.leastLevel()}
	c.sub.mu.Lock()
	for i := range parts {
		l := &parts[i]
		if l.void() {
			continue
		}
		p := l.p
		p.asking.asked = false
		if take(l, out) {
			p.asking.attempts++
			p.asking.retryAt = time.Now().Add(backoff.After(int(p.asking.attempts)))
		}
	}
	c.sub.mu.Unlock()
	c.logAll(out.events)
	if out.refresh != "" {
		c.cluster.Refresh(out.refresh)
	}
	c.wakePositions()
}

// A lookupResult is what follows from answers beside the state of partitions.
type lookupResult struct {
	least   slog.Level // that the log takes; there may be an event for each of many thousand partitions
	events  []logEvent
	refresh string // why metadata is to be asked for
}

// takes says whether an event of a level is to be made.
func (out *lookupResult) takes(level slog.Level) bool { return level >= out.least }

// leastLevel asks the logger, which is user code: not with a lock held.
func (c *Consumer) leastLevel() slog.Level {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if c.log.Enabled(context.Background(), level) {
			return level
		}
	}
	return slog.LevelError
}

// lookUpCommitted asks for committed offsets; a partition without one is left to the reset policy.
func (c *Consumer) lookUpCommitted(ctx context.Context, parts []lookup) {
	tps := make([]TopicPartition, len(parts))
	for i, l := range parts {
		tps[i] = l.p.tp
	}
	answers, err := c.askCommitted(ctx, tps, attemptOf(parts))
	if ctx.Err() != nil {
		return
	}
	unanswered := &lookupFailure{errors.New("the coordinator left the partition out of its OffsetFetch answer")}
	if err != nil {
		unanswered.err = c.groupError("OffsetFetch", err)
	}
	c.settleLookups(parts, "", func(l *lookup, out *lookupResult) bool {
		p := l.p
		a, ok := answers[p.tp]
		switch {
		case err != nil:
			if p.asking.last = unanswered; !committedMayPass(err) {
				c.sub.fail(p, unanswered.err)
			}
			return true
		case !ok:
			p.asking.last = unanswered
			return true // an answer that is not there does not mean that nothing is committed
		case a.code.Err() != nil:
			refused := &lookupFailure{brokerError("OffsetFetch", fmt.Sprint(a.node), p.tp, a.code)}
			if p.asking.last = refused; actionForCommitted(a.code) == committedFail {
				c.sub.fail(p, refused.err)
			}
			return true
		case a.Offset < 0 && p.start.hasFallback && !p.sameTopic():
			start := c.remadeStart()
			p.start = &start
			c.sub.healed(p)
			return false
		case a.Offset < 0 && p.start.hasFallback:
			if out.takes(slog.LevelInfo) {
				out.events = append(out.events, logEvent{slog.LevelInfo, "kafka: nothing is committed; starting where this consumer first did",
					[]any{"group", c.cfg.groupID, "topic", p.tp.Topic, "partition", p.tp.Partition, "offset", p.start.fallback.offset}})
			}
			c.sub.begin(p, p.start.fallback.offset, -1)
			return false
		case a.Offset < 0:
			p.start = p.start.with(func(s *startAt) { s.committed = false })
			p.asking.last = nil
			c.sub.healed(p)
			return false
		}
		if out.takes(slog.LevelDebug) {
			out.events = append(out.events, logEvent{slog.LevelDebug, "kafka: starting at the committed offset",
				[]any{"group", c.cfg.groupID, "topic", p.tp.Topic, "partition", p.tp.Partition, "offset", a.Offset}})
		}
		c.sub.begin(p, a.Offset, a.LeaderEpoch)
		c.sub.foundCommitted(p, a.Offset, l.commits)
		return false
	})
}

// sameTopic says whether p's topic is the one that this consumer first started on, as far as brokers give ids.
func (p *partition) sameTopic() bool {
	none, was, is := [16]byte{}, p.start.fallback.topicID, p.fetch.topicID
	return was == is || was == none || is == none
}

// lookUpEnds asks one leader for offsets by the reset policy.
func (c *Consumer) lookUpEnds(ctx context.Context, node int32, parts []lookup) {
	questions, now := make([]offsetQuestion, len(parts)), time.Now()
	for i, l := range parts {
		questions[i] = offsetQuestion{tp: l.p.tp, timestamp: l.reset.at(now), leaderEpoch: l.leaderEpoch}
	}
	answers, err := c.askOffsets(ctx, node, questions, attemptOf(parts))
	if ctx.Err() != nil {
		return
	}
	refresh, unanswered := "", &lookupFailure{fmt.Errorf("broker %d left the partition out of its ListOffsets answer", node)}
	if err != nil {
		refresh, unanswered.err = "ListOffsets failed: "+err.Error(), err
	}
	c.settleLookups(parts, refresh, func(l *lookup, out *lookupResult) bool {
		p := l.p
		a, ok := answers[p.tp]
		switch {
		case !ok:
			p.asking.last = unanswered
			return true
		case a.code == protocol.None && a.offset >= 0:
			c.positioned(p, a, out)
			return false
		case a.code == protocol.None && l.reset.kind == resetByDuration: // nothing that young: the end
			p.start = p.start.with(func(s *startAt) { s.reset = ResetLatest })
			return false
		}
		refused := &lookupFailure{brokerError("ListOffsets", fmt.Sprint(node), p.tp, a.code)}
		p.asking.last = refused
		switch action := actionForListOffsets(a.code); {
		case action == offsetsNothing && l.reset.kind == resetByDuration:
			p.start = p.start.with(func(s *startAt) { s.reset = ResetLatest })
			return false
		case action == offsetsRefresh:
			out.refresh = a.code.Name() + " for " + p.tp.String()
		case action == offsetsFail, action == offsetsNothing: // the ends of a log always exist
			c.sub.fail(p, refused.err)
		}
		return true
	})
}

// positioned gives a partition the position that was looked up; every reset is an event for the log.
func (c *Consumer) positioned(p *partition, a offsetAnswer, out *lookupResult) {
	level := slog.LevelInfo
	if p.start.from >= 0 {
		level = slog.LevelWarn
	}
	if out.takes(level) {
		out.events = append(out.events, logEvent{level, "kafka: position reset", []any{
			"topic", p.tp.Topic, "partition", p.tp.Partition, "from", p.start.from, "offset", a.offset, "reason", p.start.why}})
	}
	if c.cfg.groupID != "" && p.start.from < 0 {
		c.sub.firstStart[p.tp] = firstStart{a.offset, p.fetch.topicID}
	}
	c.sub.begin(p, a.offset, -1)
}

// tellHopeless makes Get calls tell that there is no position and no policy to find one.
func (c *Consumer) tellHopeless(ctx context.Context, parts []lookup) {
	for _, l := range parts {
		c.sub.mu.Lock()
		start, void := *l.p.start, l.void()
		c.sub.mu.Unlock()
		if void {
			continue
		}
		var err error = &NoOffsetForPartitionError{TopicPartition: l.p.tp, GroupID: c.cfg.groupID}
		if start.from >= 0 {
			err = c.outOfRangeError(ctx, l.p.tp, start)
		}
		c.sub.mu.Lock()
		if !l.void() {
			c.sub.fail(l.p, err)
		}
		c.sub.mu.Unlock()
	}
}

// outOfRangeError asks what the log has, once.
func (c *Consumer) outOfRangeError(ctx context.Context, tp TopicPartition, start startAt) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.requestTimeout)
	defer cancel()
	ask := func(timestamp int64) int64 {
		found, err := c.listOffsets(ctx, "ListOffsets", map[TopicPartition]int64{tp: timestamp})
		if err != nil {
			return -1
		}
		return found[tp].offset
	}
	return &OffsetOutOfRangeError{TopicPartition: tp, Offset: start.from, LogStart: ask(earliestTimestamp), LogEnd: ask(latestTimestamp), cut: start.cut}
}

// A logEvent is something to log once no lock is held: a logger is user code.
type logEvent struct {
	level slog.Level
	msg   string
	args  []any
}

func (c *Consumer) logAll(events []logEvent) {
	for _, e := range events {
		c.log.Log(context.Background(), e.level, e.msg, e.args...)
	}
}
