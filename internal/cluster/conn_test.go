package cluster

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// ping is a question that every broker answers.
func ping(ctx context.Context, c *Client, id int32, k Kind) error {
	_, _, err := c.Do(ctx, id, k, metadataRequest(nil, false), broker.CallOptions{})
	return err
}

func TestDo_EachKindHasItsOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		for k := range kinds {
			for range 3 {
				require.NoError(t, ping(t.Context(), c, 1, k), k)
			}
		}
		require.Equal(t, int(kinds), fake.Connections(1))

		c.CloseConn(1, KindFetch)
		require.NoError(t, fake.Await(t.Context(), func() bool { return fake.Connections(1) == int(kinds)-1 }))
		require.NoError(t, ping(t.Context(), c, 1, KindFetch))
		require.Equal(t, int(kinds), fake.Connections(1))
	})
}

func TestDo_LongPollDelaysNoOtherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		done := make(chan error, 1)
		go func() {
			_, err := c.Fetch(t.Context(), 1, KindFetch, longPoll(), broker.CallOptions{}, discard{})
			done <- err
		}()
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, ping(t.Context(), c, 1, KindGeneral))
		require.NoError(t, ping(t.Context(), c, 1, KindFetchSide))
		require.Zero(t, time.Since(begun))
		require.NoError(t, <-done)
	})
}

func TestDo_CallersShareOneDialAndMayLeaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		var mu sync.Mutex
		dials := 0
		hold := make(chan struct{})
		c := started(t, fake, nil, func(cfg *Config) {
			cfg.Bootstrap = cfg.Bootstrap[:1]
			cfg.Broker.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == fake.Addr(2) {
					mu.Lock()
					dials++
					mu.Unlock()
					<-hold
				}
				return fake.Dial(ctx, network, addr)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 3)
		for i := range 3 {
			use := t.Context()
			if i == 0 {
				use = ctx
			}
			go func() { results <- ping(use, c, 2, KindGeneral) }()
		}
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-results, context.Canceled)
		close(hold)
		require.NoError(t, <-results)
		require.NoError(t, <-results)
		require.Equal(t, 1, dials)
	})
}

func TestDo_DialsWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		var mu sync.Mutex
		var dials []time.Time
		var log logBuffer
		c := started(t, fake, nil, func(cfg *Config) {
			cfg.Bootstrap = cfg.Bootstrap[:1]
			cfg.Logger = log.logger()
			cfg.Broker.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == fake.Addr(2) {
					mu.Lock()
					dials = append(dials, time.Now())
					mu.Unlock()
					return nil, errors.New("refused")
				}
				return fake.Dial(ctx, network, addr)
			}
		})
		for range 3000 { // a caller that tries every 10 ms for 30 s
			err := ping(t.Context(), c, 2, KindGeneral)
			down, ok := errors.AsType[*BrokerDownError](err)
			require.True(t, ok)
			require.ErrorContains(t, err, "broker 2 at "+fake.Addr(2))
			require.ErrorContains(t, err, "refused")
			usable, at := c.NodeUsable(2)
			require.False(t, usable)
			require.Equal(t, down.RetryAt, at)
			time.Sleep(10 * time.Millisecond)
		}
		require.InDelta(t, 33, len(dials), 8)
		for i, gap := 1, time.Duration(0); i < len(dials); i++ {
			gap = dials[i].Sub(dials[i-1])
			want := min(100*time.Millisecond<<(i-1), time.Second)
			require.InDelta(t, want.Seconds(), gap.Seconds(), 0.2*want.Seconds()+0.011, "dial %d", i)
		}
		require.Contains(t, log.String(), "broker cannot be reached")
	})
}

func TestDo_BrokerThatDropsConnectionsUnansweredIsBackedOffFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		c := started(t, fake, nil, func(cfg *Config) { cfg.Bootstrap = cfg.Bootstrap[:1] })
		fake.Handle(protocol.KeyListOffsets, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Drop: true} })
		before := fake.Count(protocol.KeyApiVersions)
		for range 1000 {
			_, _, err := c.Do(t.Context(), 2, KindGeneral, &protocol.ListOffsetsRequest{}, broker.CallOptions{})
			require.Error(t, err)
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, fake.Count(protocol.KeyApiVersions)-before, 20)
	})
}

func TestDo_ReconnectsAtOnceAfterALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		require.NoError(t, ping(t.Context(), c, 1, KindFetch))
		for range 5 {
			fake.DropConns(1)
			synctest.Wait()
			begun := time.Now()
			require.NoError(t, ping(t.Context(), c, 1, KindFetch))
			require.Zero(t, time.Since(begun))
		}
	})
}

// brokenVisitor refuses whatever it is shown.
type brokenVisitor struct{ discard }

var errBroken = errors.New("broken")

func (brokenVisitor) Response(*protocol.FetchResponse) error { return errBroken }

func TestFetch_VisitorsErrorCostsNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		for range 3 {
			_, err := c.Fetch(t.Context(), 1, KindFetch, longPoll(), broker.CallOptions{}, brokenVisitor{})
			require.ErrorIs(t, err, errBroken)
		}
		require.Equal(t, 2, fake.Connections(1))
		ok, _ := c.NodeUsable(1)
		require.True(t, ok)
	})
}

