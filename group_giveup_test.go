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

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// member starts the only member of a group, that has settled one message of two which it has not committed.
func member(t *testing.T, k *fakebroker.Cluster, l RebalanceListener, opts ...ConsumerOption) *Consumer {
	t.Helper()
	k.CreateTopic("orders", 1)
	groupOfOne(k)
	k.AppendValues("orders", 0, "first", "second")
	c := startGroup(t, groupConsumer(t, k, append([]ConsumerOption{WithTopics("orders"), WithRebalanceListener(l), WithAutoCommit(true),
		WithAutoCommitInterval(time.Hour), WithAutoOffsetReset(ResetEarliest)}, opts...)...))
	receive(t, c, 2)
	return c
}

// ends are the ways for a member to end its membership.
var ends = map[string]func(ctx context.Context, c *Consumer) error{
	"Stop":        func(ctx context.Context, c *Consumer) error { return c.Stop(ctx) },
	"Unsubscribe": func(ctx context.Context, c *Consumer) error { return c.Unsubscribe(ctx) },
}

// The brokers do not answer: the commit is given up in time for the listener, and all of it within the ctx.
func TestGroup_EndsWithBrokersThatHangAndTellsTheListener(t *testing.T) {
	for name, end := range ends {
		for state, before := range map[string]func(t *testing.T, c *Consumer){
			"stable": func(*testing.T, *Consumer) {},
			"giving up": func(t *testing.T, c *Consumer) {
				require.NoError(t, c.EnforceRebalance("a test"))
				synctest.Wait()
			},
		} {
			t.Run(name+", "+state, func(t *testing.T) {
				inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
					h := &heard{}
					c := member(t, k, h)
					k.HangNode(1)
					before(t, c)
					began := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
					defer cancel()
					err := end(ctx, c)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorContains(t, err, "committing what was settled")
					require.LessOrEqual(t, time.Since(began), 4*time.Second)
					require.Equal(t, []string{"assigned orders-0", "revoked orders-0"}, h.so())
					_ = c.Stop(ctx)
				})
			})
		}
	}
}

// A listener that hangs leaves time to say that the member leaves.
func TestGroup_EndsWithAListenerThatHangsAndLeaves(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		h := &heard{hold: make(chan struct{})}
		c := member(t, k, h)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		err := c.Stop(ctx)
		require.ErrorContains(t, err, "OnPartitionsRevoked of the rebalance listener hangs")
		require.Equal(t, 1, k.Count(protocol.KeyLeaveGroup))
		committed, _ := k.Committed("billing", "orders", 0)
		require.EqualValues(t, 2, committed.Offset)
		close(h.hold)
	})
}

// What goes wrong with the commit, the listener and the leave is in the error, all of it.
func TestGroup_EndsWithAnErrorOfWhatWentWrong(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				sorry := errors.New("sorry")
				c := member(t, k, RebalanceFuncs{Revoked: func(context.Context, *Consumer, []TopicPartition) error { return sorry }})
				k.Handle(protocol.KeyOffsetCommit, func(call *fakebroker.Call) fakebroker.Reply {
					resp := call.Default().(*protocol.OffsetCommitResponse)
					resp.Topics[0].Partitions[0].ErrorCode = protocol.InvalidCommitOffsetSize
					return fakebroker.Reply{Response: resp}
				})
				k.Handle(protocol.KeyLeaveGroup, func(call *fakebroker.Call) fakebroker.Reply {
					return fakebroker.Reply{Response: &protocol.LeaveGroupResponse{Members: []protocol.LeaveGroupResponseMember{
						{MemberID: "member", ErrorCode: protocol.GroupAuthorizationFailed},
					}}}
				})
				err := end(t.Context(), c)
				require.ErrorIs(t, err, protocol.InvalidCommitOffsetSize, "the commit")
				require.ErrorIs(t, err, sorry, "the listener")
				var refused *AuthorizationError
				require.ErrorAs(t, err, &refused, "the leave")
				if name == "Unsubscribe" {
					_, err := c.GetMany(t.Context(), WaitFor(0))
					require.NoError(t, err, "told already")
				}
				require.NoError(t, c.Stop(t.Context()))
			})
		})
	}
}

