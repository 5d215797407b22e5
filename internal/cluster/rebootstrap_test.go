package cluster

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Every broker gets another address, as when a cluster is made anew under the same bootstrap name.
func TestRebootstrap_WhenAllKnownBrokersAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		fake.CreateTopic("t", 2)
		seed := "bootstrap:9092" // a name that leads to wherever broker 1 is
		c := started(t, fake, []string{"t"}, func(cfg *Config) {
			cfg.Bootstrap = []string{seed}
			cfg.Broker.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == seed {
					addr = fake.Addr(1)
				}
				return fake.Dial(ctx, network, addr)
			}
		})
		for id := int32(1); id <= 2; id++ {
			fake.StopNode(id)
			fake.MoveNode(id, "moved", 9000+int(id))
		}
		require.NoError(t, fake.StartNode(1))
		require.NoError(t, fake.StartNode(2))
		gone := time.Now()
		c.Refresh("a test")
		awaitView(t, c, func(m *Metadata) bool {
			b, ok := m.Broker(2)
			return ok && b.Addr() == "moved:9002"
		})
		require.LessOrEqual(t, time.Since(gone), 3*time.Second)
		require.NoError(t, ping(t.Context(), c, 2, KindFetch))
	})
}

func TestRebootstrap_WhenTheBrokersAskForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		c := started(t, fake, nil, nil)
		require.NoError(t, ping(t.Context(), c, 1, KindFetch))
		require.NoError(t, ping(t.Context(), c, 2, KindFetch))
		synctest.Wait() // the brokers are done with what Start has asked them
		fake.HandleN(protocol.KeyMetadata, 2, func(*fakebroker.Call) fakebroker.Reply {
			r := protocol.NewMetadataResponse()
			r.ErrorCode = protocol.RebootstrapRequired
			return fakebroker.Reply{Response: r}
		})
		versions := fake.Count(protocol.KeyApiVersions)
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.Greater(t, fake.Count(protocol.KeyApiVersions), versions, "the bootstrap list was dialed")
		synctest.Wait()
		require.Equal(t, 1, fake.Connections(1)+fake.Connections(2), "what was known is dropped")
		require.NoError(t, ping(t.Context(), c, 1, KindFetch))
		require.NoError(t, ping(t.Context(), c, 2, KindFetch))
	})
}

func TestRebootstrap_AfterLongWithoutMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, func(cfg *Config) { cfg.RebootstrapAfter = 20 * time.Second })
		fake.Handle(protocol.KeyMetadata, func(*fakebroker.Call) fakebroker.Reply {
			return fakebroker.Reply{Response: protocol.NewMetadataResponse()} // no brokers: says nothing
		})
		c.Refresh("a test")
		time.Sleep(15 * time.Second)
		require.Len(t, c.Metadata().Brokers, 1, "an answer without brokers changes nothing")
		time.Sleep(15 * time.Second)
		fake.Handle(protocol.KeyMetadata, nil)
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.NoError(t, ping(t.Context(), c, 1, KindFetch))
	})
}

func TestPublish_BrokerThatMovesIsDialedAtItsNewAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		c := started(t, fake, nil, nil)
		require.NoError(t, ping(t.Context(), c, 1, KindGeneral))
		require.NoError(t, ping(t.Context(), c, 2, KindFetch))
		fake.StopNode(2)
		fake.MoveNode(2, "moved", 9092)
		require.NoError(t, fake.StartNode(2))
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.NoError(t, ping(t.Context(), c, 2, KindFetch))
	})
}

// Another cluster behind the same names: its epochs start anew, and must not be measured against the old ones.
func TestRefresh_AnotherClusterStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakebroker.Start(t, fakebroker.Options{InMemory: true, MaxVersions: map[protocol.APIKey]int16{protocol.KeyMetadata: 9}}) // no topic ids
		fake.CreateTopic("t", 1)
		for range 5 {
			fake.MoveLeader("t", 0, 1)
		}
		c := started(t, fake, []string{"t"}, nil)
		p, _ := c.Metadata().Partition("t", 0)
		require.Equal(t, int32(5), p.LeaderEpoch)

		fake.CreateTopic("t", 1)
		require.NoError(t, c.WaitRefresh(t.Context()))
		p, _ = c.Metadata().Partition("t", 0)
		require.Equal(t, int32(5), p.LeaderEpoch, "in the same cluster it is a broker that lags")

		fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
			r := k.Default().(*protocol.MetadataResponse)
			other := "another cluster"
			r.ClusterID = &other
			return fakebroker.Reply{Response: r}
		})
		require.NoError(t, c.WaitRefresh(t.Context()))
		p, _ = c.Metadata().Partition("t", 0)
		require.Zero(t, p.LeaderEpoch)
	})
}
