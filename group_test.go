package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// heard is a listener that notes its calls, and may be held.
type heard struct {
	mu    sync.Mutex
	calls []string
	hold  chan struct{} // Revoked waits for it; nil: it does not
}

func (h *heard) note(call string, tps []TopicPartition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, tp := range tps {
		h.calls = append(h.calls, call+" "+tp.String())
	}
}

func (h *heard) OnPartitionsRevoked(_ context.Context, _ *Consumer, tps []TopicPartition) error {
	h.note("revoked", tps)
	if h.hold != nil {
		<-h.hold
	}
	return nil
}

func (h *heard) OnPartitionsAssigned(_ context.Context, _ *Consumer, tps []TopicPartition) error {
	h.note("assigned", tps)
	return nil
}

func (h *heard) OnPartitionsLost(_ context.Context, _ *Consumer, tps []TopicPartition) error {
	h.note("lost", tps)
	return nil
}

func (h *heard) so() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// holding gives a consumer that has not been started, but owns partitions of topic t in its group and calls its listener.
func holding(t *testing.T, l RebalanceListener, partitions int32) *Consumer {
	t.Helper()
	c, err := NewConsumer(WithLogger(nil), WithGroupID("g"), WithTopics("t"), WithRebalanceListener(l))
	require.NoError(t, err)
	c.cluster = cluster.New(c.clusterConfig())
	c.startListener()
	t.Cleanup(func() { require.NoError(t, c.stopListener(context.Background())) })
	c.sub.mu.Lock()
	for p := range partitions {
		tp := TopicPartition{"t", p}
		c.sub.add([]TopicPartition{tp}, startAt{})
		c.sub.partitions[tp].known = true
	}
	c.sub.mu.Unlock()
	return c
}

// these gives partitions of a consumer, to give up.
func these(c *Consumer, tps ...TopicPartition) map[TopicPartition]*partition {
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	parts := make(map[TopicPartition]*partition)
	for _, tp := range tps {
		parts[tp] = c.sub.partitions[tp]
	}
	return parts
}

func TestGroup_APartitionIsRevokedOrLostNeverBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{hold: make(chan struct{})}
		c := holding(t, h, 2)
		var work sync.WaitGroup
		work.Go(func() { c.group.giveUpThese(t.Context(), these(c, TopicPartition{"t", 0}), nil) })
		synctest.Wait()
		require.Equal(t, []string{"revoked t-0"}, h.so())

		work.Go(func() { c.group.giveUp(t.Context(), actGiveUp{all: true, lost: true}) })
		synctest.Wait()
		require.Empty(t, c.Assignment(), "gone at once, whatever the listener does")
		close(h.hold)
		work.Wait()
		require.Equal(t, []string{"revoked t-0", "lost t-1"}, h.so())
	})
}

func TestGroup_WhatIsLostDuringItsGraceIsNotRevokedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{}
		c := holding(t, h, 1)
		tp := TopicPartition{"t", 0}
		c.sub.mu.Lock()
		p := c.sub.partitions[tp]
		p.known, p.position, p.handTurn = true, 5, c.sub.turn // offsets 0 to 4 are in hand
		c.sub.mu.Unlock()
		began := time.Now()
		var work sync.WaitGroup
		work.Go(func() { c.group.giveUpThese(t.Context(), these(c, tp), nil) })
		synctest.Wait()
		require.Empty(t, h.so())
		c.group.giveUp(t.Context(), actGiveUp{all: true, lost: true})
		work.Wait()
		require.Equal(t, []string{"lost t-0"}, h.so())
		require.Zero(t, time.Since(began), "nobody waits for a grace that serves nothing")
	})
}

// The group has given what was lost to others, who may have committed more since. That this consumer is a member again, and may have the
// partitions again, changes nothing.
func TestGroup_WhatIsLostWhileItGoesIsNotCommittedByALaterMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holding(t, &heard{}, 1)
		tp := TopicPartition{"t", 0}
		c.sub.mu.Lock()
		c.sub.partitions[tp].position = 5
		c.sub.mu.Unlock()
		parts := these(c, tp)
		before := c.commits.enter()
		came := make(chan error, 1)
		go func() { came <- c.group.commitLeaving(t.Context(), parts) }()
		synctest.Wait() // behind the commit before
		c.group.giveUp(t.Context(), actGiveUp{all: true, lost: true})
		c.sub.mu.Lock()
		c.sub.add([]TopicPartition{tp}, startAt{})
		c.sub.mu.Unlock()
		before.leave()
		require.NoError(t, <-came, "nothing of them is held any more")
	})
}

