package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A commit by hand that was asked for before a seek settles nothing of what is read after it: a crash would skip what the application has
// gone back for.
func TestCommit_OnItsWayWhenThePositionIsMovedDoesNotHoldAutocommitBack(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		k.AppendRaw("orders", 0, batchOf(0, 100))
		c := startGroup(t, groupConsumer(t, k, WithAutoCommit(true), WithAutoOffsetReset(ResetEarliest)))
		require.NoError(t, c.Assign(orders))
		receive(t, c, 100)
		k.HandleN(protocol.KeyOffsetCommit, 1, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Delay: 500 * time.Millisecond} })
		came := make(chan error, 1)
		go func() { came <- c.Commit(t.Context()) }()
		synctest.Wait()
		require.NoError(t, c.Seek(orders, 0))
		require.NoError(t, <-came)
		committed, _ := k.Committed("billing", "orders", 0)
		require.EqualValues(t, 100, committed.Offset)
		receive(t, c, 50)
		time.Sleep(time.Minute) // the bubble's clock
		committed, _ = k.Committed("billing", "orders", 0)
		require.LessOrEqual(t, committed.Offset, int64(50), "the rest was not read again")
		stopClean(t, c)
		committed, _ = k.Committed("billing", "orders", 0)
		require.EqualValues(t, 50, committed.Offset)
	})
}

// That a position is found is no move: a commit that waited for a rebalance may reach the coordinator after the question where to begin.
func TestCommit_SettlesWhereThePositionWasNotMovedMeanwhile(t *testing.T) {
	for name, x := range map[string]struct {
		meanwhile func(s *subscription, p *partition)
		byHand    int64
	}{
		"nothing":        {func(*subscription, *partition) {}, 100},
		"found":          {func(s *subscription, p *partition) { s.begin(p, 0, -1) }, 100},
		"sought":         {func(s *subscription, p *partition) { s.seek(p, 0, -1) }, -1},
		"out of the log": {func(s *subscription, p *partition) { s.reset(p, startAt{}); s.begin(p, 0, -1) }, -1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t, WithGroupID("g"))
			p := r.assign(1)[0]
			run := r.newCommitRun("Commit", map[TopicPartition]OffsetAndMetadata{p.tp: {Offset: 100}}, true)
			run.taken = run.pending
			r.sub.mu.Lock()
			x.meanwhile(r.sub, p)
			r.sub.mu.Unlock()
			run.answered()
			require.Equal(t, x.byHand, p.byHand)
			require.EqualValues(t, 100, p.committed)
		})
	}
}

// reads50 starts a consumer that has read 50 of 100 messages, where 50 was committed before it, and commits by itself each second.
func reads50(t *testing.T, k *fakebroker.Cluster, n int) *Consumer {
	t.Helper()
	k.CreateTopic("orders", 2)
	k.AppendRaw("orders", 0, batchOf(0, 100))
	for p := range int32(2) {
		k.SetCommitted("billing", "orders", p, fakebroker.Offset{Offset: 50 * int64(1-p), LeaderEpoch: -1})
	}
	c := startGroup(t, groupConsumer(t, k, WithAutoCommit(true), WithAutoCommitInterval(time.Second)))
	require.NoError(t, c.Assign([]TopicPartition{orders, {"orders", 1}}[:n]...))
	receive(t, c, 50)
	return c
}

// A commit that was given up may have reached the coordinator: what was committed before it is not known to be any more.
func TestAutoCommit_OfWhatIsSoughtAfterACommitWhoseAnswerIsLost(t *testing.T) {
	for name, answer := range map[string]func(*fakebroker.Call) fakebroker.Reply{
		"no answer": func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} },
		"an error that came too late": func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.OffsetCommitResponse)
			resp.Topics[0].Partitions[0].ErrorCode = protocol.RequestTimedOut
			return fakebroker.Reply{Response: resp}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				c := reads50(t, k, 1)
				k.Handle(protocol.KeyOffsetCommit, func(call *fakebroker.Call) fakebroker.Reply {
					call.Default() // it is committed
					return answer(call)
				})
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				require.ErrorIs(t, c.Commit(ctx), context.DeadlineExceeded)
				k.Handle(protocol.KeyOffsetCommit, nil)
				committed, _ := k.Committed("billing", "orders", 0)
				require.EqualValues(t, 100, committed.Offset)
				require.NoError(t, c.Seek(orders, 50))
				require.NoError(t, c.Pause(orders))
				time.Sleep(5 * time.Second) // the bubble's clock
				committed, _ = k.Committed("billing", "orders", 0)
				require.EqualValues(t, 50, committed.Offset, "a crash would skip what is between")
				stopClean(t, c)
			})
		})
	}
}

