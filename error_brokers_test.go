package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// An answer that is told names the broker that gave it, and the request it was given to.
func TestErrors_NameTheBrokerThatAnswered(t *testing.T) {
	const code = protocol.GroupAuthorizationFailed
	refuse := map[string]struct {
		key    protocol.APIKey
		answer func(call *fakebroker.Call) protocol.Response
	}{
		"FindCoordinator": {protocol.KeyFindCoordinator, func(call *fakebroker.Call) protocol.Response {
			resp := call.Default().(*protocol.FindCoordinatorResponse)
			resp.ErrorCode = code
			for i := range resp.Coordinators {
				resp.Coordinators[i].ErrorCode = code
			}
			return resp
		}},
		"JoinGroup": {protocol.KeyJoinGroup, func(*fakebroker.Call) protocol.Response {
			resp := protocol.NewResponse(protocol.KeyJoinGroup).(*protocol.JoinGroupResponse)
			resp.ErrorCode = code
			return resp
		}},
		"SyncGroup": {protocol.KeySyncGroup, func(*fakebroker.Call) protocol.Response {
			return &protocol.SyncGroupResponse{ErrorCode: code}
		}},
		"Heartbeat": {protocol.KeyHeartbeat, func(*fakebroker.Call) protocol.Response {
			return &protocol.HeartbeatResponse{ErrorCode: code}
		}},
	}
	for api, how := range refuse {
		t.Run(api, func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 1)
				groupOfOne(k)
				k.Handle(how.key, func(call *fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Response: how.answer(call)} })
				c, err := NewConsumer(WithLogger(nil), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithGroupID("g"), WithTopics("t"))
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err = c.Start(ctx); err == nil {
					_, err = c.GetOne(ctx)
				}
				answer, ok := errors.AsType[*BrokerError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, []string{api, "1"}, []string{answer.API, answer.Broker})
				require.ErrorIs(t, err, code)
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestErrors_OfMetadataNameTheBrokerThatAnswered(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		c := startConsumer(t, k)
		_, asked := c.EndOffsets(t.Context(), TopicPartition{"t", 9})
		_, partitions := c.PartitionsForTopic(t.Context(), "missing")
		k.Handle(protocol.KeyMetadata, func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.MetadataResponse)
			for i := range resp.Topics {
				resp.Topics[i].ErrorCode = protocol.TopicAuthorizationFailed
			}
			return fakebroker.Reply{Response: resp}
		})
		require.NoError(t, c.Subscribe([]string{"t"}))
		_, got := c.GetOne(t.Context())
		for _, err := range []error{asked, partitions, got} {
			answer, ok := errors.AsType[*BrokerError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, []string{"Metadata", "1"}, []string{answer.API, answer.Broker})
		}
		stopClean(t, c)
	})
}

// Any broker may be asked for the coordinator: the same refusal by another one is no news.
func TestErrors_ARefusalByAnotherBrokerIsTheSame(t *testing.T) {
	r := newRooms(t, WithGroupID("g"))
	refusal := func(broker string, code protocol.ErrorCode) error {
		return r.groupError("joining", groupFailure("JoinGroup", answerer{"FindCoordinator", broker, ""}, code))
	}
	require.True(t, sameRefusal(refusal("1", protocol.GroupAuthorizationFailed), refusal("2", protocol.GroupAuthorizationFailed)))
	require.False(t, sameRefusal(refusal("1", protocol.GroupAuthorizationFailed), refusal("1", protocol.InvalidGroupID)))
	require.False(t, sameRefusal(nil, refusal("1", protocol.InvalidGroupID)))
	require.True(t, sameRefusal(errors.New("a"), errors.New("a")))
	require.False(t, sameRefusal(errors.New("a"), refusal("1", protocol.InvalidGroupID)))
}
