package kafka

import (
	"log/slog"
	"time"
)

// lookupWarnAfter is how long lookups of a position may fail, without that being an error of Get calls, until it is logged, and logged again. A
// failover of a leader or a coordinator takes less.
const lookupWarnAfter = 30 * time.Second

// lookedInVain is for a partition whose position was looked for in vain; before is the reason that was known until now. A consumer that waits for
// what does not come is not to do so in silence.
func (s *subscription) lookedInVain(p *partition, before *lookupFailure, now time.Time, out *lookupResult) {
	f := p.asking.last
	if f == nil {
		return
	}
	since := now
	if before != nil {
		since = before.since
	}
	if f.since = sooner(f.since, since); p.late(now) && now.Sub(s.toldLate) >= lookupWarnAfter && out.takes(slog.LevelWarn) {
		s.toldLate = now
		out.events = append(out.events, logEvent{slog.LevelWarn, "kafka: a position is still being looked for", []any{
			"topic", p.tp.Topic, "partition", p.tp.Partition, "partitions", s.countLate(now), "for", now.Sub(f.since).Round(time.Second), "err", f.err}})
	}
}

// late says whether p has been without a position for so long that it is to be logged. A failure is told by Get calls.
func (p *partition) late(now time.Time) bool {
	f := p.asking.last
	return f != nil && !p.known && p.failure == nil && now.Sub(f.since) >= lookupWarnAfter
}

func (s *subscription) countLate(now time.Time) (n int) {
	for _, p := range s.partitions {
		if p.late(now) {
			n++
		}
	}
	return n
}