// A commit that changes nothing leaves what is committed known, whatever becomes of it.
func TestAutoCommit_IsNotRepeatedAfterACommitThatChangedNothing(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		c := reads50(t, k, 1)
		require.NoError(t, c.Commit(t.Context()))
		k.Handle(protocol.KeyOffsetCommit, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Commit(ctx), context.DeadlineExceeded)
		_, err := c.GetMany(t.Context(), WaitFor(0)) // they are settled
		require.NoError(t, err)
		commits := k.Count(protocol.KeyOffsetCommit)
		time.Sleep(5 * time.Second) // the bubble's clock
		require.Equal(t, commits, k.Count(protocol.KeyOffsetCommit))
		stopClean(t, c)
	})
}

// SeekToCommitted has an answer for one partition and asks again for another, when the first one's position is committed.
func TestSeekToCommitted_WithAnAnswerFromBeforeAnAutomaticCommit(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		c := reads50(t, k, 2)
		_, err := c.GetMany(t.Context(), WaitFor(0)) // they are settled
		require.NoError(t, err)
		began := time.Now()
		k.Handle(protocol.KeyOffsetFetch, func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.OffsetFetchResponse)
			if time.Since(began) > 3*time.Second {
				return fakebroker.Reply{Response: resp}
			}
			for i, p := range resp.Groups[0].Topics[0].Partitions {
				if p.PartitionIndex == 1 {
					resp.Groups[0].Topics[0].Partitions[i].ErrorCode = protocol.UnstableOffsetCommit
				}
			}
			return fakebroker.Reply{Response: resp}
		})
		require.NoError(t, c.SeekToCommitted(t.Context()))
		require.NoError(t, c.Pause(orders))
		position, err := c.Position(t.Context(), orders)
		require.NoError(t, err)
		require.EqualValues(t, 50, position)
		time.Sleep(5 * time.Second) // the bubble's clock
		committed, _ := k.Committed("billing", "orders", 0)
		require.EqualValues(t, 50, committed.Offset, "a crash would skip what is between")
		stopClean(t, c)
	})
}

// What was committed of a topic that was deleted is nothing that is committed of the one made again.
func TestAutoCommit_OfATopicMadeAgain(t *testing.T) {
	for name, o := range map[string]fakebroker.Options{
		"with ids":    {},
		"without ids": {MaxVersions: map[protocol.APIKey]int16{protocol.KeyMetadata: 9, protocol.KeyFetch: 11}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, o, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				k.AppendRaw("orders", 0, batchOf(0, 3))
				c := startGroup(t, groupConsumer(t, k, WithAutoCommit(true), WithAutoCommitInterval(time.Second), WithAutoOffsetReset(ResetEarliest),
					WithMetadataMaxAge(time.Second)))
				require.NoError(t, c.Assign(orders))
				receive(t, c, 3)
				_, err := c.GetMany(t.Context(), WaitFor(5*time.Second)) // they are settled, and committed
				require.NoError(t, err)
				committed, _ := k.Committed("billing", "orders", 0)
				require.EqualValues(t, 3, committed.Offset)
				k.DeleteTopic("orders")
				k.SetCommitted("billing", "orders", 0, fakebroker.Offset{Offset: -1, LeaderEpoch: -1}) // brokers forget it with the topic
				time.Sleep(3 * time.Second)                                                            // the bubble's clock
				k.CreateTopic("orders", 1)
				k.AppendRaw("orders", 0, batchOf(0, 3))
				_, err = c.GetMany(t.Context(), WaitFor(10*time.Second))
				require.NoError(t, err)
				_, err = c.GetMany(t.Context(), WaitFor(5*time.Second))
				require.NoError(t, err)
				committed, _ = k.Committed("billing", "orders", 0)
				require.EqualValues(t, 3, committed.Offset)
				stopClean(t, c)
			})
		})
	}
}
