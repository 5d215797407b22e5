package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// This file logs what keeps a consumer waiting for what does not come, where that is no error of Get calls, as it may pass: a partition that
// nobody leads, a broker that refuses or hangs, a group that does not come to rest. A loop over messages is not to wait in silence.

const (
	// silenceWarnAfter is how long that may last until it is logged, and logged again. A failover of a leader or a coordinator takes less.
	silenceWarnAfter = 30 * time.Second
	// silenceTick is how often it is looked for.
	silenceTick = 10 * time.Second
)

// watchSilence ends with ctx.
func (c *Consumer) watchSilence(ctx context.Context) {
	w := silenceWatch{c: c}
	for sleep(ctx, silenceTick) {
		now := time.Now()
		c.logAll(append(w.group(now), w.partitions(now)...))
	}
}

// silenceWatch is what watchSilence knows from one look to the next.
type silenceWatch struct {
	c          *Consumer
	quiet      map[*partition]time.Time // since when nothing was heard of these
	joining    time.Time                // since when the group has not come to rest; zero: it has
	generation int32                    // that the group had: with another one, it has come to rest in between

	toldQuiet, toldJoining time.Time
}

// due says whether it is time to log what has lasted since then, which was last logged at told.
func due(since, now time.Time, told *time.Time) bool {
	if now.Sub(since) < silenceWarnAfter || now.Sub(*told) < silenceWarnAfter {
		return false
	}
	*told = now
	return true
}

// partitions looks at all that is assigned.
func (w *silenceWatch) partitions(now time.Time) []logEvent {
	c := w.c
	meta := c.cluster.Metadata()
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	if c.sub.budget.wasRefused() { // the application takes nothing, so that nothing is asked for
		w.quiet = nil
		return nil
	}
	var quiet map[*partition]time.Time
	var first *partition
	silent := 0
	for _, p := range c.sub.partitions {
		if !p.awaited() || !exists(meta, p.tp) || now.Sub(c.fetcher.heard(p)) < silenceTick+c.cfg.fetchMaxWait {
			continue
		}
		since, ok := w.quiet[p]
		if !ok {
			since = now
		}
		if quiet == nil {
			quiet = make(map[*partition]time.Time)
		}
		quiet[p] = since
		if now.Sub(since) < silenceWarnAfter {
			continue
		}
		if silent++; first == nil || since.Before(quiet[first]) {
			first = p
		}
	}
	w.quiet = quiet
	if first == nil || !due(quiet[first], now, &w.toldQuiet) {
		return nil
	}
	why := c.whyStuck(first, meta)
	if why == nil {
		why = errors.New("the broker that was asked has not answered yet")
	}
	event := logEvent{slog.LevelWarn, "kafka: a partition cannot be read", []any{
		"topic", first.tp.Topic, "partition", first.tp.Partition, "partitions", silent,
		"for", now.Sub(quiet[first]).Round(time.Second), "err", why}}
	return []logEvent{event}
}

// awaited says whether brokers are to be heard of p: it is consumed, has nothing that waits for the application, and no Get call tells an error.
func (p *partition) awaited() bool {
	return !p.gone && !p.paused && !p.gated && !p.refused && !p.leaving && p.dropped == nil && p.failure == nil &&
		!p.fetch.held && !p.fetch.lost && len(p.buf.segments) == 0
}

// exists says whether the cluster has the partition, as far as is known. What it has not is told when it is missed.
func exists(meta *cluster.Metadata, tp TopicPartition) bool {
	t := meta.Topics[tp.Topic]
	if t != nil && t.Err != protocol.None {
		return actionForTopic(t.Err) != topicAbsent
	}
	_, there := meta.Partition(tp.Topic, tp.Partition)
	return there
}

// heard is when a broker last said how much there is of p, or that there is nothing new: the zero time where p has no position, or its log
// is to be compared with what was read.
func (f *fetcher) heard(p *partition) time.Time {
	switch {
	case !p.known, p.fetch.validate:
		return time.Time{}
	case p.fetch.refusal != protocol.None:
		return p.lastAnswer // the session's answers are none for it
	}
	return f.answered(p)
}

// whyStuck is what is known to keep a partition from being read; nil where nothing has gone wrong. Called with the mutex held.
func (c *Consumer) whyStuck(p *partition, meta *cluster.Metadata) error {
	part, there := meta.Partition(p.tp.Topic, p.tp.Partition)
	n := c.fetcher.nodes[p.source()]
	switch {
	case !there || meta.Topics[p.tp.Topic].Err != protocol.None:
		return unknownPartition(meta, p.tp)
	case p.asking.last != nil:
		return p.asking.last.err
	case part.Leader < 0:
		return withoutLeader(meta, p.tp)
	case !p.known:
		return nil
	case p.fetch.refusal != protocol.None:
		return brokerError("Fetch", fmt.Sprint(p.source()), p.tp, p.fetch.refusal)
	case n != nil && n.failure != nil:
		return n.failure
	}
	return nil
}

// group looks at the membership.
func (w *silenceWatch) group(now time.Time) []logEvent {
	g := w.c.group
	if g == nil {
		return nil
	}
	g.mu.Lock()
	state, trouble, generation := g.m.state, g.m.trouble, g.m.generation
	outside := g.m.desired() && !g.m.told && state != memberStable
	g.mu.Unlock()
	switch {
	case !outside:
		w.joining = time.Time{}
		return nil
	case w.joining.IsZero() || generation != w.generation:
		w.joining, w.generation = now, generation
	}
	if !due(w.joining, now, &w.toldJoining) {
		return nil
	}
	args := []any{"group", w.c.cfg.groupID, "state", state.String(), "for", now.Sub(w.joining).Round(time.Second)}
	if trouble != nil {
		args = append(args, "err", w.c.groupError("joining group "+w.c.cfg.groupID, trouble))
	}
	event := logEvent{slog.LevelWarn, "kafka: the group does not come to rest", args}
	return []logEvent{event}
}