// The same for what is lost when its commit has been sent, and is to be sent again.
func TestGroup_WhoCommitsWhatGoesIsWhoHadIt(t *testing.T) {
	asked := memberIdentity{generation: 4, member: "a"}
	for now, same := range map[memberIdentity]bool{
		asked:                        true,
		{generation: 5, member: "a"}: true, // the answer to a join that was out
		{generation: 6, member: "a"}: false,
		{generation: 4, member: "b"}: false,
		{generation: -1}:             false,
	} {
		require.Equal(t, same, now.follows(asked), "%v", now)
	}
	require.False(t, memberIdentity{generation: 0, member: "a"}.follows(memberIdentity{generation: -1, member: "a"}))
}

// A partition that was given up may come straight back; one that was lost with the membership starts anew where the group has it, and an old
// commit of it would be of what comes once more.
func TestCommit_WhatWasLostIsNotCommittedWhenItComesBackWithTheNextGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holding(t, &heard{}, 1)
		tp := TopicPartition{"t", 0}
		c.group.m.generation = 4
		for lost, give := range map[bool]func(){
			true:  func() { c.group.giveUp(t.Context(), actGiveUp{all: true, lost: true}) },
			false: func() { c.group.giveUpThese(t.Context(), these(c, tp), nil) },
		} {
			run := c.newCommitRun("Commit", map[TopicPartition]OffsetAndMetadata{tp: {Offset: 5}}, true)
			automatic := c.newCommitRun("Commit", map[TopicPartition]OffsetAndMetadata{tp: {Offset: 5}}, false)
			give()
			c.sub.mu.Lock()
			c.sub.add([]TopicPartition{tp}, startAt{})
			c.sub.partitions[tp].known, c.sub.partitions[tp].committed = true, 0
			c.sub.mu.Unlock()
			run.dropLost(memberIdentity{generation: 5})
			require.Equal(t, lost, len(run.pending) == 0)
			automatic.dropLost(memberIdentity{generation: 5})
			require.Empty(t, automatic.pending, "what was settled then is not settled now")
		}
	})
}

// An automatic commit that waits behind one by hand does not set back what that has committed beyond what was settled.
func TestCommit_AutomaticOnesDoNotSetBackWhatWasCommittedByHandBeforeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holding(t, &heard{}, 1)
		c.sub.mu.Lock()
		p := c.sub.partitions[TopicPartition{"t", 0}]
		p.position, p.handTurn = 5, c.sub.turn // offsets 0 to 4 are in hand
		c.sub.mu.Unlock()
		byHand := c.commits.enter()
		came := make(chan error, 1)
		go func() { came <- c.commitSettled(t.Context()) }()
		synctest.Wait()
		c.sub.mu.Lock()
		p.committed = 5
		c.sub.committedByHand(p, 5, -1)
		c.sub.mu.Unlock()
		byHand.leave()
		require.NoError(t, <-came, "there is nothing left to commit")
	})
}

// A commit by hand may wait for a rebalance after which its partition begins below it: autocommit does not take it back.
func TestCommit_AutomaticOnesDoNotGoBelowOneByHand(t *testing.T) {
	c := holding(t, &heard{}, 1)
	s, tp := c.sub, TopicPartition{"t", 0}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[tp]
	toCommit := func() int64 {
		if o, ok := s.toCommit(s.partitions, time.Now())[tp]; ok {
			return o.Offset
		}
		return -1
	}
	p.committed = 32
	s.committedByHand(p, 32, -1)
	s.begin(p, 6, -1) // as was asked for before that commit had come
	p.committed = 6
	require.EqualValues(t, -1, toCommit())
	p.position = 23
	require.EqualValues(t, -1, toCommit())
	p.position = 33
	require.EqualValues(t, 33, toCommit())
	s.seek(p, 7, -1)
	require.EqualValues(t, 7, toCommit(), "the application has gone back")
	s.committedByHand(p, 32, -1)
	s.reset(p, startAt{from: 7})
	s.begin(p, 9, -1)
	require.EqualValues(t, 9, toCommit(), "the log has")
}

func TestGroup_SubscribeDoesNotRevokeWhatIsBeingRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{hold: make(chan struct{})}
		c := holding(t, h, 1)
		var work sync.WaitGroup
		work.Go(func() { c.group.giveUpThese(t.Context(), these(c, TopicPartition{"t", 0}), nil) })
		synctest.Wait()
		require.NoError(t, c.Subscribe([]string{"u"}, WithListener(h)))
		close(h.hold)
		work.Wait()
		synctest.Wait()
		require.Equal(t, []string{"revoked t-0"}, h.so())
	})
}

func TestGroup_AnAssignmentIsWithoutTopicsDroppedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holding(t, &heard{}, 0)
		require.NoError(t, c.Subscribe([]string{"u"}))
		_, added, void := c.group.take(t.Context(), c.group.m.round, map[TopicPartition]struct{}{{"t", 0}: {}}, 1)
		require.False(t, void)
		require.Empty(t, added)
		require.Empty(t, c.Assignment())
		_, _, void = c.group.take(t.Context(), c.group.m.round+1, map[TopicPartition]struct{}{{"u", 0}: {}}, 1)
		require.True(t, void, "of another round")
	})
}