// A topic that is gone has nothing to commit, and nothing that would be delivered again.
func TestGroup_EndsWithoutAnErrorForATopicThatIsGone(t *testing.T) {
	for _, code := range []protocol.ErrorCode{protocol.UnknownTopicOrPartition, protocol.UnknownTopicID} {
		inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
			c := member(t, k, &heard{})
			k.Handle(protocol.KeyOffsetCommit, func(call *fakebroker.Call) fakebroker.Reply {
				resp := call.Default().(*protocol.OffsetCommitResponse)
				resp.Topics[0].Partitions[0].ErrorCode = code
				return fakebroker.Reply{Response: resp}
			})
			require.NoError(t, c.Stop(t.Context()))
		})
	}
}

// A coordinator that has moved is found, to leave it; a member that is not known has left.
func TestGroup_LeavesWhereTheCoordinatorIsNow(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		c := member(t, k, &heard{})
		codes := []protocol.ErrorCode{protocol.NotCoordinator, protocol.CoordinatorLoadInProgress, protocol.UnknownMemberID}
		k.Handle(protocol.KeyLeaveGroup, func(call *fakebroker.Call) fakebroker.Reply {
			code := codes[0]
			codes = codes[1:]
			return fakebroker.Reply{Response: &protocol.LeaveGroupResponse{ErrorCode: code}}
		})
		finds := k.Count(protocol.KeyFindCoordinator)
		require.NoError(t, c.Stop(t.Context()))
		require.Empty(t, codes)
		require.Equal(t, finds+1, k.Count(protocol.KeyFindCoordinator))
	})
}

// The listener's ctx ends with the rebalance timeout, counted from when the giving up began; the grace is spent once, for what was
// dropped and the rest together.
func TestGroup_OneTimeForOneGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var told []TopicPartition
		c := holding(t, RebalanceFuncs{Revoked: func(ctx context.Context, _ *Consumer, tps []TopicPartition) error {
			end, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, began.Add(5*time.Minute), end)
			require.Equal(t, began.Add(3*time.Second), time.Now(), "one grace")
			told = append(told, tps...)
			return nil
		}}, 1)
		c.sub.mu.Lock()
		c.sub.add([]TopicPartition{{"u", 0}}, startAt{})
		c.sub.topics = []string{"t", "u"}
		for _, p := range c.sub.partitions {
			p.known, p.position, p.handTurn = true, 5, c.sub.turn // in hand, from 0 on
		}
		c.sub.mu.Unlock()
		require.NoError(t, c.Subscribe([]string{"t"}, WithListener(c.sub.listener)))
		c.group.giveUp(t.Context(), actGiveUp{})
		require.Equal(t, []TopicPartition{{"u", 0}, {"t", 0}}, told, "what was dropped first")
	})
}

// Each listener hears of what was dropped from its own subscription, however soon the next ones come, and whether it is revoked or
// lost.
func TestGroup_EachListenerHearsOfItsOwn(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var heard []string
			say := func(name string) RebalanceListener {
				return RebalanceFuncs{
					Revoked: func(_ context.Context, _ *Consumer, tps []TopicPartition) error {
						mu.Lock()
						defer mu.Unlock()
						for _, tp := range tps {
							heard = append(heard, name+" "+tp.String())
						}
						return nil
					},
				}
			}
			c := holding(t, say("first"), 1)
			c.sub.mu.Lock()
			c.sub.add([]TopicPartition{{"u", 0}, {"v", 0}}, startAt{})
			c.sub.topics = []string{"t", "u", "v"}
			c.sub.mu.Unlock()
			require.NoError(t, c.Subscribe([]string{"u", "v"}, WithListener(say("second"))))
			require.NoError(t, c.Subscribe([]string{"v", "w"}, WithListener(say("third"))))
			require.NoError(t, c.Subscribe([]string{"v"}, WithListener(say("last"))))
			c.group.giveUp(t.Context(), actGiveUp{all: true, lost: lost})
			require.Equal(t, []string{"first t-0", "second u-0", "last v-0"}, heard)
		})
	}
}

