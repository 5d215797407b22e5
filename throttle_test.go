package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// throttled makes the broker throttle every fetch that brings something.
func throttled(k *fakebroker.Cluster, by time.Duration) {
	k.Handle(protocol.KeyFetch, func(call *fakebroker.Call) fakebroker.Reply {
		resp, _ := call.Default().(*protocol.FetchResponse)
		if resp == nil { // the connection has ended
			return fakebroker.Reply{Drop: true}
		}
		for _, topic := range resp.Responses {
			for _, p := range topic.Partitions {
				if len(p.Records) > 0 {
					resp.ThrottleTimeMs = int32(by.Milliseconds())
				}
			}
		}
		return fakebroker.Reply{Response: resp}
	})
}

// A broker with a quota asks for silence that is longer than a fetch may take. It is kept, and is no sign of a broker that hangs: the
// connection stays, nobody is suspected, and the next fetch goes out when it is over.
func TestThrottle_IsKeptAndNoSignOfAHungBroker(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.AppendValues("t", 0, "a")
		throttled(k, 5*time.Second)
		c := startConsumer(t, k, WithTopics("t"))
		require.Equal(t, []string{"a"}, values(receive(t, c, 1)))
		answered := time.Now()
		dials, looks := k.Count(protocol.KeyApiVersions), k.Count(protocol.KeyMetadata)

		for i, value := range []string{"b", "c", "d"} {
			k.AppendValues("t", 0, value)
			require.Equal(t, []string{value}, values(receive(t, c, 1)))
			require.Equal(t, time.Duration(i+1)*5*time.Second, time.Since(answered))
		}

		require.Equal(t, dials, k.Count(protocol.KeyApiVersions), "connections")
		require.Equal(t, looks, k.Count(protocol.KeyMetadata), "a suspect would have metadata asked for")
		require.Len(t, k.Calls(protocol.KeyFetch), 4)
	})
}

// While one broker keeps us silent, the others are fetched from.
func TestThrottle_OfOneBrokerHoldsUpNoOther(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 2}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 2)
		k.MoveLeader("t", 0, 1)
		k.MoveLeader("t", 1, 2)
		k.Handle(protocol.KeyFetch, func(call *fakebroker.Call) fakebroker.Reply {
			resp, _ := call.Default().(*protocol.FetchResponse)
			if resp == nil { // the connection has ended
				return fakebroker.Reply{Drop: true}
			}
			if call.Node == 1 {
				resp.ThrottleTimeMs = 30_000
			}
			return fakebroker.Reply{Response: resp}
		})
		c := startConsumer(t, k, WithTopics("t"))
		time.Sleep(2 * time.Second) // on the bubble's clock: the throttling has begun
		began := time.Now()
		for range 10 {
			k.AppendValues("t", 1, "flows")
			require.Equal(t, []string{"flows"}, values(receive(t, c, 1)))
		}
		require.Zero(t, time.Since(began))
		k.AppendValues("t", 0, "late")
		m, err := c.GetOne(t.Context())
		require.NoError(t, err)
		require.Equal(t, "late", string(m.Value))
		require.LessOrEqual(t, time.Since(began), 30*time.Second)
	})
}
