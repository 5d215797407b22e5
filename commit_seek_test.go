package kafka

import (
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
			run := r.newCommitRun(map[TopicPartition]OffsetAndMetadata{p.tp: {Offset: 100}}, true)
			run.taken = run.pending
			r.sub.mu.Lock()
			x.meanwhile(r.sub, p)
			r.sub.mu.Unlock()
			run.acknowledged()
			require.Equal(t, x.byHand, p.byHand)
			require.EqualValues(t, 100, p.committed)
		})
	}
}
