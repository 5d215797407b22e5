package checker

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Check reads a journal in the order of its events and gives what was not kept, in the order it was noticed.
func Check(events []Event, o Options) []Violation {
	c := &check{o: o, logs: make(map[TP]*logState), txns: make(map[string]*bool), members: make(map[string]*member)}
	for _, e := range events { // what the log is in the end, whenever it was told
		c.learn(e)
	}
	for _, l := range c.logs {
		l.offsets = slices.Sorted(maps.Keys(l.acked))
	}
	for i, e := range events {
		c.at, c.now = i, e.Time
		c.take(e)
		c.watch()
	}
	c.at = -1
	c.finish()
	return c.out
}

type check struct {
	o       Options
	at      int
	now     time.Time
	watched time.Time
	logs    map[TP]*logState
	txns    map[string]*bool // committed or not; nil: open
	members map[string]*member
	out     []Violation
}

// A logState is what is known of one partition, apart from members.
type logState struct {
	acked      map[int64]string // offset → transaction
	offsets    []int64          // of acked, sorted
	appeared   map[int64]time.Time
	start      int64 // first offset that is still there
	gone       map[int64]bool
	delivered  map[int64]bool
	committed  int64 // -1: nothing
	handedOver *handover
}

// A handover is how the last owner parted from a partition.
type handover struct {
	member    string
	committed int64
	delivered int64 // one more than the highest
	graceful  bool
}

type member struct {
	expired bool
	owns    map[TP]*ownership
	busy    string // the callback that runs
}

// An ownership is from the assigned callback to the return of the revoked or lost one.
type ownership struct {
	since    time.Time
	last     int64 // highest offset delivered since it was moved; -1 none
	position int64 // -1 unknown
	moved    bool  // a seek or reset has happened: earlier offsets may come again
	seen     map[int64]bool
	leaving  Kind // Revoking or Losing; 0: no
	active   time.Time
	stalled  bool
	before   *handover
	start    int64 // what was committed when it began; -1 nothing
	settled  int64 // the application is done with what is below
	passed   int64 // the highest position there was before it was moved: a commit from then may be on its way
	done     int64 // the same of settled
}

func (c *check) log(tp TP) *logState {
	l := c.logs[tp]
	if l == nil {
		l = &logState{acked: map[int64]string{}, appeared: map[int64]time.Time{}, gone: map[int64]bool{}, delivered: map[int64]bool{}, committed: -1}
		c.logs[tp] = l
	}
	return l
}

func (c *check) member(name string) *member {
	m := c.members[name]
	if m == nil {
		m = &member{owns: make(map[TP]*ownership)}
		c.members[name] = m
	}
	return m
}

// learn takes in what the log is.
func (c *check) learn(e Event) {
	switch e.Kind {
	case Produced:
		l := c.log(e.TP)
		l.acked[e.Offset], l.appeared[e.Offset] = e.Txn, e.Time
		if _, ok := c.txns[e.Txn]; !ok {
			c.txns[e.Txn] = nil
		}
	case TxnEnded:
		committed := e.Committed
		c.txns[e.Txn] = &committed
	case Deleted:
		l := c.log(e.TP)
		if e.One {
			l.gone[e.Offset] = true
		} else {
			l.start = max(l.start, e.Offset)
		}
	}
}

// visible says whether a reader is to be given the record at an offset that was acknowledged.
func (c *check) visible(l *logState, offset int64) bool {
	txn := l.acked[offset]
	if txn == "" {
		return true
	}
	committed := c.txns[txn]
	return committed != nil && *committed
}

// unread gives the first record in [from, to) that a reader is to be given.
func (c *check) unread(l *logState, from, to int64) (offset int64, ok bool) {
	i, _ := slices.BinarySearch(l.offsets, max(from, l.start))
	for ; i < len(l.offsets) && l.offsets[i] < to; i++ {
		if offset = l.offsets[i]; !l.gone[offset] && c.visible(l, offset) {
			return offset, true
		}
	}
	return 0, false
}