// What a subscription has dropped is owned until it is revoked: no other member is to get it before.
func TestGroup_ClaimsWhatIsDroppedAndNotRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := holding(t, &heard{}, 2)
		require.NoError(t, c.Subscribe([]string{"u"}))
		offered, err := c.group.protocols(3)
		require.NoError(t, err)
		_, sub, err := protocol.DecodeConsumerProtocolSubscription(offered[0].Metadata)
		require.NoError(t, err)
		require.Equal(t, []string{"u"}, sub.Topics)
		require.Equal(t, []protocol.ConsumerProtocolTopicPartition{{Topic: "t", Partitions: []int32{0, 1}}}, sub.OwnedPartitions)
	})
}

// A Start that fails while its listener runs leaves that behind: the next one waits for it, is told of its own partitions, and what
// was told as assigned is told as lost.
func TestListener_OfAStartThatFailedHarmsNoLaterOne(t *testing.T) {
	for _, group := range []bool{true, false} {
		inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
			k.CreateTopic("orders", 1)
			groupOfOne(k)
			k.AppendValues("orders", 0, "first")
			hold := make(chan struct{})
			h := &heard{}
			l := holdsAssigned{h, hold}
			opts := []ConsumerOption{WithLogger(nil), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithTopics("orders"),
				WithRebalanceListener(l), WithAutoOffsetReset(ResetEarliest)}
			if group {
				opts = append(opts, WithGroupID("billing"))
			}
			c, err := NewConsumer(opts...)
			require.NoError(t, err)
			short := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return c.Start(ctx)
			}
			err = short()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "OnPartitionsAssigned of the rebalance listener hangs")
			require.Error(t, short(), "it hangs still")
			require.Equal(t, []string{"assigned orders-0"}, h.so())
			close(hold)
			require.NoError(t, c.Start(t.Context()))
			require.Equal(t, []string{"first"}, values(receive(t, c, 1)))
			require.Zero(t, c.sub.listening)
			require.NoError(t, c.Stop(t.Context()))
			calls := h.so()
			for i, call := range calls { // each start's partitions come and go
				require.Equal(t, i%2 == 0, call == "assigned orders-0", "%v", calls)
			}
			require.Equal(t, "revoked orders-0", calls[len(calls)-1])
			require.Equal(t, len(calls)/2-1, len(slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return c != "lost orders-0" })))
		})
	}
}

// holdsAssigned is heard, whose OnPartitionsAssigned waits.
type holdsAssigned struct {
	*heard
	until chan struct{}
}

func (h holdsAssigned) OnPartitionsAssigned(ctx context.Context, c *Consumer, tps []TopicPartition) error {
	defer func() { <-h.until }()
	return h.heard.OnPartitionsAssigned(ctx, c, tps)
}

// Two listeners are told of one giving up where a Subscribe has dropped a part: each one's partitions go when it returns, so that nothing
// is committed that its application has parted from.
func TestGroup_WhatOneListenerHasPartedFromIsGoneWhileTheNextOneIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &heard{}, &heard{hold: make(chan struct{})}
		c := holding(t, first, 1)
		dropped, stays := TopicPartition{"t", 0}, TopicPartition{"u", 0}
		require.NoError(t, c.Subscribe([]string{"u"}, WithListener(second)))
		c.sub.mu.Lock()
		c.sub.add([]TopicPartition{stays}, startAt{})
		c.sub.partitions[stays].known = true
		c.sub.mu.Unlock()
		var work sync.WaitGroup
		work.Go(func() { c.group.giveUpThese(t.Context(), these(c, dropped, stays), nil) })
		synctest.Wait()
		require.Equal(t, []string{"revoked t-0"}, first.so())
		require.Equal(t, []string{"revoked u-0"}, second.so())

		offsets, _ := c.handedOut(t.Context())
		require.Contains(t, offsets, stays)
		require.NotContains(t, offsets, dropped)
		run := c.newCommitRun("Commit", map[TopicPartition]OffsetAndMetadata{dropped: {Offset: 5}, stays: {Offset: 5}}, true)
		run.dropLost(memberIdentity{generation: 1})
		require.Len(t, run.pending, 1)
		require.Contains(t, run.pending, stays)
		close(second.hold)
		work.Wait()
		require.Empty(t, c.Assignment())
		require.Contains(t, c.sub.givenUp, stays, "it may come back")
		require.NotContains(t, c.sub.givenUp, dropped)
	})
}

