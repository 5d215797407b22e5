package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// What each error code of a partition in Fetch leads to; every one that the schema and Kafka's brokers know is here.
func TestErrors_Fetch(t *testing.T) {
	type outcome struct{ refresh, told, reset bool }
	cases := map[protocol.ErrorCode]outcome{
		protocol.NotLeaderOrFollower:        {refresh: true},
		protocol.ReplicaNotAvailable:        {refresh: true},
		protocol.KafkaStorageError:          {refresh: true},
		protocol.FencedLeaderEpoch:          {refresh: true},
		protocol.OffsetNotAvailable:         {refresh: true},
		protocol.LeaderNotAvailable:         {refresh: true},
		protocol.UnknownTopicOrPartition:    {refresh: true},
		protocol.UnknownTopicID:             {refresh: true},
		protocol.InconsistentTopicID:        {refresh: true},
		protocol.OffsetMovedToTieredStorage: {refresh: true},
		protocol.UnknownLeaderEpoch:         {},
		protocol.UnknownServerError:         {},
		protocol.OffsetOutOfRange:           {reset: true},
		protocol.TopicAuthorizationFailed:   {told: true},
		protocol.CorruptMessage:             {told: true},
		protocol.UnsupportedCompressionType: {told: true},
		protocol.InvalidRequest:             {told: true},    // one that no rule is for, and will not pass
		protocol.RequestTimedOut:            {refresh: true}, // one that no rule is for, and may pass
	}
	for code := range fetchErrorActions {
		require.Contains(t, cases, code)
	}
	for code, want := range cases {
		t.Run(code.Name(), func(t *testing.T) {
			r := newRooms(t)
			parts := r.assign(2)
			require.NoError(t, r.Seek(parts[0].tp, 5))
			pl := r.next()
			r.visit(pl, part{index: 0, code: code}, part{index: 1, set: batchOf(0, 1)})
			refresh := r.fetcher.landed(pl, nil, false)

			require.Equal(t, want.refresh, refresh != "", refresh)
			require.Equal(t, []string{"v0"}, values(r.drain()), "the other partition goes on")
			if err := r.told(); want.told {
				require.ErrorIs(t, err, code)
				require.ErrorContains(t, err, "t")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, want.reset, !parts[0].known)
			require.Equal(t, int64(5), parts[0].position, "the position is kept")
			if want.reset {
				return
			}

			// It is not asked for again before the backoff, and then once more; success ends what was told.
			main, _ := r.plan()
			got, forgotten := asked(main)
			require.NotContains(t, got, int32(0))
			require.Equal(t, []int32{0}, forgotten, "the broker would answer the session's fetch at once, with the error")
			r.answer(main)
			pl = r.next()
			got, _ = asked(pl)
			require.Equal(t, int64(5), got[0])
			r.answer(pl, part{index: 0, set: batchOf(5, 1)})
			require.Equal(t, []string{"v5"}, values(r.drain()))
			require.NoError(t, r.told())
			require.Zero(t, parts[0].fetch.attempts)
		})
	}
}

func TestErrors_FetchHintsOfNewLeadersAreKept(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	pl := r.next()
	v := r.visitor(pl)
	require.NoError(t, v.Response(&protocol.FetchResponse{SessionID: 7}))
	fp := &protocol.FetchedPartition{Topic: "t", Partition: protocol.NewFetchResponsePartition()}
	fp.Partition.ErrorCode = protocol.NotLeaderOrFollower
	fp.Partition.CurrentLeader = &protocol.FetchResponseLeaderIDAndEpoch{LeaderID: 3, LeaderEpoch: 9}
	require.NoError(t, v.Partition(fp))
	require.Len(t, v.hints, 1)
	require.Equal(t, int32(3), v.hints[0].leader.LeaderID)
}

func TestErrors_ListOffsets(t *testing.T) {
	cases := map[protocol.ErrorCode]listOffsetsAction{
		protocol.NotLeaderOrFollower:         offsetsRefresh,
		protocol.ReplicaNotAvailable:         offsetsRefresh,
		protocol.KafkaStorageError:           offsetsRefresh,
		protocol.OffsetNotAvailable:          offsetsRefresh,
		protocol.LeaderNotAvailable:          offsetsRefresh,
		protocol.FencedLeaderEpoch:           offsetsRefresh,
		protocol.UnknownLeaderEpoch:          offsetsRefresh,
		protocol.UnknownTopicOrPartition:     offsetsRefresh,
		protocol.UnknownTopicID:              offsetsRefresh,
		protocol.UnknownServerError:          offsetsRetry,
		protocol.RequestTimedOut:             offsetsRetry,
		protocol.UnsupportedForMessageFormat: offsetsNothing,
		protocol.TopicAuthorizationFailed:    offsetsFail,
		protocol.UnsupportedVersion:          offsetsFail,
		protocol.InvalidRequest:              offsetsFail,
	}
	for code := range listOffsetsActions {
		require.Contains(t, cases, code)
	}
	for code, want := range cases {
		require.Equal(t, want, actionForListOffsets(code), code.Name())
	}
}