func TestDo_UnknownBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := newClient(t, fake, nil)
		require.ErrorIs(t, ping(t.Context(), c, 1, KindGeneral), ErrNotStarted)
		require.NoError(t, c.Start(t.Context()))
		err := ping(t.Context(), c, 77, KindGeneral)
		unknown, ok := errors.AsType[*UnknownBrokerError](err)
		require.True(t, ok)
		require.Equal(t, int32(77), unknown.Node)
		usable, at := c.NodeUsable(77)
		require.False(t, usable)
		require.True(t, at.IsZero())
		c.CloseConn(77, KindFetch)
		c.Avoid(77)
	})
}

func TestIdle_UnusedConnectionsAreClosedUsedOnesAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		c := started(t, fake, nil, func(cfg *Config) {
			cfg.ConnectionsMaxIdle, cfg.MetadataMaxAge = time.Minute, time.Hour
		})
		require.NoError(t, ping(t.Context(), c, 1, KindGroup))
		require.NoError(t, ping(t.Context(), c, 2, KindFetch))
		count := asked(fake)
		for range 10 {
			time.Sleep(30 * time.Second)
			require.NoError(t, ping(t.Context(), c, 2, KindFetch))
		}
		require.Equal(t, 1, fake.Connections(1)+fake.Connections(2))
		require.Equal(t, 1, fake.Connections(2))
		require.LessOrEqual(t, count(), 10, "an idle close is no reason to refresh")
		require.NoError(t, ping(t.Context(), c, 1, KindGroup), "and it is opened again when needed")
	})
}

func TestCoordinator_IsFoundKeptAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.SetCoordinator(2)
		c := started(t, fake, nil, nil)
		for range 3 {
			id, err := c.Coordinator(t.Context(), "g")
			require.NoError(t, err)
			require.Equal(t, int32(2), id)
		}
		require.Equal(t, 1, fake.Count(protocol.KeyFindCoordinator))
		fake.SetCoordinator(3)
		c.ForgetCoordinator("g", 1) // a late word about another
		id, err := c.Coordinator(t.Context(), "g")
		require.NoError(t, err)
		require.Equal(t, int32(2), id)
		c.ForgetCoordinator("g", 2)
		id, err = c.Coordinator(t.Context(), "g")
		require.NoError(t, err)
		require.Equal(t, int32(3), id)

		fake.SetCoordinator(-1)
		_, err = c.Coordinator(t.Context(), "other")
		require.ErrorIs(t, err, protocol.CoordinatorNotAvailable)
		require.ErrorContains(t, err, `"other"`)
		require.True(t, IsRetriable(err))
	})
}

func TestCoordinator_IsAskedForElsewhereAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.SetCoordinator(-1)
		c := started(t, fake, nil, nil)
		for range 10 {
			_, err := c.Coordinator(t.Context(), "g")
			require.ErrorIs(t, err, protocol.CoordinatorNotAvailable)
		}
		calls := fake.Calls(protocol.KeyFindCoordinator)
		require.Len(t, calls, 10, "one broker for each attempt")
		for i := range calls[1:] {
			require.NotEqual(t, calls[i].Node, calls[i+1].Node)
		}

		// A broker that is behind keeps nobody from the one that another broker knows.
		fake.SetCoordinator(2)
		behind := calls[9].Node
		fake.Handle(protocol.KeyFindCoordinator, func(k *fakebroker.Call) fakebroker.Reply {
			if k.Node != behind {
				return fakebroker.Reply{}
			}
			return fakebroker.Reply{Response: &protocol.FindCoordinatorResponse{Coordinators: []protocol.FindCoordinatorResponseCoordinator{
				{Key: "g", ErrorCode: protocol.CoordinatorNotAvailable},
			}}}
		})
		id, err := c.Coordinator(t.Context(), "g")
		require.NoError(t, err)
		require.Equal(t, int32(2), id)

		// Where there is no other, the same is asked again.
		for id := range int32(3) {
			if id+1 != behind {
				fake.StopNode(id + 1)
			}
		}
		c.ForgetCoordinator("g", 2)
		for range 2 {
			_, err = c.Coordinator(t.Context(), "g")
			require.ErrorIs(t, err, protocol.CoordinatorNotAvailable)
		}
	})
}

func TestDoAny_GoesOnFromBrokersThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		c := started(t, fake, nil, nil)
		fake.StopNode(1)
		fake.HangNode(2)
		begun := time.Now()
		_, _, node, err := c.doAny(t.Context(), noRefuser, metadataRequest(nil, false), broker.CallOptions{})
		require.NoError(t, err)
		require.Equal(t, int32(3), node)
		require.LessOrEqual(t, time.Since(begun), time.Second)
	})
}

func TestDoAny_BrokerThatComesBackIsAskedWhileAnotherHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		c := started(t, fake, nil, nil)
		fake.StopNode(1)
		fake.HangNode(2)
		done := make(chan error, 1)
		go func() {
			_, _, _, err := c.doAny(t.Context(), noRefuser, metadataRequest(nil, false), broker.CallOptions{})
			done <- err
		}()
		time.Sleep(5 * time.Second)
		require.NoError(t, fake.StartNode(1))
		back := time.Now()
		require.NoError(t, <-done)
		require.LessOrEqual(t, time.Since(back), 2*time.Second)
	})
}

func TestDo_ConnectionClosedForBeingIdleJustThenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		tries := 0
		err := c.on(t.Context(), 1, KindGeneral, func(conn *broker.Conn) error {
			if tries++; tries == 1 {
				require.True(t, conn.CloseIfIdle(time.Now()))
			}
			_, _, err := conn.Do(t.Context(), metadataRequest(nil, false), broker.CallOptions{})
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 2, tries)
	})
}