func (c *check) failf(invariant, member string, tp TP, format string, args ...any) {
	c.out = append(c.out, Violation{Invariant: invariant, Event: c.at, Member: member, TP: tp, Text: fmt.Sprintf(format, args...)})
}

func (c *check) take(e Event) {
	switch e.Kind {
	case Assigned:
		c.assigned(e)
	case Revoking, Losing:
		c.leaving(e)
	case Revoked, Lost:
		c.left(e)
	case Expired:
		c.expired(e)
	case Delivered:
		c.delivered(e)
	case Committed:
		c.committed(e)
	case Position:
		c.position(e)
	case Seek, Reset:
		if own := c.owned(e, "I10"); own != nil {
			own.passed, own.done = max(own.passed, own.position), max(own.done, own.settled)
			own.moved, own.position, own.last, own.active, own.stalled = true, e.Offset, -1, e.Time, false
			own.settled = e.Offset // where it was sent is settled at once
			clear(own.seen)
			own.before = nil
		}
	case Stalled:
		if own := c.owned(e, "I10"); own != nil {
			own.stalled = true
		}
	case Settled:
		if own := c.owned(e, "I10"); own != nil {
			own.settled = max(own.settled, e.Offset)
		}
	}
}

// owned gives the ownership an event is about.
func (c *check) owned(e Event, invariant string) *ownership {
	own := c.member(e.Member).owns[e.TP]
	if own == nil {
		c.failf(invariant, e.Member, e.TP, "%v of a partition that is not owned", e.Kind)
	}
	return own
}

func (c *check) assigned(e Event) {
	m, l := c.member(e.Member), c.log(e.TP)
	m.expired = false
	if m.busy != "" {
		c.failf("I10", e.Member, e.TP, "%v begins while a callback of %v runs", e.Kind, m.busy)
	}
	if m.owns[e.TP] != nil {
		c.failf("I10", e.Member, e.TP, "assigned what is owned already")
		return
	}
	if !c.o.Shared {
		for _, name := range slices.Sorted(maps.Keys(c.members)) {
			other := c.members[name]
			if own := other.owns[e.TP]; own != nil && !other.expired && name != e.Member {
				c.failf("I9", e.Member, e.TP, "assigned while member %q owns it since %v", name, own.since)
			}
		}
	}
	m.owns[e.TP] = &ownership{since: e.Time, last: -1, position: -1, seen: map[int64]bool{}, active: e.Time, before: l.handedOver,
		start: l.committed, settled: max(l.committed, c.o.From[e.TP])}
}

func (c *check) leaving(e Event) {
	m := c.member(e.Member)
	own := c.owned(e, "I10")
	if own == nil {
		return
	}
	if own.leaving != 0 {
		c.failf("I10", e.Member, e.TP, "%v follows %v", e.Kind, own.leaving)
	}
	own.leaving = e.Kind
	callback := e.Kind.String()
	if m.busy != "" && m.busy != callback {
		c.failf("I10", e.Member, e.TP, "%v begins while a callback of %v runs", e.Kind, m.busy)
	}
	m.busy = callback
}

func (c *check) left(e Event) {
	m, l := c.member(e.Member), c.log(e.TP)
	own := c.owned(e, "I10")
	if own == nil {
		return
	}
	if want := map[Kind]Kind{Revoked: Revoking, Lost: Losing}[e.Kind]; own.leaving != 0 && own.leaving != want {
		c.failf("I10", e.Member, e.TP, "%v, and %v had begun", e.Kind, own.leaving)
	}
	m.busy = ""
	delete(m.owns, e.TP)
	for other := range maps.Values(c.members) {
		if other.owns[e.TP] != nil && (m.expired || !other.expired) {
			return // the group has given it on long ago
		}
	}
	l.handedOver = &handover{member: e.Member, committed: l.committed, delivered: own.last + 1, graceful: e.Kind == Revoked && !m.expired}
}