// The same, as a consumer sees it: what passes is retried unseen, what lasts is told, and heals.
func TestErrors_ListOffsetsAtTheStart(t *testing.T) {
	for _, code := range []protocol.ErrorCode{
		protocol.NotLeaderOrFollower, protocol.OffsetNotAvailable, protocol.UnknownServerError, protocol.TopicAuthorizationFailed, protocol.InvalidRequest,
	} {
		t.Run(code.Name(), func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 1)
				k.AppendValues("t", 0, "a")
				k.HandleN(protocol.KeyListOffsets, 3, func(call *fakebroker.Call) fakebroker.Reply {
					resp := call.Default().(*protocol.ListOffsetsResponse)
					resp.Topics[0].Partitions[0].ErrorCode = code
					return fakebroker.Reply{Response: resp}
				})
				c := startConsumer(t, k, WithTopics("t"))
				var errs []error
				for m, err := range c.All(t.Context()) {
					if err == nil {
						require.Equal(t, "a", string(m.Value))
						break
					}
					errs = append(errs, err)
				}
				if actionForListOffsets(code) == offsetsFail {
					require.NotEmpty(t, errs)
					require.ErrorIs(t, errs[0], code)
				} else {
					require.Empty(t, errs)
				}
				require.LessOrEqual(t, k.Count(protocol.KeyListOffsets), 5)
				stopClean(t, c)
			})
		})
	}
}

// What each error code of a partition in OffsetForLeaderEpoch leads to, after its leader has changed. Three answers have the
// code, then the leader answers. The position stays where it is: the next message is "b", neither "a" again nor nothing.
func TestErrors_OffsetForLeaderEpoch(t *testing.T) {
	cases := map[protocol.ErrorCode]epochAction{
		protocol.NotLeaderOrFollower:        epochRefresh,
		protocol.ReplicaNotAvailable:        epochRefresh,
		protocol.KafkaStorageError:          epochRefresh,
		protocol.OffsetNotAvailable:         epochRefresh,
		protocol.LeaderNotAvailable:         epochRefresh,
		protocol.FencedLeaderEpoch:          epochRefresh,
		protocol.UnknownLeaderEpoch:         epochRefresh,
		protocol.UnknownTopicOrPartition:    epochRefresh,
		protocol.UnknownTopicID:             epochRefresh,
		protocol.UnknownServerError:         epochRefresh,
		protocol.TopicAuthorizationFailed:   epochTell,
		protocol.ClusterAuthorizationFailed: epochSkip,
		protocol.UnsupportedVersion:         epochSkip,
		protocol.RequestTimedOut:            epochRefresh, // one that no rule is for, and may pass
		protocol.InvalidRequest:             epochTell,    // one that no rule is for, and will not pass
	}
	for code := range epochActions {
		require.Contains(t, cases, code)
	}
	for code, want := range cases {
		t.Run(code.Name(), func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 2}, func(t *testing.T, k *fakebroker.Cluster) {
				var before atomic.Int64 // what the change of leaders has cost
				c, tp := leaderChanges(t, k, func(call *fakebroker.Call) fakebroker.Reply {
					before.CompareAndSwap(0, int64(k.Count(protocol.KeyMetadata)))
					resp := call.Default().(*protocol.OffsetForLeaderEpochResponse)
					p := &resp.Topics[0].Partitions[0]
					p.ErrorCode, p.LeaderEpoch, p.EndOffset = code, -1, -1
					return fakebroker.Reply{Response: resp}
				})
				errs := errorsUntil(t, c, "b")
				requireAt(t, c, tp, 2)
				refreshed := k.Count(protocol.KeyMetadata) - int(before.Load())
				t.Logf("%d times", refreshed)
				asked := k.Count(protocol.KeyOffsetForLeaderEpoch)
				switch want {
				case epochSkip:
					require.Equal(t, 1, asked)
					require.Empty(t, errs)
				case epochRefresh:
					require.Equal(t, 4, asked)
					require.Empty(t, errs)
					require.GreaterOrEqual(t, refreshed, 2, "metadata is asked for; not only because the leader has changed")
				case epochTell:
					require.Equal(t, 4, asked)
					require.Len(t, errs, 1, "told once, as it passes within WithRetryBackoff's max")
					require.ErrorIs(t, errs[0], code)
					require.LessOrEqual(t, refreshed, 1, "metadata cannot help")
				}
				_, err := c.GetMany(t.Context(), WaitFor(5*time.Second))
				require.NoError(t, err, "it has passed")
				stopClean(t, c)
			})
		})
	}
}

