package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// asked counts the metadata requests from now on.
func asked(fake *fakebroker.Cluster) func() int {
	before := fake.Count(protocol.KeyMetadata)
	return func() int { return fake.Count(protocol.KeyMetadata) - before }
}

func TestRefresh_ByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		fake.CreateTopic("t", 1)
		c := started(t, fake, []string{"t"}, func(cfg *Config) { cfg.MetadataMaxAge = 10 * time.Second })
		count := asked(fake)
		time.Sleep(100 * time.Second)
		require.InDelta(t, 10, count(), 1)
		last := time.Time{}
		for _, k := range fake.Calls(protocol.KeyMetadata) {
			if !last.IsZero() {
				require.InDelta(t, 10, k.At.Sub(last).Seconds(), 1.001, "±10 %")
			}
			last = k.At
		}
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestRefresh_ManyDemandsAreOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		time.Sleep(10 * time.Second)
		count := asked(fake)
		for range 1000 {
			c.Refresh("a test")
		}
		synctest.Wait()
		require.Equal(t, 1, count(), "after a quiet time it is asked at once")
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, count())
	})
}

func TestRefresh_NeverHot(t *testing.T) {
	for _, tt := range []struct {
		name        string
		prepare     func(fake *fakebroker.Cluster)
		least, most int // requests in ten seconds
	}{
		{"a partition without a leader", func(fake *fakebroker.Cluster) { fake.MoveLeader("t", 0, -1) }, 38, 45},
		{"a topic that does not exist", func(fake *fakebroker.Cluster) { fake.DeleteTopic("t") }, 9, 15},
		{"brokers that fail", func(fake *fakebroker.Cluster) {
			fake.Handle(protocol.KeyMetadata, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Drop: true} })
		}, 8, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := nodes(t, 1)
				fake.CreateTopic("t", 1)
				c := started(t, fake, []string{"t"}, nil)
				time.Sleep(10 * time.Second)
				tt.prepare(fake)
				count := asked(fake)
				for range 1000 { // a caller that asks without mercy
					c.Refresh("a test")
					time.Sleep(10 * time.Millisecond)
				}
				require.GreaterOrEqual(t, count(), tt.least)
				require.LessOrEqual(t, count(), tt.most)
			})
		})
	}
}

func TestRefresh_LeaderlessForLongIsAskedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		fake.CreateTopic("t", 1)
		fake.MoveLeader("t", 0, -1)
		started(t, fake, []string{"t"}, nil)
		time.Sleep(2 * time.Minute)
		count := asked(fake)
		time.Sleep(time.Minute)
		require.InDelta(t, 60, count(), 2)
	})
}

func TestRefresh_NewLeaderIsKnownSoonAfterItsElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.CreateTopic("t", 3)
		c := started(t, fake, []string{"t"}, nil)
		time.Sleep(10 * time.Second)
		leader, _ := fake.Leader("t", 0)
		fetched := make(chan error, 1)
		go func() {
			_, err := c.Fetch(t.Context(), leader, KindFetch, longPoll(), broker.CallOptions{}, discard{})
			fetched <- err
		}()
		synctest.Wait()

		fake.StopNode(leader)
		require.Error(t, <-fetched)
		for _, election := range []time.Duration{0, 3 * time.Second, 9 * time.Second} {
			time.Sleep(election)
			next := leader%3 + 1
			fake.MoveLeader("t", 0, next)
			elected := time.Now()
			awaitView(t, c, leads("t", 0, next))
			require.LessOrEqual(t, time.Since(elected), 300*time.Millisecond)
			require.NoError(t, fake.StartNode(leader))
			leader = next
			fake.StopNode(leader)
			_, err := c.Fetch(t.Context(), leader, KindFetch, longPoll(), broker.CallOptions{}, discard{})
			require.Error(t, err)
		}
	})
}

func TestRefresh_HungBrokerHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.CreateTopic("t", 3)
		c := started(t, fake, []string{"t"}, nil)
		for id := int32(1); id <= 3; id++ { // a general connection to each, the hung one too
			_, _, err := c.Do(t.Context(), id, KindGeneral, metadataRequest(nil, false), broker.CallOptions{})
			require.NoError(t, err)
		}
		leader, _ := fake.Leader("t", 0)
		_, err := c.Fetch(t.Context(), leader, KindFetch, longPoll(), broker.CallOptions{}, discard{})
		require.NoError(t, err)
		fake.HangNode(leader)
		begun := time.Now()
		_, err = c.Fetch(t.Context(), leader, KindFetch, longPoll(), broker.CallOptions{FirstByteTimeout: 1500 * time.Millisecond}, discard{})
		require.ErrorIs(t, err, broker.ErrTimeout)
		require.Equal(t, 1500*time.Millisecond, time.Since(begun))

		time.Sleep(7 * time.Second) // until the controller notices
		next := leader%3 + 1
		fake.MoveLeader("t", 0, next)
		elected := time.Now()
		awaitView(t, c, leads("t", 0, next))
		require.LessOrEqual(t, time.Since(elected), 300*time.Millisecond)
	})
}

func TestRefresh_BrokerThatHangsWhileItIsDialedHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.CreateTopic("t", 3)
		c := started(t, fake, []string{"t"}, nil)
		leader, _ := fake.Leader("t", 0)
		fake.HangNode(leader)
		begun := time.Now()
		fetched := make(chan error, 1)
		go func() {
			_, err := c.Fetch(t.Context(), leader, KindFetch, longPoll(), broker.CallOptions{}, discard{})
			fetched <- err
		}()
		_, down := errors.AsType[*BrokerDownError](<-fetched)
		require.True(t, down)
		require.Equal(t, time.Second, time.Since(begun), "a fetch has no more patience than that")
		time.Sleep(500 * time.Millisecond)
		next := leader%3 + 1
		fake.MoveLeader("t", 0, next)
		elected := time.Now()
		awaitView(t, c, leads("t", 0, next))
		require.LessOrEqual(t, time.Since(elected), 300*time.Millisecond)
	})
}

func TestRefresh_SlowBrokerIsRacedAndAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		c := started(t, fake, nil, func(cfg *Config) { cfg.Bootstrap = cfg.Bootstrap[:1] })
		time.Sleep(10 * time.Second)
		fake.HangNode(1) // the only one connected
		begun := time.Now()
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.Equal(t, time.Second, time.Since(begun))

		time.Sleep(10 * time.Second)
		begun = time.Now()
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.Zero(t, time.Since(begun), "it is asked last now")

		fake.ResumeNode(1)
		_, _, err := c.Do(t.Context(), 1, KindGeneral, metadataRequest(nil, false), broker.CallOptions{})
		require.NoError(t, err)
		c.mu.Lock()
		defer c.mu.Unlock()
		require.False(t, c.nodes[1].suspect, "an answer clears it")
	})
}

func TestRefresh_WhileOneIsOutIsAnotherQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		fake.CreateTopic("t", 1)
		c := started(t, fake, []string{"t"}, nil)
		time.Sleep(10 * time.Second)
		hold := make(chan struct{})
		fake.HandleN(protocol.KeyMetadata, 1, func(k *fakebroker.Call) fakebroker.Reply {
			stale := k.Default()
			<-hold
			return fakebroker.Reply{Response: stale}
		})
		c.Refresh("before")
		synctest.Wait()
		fake.GrowTopic("t", 2)
		done := make(chan error, 1)
		go func() { done <- c.WaitRefresh(t.Context()) }()
		synctest.Wait()
		close(hold)
		require.NoError(t, <-done)
		require.Len(t, c.Metadata().Topics["t"].Partitions, 2)
	})
}

func TestRefresh_GoesOnUntilABrokerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		fake.StopNode(1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, c.WaitRefresh(ctx), context.DeadlineExceeded)
		require.NoError(t, fake.StartNode(1))
		require.NoError(t, c.WaitRefresh(t.Context()))
	})
}

func TestSetTopics_GrowthIsAskedForShrinkingIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		fake.CreateTopic("a", 1)
		fake.CreateTopic("b", 1)
		c := started(t, fake, []string{"a"}, nil)
		time.Sleep(10 * time.Second)
		count := asked(fake)
		c.SetTopics([]string{"a", "b"})
		awaitView(t, c, func(m *Metadata) bool { return m.Topics["b"] != nil })
		require.Equal(t, 1, count())
		c.SetTopics([]string{"b"})
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, count())
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.NotContains(t, c.Metadata().Topics, "a")
		c.SetAllTopics()
		awaitView(t, c, func(m *Metadata) bool { return m.Topics["a"] != nil })
	})
}

func TestFetchMetadata_LeavesTheViewAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		fake.CreateTopic("a", 1)
		fake.CreateTopic("b", 3)
		c := started(t, fake, []string{"a"}, nil)
		view := c.Metadata()
		m, err := c.FetchMetadata(t.Context(), []string{"b", "missing"})
		require.NoError(t, err)
		require.Len(t, m.Topics["b"].Partitions, 3)
		require.Equal(t, protocol.UnknownTopicOrPartition, m.Topics["missing"].Err)
		require.Equal(t, []string{"1", "1"}, []string{m.From, m.Topics["missing"].From}, "who says so")
		require.Equal(t, fake.Addr(1), view.From, "the bootstrap address, whoever that is")
		m, err = c.FetchMetadata(t.Context(), nil)
		require.NoError(t, err)
		require.Len(t, m.Topics, 2)
		m, err = c.FetchMetadata(t.Context(), []string{})
		require.NoError(t, err)
		require.Empty(t, m.Topics)
		require.Same(t, view, c.Metadata())
	})
}

func TestHint_IsUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		fake.CreateTopic("t", 1)
		c := started(t, fake, []string{"t"}, nil)
		changed := c.Changed()
		require.True(t, c.Hint("t", 0, 2, 7, nil))
		<-changed
		require.True(t, leads("t", 0, 2)(c.Metadata()))
		require.False(t, c.Hint("t", 0, 1, 6, nil), "older")

		endpoint := protocol.FetchResponseNodeEndpoint{NodeID: 9, Host: "nine", Port: 9092}
		require.True(t, c.Hint("t", 0, 9, 8, []protocol.FetchResponseNodeEndpoint{endpoint}))
		ok, _ := c.NodeUsable(9)
		require.True(t, ok)

		require.NoError(t, c.WaitRefresh(t.Context()))
		require.True(t, leads("t", 0, 9)(c.Metadata()), "a broker that lags does not take it back")
	})
}

// longPoll is a fetch of nothing that waits half a second.
func longPoll() *protocol.FetchRequest {
	req := protocol.NewFetchRequest()
	req.MaxWaitMs, req.MinBytes = 500, 1
	return req
}

// discard is a visitor that wants nothing.
type discard struct{}

func (discard) Response(*protocol.FetchResponse) error { return nil }
func (discard) Aborted(*protocol.FetchedPartition, int) []protocol.FetchResponseAbortedTransaction {
	return nil
}
func (discard) Records(*protocol.FetchedPartition, int, int) []byte { return nil }
func (discard) Partition(*protocol.FetchedPartition) error          { return nil }
func (discard) End([]protocol.FetchResponseNodeEndpoint) error      { return nil }
