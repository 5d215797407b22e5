package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// What each error code of JoinGroup, SyncGroup and Heartbeat leads to: actions, then the state. The table has every row of
// the schemas' error lists, and codes that no table names.
func TestMembership_Codes(t *testing.T) {
	const (
		retry       = " =>  => idle"
		coordinator = " => forget coordinator => idle"
		newMember   = " => lose all => giving up partitions"
		refused     = " => tell, lose all => giving up partitions"
		goesOn      = " =>  => stable"
		rejoinNow   = " => give up => giving up partitions"
	)
	joining := toStable + "changed => give up => giving up partitions\ngiven-up => join => joining\n"
	syncing := joining + "joined a 2 => sync => syncing\n"
	beating := toStable + "+3s => beat => stable\n"
	for _, c := range []struct {
		at, event string
		follows   map[protocol.ErrorCode]string
	}{
		{joining, "joined ", map[protocol.ErrorCode]string{
			protocol.CoordinatorLoadInProgress:  retry,
			protocol.CoordinatorNotAvailable:    coordinator,
			protocol.NotCoordinator:             coordinator,
			protocol.RequestTimedOut:            retry,
			protocol.UnknownServerError:         retry,
			protocol.RebalanceInProgress:        retry,
			protocol.IllegalGeneration:          retry,
			protocol.UnknownMemberID:            newMember,
			protocol.MemberIDRequired:           retry, // with an id given before
			protocol.InconsistentGroupProtocol:  refused,
			protocol.InvalidSessionTimeout:      refused,
			protocol.InvalidGroupID:             refused,
			protocol.GroupAuthorizationFailed:   refused,
			protocol.GroupMaxSizeReached:        refused,
			protocol.UnsupportedVersion:         refused,
			protocol.ClusterAuthorizationFailed: refused,
			protocol.InvalidRequest:             refused,
			protocol.FencedInstanceID:           refused,
			protocol.NetworkException:           retry,   // unknown here, retriable
			protocol.UnsupportedSASLMechanism:   refused, // unknown here, not retriable
		}},
		{syncing, "synced ", map[protocol.ErrorCode]string{
			protocol.CoordinatorLoadInProgress: coordinator,
			protocol.CoordinatorNotAvailable:   coordinator,
			protocol.NotCoordinator:            coordinator,
			protocol.RequestTimedOut:           coordinator,
			protocol.UnknownServerError:        retry,
			protocol.RebalanceInProgress:       rejoinNow,
			protocol.IllegalGeneration:         retry,
			protocol.UnknownMemberID:           newMember,
			protocol.InconsistentGroupProtocol: refused,
			protocol.InvalidGroupID:            refused,
			protocol.GroupAuthorizationFailed:  refused,
			protocol.FencedInstanceID:          refused,
			protocol.NetworkException:          retry,
			protocol.UnsupportedSASLMechanism:  refused,
		}},
		{beating, "beat ", map[protocol.ErrorCode]string{
			protocol.CoordinatorLoadInProgress: goesOn,
			protocol.CoordinatorNotAvailable:   " => forget coordinator => stable",
			protocol.NotCoordinator:            " => forget coordinator => stable",
			protocol.RequestTimedOut:           " => forget coordinator => stable",
			protocol.UnknownServerError:        goesOn,
			protocol.RebalanceInProgress:       rejoinNow,
			protocol.IllegalGeneration:         newMember,
			protocol.UnknownMemberID:           newMember,
			protocol.GroupAuthorizationFailed:  " => tell => stable",
			protocol.InvalidGroupID:            " => tell => stable",
			protocol.FencedInstanceID:          refused,
			protocol.NetworkException:          goesOn,
			protocol.UnsupportedSASLMechanism:  " => tell => stable",
		}},
	} {
		table := map[string]map[protocol.ErrorCode]groupAction{"joined ": joinActions, "synced ": syncActions, "beat ": beatActions}[c.event]
		for code := range table {
			require.Contains(t, c.follows, code, "%s%s has an action but no test", c.event, code.Name())
		}
		for code, follows := range c.follows {
			t.Run(c.event+code.Name(), func(t *testing.T) {
				s := runScript(t, "", c.at+c.event+code.Name()+follows)
				if code == protocol.UnknownMemberID {
					require.Empty(t, s.m.memberID, "it joins as a new one")
				} else {
					require.Equal(t, "a", s.m.memberID)
				}
				require.Equal(t, code == protocol.FencedInstanceID, s.m.fatal != nil)
			})
		}
	}
}

