package kafka

import (
	"cmp"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A membership is one member's part in the classic group protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup; KIP-62,
// KIP-345, KIP-394, KIP-429) as a pure state machine: step takes an event, with the time in it, and gives the actions that
// follow. It knows no socket, clock, goroutine or lock; group.loop drives it.
type membership struct {
	cfg membershipConfig

	state      memberState
	wanted     bool // there is a subscription to join with
	memberID   string
	generation int32 // -1: none
	protocol   string
	leader     bool

	rejoin  bool   // a rebalance is due, once the state allows
	reason  string // of the next join (KIP-800)
	round   uint64 // counts joins: answers of an earlier one are void
	late    uint64 // the round of a JoinGroup that was out when it was time to leave; 0: none
	turn    uint64 // counts give-ups and leaves, in the same way
	attempt int    // failures in a row
	retryAt time.Time
	over    bool     // the consumer stops: what is wanted from now on is not
	parked  bool     // left for want of polls; the next one brings it back
	fatal   error    // no more joins, ever
	told    bool     // Get calls tell an error
	trouble error    // why the last JoinGroup or SyncGroup that was answered failed; nil: it did not
	by      answerer // who gave the answer that is being taken in

	beatAt  time.Time // when the next heartbeat is due; zero: none is
	beating bool      // one is out
	beats   uint64    // counts them: the generation they were sent for may have gone
}

type membershipConfig struct {
	instance  string // static membership; "" for none
	heartbeat time.Duration
	backoff   cluster.Backoff
}

type memberState int8

const (
	memberIdle     memberState = iota // not in the group, nor on the way
	memberGivingUp                    // partitions are being given up before a join
	memberJoining                     // JoinGroup is out
	memberSyncing                     // SyncGroup is out, or the leader is assigning
	memberApplying                    // the assignment is being taken in
	memberStable
	memberLeaving // partitions are being given up before leaving, or LeaveGroup is out
)

func (s memberState) String() string {
	return [...]string{"idle", "giving up partitions", "joining", "syncing", "taking in the assignment", "stable", "leaving"}[s]
}

// settled says that commits can be sent: the generation is known, and no rebalance is about to change it.
func (m *membership) settled() bool {
	switch m.state {
	case memberJoining, memberSyncing:
		return false
	case memberApplying, memberStable:
		return true
	}
	return m.generation >= 0 || !m.desired()
}

// desired says whether this member is to be in the group.
func (m *membership) desired() bool { return m.wanted && !m.parked && m.fatal == nil }

// known says whether the coordinator may count this member in, so that it has something to leave.
func (m *membership) known() bool {
	return m.generation >= 0 || (m.memberID != "" && m.cfg.instance == "")
}

// The events of a membership.
type (
	evTick        struct{}
	evWanted      struct{ reason string } // a subscription, or a changed one
	evChanged     struct{ reason string } // a reason for a member to rebalance
	evUnwanted    struct{ over bool }     // no subscription any more; over: nor ever again
	evPollExpired struct{}                // the application takes no messages
	evPolled      struct{}                // it does again
	evGivenUp     struct{ turn uint64 }   // actGiveUp is done
	evLeft        struct{ turn uint64 }   // actLeave is done
	evJoined      struct {
		round uint64
		joinAnswer
	}
	evSynced struct {
		round uint64
		by    answerer
		code  protocol.ErrorCode
		err   error // no answer
	}
	evApplied struct {
		round uint64
		again bool // partitions were given up that others wait for (KIP-429)
	}
	evBeat struct {
		beats uint64
		by    answerer
		code  protocol.ErrorCode
		err   error
	}
	evRefused struct { // a commit was told that the group has moved on
		generation int32
		code       protocol.ErrorCode
	}
)

// A joinAnswer is what came of a JoinGroup.
type joinAnswer struct {
	by         answerer
	code       protocol.ErrorCode
	err        error // no answer
	hopeless   bool  // and asking again cannot help by itself
	ours       bool  // and nobody was asked: an assignor of this member failed
	memberID   string
	generation int32
	protocol   string
	leader     bool
}

// The actions of a membership.
type (
	actGiveUp struct { // give up partitions, then evGivenUp
		turn   uint64
		all    bool // not only what an eager rebalance takes
		lost   bool // they are gone already
		reason string
		cause  error // why they are lost: the coordinator's code, where it gave one
	}
	actJoin struct {
		round  uint64
		reason string
	}
	actSync  struct{ round uint64 }
	actApply struct{ round uint64 }
	actBeat  struct{ beats uint64 }
	actLeave struct {
		turn     uint64
		memberID string
		reason   string
	}
	actForgetCoordinator struct{}
	actTell              struct{ err error } // Get calls are to tell of it; nil: it has passed
)

// step takes an event and gives what is to be done.
func (m *membership) step(now time.Time, event any) []any {
	acts := m.take(now, event)
	return append(acts, m.next(now)...)
}

func (m *membership) take(now time.Time, event any) []any {
	m.by = answerer{}
	switch e := event.(type) {
	case evWanted:
		if m.over {
			break
		}
		m.wanted, m.parked = true, false
		m.wantRejoin(e.reason)
	case evChanged:
		if m.wanted {
			m.wantRejoin(e.reason)
		}
	case evUnwanted:
		m.wanted, m.rejoin, m.parked, m.over = false, false, false, m.over || e.over
	case evPollExpired:
		m.parked = true
	case evPolled:
		m.parked = false
	case evGivenUp:
		if e.turn == m.turn {
			return m.givenUp(now)
		}
	case evLeft:
		if m.state == memberLeaving && e.turn == m.turn {
			m.state = memberIdle
		}
	case evJoined:
		m.by = e.by
		if m.state == memberJoining && e.round == m.round {
			m.trouble = whyNotJoined("JoinGroup", e.by, e.code, e.err)
			return m.joined(now, e.joinAnswer)
		}
		if m.late != 0 && e.round == m.late {
			return m.joinedLeaving(now, e.joinAnswer)
		}
		return m.lateJoin(e.joinAnswer)
	case evSynced:
		m.by = e.by
		if m.state == memberSyncing && e.round == m.round {
			m.trouble = whyNotJoined("SyncGroup", e.by, e.code, e.err)
			return m.synced(now, e.code, e.err)
		}
	case evApplied:
		if m.state == memberApplying && e.round == m.round {
			m.state = memberStable
			if e.again {
				m.wantRejoin("partitions were given up for other members")
			}
		}
	case evBeat:
		m.by = e.by
		if e.beats == m.beats {
			return m.beat(now, e.code, e.err)
		}
	case evRefused:
		if e.generation == m.generation && m.generation >= 0 && m.state != memberJoining && m.state != memberSyncing {
			return m.refused("OffsetCommit", e.code)
		}
	}
	return nil
}

// next goes on from where the state is, as far as time allows.
func (m *membership) next(now time.Time) []any {
	switch m.state {
	case memberIdle, memberStable:
		if !m.desired() {
			if m.known() {
				return m.goAway()
			}
			return nil
		}
		if (m.state == memberIdle || m.rejoin) && !now.Before(m.retryAt) {
			m.state = memberGivingUp
			return append(m.giveUp(false, m.reason), m.pulse(now)...)
		}
	case memberJoining, memberSyncing:
		if !m.wanted {
			return m.goAway()
		}
	}
	return m.pulse(now)
}

// pulse sends a heartbeat that is due.
func (m *membership) pulse(now time.Time) []any {
	if !m.heartbeats() || m.beating || m.beatAt.IsZero() || now.Before(m.beatAt) {
		return nil
	}
	m.beating = true
	m.beats++
	return []any{actBeat{beats: m.beats}}
}

// wakeAt is when step wants an evTick, if nothing happens before; zero: never.
func (m *membership) wakeAt() time.Time {
	at := time.Time{}
	if m.heartbeats() && !m.beating {
		at = m.beatAt
	}
	if m.desired() && (m.state == memberIdle || (m.state == memberStable && m.rejoin)) {
		at = sooner(at, m.retryAt)
	}
	return at
}

// heartbeats says whether the coordinator expects them: a JoinGroup that is out stands for them.
func (m *membership) heartbeats() bool {
	switch m.state {
	case memberStable, memberApplying, memberSyncing:
		return true
	case memberGivingUp, memberLeaving:
		return m.generation >= 0
	}
	return false
}

func (m *membership) wantRejoin(reason string) {
	if !m.rejoin || m.reason == "" {
		m.reason = reason
	}
	m.rejoin = true
}

// goAway leaves the group, with what is held given up first.
func (m *membership) goAway() []any {
	if m.state == memberJoining && m.generation >= 0 {
		m.late = m.round
	}
	m.state = memberLeaving
	m.round++ // a join that is out, or an assignment, is void
	return m.giveUp(true, m.whyLeave())
}

// tookNoMessages is why a parked member is not in the group.
const tookNoMessages = "the application took no messages for the max poll interval"

func (m *membership) whyLeave() string {
	if m.parked {
		return tookNoMessages
	}
	return "the consumer leaves"
}

// giveUp has partitions given up. What an earlier one says of its end counts for nothing then.
func (m *membership) giveUp(all bool, reason string) []any {
	m.turn++
	return []any{actGiveUp{turn: m.turn, all: all, reason: reason}}
}

// givenUp goes on when partitions have been given up.
func (m *membership) givenUp(now time.Time) []any {
	switch {
	case m.state == memberLeaving:
		return m.leave()
	case m.state != memberGivingUp:
		return nil
	case !m.desired() || now.Before(m.retryAt):
		m.state = memberIdle // a join that failed a moment ago is not tried at once
		return nil
	}
	return m.join()
}

func (m *membership) join() []any {
	m.state, m.rejoin = memberJoining, false
	m.round++
	m.beatAt, m.beating = time.Time{}, false
	m.beats++ // an answer to a heartbeat of before says nothing now
	return []any{actJoin{round: m.round, reason: m.reason}}
}

// leave tells the coordinator, unless this is a static member, whose place is kept (KIP-345). That one comes back as if restarted,
// without its member id: joining with it would be a rebalance for all where what it says of itself has changed. Where the
// application only takes no messages it keeps the id, so that it cannot take the place back from a process started in its stead.
func (m *membership) leave() []any {
	id := m.memberID
	if m.cfg.instance == "" || !m.parked {
		m.memberID = ""
	}
	m.forget()
	m.turn++
	if id == "" || m.cfg.instance != "" {
		m.state = memberIdle
		return nil
	}
	return []any{actLeave{turn: m.turn, memberID: id, reason: m.whyLeave()}} // idle when the coordinator has answered
}

// forget drops the generation.
func (m *membership) forget() {
	m.generation, m.leader, m.late, m.beatAt, m.beating = -1, false, 0, time.Time{}, false
	m.beats++
}

// fail tells an error that does not pass by itself, and tries again later unless it is fatal. The coordinator does not take
// this member, so it will give what is held to others: that is lost.
func (m *membership) fail(now time.Time, err error, fatal bool) []any {
	m.retry(now)
	m.told = true
	if fatal {
		m.fatal = err
	}
	return append([]any{actTell{err: err}}, m.lose("the member could not join the group", codeOf(err))...)
}

func (m *membership) retry(now time.Time) {
	m.attempt++
	m.retryAt = now.Add(m.cfg.backoff.After(m.attempt))
}

// again goes back to joining after a wait; nothing of what is held is lost by it.
func (m *membership) again(now time.Time, reason string) []any {
	m.state = memberIdle
	m.retry(now)
	m.wantRejoin(reason)
	return nil
}

// An answerer is who gave an answer, as far as that is known: to which request, the broker, and its own words.
type answerer struct{ api, broker, message string }

// A groupRefusal is the code with which a coordinator, or who was asked for it, refused a member.
type groupRefusal struct {
	by   answerer
	code protocol.ErrorCode
}

func (e *groupRefusal) Error() string { return e.by.api + ": " + e.code.Error() }
func (e *groupRefusal) Unwrap() error { return e.code }

// whyNotJoined is why a JoinGroup or SyncGroup did not do its part; nil: it did, or was the first half of a join (KIP-394).
func whyNotJoined(api string, by answerer, code protocol.ErrorCode, err error) error {
	if err != nil || code == protocol.None || code == protocol.MemberIDRequired {
		return err
	}
	return groupFailure(api, by, code)
}

// groupFailure makes the error for a code that ends a join; api is what was asked, where by does not say.
func groupFailure(api string, by answerer, code protocol.ErrorCode) error {
	by.api = cmp.Or(by.api, api)
	return &groupRefusal{by: by, code: code}
}