func (c *check) expired(e Event) {
	m := c.member(e.Member)
	m.expired = true
	for tp, own := range m.owns {
		l := c.log(tp)
		l.handedOver = &handover{member: e.Member, committed: l.committed, delivered: own.last + 1}
	}
}

func (c *check) delivered(e Event) {
	l := c.log(e.TP)
	own := c.owned(e, "I10")
	if own == nil {
		return
	}
	c.deliveredOnce(e, l, own)
	txn, acked := l.acked[e.Offset]
	if c.o.ReadCommitted && acked && !c.visible(l, e.Offset) {
		c.failf("I8", e.Member, e.TP, "offset %d of transaction %q, which was not committed", e.Offset, txn)
	}
	if own.leaving != 0 {
		c.failf("I10", e.Member, e.TP, "offset %d while the partition is %v", e.Offset, own.leaving)
	}
	c.deliveredInTurn(e, l, own)
	own.seen[e.Offset] = true
	own.last, own.active, own.stalled = e.Offset, e.Time, false
	own.position = e.Offset + 1
	l.delivered[e.Offset] = true
}

// deliveredOnce checks a delivery against those before: of this owner, and of the one before it.
func (c *check) deliveredOnce(e Event, l *logState, own *ownership) {
	switch {
	case own.seen[e.Offset]:
		c.failf("I2", e.Member, e.TP, "offset %d once more", e.Offset)
	case e.Offset <= own.last:
		c.failf("I3", e.Member, e.TP, "offset %d after %d", e.Offset, own.last)
	}
	b := own.before
	if b == nil || e.Offset >= b.delivered || own.moved {
		return
	}
	if e.Offset < b.committed {
		c.failf("I4", e.Member, e.TP, "offset %d, and %d was committed when member %q gave it up", e.Offset, b.committed, b.member)
	} else if c.o.Graceful && b.graceful {
		c.failf("I4", e.Member, e.TP, "offset %d, which member %q had when it gave it up in good order", e.Offset, b.member)
	}
}

// deliveredInTurn checks that nothing was passed over.
func (c *check) deliveredInTurn(e Event, l *logState, own *ownership) {
	switch {
	case own.last >= 0:
		if missing, ok := c.unread(l, own.last+1, e.Offset); ok {
			c.failf("I3", e.Member, e.TP, "offset %d is missing before %d", missing, e.Offset)
		}
	case own.position >= 0:
		if missing, ok := c.unread(l, own.position, e.Offset); ok {
			c.failf("I3", e.Member, e.TP, "offset %d is missing: the position was %d, and %d comes first", missing, own.position, e.Offset)
		}
	case own.start >= 0:
		from := own.start
		if c.member(e.Member).expired {
			from = max(from, l.committed) // of others, that have it by now
		}
		if missing, ok := c.unread(l, from, e.Offset); ok {
			c.failf("I11", e.Member, e.TP, "starts at %d without a word, past offset %d, and %d is committed", e.Offset, missing, own.start)
		}
	}
}

func (c *check) committed(e Event) {
	l := c.log(e.TP)
	if e.Member != "" {
		m := c.member(e.Member)
		own := m.owns[e.TP]
		switch {
		case own == nil:
			c.failf("I6", e.Member, e.TP, "a commit of %d of a partition that is not owned", e.Offset)
		case !e.ByUser && own.position >= 0:
			if missing, ok := c.unread(l, max(own.position, own.passed), e.Offset); ok {
				c.failf("I5", e.Member, e.TP, "committed %d, beyond the position %d, and offset %d was not delivered", e.Offset, own.position, missing)
			}
		}
		if own != nil && !e.ByUser && c.o.Settles {
			if offset, ok := c.unread(l, max(own.settled, own.done), e.Offset); ok {
				c.failf("I5", e.Member, e.TP, "committed %d, and the application is not done with offset %d", e.Offset, offset)
			}
		}
		if own != nil && !e.ByUser && !own.moved && e.Offset < l.committed {
			c.failf("I6", e.Member, e.TP, "committed %d after %d", e.Offset, l.committed)
		}
	}
	l.committed = e.Offset
	if b := l.handedOver; b != nil && b.member == e.Member && !c.tookOver(e, b) {
		b.committed = e.Offset
	}
}