// The generation ends when the coordinator has every JoinGroup, and a commit on its way then is refused before the answer
// that tells of the next one has come.
func TestGroup_ACommitRefusedWhileAJoinIsOutIsTriedAgain(t *testing.T) {
	c, err := NewConsumer(WithLogger(nil), WithGroupID("g"), WithTopics("t"))
	require.NoError(t, err)
	g := c.group
	for state, again := range map[memberState]bool{
		memberJoining: true, memberSyncing: true, memberStable: false, memberGivingUp: false, memberApplying: false,
	} {
		g.m.state, g.m.generation = state, 4
		for _, code := range []protocol.ErrorCode{protocol.IllegalGeneration, protocol.RebalanceInProgress} {
			want := again || code == protocol.RebalanceInProgress
			require.Equal(t, want, g.commitRefused(memberIdentity{generation: 4, member: "a"}, code), "%v, %v", state, code)
		}
		require.False(t, g.commitRefused(memberIdentity{generation: 4, member: "a"}, protocol.UnknownMemberID), state)
		require.True(t, g.commitRefused(memberIdentity{generation: 3, member: "a"}, protocol.IllegalGeneration), state)
	}
}

// drive runs the group's loop until the test ends.
func drive(t *testing.T, c *Consumer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		c.group.loop(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func TestGroup_LeavingWhereThereIsNothingToLeaveReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewConsumer(WithLogger(nil), WithGroupID("g"))
		require.NoError(t, err)
		drive(t, c)
		for range 3 {
			began := time.Now()
			require.NoError(t, c.group.leaveGroup(t.Context()))
			require.Zero(t, time.Since(began))
			synctest.Wait() // also when the loop was quicker than the one that waits
		}
	})
}

func TestGroup_AFailedStartLeavesNothingToTheNext(t *testing.T) {
	c, err := NewConsumer(WithLogger(nil), WithGroupID("g"), WithTopics("t"))
	require.NoError(t, err)
	g := c.group
	g.m.fatal, g.m.state, g.m.memberID = errors.New("fenced"), memberJoining, "a"
	g.tell(errors.New("no right to the group"))
	require.Error(t, g.failed())
	g.post(evApplied{})
	g.startOver()
	require.NoError(t, g.failed())
	require.Equal(t, newGroup(c).m.state, g.m.state)
	require.NoError(t, g.m.fatal)
	require.Empty(t, g.m.memberID)
	require.Equal(t, []any{evWanted{reason: "the consumer has started"}}, g.events)
}

func TestGroup_UnsubscribeTakesBackAWishToJoin(t *testing.T) {
	c, err := NewConsumer(WithLogger(nil), WithGroupID("g"), WithTopics("t"))
	require.NoError(t, err)
	g := c.group
	require.NoError(t, c.Unsubscribe(t.Context()))
	for _, e := range g.events {
		g.m.step(time.Now(), e)
	}
	require.False(t, g.m.desired())
	g.events = nil
	require.NoError(t, c.Subscribe([]string{"t"}))
	for _, e := range g.events {
		g.m.step(time.Now(), e)
	}
	require.True(t, g.m.desired())
}

// An Unsubscribe whose ctx ends while an assignment is taken in, and an Assign: what the group gives then is no part of that.
func TestGroup_AnAssignmentThatComesTooLateIsNoneByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holding(t, &heard{}, 0)
		require.NoError(t, c.sub.unsubscribe())
		require.NoError(t, c.Assign(TopicPartition{"t", 0}))
		_, _, void := c.group.take(t.Context(), c.group.m.round, map[TopicPartition]struct{}{{"t", 1}: {}}, 1)
		require.True(t, void)
		require.Equal(t, []TopicPartition{{"t", 0}}, c.Assignment())
		require.False(t, c.group.apply(t.Context(), c.group.m.round))
		require.Equal(t, []TopicPartition{{"t", 0}}, c.Assignment())
	})
}

// Who is not in the group, and is not to be, cannot have it rebalance, and is told why.
func TestEnforceRebalance_NamesWhyTheMemberIsOutside(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		c, _ := enterParked(t, k)
		defer stopClean(t, c)
		err := c.EnforceRebalance("a test")
		require.ErrorIs(t, err, ErrIllegalState)
		require.ErrorContains(t, err, "max poll interval")
		require.NoError(t, c.Subscribe([]string{"orders"}))
		require.NoError(t, c.EnforceRebalance("a test"), "a subscription is a wish to join")
	})
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		c, _ := enterFenced(t, k)
		defer stopClean(t, c)
		err := c.EnforceRebalance("a test")
		require.ErrorIs(t, err, ErrIllegalState)
		require.ErrorContains(t, err, protocol.FencedInstanceID.Name())
	})
}
