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

func TestCommitQueue_TurnsComeInTheOrderOfEntering(t *testing.T) {
	var q commitQueue
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	turn := func(p *commitPlace) bool {
		select {
		case <-p.turn:
			return true
		default:
			return false
		}
	}
	one, two, three := q.enter(), q.enter(), q.enter()
	require.Equal(t, []bool{true, false, false}, []bool{turn(one), turn(two), turn(three)})
	require.ErrorIs(t, two.wait(ended, "a commit"), context.Canceled)
	two.leave()
	require.False(t, turn(three), "one that gives up does not pass a turn on that it has not had")
	one.leave()
	require.NoError(t, three.wait(t.Context(), "a commit"))
	four := q.enter()
	require.False(t, turn(four))
	three.leave()
	require.True(t, turn(four))
	four.leave()
	require.True(t, turn(q.enter()), "an empty queue")
}

// With a ctx that has ended a commit says that, by the name of the call, and blames no other one that is not there.
func TestCommit_WithAnEndedContextSaysSo(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		k.AppendValues("orders", 0, "a", "b")
		c := startGroup(t, groupConsumer(t, k, WithAutoOffsetReset(ResetEarliest)))
		defer stopClean(t, c)
		require.NoError(t, c.Assign(orders))
		receive(t, c, 2)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for call, commit := range commitsByHand {
			for range 20 { // what is ready at the same time is picked at random
				require.EqualError(t, commit(ended, c), "kafka: "+call+": context canceled")
			}
			k.HandleN(protocol.KeyOffsetCommit, 1, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
			late, cancel := context.WithTimeout(t.Context(), time.Second)
			err := commit(late, c)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "kafka: "+call+": ")
		}
		require.Empty(t, c.commits.places)
	})
}

// Assign commits in the background what was settled of the partitions it gives up: before what is committed after it.
func TestAssign_CommitOfWhatItGivesUpIsNotOvertaken(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 2)
		k.AppendValues("t", 0, "a", "b", "c", "d")
		c := startConsumer(t, k, WithGroupID("g"))
		given := TopicPartition{"t", 0}
		for i := range int64(10) {
			require.NoError(t, c.Assign(given))
			require.NoError(t, c.Seek(given, 0))
			_, err := c.GetOne(t.Context())
			require.NoError(t, err)
			_, err = c.GetOne(t.Context())
			require.NoError(t, err)
			before := k.Count(protocol.KeyOffsetCommit)
			require.NoError(t, c.Assign(TopicPartition{"t", 1}))
			require.NoError(t, c.Assign(given))
			require.NoError(t, c.CommitOffsets(t.Context(), map[TopicPartition]OffsetAndMetadata{given: {Offset: 100 + i}}))
			require.NoError(t, k.AwaitCount(t.Context(), protocol.KeyOffsetCommit, before+2))
			committed, _ := k.Committed("g", "t", 0)
			require.Equal(t, 100+i, committed.Offset)
		}
		stopClean(t, c)
	})
}

// What Assign commits of the partitions it gives up does not set back what a commit by hand on its way then has committed beyond what was
// settled.
func TestAssign_CommitOfWhatItGivesUpDoesNotSetBackOneByHandBeforeIt(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 2)
		k.AppendValues("t", 0, "a", "b", "c")
		c := startConsumer(t, k, WithGroupID("g"), WithAutoCommitInterval(time.Hour))
		given := TopicPartition{"t", 0}
		require.NoError(t, c.Assign(given))
		_, err := c.GetOne(t.Context())
		require.NoError(t, err)
		receive(t, c, 2) // "a" is settled, the others are in hand
		k.Handle(protocol.KeyOffsetCommit, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Delay: time.Second} })
		came := make(chan error, 1)
		go func() { came <- c.Commit(t.Context()) }()
		synctest.Wait()
		require.NoError(t, c.Assign(TopicPartition{"t", 1}))
		require.NoError(t, <-came)
		time.Sleep(5 * time.Second) // the bubble's clock
		committed, _ := k.Committed("g", "t", 0)
		require.EqualValues(t, 3, committed.Offset)
		require.Equal(t, 1, k.Count(protocol.KeyOffsetCommit), "there is nothing left to commit")
		stopClean(t, c)
	})
}

// Stop is behind the commit of what Assign has given up, and waits for it as long as its ctx lasts.
func TestAssign_CommitOfWhatItGivesUpIsNotEndedByStop(t *testing.T) {
	for name, x := range map[string]struct {
		hangs bool
		limit time.Duration
	}{"answered": {limit: 5 * time.Second}, "not answered": {hangs: true, limit: 5 * time.Second}, "no time": {hangs: true, limit: -1}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 2)
				k.AppendValues("orders", 0, "a", "b", "c")
				c := startGroup(t, groupConsumer(t, k, WithAutoCommit(true), WithAutoOffsetReset(ResetEarliest)))
				require.NoError(t, c.Assign(orders))
				receive(t, c, 3)
				_, err := c.GetMany(t.Context(), WaitFor(0)) // they are settled
				require.NoError(t, err)
				k.Handle(protocol.KeyOffsetCommit, func(*fakebroker.Call) fakebroker.Reply {
					return fakebroker.Reply{Delay: 50 * time.Millisecond, Hang: x.hangs}
				})
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), x.limit)
				defer cancel()
				require.NoError(t, c.Assign(TopicPartition{"orders", 1}))
				err = c.Stop(ctx)
				require.LessOrEqual(t, time.Since(began), max(x.limit, 0))
				if x.hangs {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
				committed, _ := k.Committed("billing", "orders", 0)
				require.EqualValues(t, 3, committed.Offset)
			})
		})
	}
}