// So does one that hangs with what is new: what is settled of the rest is committed, and the member leaves.
func TestGroup_EndsWithOnPartitionsAssignedThatHangs(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		hold := make(chan struct{})
		first := true
		l := RebalanceFuncs{Assigned: func(context.Context, *Consumer, []TopicPartition) error {
			if !first {
				<-hold
			}
			first = false
			return nil
		}}
		c := member(t, k, l, WithAssignors(CooperativeStickyAssignor))
		k.CreateTopic("payments", 1)
		require.NoError(t, c.Subscribe([]string{"orders", "payments"}, WithListener(l)))
		time.Sleep(time.Second)
		require.Len(t, c.Assignment(), 2)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		err := c.Stop(ctx)
		require.ErrorContains(t, err, "hangs")
		committed, _ := k.Committed("billing", "orders", 0)
		require.EqualValues(t, 2, committed.Offset)
		require.Equal(t, 1, k.Count(protocol.KeyLeaveGroup))
		close(hold)
	})
}

// A listener that is slow with what is new, and heeds its ctx, leaves time for the rest.
func TestGroup_EndsOnPartitionsAssignedThatHeedsItsContext(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				var calls []string
				l := RebalanceFuncs{Assigned: func(ctx context.Context, _ *Consumer, tps []TopicPartition) error {
					if calls = append(calls, "assigned"); len(calls) > 1 {
						<-ctx.Done()
					}
					return nil
				}, Revoked: func(context.Context, *Consumer, []TopicPartition) error {
					calls = append(calls, "revoked")
					return nil
				}}
				c := member(t, k, l, WithAssignors(CooperativeStickyAssignor))
				k.CreateTopic("payments", 1)
				require.NoError(t, c.Subscribe([]string{"orders", "payments"}, WithListener(l)))
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				require.NoError(t, end(ctx, c))
				require.Equal(t, []string{"assigned", "assigned", "revoked"}, calls)
				require.NoError(t, c.Stop(t.Context()))
			})
		})
	}
}

// An Unsubscribe returns before its listener has only when its time is over, and says so; the member has left by then.
func TestGroup_UnsubscribeSaysThatItsListenerHangs(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		h := &heard{hold: make(chan struct{})}
		c := member(t, k, h)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		err := c.Unsubscribe(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "OnPartitionsRevoked of the rebalance listener has not returned")
		require.Equal(t, 1, k.Count(protocol.KeyLeaveGroup))
		close(h.hold)
		require.NoError(t, c.Stop(t.Context()))
	})
}

// An Unsubscribe whose ctx has ended already does not wait for the leave; Stop does.
func TestGroup_StopLeavesAfterAnUnsubscribeThatHadNoTime(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		c := member(t, k, &heard{})
		over, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, c.Unsubscribe(over))
		require.NoError(t, c.Stop(t.Context()))
		require.Equal(t, 1, k.Count(protocol.KeyLeaveGroup))
	})
}

// Who waits for the member to leave, and for less long than another, has shares of that time.
func TestGroup_StopHasItsSharesWhileUnsubscribeWaits(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		h := &heard{}
		c := member(t, k, h)
		k.HangNode(1)
		came := make(chan error, 1)
		go func() { came <- c.Unsubscribe(context.Background()) }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		require.Error(t, c.Stop(ctx))
		require.ErrorIs(t, <-came, ErrConsumerStopped)
		require.Equal(t, []string{"assigned orders-0", "revoked orders-0"}, h.so())
	})
}

// A pattern that was subscribed just before Stop may be matched while that leaves: nobody joins any more.
func TestGroup_AWishToJoinThatComesWhileStopLeavesIsNone(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		h := &heard{hold: make(chan struct{})}
		c := member(t, k, h)
		came := make(chan error, 1)
		go func() { came <- c.Stop(context.Background()) }()
		synctest.Wait()
		c.group.post(evWanted{reason: "the subscription has changed"}) // as applyMetadata does it for a pattern just subscribed
		time.Sleep(time.Second)
		require.NoError(t, c.life.Err())
		close(h.hold)
		require.NoError(t, <-came)
		require.Equal(t, 1, k.Count(protocol.KeyLeaveGroup))
	})
}