// What each error code of LeaveGroup, of the group or the member, leads to.
func TestLeave_Codes(t *testing.T) {
	want := map[protocol.ErrorCode]groupAction{
		protocol.None:                      groupDone,
		protocol.UnknownMemberID:           groupDone,
		protocol.FencedInstanceID:          groupDone,
		protocol.GroupIDNotFound:           groupDone,
		protocol.CoordinatorLoadInProgress: groupRetry,
		protocol.UnknownServerError:        groupRetry,
		protocol.NetworkException:          groupRetry, // unknown here, retriable
		protocol.CoordinatorNotAvailable:   groupCoordinator,
		protocol.NotCoordinator:            groupCoordinator,
		protocol.RequestTimedOut:           groupCoordinator,
		protocol.GroupAuthorizationFailed:  groupFail,
		protocol.InvalidGroupID:            groupFail,
		protocol.UnsupportedVersion:        groupFail,
		protocol.UnsupportedSASLMechanism:  groupFail, // unknown here, not retriable
	}
	for code := range leaveActions {
		require.Contains(t, want, code, code.Name())
	}
	for code, action := range want {
		require.Equal(t, action, groupActionFor(leaveActions, code), code.Name())
	}
	member := func(code protocol.ErrorCode) []protocol.LeaveGroupResponseMember {
		return []protocol.LeaveGroupResponseMember{{MemberID: "a", ErrorCode: code}}
	}
	require.Equal(t, protocol.NotCoordinator, leaveCode(&protocol.LeaveGroupResponse{ErrorCode: protocol.NotCoordinator}))
	require.Equal(t, protocol.UnknownMemberID, leaveCode(&protocol.LeaveGroupResponse{Members: member(protocol.UnknownMemberID)}))
	require.Equal(t, protocol.None, leaveCode(&protocol.LeaveGroupResponse{Members: member(protocol.None)}))
}

// What each error code of OffsetCommit, of one partition, leads to.
func TestCommit_Codes(t *testing.T) {
	want := map[protocol.ErrorCode]commitAction{
		protocol.CoordinatorLoadInProgress:    commitRetry,
		protocol.UnknownTopicOrPartition:      commitRetry,
		protocol.UnknownTopicID:               commitRetry,
		protocol.UnknownServerError:           commitRetry,
		protocol.NotEnoughReplicas:            commitRetry,
		protocol.NotEnoughReplicasAfterAppend: commitRetry,
		protocol.NetworkException:             commitRetry, // unknown here, retriable
		protocol.CoordinatorNotAvailable:      commitCoordinator,
		protocol.NotCoordinator:               commitCoordinator,
		protocol.RequestTimedOut:              commitCoordinator,
		protocol.NotLeaderOrFollower:          commitCoordinator,
		protocol.OffsetMetadataTooLarge:       commitReport,
		protocol.InvalidCommitOffsetSize:      commitReport,
		protocol.TopicAuthorizationFailed:     commitReport,
		protocol.GroupAuthorizationFailed:     commitReport,
		protocol.ClusterAuthorizationFailed:   commitReport,
		protocol.InvalidGroupID:               commitReport,
		protocol.InvalidRequest:               commitReport,
		protocol.UnsupportedVersion:           commitReport,
		protocol.OffsetOutOfRange:             commitReport,
		protocol.UnsupportedSASLMechanism:     commitReport, // unknown here, not retriable
		protocol.IllegalGeneration:            commitMembership,
		protocol.UnknownMemberID:              commitMembership,
		protocol.FencedInstanceID:             commitMembership,
		protocol.RebalanceInProgress:          commitMembership,
		protocol.StaleMemberEpoch:             commitMembership,
		protocol.GroupIDNotFound:              commitMembership,
	}
	for code := range commitActions {
		require.Contains(t, want, code, code.Name())
	}
	for code, action := range want {
		require.Equal(t, action, actionForCommit(code), code.Name())
		if action == commitMembership {
			require.NotEmpty(t, commitReason(code), code.Name())
		}
	}
}

// What each error code of OffsetFetch, of the group or one partition, leads to: never to "nothing committed".
func TestCommitted_Codes(t *testing.T) {
	want := map[protocol.ErrorCode]committedAction{
		protocol.CoordinatorLoadInProgress: committedRetry,
		protocol.CoordinatorNotAvailable:   committedRetry,
		protocol.NotCoordinator:            committedRetry,
		protocol.UnstableOffsetCommit:      committedRetry,
		protocol.StaleMemberEpoch:          committedRetry,
		protocol.UnknownMemberID:           committedRetry,
		protocol.UnknownServerError:        committedRetry,
		protocol.RequestTimedOut:           committedRetry,
		protocol.NetworkException:          committedRetry,
		protocol.UnknownTopicOrPartition:   committedUnknown,
		protocol.UnknownTopicID:            committedUnknown,
		protocol.GroupAuthorizationFailed:  committedFail,
		protocol.TopicAuthorizationFailed:  committedFail,
		protocol.InvalidGroupID:            committedFail,
		protocol.UnsupportedSASLMechanism:  committedFail,
	}
	for code := range committedActions {
		require.Contains(t, want, code, code.Name())
	}
	for code, action := range want {
		require.Equal(t, action, actionForCommitted(code), code.Name())
	}
}
