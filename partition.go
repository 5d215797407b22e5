package kafka

import (
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A partition is the state of one assigned partition. Everything in it is guarded by subscription.mu; the parts name
// who decides about them. A consumer may have many thousand of them, and most are quiet: it is kept small.
type partition struct {
	tp TopicPartition

	// The subscription's: where the application is.
	epoch     uint64    // one more at every seek and when the partition goes: what was fetched before is void then
	dropped   *dropping // the subscription is without its topic: it goes as soon as its listener was told; nil: it is not dropped
	gone      bool      // no longer assigned
	paused    bool
	missing   bool     // assigned by hand, and not there when metadata last named its topic's partitions
	leaving   bool     // being given up: nothing more is handed out
	told      bool     // a listener was told that it is revoked, and could commit
	revoking  bool     // OnPartitionsRevoked has been told, or is about to be: no other call says that it goes
	evicted   bool     // it was lost with the membership: others may have had it since
	gated     bool     // its listener has not returned from OnPartitionsAssigned; within peekMany: all it has is peeked
	refused   bool     // its listener failed to take it: told, and not consumed, until the application seeks it
	known     bool     // position is valid
	inRing    bool     // in subscription.ring
	undecoded bool     // in subscription.undecoded
	turn      int      // messages it may still give before it is the next one's turn
	position  int64    // offset of the next message to hand out
	lastEpoch int32    // leader epoch of the batch before position; -1 unknown
	moved     uint32   // counts seeks and resets: what was committed by hand before says nothing of what is read after
	start     *startAt // many partitions may share one: it is replaced, never changed
	asking    asking

	handTurn     uint64 // the turn in which it last handed messages out
	handedTo     int64  // behind the last message that was handed out since the position was moved; 0: none was
	settledTo    int64  // the position when that turn began, or what was committed by hand since
	settledEpoch int32  // leader epoch of the record before it
	commits      uint32 // counts what may have changed committed: an answer to what was asked before says nothing of it now
	committed    int64  // last known to be committed; unknownCommitted, commitOnItsWay
	committedAt  time.Time
	byHand       int64 // what was committed by hand since the position was last moved; autocommit does not go below. -1: nothing

	failure *failure

	// What the last fetch said; -1 and the zero time before one.
	highwater, stable, logStart int64
	lastAnswer                  time.Time

	buf   buffer
	fetch fetchState
}

// A dropping is of the partitions that a Subscribe has dropped.
type dropping struct {
	told RebalanceListener // the listener of the subscription that had them; nil: there is none
	seq  uint64            // counts the calls that may drop partitions
}

// What partition.committed is where it is no offset.
const (
	unknownCommitted = -1
	commitOnItsWay   = -2
)

// startAt says how a partition without a position gets one.
type startAt struct {
	committed   bool // the group's committed offset comes first, if there is one
	reset       OffsetReset
	fallback    firstStart // where there is no committed offset, if hasFallback
	hasFallback bool
	why         string
	from        int64 // the offset that was out of range; -1 where there was none
	cut         int64 // where the log was cut; 0: it was not, or nothing is left that is known
	unseen      bool  // assigned by hand, and metadata has not named it yet
}

// with gives a copy that is changed.
func (s *startAt) with(change func(s *startAt)) *startAt {
	c := *s
	change(&c)
	return &c
}

// started is of a partition that has its position.
var started = &startAt{from: -1}

// asking is how far the question for a partition's position, or whether it holds, has come.
type asking struct {
	asked    bool // a lookup is under way
	attempts int32
	retryAt  time.Time      // not before
	last     *lookupFailure // why the last lookup found nothing; nil: none has failed
}

// A lookupFailure is why a lookup found nothing, for all the partitions that it was for.
type lookupFailure struct{ err error }

// fetchState is the fetcher's: what to ask whom for next.
type fetchState struct {
	leader      int32 // broker to ask; -1 unknown
	leaderEpoch int32 // -1 unknown
	lastEpoch   int32 // leader epoch of the record before offset; -1 unknown
	attempts    int32
	replica     *closest // the replica to fetch from; nil: the leader
	topicID     [16]byte
	offset      int64 // next to ask for, behind what is buffered
	retryAt     time.Time
	dirty       *fetchNode // where it is queued for planning; nil: nowhere
	session     sessionEntry
	joined      time.Time // when session was last told of the partition
	flight      flight
	need        int                // bytes known to be needed for the next batch, where more than was reserved; 0 unknown
	corrupt     map[int64]struct{} // ends of the batches that were found corrupt once, a few of the latest
	held        bool               // not to be fetched until a Get call wants it: its batches were dropped to make room for others
	validate    bool               // the leader has changed: the log may have been cut (KIP-320), which is asked first
	lost        bool               // the position is not in the log, and no reset policy says where to go on
	compressed  bool               // all of the last record set was: no message points into such a one
	stuck       int32              // answers in a row that brought no progress
	resets      int32              // resets in a row without an answer
	refusal     protocol.ErrorCode // what the last answer with an error code said; None once there was one without
}

// foundCorrupt says whether the batch before next was found corrupt before; from now on it was.
func (f *fetchState) foundCorrupt(next int64) bool {
	if _, ok := f.corrupt[next]; ok {
		return true
	}
	if f.corrupt == nil {
		f.corrupt = make(map[int64]struct{})
	}
	if len(f.corrupt) == 8 {
		clear(f.corrupt) // one of them would be fetched once more
	}
	f.corrupt[next] = struct{}{}
	return false
}

// A flight is a partition's part in the last fetch on a side lane.
type flight struct {
	on     bool // it is out
	repeat bool // there was nothing at that offset before
	node   *fetchNode
	epoch  uint64
	offset int64
}

func newPartition(tp TopicPartition, start *startAt) *partition {
	return &partition{
		tp: tp, start: start, lastEpoch: -1, committed: unknownCommitted, byHand: -1,
		highwater: -1, stable: -1, logStart: -1,
		fetch: fetchState{leader: -1, leaderEpoch: -1, lastEpoch: -1},
	}
}

// deliverable says whether the partition has a message that may be handed out now.
func (p *partition) deliverable() bool {
	return !p.gone && !p.paused && !p.gated && !p.refused && !p.leaving && p.buf.ready()
}

// starting says whether the partition's position is being looked up, as far as is known with success.
func (p *partition) starting() bool {
	return !p.known && !p.gone && p.failure == nil && p.start.reset != ResetNone
}

// lag gives the distance from the position to the end of what may be read.
func (p *partition) lag(isolation IsolationLevel) (int64, bool) {
	end := p.readable(isolation)
	if !p.known || end < 0 {
		return 0, false
	}
	return max(0, end-p.position), true
}

// readable is the offset up to which there are records to hand out, as the last answer had it; -1 before one.
func (p *partition) readable(isolation IsolationLevel) int64 {
	if isolation == ReadCommitted && p.stable >= 0 {
		return p.stable
	}
	return p.highwater
}

// turnLength is how many messages one partition may give before others that have some are asked.
const turnLength = 128
