// Package checker says, from a journal of what happened, whether a consumer or a group of them kept what it promises. It
// knows no Kafka client: simulations, tests through a fault proxy and tests on real clusters write the same journal. Check is
// a plain function of it.
//
// The invariants and their names are those of reliability-and-usability.md, A2: I1 no loss, I2 no duplicate within an
// ownership, I3 order, I4 duplicates between owners only of what was not committed, I5 and I6 commits, I7 positions, I8
// transactions, I9 one owner at a time, I10 well-formed callbacks, I11 no silent reset, I12 progress.
package checker

import (
	"fmt"
	"time"
)

// A TP is a partition of a topic.
type TP struct {
	Topic     string
	Partition int32
}

func (tp TP) String() string { return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition) }

// A Kind says what an Event tells.
type Kind int8

const (
	// Produced: the record at Offset was acknowledged. Txn names its transaction, "" for none.
	Produced Kind = iota + 1
	// TxnEnded: transaction Txn has ended; Committed says how. One that never ends is open.
	TxnEnded
	// Deleted: records of TP below Offset are gone from the log (retention, DeleteRecords), or the record at Offset alone
	// with One (compaction).
	Deleted
	// Assigned: Member's OnPartitionsAssigned for TP has begun (without a listener: it is consumed from now on).
	Assigned
	// Revoking, Losing: OnPartitionsRevoked or OnPartitionsLost for TP has begun.
	Revoking
	Losing
	// Revoked, Lost: that callback has returned. Without a listener, Revoked or Lost alone.
	Revoked
	Lost
	// Expired: the group has stopped counting Member in (session or rebalance timeout, a crash): others may own what it has.
	Expired
	// Delivered: Member has handed out the record at Offset.
	Delivered
	// Committed: the group has Offset, the next to read, of TP; by Member, "" where that is not known. ByUser says that the
	// application named the offset itself.
	Committed
	// Position: Member's position of TP is Offset; End is the log's end (the last stable offset under read_committed), 0 unknown.
	Position
	// Seek: the application has moved Member's position to Offset.
	Seek
	// Reset: the consumer has moved Member's position to Offset, and said so.
	Reset
	// Stalled: the consumer has said why TP does not move, or the application does not want it to.
	Stalled
	// Settled: Member's application is done with everything of TP below Offset; see Options.Settles.
	Settled
)

var kinds = [...]string{"?", "produced", "transaction ended", "deleted", "assigned", "revoking", "losing", "revoked", "lost", "expired",
	"delivered", "committed", "position", "seek", "reset", "stalled", "settled"}

func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kinds) {
		return kinds[0]
	}
	return kinds[k]
}

// An Event is one line of the journal. Which fields count depends on Kind; Time counts always.
type Event struct {
	Time      time.Time
	Kind      Kind
	Member    string
	TP        TP
	Offset    int64
	End       int64
	Txn       string
	Committed bool // of TxnEnded
	One       bool // of Deleted
	ByUser    bool // of Committed
}

// A Violation is one promise that was not kept.
type Violation struct {
	Invariant string // "I1" to "I12"
	Event     int    // index in the journal; -1: it is about the whole
	Member    string
	TP        TP
	Text      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %v, member %q, event %d: %s", v.Invariant, v.TP, v.Member, v.Event, v.Text)
}

// Options say what is expected beyond the journal.
type Options struct {
	// Complete says that the group had the time to read everything: every acknowledged record is to be delivered (I1).
	Complete bool
	// From is where reading begins on a partition, 0 where nothing is named; what is below need not be delivered.
	From map[TP]int64
	// Graceful forbids any duplicate between owners but after a loss or an expiry (I4).
	Graceful bool
	// Shared allows two owners at a time: eager members that were told late.
	Shared bool
	// ReadCommitted: records of aborted and open transactions must not be delivered (I8). Otherwise they may.
	ReadCommitted bool
	// StallAfter is how long an owned partition may have records to read and neither move nor say why (I12); 0: not checked.
	StallAfter time.Duration
	// Calm is when the faults have ended: I12 counts from here on. The zero time: from the beginning.
	Calm time.Time
	// Settles says that the journal has Settled events: a commit that the application did not make itself must not be past what
	// is settled, so that no crash loses a message (I5).
	Settles bool
}
