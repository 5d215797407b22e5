package kafka

import (
	"cmp"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A groupAction says what follows from an error code of JoinGroup, SyncGroup, Heartbeat or LeaveGroup.
type groupAction int8

const (
	groupRetry       groupAction = iota // the same again after a backoff
	groupCoordinator                    // look for the coordinator, then the same again
	groupRejoin                         // join again, with the member id
	groupReset                          // this member is not known any more: join as a new one
	groupSetID                          // join at once with the id in the answer (KIP-394)
	groupFail                           // tell, and try again later
	groupFatal                          // tell for ever
	groupDone                           // nothing: it is as was asked for
)

// The tables have every code that the schemas document, and what was seen of brokers.
var (
	joinActions = map[protocol.ErrorCode]groupAction{
		protocol.CoordinatorLoadInProgress:  groupRetry,
		protocol.CoordinatorNotAvailable:    groupCoordinator,
		protocol.NotCoordinator:             groupCoordinator,
		protocol.RequestTimedOut:            groupRetry,
		protocol.UnknownServerError:         groupRetry,
		protocol.RebalanceInProgress:        groupRetry,
		protocol.IllegalGeneration:          groupRejoin,
		protocol.UnknownMemberID:            groupReset,
		protocol.MemberIDRequired:           groupSetID,
		protocol.InconsistentGroupProtocol:  groupFail,
		protocol.InvalidSessionTimeout:      groupFail,
		protocol.InvalidGroupID:             groupFail,
		protocol.GroupAuthorizationFailed:   groupFail,
		protocol.GroupMaxSizeReached:        groupFail,
		protocol.UnsupportedVersion:         groupFail,
		protocol.ClusterAuthorizationFailed: groupFail,
		protocol.InvalidRequest:             groupFail,
		protocol.FencedInstanceID:           groupFatal,
	}
	syncActions = map[protocol.ErrorCode]groupAction{
		protocol.CoordinatorLoadInProgress: groupCoordinator,
		protocol.CoordinatorNotAvailable:   groupCoordinator,
		protocol.NotCoordinator:            groupCoordinator,
		protocol.RequestTimedOut:           groupCoordinator,
		protocol.UnknownServerError:        groupRejoin,
		protocol.RebalanceInProgress:       groupRejoin,
		protocol.IllegalGeneration:         groupRejoin,
		protocol.UnknownMemberID:           groupReset,
		protocol.InconsistentGroupProtocol: groupFail,
		protocol.InvalidGroupID:            groupFail,
		protocol.GroupAuthorizationFailed:  groupFail,
		protocol.FencedInstanceID:          groupFatal,
	}
	beatActions = map[protocol.ErrorCode]groupAction{
		protocol.CoordinatorLoadInProgress: groupRetry,
		protocol.CoordinatorNotAvailable:   groupCoordinator,
		protocol.NotCoordinator:            groupCoordinator,
		protocol.RequestTimedOut:           groupCoordinator,
		protocol.UnknownServerError:        groupRetry,
		protocol.RebalanceInProgress:       groupRejoin,
		protocol.IllegalGeneration:         groupReset,
		protocol.UnknownMemberID:           groupReset,
		protocol.GroupAuthorizationFailed:  groupFail,
		protocol.InvalidGroupID:            groupFail,
		protocol.FencedInstanceID:          groupFatal,
	}
	leaveActions = map[protocol.ErrorCode]groupAction{
		protocol.None:                      groupDone,
		protocol.UnknownMemberID:           groupDone, // it has gone already
		protocol.FencedInstanceID:          groupDone, // its place is another's already
		protocol.GroupIDNotFound:           groupDone,
		protocol.CoordinatorLoadInProgress: groupRetry,
		protocol.UnknownServerError:        groupRetry,
		protocol.CoordinatorNotAvailable:   groupCoordinator,
		protocol.NotCoordinator:            groupCoordinator,
		protocol.RequestTimedOut:           groupCoordinator,
		protocol.GroupAuthorizationFailed:  groupFail,
		protocol.InvalidGroupID:            groupFail,
		protocol.UnsupportedVersion:        groupFail,
	}
)

func groupActionFor(table map[protocol.ErrorCode]groupAction, code protocol.ErrorCode) groupAction {
	if a, ok := table[code]; ok {
		return a
	}
	if code.Retriable() {
		return groupRetry
	}
	return groupFail
}

// joined takes in the answer to a JoinGroup.
func (m *membership) joined(now time.Time, a joinAnswer) []any {
	if a.err != nil && a.ours {
		return m.fail(now, a.err, false) // without a join the coordinator does give what is held to others
	}
	if a.err != nil && a.hopeless {
		m.told = true
		return append(m.again(now, "the coordinator cannot be asked"), actForgetCoordinator{}, actTell{err: a.err})
	}
	if a.err != nil {
		return append(m.again(now, "the coordinator did not answer"), actForgetCoordinator{})
	}
	if a.code == protocol.None {
		m.memberID, m.generation, m.protocol, m.leader = a.memberID, a.generation, a.protocol, a.leader
		m.state = memberSyncing
		m.beatAt = now.Add(m.cfg.heartbeat)
		return []any{actSync{round: m.round}}
	}
	switch groupActionFor(joinActions, a.code) {
	case groupSetID:
		asked := m.memberID != ""
		m.memberID = cmp.Or(a.memberID, m.memberID)
		if asked || a.memberID == "" {
			return m.again(now, m.reason) // no broker does that, so it is not done at the pace of answers
		}
		return m.join()
	case groupReset:
		m.memberID = ""
		m.retry(now)
		return m.lose("the coordinator does not know the member", a.code)
	case groupCoordinator:
		return append(m.again(now, "the coordinator has moved"), actForgetCoordinator{})
	case groupFail:
		return m.fail(now, m.trouble, false)
	case groupFatal:
		return m.fail(now, m.trouble, true)
	}
	return m.again(now, m.reason)
}

// synced takes in the answer to a SyncGroup.
func (m *membership) synced(now time.Time, code protocol.ErrorCode, err error) []any {
	if err != nil {
		return append(m.again(now, "the coordinator did not answer"), actForgetCoordinator{})
	}
	if code == protocol.None {
		m.state = memberApplying
		m.attempt, m.retryAt, m.reason, m.told = 0, time.Time{}, "", false
		return []any{actTell{}, actApply{round: m.round}}
	}
	switch groupActionFor(syncActions, code) {
	case groupReset:
		m.memberID = ""
		m.retry(now)
		return m.lose("the coordinator does not know the member", code)
	case groupCoordinator:
		return append(m.again(now, "the coordinator has moved"), actForgetCoordinator{})
	case groupFail:
		return m.fail(now, m.trouble, false)
	case groupFatal:
		return m.fail(now, m.trouble, true)
	}
	m.state = memberIdle
	m.wantRejoin("a rebalance began before the last one ended")
	if code == protocol.RebalanceInProgress && m.attempt == 0 {
		m.attempt++ // joins at once: nothing was wrong
		return nil
	}
	m.retry(now)
	return nil
}

// joinedLeaving is for the answer to a JoinGroup that was out when it was time to leave. The coordinator takes the last
// commit only in the new generation, and when that has begun, so this member still does its part.
func (m *membership) joinedLeaving(now time.Time, a joinAnswer) []any {
	m.late = 0
	switch {
	case a.err != nil:
	case a.code == protocol.None:
		m.generation, m.protocol, m.leader = a.generation, a.protocol, a.leader
		m.beatAt = now.Add(m.cfg.heartbeat)
		return []any{actSync{round: m.round}}
	case groupActionFor(joinActions, a.code) == groupReset:
		return m.refused("JoinGroup", protocol.UnknownMemberID)
	}
	return nil
}

// lateJoin is for the answer to a join that was given up meanwhile: the id in it is nobody's, but would hold up the group's
// next rebalance until its session ends.
func (m *membership) lateJoin(a joinAnswer) []any {
	if a.memberID == "" || a.memberID == m.memberID || m.cfg.instance != "" ||
		(a.code != protocol.None && a.code != protocol.MemberIDRequired) {
		return nil
	}
	return []any{actLeave{memberID: a.memberID, reason: m.whyLeave()}}
}

// beat takes in the answer to a heartbeat.
func (m *membership) beat(now time.Time, code protocol.ErrorCode, err error) []any {
	m.beating = false
	if err != nil {
		// The membership is the coordinator's to end: until one says so, this member keeps what it has.
		m.beatAt = now.Add(min(m.cfg.heartbeat, m.cfg.backoff.After(1)))
		return []any{actForgetCoordinator{}}
	}
	m.beatAt = now.Add(m.cfg.heartbeat)
	if code == protocol.None {
		if m.told {
			m.told = false
			return []any{actTell{}}
		}
		return nil
	}
	switch groupActionFor(beatActions, code) {
	case groupRejoin, groupReset, groupFatal:
		if code == protocol.IllegalGeneration && m.state == memberSyncing {
			return nil // the answer to SyncGroup says what became of it
		}
		return m.refused("Heartbeat", code)
	case groupCoordinator:
		m.beatAt = now.Add(min(m.cfg.heartbeat, m.cfg.backoff.After(1)))
		return []any{actForgetCoordinator{}}
	case groupFail:
		m.told = true
		return []any{actTell{err: groupFailure("Heartbeat", m.by, code)}}
	}
	return nil
}

// refused is for a member that the group has moved past: its partitions are not its own any more.
func (m *membership) refused(api string, code protocol.ErrorCode) []any {
	switch code {
	case protocol.UnknownMemberID:
		m.memberID = ""
		return m.lose("the coordinator does not know the member", code)
	case protocol.IllegalGeneration:
		if m.late != 0 {
			return nil // the answer that is still out tells the new one
		}
		return m.lose("the group has rebalanced without this member", code)
	case protocol.FencedInstanceID:
		m.fatal, m.told = groupFailure(api, m.by, code), true
		return append([]any{actTell{err: m.fatal}}, m.lose("another consumer has the group instance id", code)...)
	case protocol.RebalanceInProgress:
		if m.state == memberStable || m.state == memberApplying {
			m.wantRejoin("the group is rebalancing")
		}
	}
	return nil
}

// lose drops every partition as lost, also those that are being given up, and joins anew. No generation: none is held.
func (m *membership) lose(reason string, cause error) []any {
	held := m.generation >= 0
	m.forget()
	m.round++ // an assignment being taken in is void
	if m.state != memberLeaving {
		m.wantRejoin(reason)
		m.state = memberGivingUp
	}
	if !held {
		if m.state == memberGivingUp {
			m.state = memberIdle
		}
		return nil
	}
	m.turn++
	return []any{actGiveUp{turn: m.turn, all: true, lost: true, reason: reason, cause: cause}}
}