// What lasts is told as long as it lasts, and again.
func TestErrors_OffsetForLeaderEpochIsToldUntilItPasses(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 2}, func(t *testing.T, k *fakebroker.Cluster) {
		refuse := func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.OffsetForLeaderEpochResponse)
			resp.Topics[0].Partitions[0].ErrorCode = protocol.TopicAuthorizationFailed
			return fakebroker.Reply{Response: resp}
		}
		c, tp := leaderChanges(t, k, refuse)
		k.Handle(protocol.KeyOffsetForLeaderEpoch, refuse)
		for range 3 {
			_, err := c.GetOne(t.Context())
			require.ErrorIs(t, err, protocol.TopicAuthorizationFailed)
			requireAt(t, c, tp, 1)
		}
		k.Handle(protocol.KeyOffsetForLeaderEpoch, nil)
		require.Equal(t, []string{"b"}, values(receive(t, c, 1)))
		stopClean(t, c)
	})
}

// A cluster that offers no OffsetForLeaderEpoch at all is read without the check.
func TestErrors_OffsetForLeaderEpochThatABrokerDoesNotHave(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 2, MaxVersions: map[protocol.APIKey]int16{protocol.KeyOffsetForLeaderEpoch: 0}}, func(t *testing.T, k *fakebroker.Cluster) {
		c, tp := leaderChanges(t, k, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{} })
		require.Empty(t, errorsUntil(t, c, "b"))
		requireAt(t, c, tp, 2)
		require.Zero(t, k.Count(protocol.KeyOffsetForLeaderEpoch))
		stopClean(t, c)
	})
}

// leaderChanges gives a consumer that has read "a" when the partition gets another leader, and "b" there. The first three
// questions where the epoch ended are answered by refuse.
func leaderChanges(t *testing.T, k *fakebroker.Cluster, refuse fakebroker.Handler) (*Consumer, TopicPartition) {
	t.Helper()
	k.CreateTopic("t", 1)
	k.AppendValues("t", 0, "a")
	c := startConsumer(t, k, WithTopics("t"))
	require.Equal(t, []string{"a"}, values(receive(t, c, 1)))
	k.HandleN(protocol.KeyOffsetForLeaderEpoch, 3, refuse)
	node, _ := k.Leader("t", 0)
	k.MoveLeader("t", 0, 3-node)
	k.AppendValues("t", 0, "b")
	return c, TopicPartition{"t", 0}
}

// errorsUntil gives what a consumer tells until it hands out a value.
func errorsUntil(t *testing.T, c *Consumer, value string) (errs []error) {
	t.Helper()
	for m, err := range c.All(t.Context()) {
		if err == nil {
			require.Equal(t, value, string(m.Value))
			break
		}
		errs = append(errs, err)
	}
	return errs
}