// tookOver says whether the member that an event is of owns the partition again since it gave it up: what it commits then is of that.
func (c *check) tookOver(e Event, b *handover) bool {
	own := c.member(e.Member).owns[e.TP]
	return own != nil && own.before == b
}

func (c *check) position(e Event) {
	own := c.owned(e, "I10")
	if own == nil {
		return
	}
	l := c.log(e.TP)
	missing, skips := c.unread(l, own.position, e.Offset)
	switch {
	case own.position < 0 && own.start >= 0 && e.Offset != own.start && !(c.member(e.Member).expired && e.Offset == l.committed):
		c.failf("I11", e.Member, e.TP, "starts at %d without a word, and %d is committed", e.Offset, own.start)
	case own.position >= 0 && e.Offset < own.position:
		c.failf("I7", e.Member, e.TP, "the position goes from %d back to %d", own.position, e.Offset)
	case own.position >= 0 && skips:
		c.failf("I11", e.Member, e.TP, "the position goes from %d to %d without a word, past offset %d", own.position, e.Offset, missing)
	}
	if e.End > 0 && e.Offset > e.End {
		c.failf("I5", e.Member, e.TP, "the position %d is beyond the end %d", e.Offset, e.End)
	}
	if e.Offset > own.position {
		own.active, own.stalled = e.Time, false
	}
	own.position = e.Offset
}

// watch looks for partitions that have something to read and do not move (I12).
func (c *check) watch() {
	if c.o.StallAfter <= 0 || c.now.Equal(c.watched) || c.now.Before(c.o.Calm) {
		return
	}
	c.watched = c.now
	for _, name := range slices.Sorted(maps.Keys(c.members)) {
		m := c.members[name]
		for _, tp := range slices.SortedFunc(maps.Keys(m.owns), compareTP) {
			own := m.owns[tp]
			if own.stalled || own.leaving != 0 || m.expired || c.now.Sub(maxTime(own.active, c.o.Calm)) <= c.o.StallAfter {
				continue
			}
			if offset, since, ok := c.waits(c.log(tp), own); ok && c.now.Sub(since) > c.o.StallAfter {
				own.stalled = true // said once
				c.failf("I12", name, tp, "offset %d waits for %v, and nothing says why", offset, c.now.Sub(maxTime(maxTime(since, own.active), c.o.Calm)))
			}
		}
	}
}

// waits gives the first record that an owner has before it.
func (c *check) waits(l *logState, own *ownership) (offset int64, since time.Time, ok bool) {
	offset, ok = c.unread(l, max(own.position, own.last+1), math.MaxInt64)
	if !ok || l.appeared[offset].After(c.now) {
		return 0, time.Time{}, false
	}
	return offset, l.appeared[offset], true
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// finish checks what only the whole can tell: nothing is lost (I1), and nothing committed was left out (I8).
func (c *check) finish() {
	if !c.o.Complete {
		return
	}
	for _, tp := range slices.SortedFunc(maps.Keys(c.logs), compareTP) {
		l := c.logs[tp]
		for _, offset := range l.offsets {
			if offset < max(l.start, c.o.From[tp]) || l.gone[offset] || l.delivered[offset] || !c.visible(l, offset) {
				continue
			}
			if txn := l.acked[offset]; txn != "" {
				c.failf("I8", "", tp, "offset %d of the committed transaction %q was never delivered", offset, txn)
			} else {
				c.failf("I1", "", tp, "offset %d was never delivered", offset)
			}
		}
	}
}

func compareTP(a, b TP) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
