package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A lookup is a partition about which something is being asked; the answer is void when its epoch has changed meanwhile.
type lookup struct {
	p           *partition
	tp          TopicPartition
	epoch       uint64
	start       startAt
	leaderEpoch int32
	offset      int64 // for a validation: what is to be fetched next
	lastEpoch   int32 // and the leader epoch of what comes before it
}

func (l *lookup) void() bool { return l.p.gone || l.p.epoch != l.epoch }

// attemptOf gives which try this is for the partition that has been tried most.
func attemptOf(parts []lookup) int {
	n := 1
	for _, l := range parts {
		n = max(n, l.start.attempts+1)
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
	for tp, p := range s.partitions {
		if (p.known && !p.fetch.validate && !p.fetch.lost) || p.start.asked {
			continue
		}
		if now.Before(p.start.retryAt) {
			q.again = sooner(q.again, p.start.retryAt)
			continue
		}
		l := lookup{p: p, tp: tp, epoch: p.epoch, start: p.start, leaderEpoch: p.fetch.leaderEpoch, offset: p.fetch.offset, lastEpoch: p.fetch.lastEpoch}
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
		p.start.asked = true
	}
	return q
}

// waitFor waits for work or the time at (zero: none); false when ctx ends first.
func waitFor(ctx context.Context, work <-chan struct{}, at time.Time) bool {
	var timer <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-work:
		return true
	case <-timer:
		return true
	case <-ctx.Done():
		return false
	}
}

// settleLookups takes the answers in: take is called for each partition whose question still stands, and says whether it
// is to be asked again later. What take logs and why it wants metadata is seen to without the lock.
func (c *Consumer) settleLookups(parts []lookup, refresh string, take func(l *lookup, out *lookupResult) (again bool)) {
	backoff := c.cfg.backoff()
	out := &lookupResult{refresh: refresh}
	c.sub.mu.Lock()
	for i := range parts {
		l := &parts[i]
		if l.void() {
			continue
		}
		p := l.p
		p.start.asked = false
		if take(l, out) {
			p.start.attempts++
			p.start.retryAt = time.Now().Add(backoff.After(p.start.attempts))
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
	events  []logEvent
	refresh string // why metadata is to be asked for
}

// lookUpCommitted asks for committed offsets; a partition without one is left to the reset policy.
func (c *Consumer) lookUpCommitted(ctx context.Context, parts []lookup) {
	tps := make([]TopicPartition, len(parts))
	for i, l := range parts {
		tps[i] = l.tp
	}
	answers, err := c.askCommitted(ctx, tps, attemptOf(parts))
	if ctx.Err() != nil {
		return
	}
	c.settleLookups(parts, "", func(l *lookup, out *lookupResult) bool {
		p := l.p
		a, ok := answers[l.tp]
		switch {
		case err != nil:
			if !c.committedMayPass(err) {
				c.sub.fail(p, c.groupError("OffsetFetch", err))
			}
			return true
		case !ok:
			return true // an answer that is not there does not mean that nothing is committed
		case a.code.Err() != nil:
			if actionForCommitted(a.code) == committedFail {
				c.sub.fail(p, brokerError("OffsetFetch", fmt.Sprint(a.node), l.tp, a.code))
			}
			return true
		case a.Offset < 0 && p.start.hasFallback:
			out.events = append(out.events, logEvent{slog.LevelInfo, "kafka: nothing is committed; starting where this consumer first did",
				[]any{"group", c.cfg.groupID, "topic", l.tp.Topic, "partition", l.tp.Partition, "offset", p.start.fallback}})
			c.sub.begin(p, p.start.fallback, -1)
			return false
		case a.Offset < 0:
			p.start.committed = false
			c.sub.healed(p)
			return false
		}
		out.events = append(out.events, logEvent{slog.LevelDebug, "kafka: starting at the committed offset",
			[]any{"group", c.cfg.groupID, "topic", l.tp.Topic, "partition", l.tp.Partition, "offset", a.Offset}})
		c.sub.begin(p, a.Offset, a.LeaderEpoch)
		p.committed, p.committedAt = a.Offset, time.Now()
		return false
	})
}

// lookUpEnds asks one leader for offsets by the reset policy.
func (c *Consumer) lookUpEnds(ctx context.Context, node int32, parts []lookup) {
	questions := make([]offsetQuestion, len(parts))
	for i, l := range parts {
		questions[i] = offsetQuestion{tp: l.tp, timestamp: l.start.reset.at(time.Now()), leaderEpoch: l.leaderEpoch}
	}
	answers, err := c.askOffsets(ctx, node, questions, attemptOf(parts))
	if ctx.Err() != nil {
		return
	}
	refresh := ""
	if err != nil {
		refresh = "ListOffsets failed: " + err.Error()
	}
	c.settleLookups(parts, refresh, func(l *lookup, out *lookupResult) bool {
		p := l.p
		a, ok := answers[l.tp]
		switch {
		case !ok:
			return true
		case a.code == protocol.None && a.offset >= 0:
			out.events = append(out.events, c.positioned(p, a))
			return false
		case a.code == protocol.None && l.start.reset.kind == resetByDuration: // nothing that young: the end
			p.start.reset = ResetLatest
			return false
		}
		switch action := actionForListOffsets(a.code); {
		case action == offsetsNothing && l.start.reset.kind == resetByDuration:
			p.start.reset = ResetLatest
			return false
		case action == offsetsRefresh:
			out.refresh = a.code.Name() + " for " + l.tp.String()
		case action == offsetsFail, action == offsetsNothing: // the ends of a log always exist
			c.sub.fail(p, brokerError("ListOffsets", fmt.Sprint(node), l.tp, a.code))
		}
		return true
	})
}

// positioned gives a partition the position that was looked up; every reset is an event for the log.
func (c *Consumer) positioned(p *partition, a offsetAnswer) logEvent {
	e := logEvent{level: slog.LevelInfo, msg: "kafka: position reset", args: []any{
		"topic", p.tp.Topic, "partition", p.tp.Partition, "from", p.start.from, "offset", a.offset, "reason", p.start.why}}
	if p.start.from >= 0 {
		e.level = slog.LevelWarn
	}
	if c.cfg.groupID != "" && p.start.from < 0 {
		c.sub.firstStart[p.tp] = a.offset
	}
	c.sub.begin(p, a.offset, -1)
	return e
}

// tellHopeless makes Get calls tell that there is no position and no policy to find one.
func (c *Consumer) tellHopeless(ctx context.Context, parts []lookup) {
	for _, l := range parts {
		var err error = &NoOffsetForPartitionError{TopicPartition: l.tp, GroupID: c.cfg.groupID}
		if l.start.from >= 0 {
			err = c.outOfRangeError(ctx, l.tp, l.start)
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

func (c *Consumer) wakePositions() {
	select {
	case c.positionWork <- struct{}{}:
	default:
	}
}