func requireAt(t *testing.T, c *Consumer, tp TopicPartition, want int64) {
	t.Helper()
	got, err := c.Position(t.Context(), tp)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// What each error code of a topic in Metadata leads to.
func TestErrors_Metadata(t *testing.T) {
	cases := map[protocol.ErrorCode]struct{ told, waits, assigned bool }{
		protocol.None:                     {assigned: true},
		protocol.TopicAuthorizationFailed: {told: true},
		protocol.InvalidTopic:             {told: true},
		protocol.UnknownTopicOrPartition:  {waits: true},
		protocol.UnknownTopicID:           {waits: true},
		protocol.LeaderNotAvailable:       {},
		protocol.ListenerNotFound:         {},
		protocol.UnknownServerError:       {},
		protocol.RequestTimedOut:          {},           // one that no rule is for, and may pass
		protocol.InvalidRequest:           {told: true}, // one that no rule is for, and will not pass
	}
	for code := range topicActions {
		require.Contains(t, cases, code)
	}
	for code, want := range cases {
		t.Run(code.Name(), func(t *testing.T) {
			r := newRooms(t, WithTopics("t"))
			w := &topicWatch{}
			topic := &cluster.Topic{Name: "t", Err: code, Partitions: []cluster.Partition{{Leader: 1}, {Leader: -1}}}
			r.sub.mu.Lock()
			events := r.applyTopic(topic, w)
			again := r.applyTopic(topic, w)
			r.sub.mu.Unlock()
			require.Equal(t, want.told || want.waits || want.assigned, w.answered, "Start may return")
			require.Len(t, r.Assignment(), map[bool]int{true: 2}[want.assigned])
			if err := r.told(); want.told {
				require.ErrorIs(t, err, code)
				require.ErrorContains(t, err, `"t"`)
				require.NoError(t, r.told(), "told again before its time")
			} else {
				require.NoError(t, err)
			}
			if want.waits {
				require.Len(t, events, 1)
			}
			require.Empty(t, again, "one line")

			// It heals.
			r.sub.mu.Lock()
			topic.Err = protocol.None
			r.applyTopic(topic, w)
			r.sub.mu.Unlock()
			require.NoError(t, r.told())
			require.Len(t, r.Assignment(), 2)
			for _, p := range r.sub.partitions {
				require.Equal(t, want.waits, p.start.reset == ResetEarliest, "what has come into being is read from its beginning, what was hidden is not")
			}
		})
	}
}

// Commits, lookups of committed offsets and joins agree with internal/cluster about what passes when no coordinator is found,
// though each has a table of its own.
func TestErrors_FindCoordinatorIsTheSameForAllWhoAsk(t *testing.T) {
	for code, passes := range map[protocol.ErrorCode]bool{
		protocol.CoordinatorNotAvailable:   true,
		protocol.CoordinatorLoadInProgress: true,
		protocol.RequestTimedOut:           true,
		protocol.UnknownServerError:        true,
		protocol.InvalidGroupID:            false,
		protocol.GroupAuthorizationFailed:  false,
		protocol.InvalidRequest:            false,
	} {
		t.Run(code.Name(), func(t *testing.T) {
			r := newRooms(t, WithGroupID("g"))
			err := error(&cluster.CoordinatorError{Group: "g", Err: code})
			require.Equal(t, passes, cluster.IsRetriable(err))
			require.Equal(t, passes, committedMayPass(err), "OffsetFetch")
			run := &commitRun{c: r.Consumer}
			require.Equal(t, passes, run.transport(t.Context(), err) == nil, "OffsetCommit")
			join := groupActionFor(joinActions, joinFailure(answerer{}, err).code)
			require.Equal(t, passes, join == groupRetry || join == groupCoordinator, "JoinGroup")
		})
	}
}

func TestErrors_AToldOneWaitsForTheBackoffAndOthersAreToldMeanwhile(t *testing.T) {
	r := newRooms(t, WithRetryBackoff(time.Millisecond, time.Second))
	parts := r.assign(3)
	s := r.sub
	one, two := protocol.CorruptMessage, protocol.TopicAuthorizationFailed
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(parts[0], one)
	s.fail(parts[1], two)
	s.fail(parts[1], two)
	now := time.Now()
	tell := func(after time.Duration, only ...*partition) error {
		_, err := s.tell(only, now.Add(after), time.Second)
		return err
	}
	require.Equal(t, error(one), tell(0))
	require.Equal(t, error(two), tell(time.Millisecond))
	require.NoError(t, tell(2*time.Millisecond))
	wait, _ := s.tell(nil, now.Add(400*time.Millisecond), time.Second)
	require.Equal(t, 600*time.Millisecond, wait)
	require.Equal(t, error(one), tell(1000*time.Millisecond))
	require.Equal(t, error(two), tell(1001*time.Millisecond))
	require.NoError(t, tell(5*time.Second, parts[2]), "of partitions that are not asked for")
	require.Equal(t, error(two), tell(5*time.Second, parts[1], parts[2]))
	parts[0].paused = true
	require.NoError(t, tell(5*time.Second, parts[0]), "of a paused partition")
	s.clear(parts[1])
	require.NoError(t, tell(9*time.Second))

	s.failAs(aboutTopic("u"), two)
	require.NoError(t, tell(9*time.Second, parts[2]), "of another topic")
	require.Equal(t, error(two), tell(9*time.Second))
	s.failAs(aboutTopic("u"), one)
	require.NoError(t, tell(9*time.Second+time.Millisecond), "another error of the same waits as long")
	require.Equal(t, error(one), tell(10*time.Second), "what is not so any more is not told")
	s.failAs(aboutTopic("u"), nil)
	require.NoError(t, tell(20*time.Second))
}
