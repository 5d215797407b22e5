package kafka

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// asked gives the partitions that a request names, and what it forgets.
func asked(pl *fetchPlan) (offsets map[int32]int64, forgotten []int32) {
	offsets = make(map[int32]int64)
	for _, t := range pl.request.Topics {
		for _, p := range t.Partitions {
			offsets[p.Partition] = p.FetchOffset
		}
	}
	for _, t := range pl.request.ForgottenTopicsData {
		forgotten = append(forgotten, t.Partitions...)
	}
	return offsets, forgotten
}

func TestLanes_PartitionThatBecomesFetchableTakesTheSideLaneUntilTheMainLaneIsFree(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	main, side := r.plan()
	require.Nil(t, side)
	r.answer(main, part{index: 0, set: batchOf(0, 2)}, part{index: 1})
	r.drain()
	main, side = r.plan() // the long poll
	require.Nil(t, side)
	require.Equal(t, int32(500), main.request.MaxWaitMs)

	require.NoError(t, r.Seek(parts[0].tp, 1))
	none, side := r.plan()
	require.Nil(t, none, "the main lane is out")
	got, _ := asked(side)
	require.Equal(t, map[int32]int64{0: 1}, got)
	require.Zero(t, side.request.MaxWaitMs)
	require.Equal(t, int32(-1), side.request.SessionEpoch)
	r.answer(side, part{index: 0, set: batchOf(0, 2)})
	require.Equal(t, []int64{1}, offsetsOf(r.drain()))

	_, side = r.plan() // at the end: something may be there already
	require.Zero(t, side.request.MaxWaitMs)
	r.answer(side, part{index: 0})
	_, side = r.plan() // there was not
	require.Equal(t, int32(sideWait/time.Millisecond), side.request.MaxWaitMs)

	// The long poll ends while the side lane polls: the session takes the partition back.
	r.answer(main)
	main, _ = r.plan()
	got, forgotten := asked(main)
	require.Equal(t, map[int32]int64{0: 2}, got)
	require.Empty(t, forgotten)
	r.answer(side, part{index: 0})
	none, side = r.plan()
	require.Nil(t, none)
	require.Nil(t, side, "the long poll has it")

	// What both bring is taken once.
	r.answer(main, part{index: 0, set: batchOf(2, 1)})
	require.Equal(t, []int64{2}, offsetsOf(r.drain()))
}

// What an answer on the side lane had no room for is asked for there once more, before what others have next, and not on the main lane
// meanwhile: it would come twice. What is at its end, or finds nothing though others are not in its way, goes back to the main lane.
func TestLanes_WhatFoundNoRoomOnTheSideLaneIsNotAskedForTwice(t *testing.T) {
	for _, c := range []struct {
		name    string
		high    int64 // of the second partition
		records bool  // the first one has some
		back    bool
	}{
		{"more in its log", 100, true, false},
		{"at the end of its log", 5, true, true},
		{"more in its log, it says, but nothing comes", 100, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRooms(t)
			parts := r.assign(2)
			r.fetched(part{index: 0}, part{index: 1})
			main, _ := r.plan() // the long poll
			require.NoError(t, r.Seek(parts[0].tp, 5))
			require.NoError(t, r.Seek(parts[1].tp, 5))
			_, side := r.plan()
			require.Len(t, side.side, 2)
			var set []byte
			if c.records {
				set = batchOf(5, 1)
			}
			r.answer(side, part{index: 0, set: set, high: 100}, part{index: 1, high: c.high})
			_, side = r.plan()
			if c.records {
				require.Same(t, parts[1], side.side[0], "the one that found no room comes first")
			}

			r.answer(main)
			main, _ = r.plan()
			back := false
			if main != nil { // without it the session has no members left
				got, _ := asked(main)
				_, back = got[1]
			}
			require.Equal(t, c.back, back)
		})
	}
}

// A partition that has come to its end on the side lane goes along with fetches for those that have more, and its polls hold none of them up.
func TestLanes_PartitionAtItsEndIsNotInTheWayOfOthers(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 2)
		const batches = 40
		for base := range int64(batches) {
			k.AppendRaw("t", 0, big(base, 64<<10))
		}
		k.AppendRaw("t", 1, big(0, 1))
		c := startConsumer(t, k, WithTopics("t"), WithMaxPartitionFetchBytes(128<<10), WithFetchMaxWait(time.Minute))
		synctest.Wait()
		short := TopicPartition{Topic: "t", Partition: 1}
		require.NoError(t, c.Seek(short, 0)) // the long poll is out
		began := time.Now()
		for range batches + 1 {
			receive(t, c, 1)
			synctest.Wait() // whatever can be asked for is asked for
		}
		require.LessOrEqual(t, time.Since(began), sideWait, "one poll, before it was known that there are others")

		time.Sleep(2 * sideWait)
		at := time.Now()
		k.AppendRaw("t", 1, big(1, 1))
		receive(t, c, 1)
		require.LessOrEqual(t, time.Since(at), sideWait)
	})
}

func TestLanes_SessionForgetsWhatTheSideLaneTook(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	r.fetched(part{index: 0}, part{index: 1})
	main, _ := r.plan()
	require.NoError(t, r.Seek(parts[0].tp, 5))
	_, side := r.plan()
	require.NotNil(t, side)

	r.answer(main, part{index: 0, set: batchOf(0, 1)}) // of the old position
	main, _ = r.plan()

	got, forgotten := asked(main)
	require.Empty(t, got)
	require.Equal(t, []int32{0}, forgotten)
	require.Empty(t, r.drain())
	r.answer(side, part{index: 0, set: batchOf(5, 1)})
	require.Equal(t, []int64{5}, offsetsOf(r.drain()))
}

func TestLanes_PartitionOfAnAnswerBeingReadWaitsForTheNextOne(t *testing.T) {
	r := newRooms(t)
	r.assign(2)
	main, _ := r.plan()
	r.visit(main, part{index: 0, set: batchOf(0, 1)}) // the second partition is still on its way

	none, side := r.plan()
	require.Nil(t, none)
	require.Nil(t, side)

	r.fetcher.landed(main, nil, false)
	main, _ = r.plan()
	got, _ := asked(main)
	require.Equal(t, map[int32]int64{0: 1}, got, "the other one is in the session as it was")
}

func TestLanes_FlightToAFormerLeaderDoesNotCount(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	r.fetched(part{index: 0}, part{index: 1})
	main, _ := r.plan()
	require.NoError(t, r.Seek(parts[0].tp, 5))
	_, side := r.plan()

	r.sub.mu.Lock()
	for _, p := range parts {
		p.fetch.leader = 2
		r.fetcher.markDirty(p)
	}
	r.sub.mu.Unlock()
	main2, _ := r.plan()
	require.Equal(t, int32(2), main2.node)
	got, _ := asked(main2)
	require.Equal(t, map[int32]int64{0: 5, 1: 0}, got)

	r.answer(side, part{index: 0, set: batchOf(5, 1)}) // too late
	r.answer(main, part{index: 1, set: batchOf(0, 1)})
	require.Empty(t, r.drain())
	r.answer(main2, part{index: 0, set: batchOf(5, 1)})
	require.Equal(t, []int64{5}, offsetsOf(r.drain()))
	r.sub.unsubscribe()
	for _, pl := range plansOf(r) {
		r.answer(pl)
	}
	r.requireAllFree()
}

// plansOf plans everything there is.
func plansOf(r *rooms) (out []*fetchPlan) {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	out, _ = r.fetcher.plan(time.Now())
	return out
}

func TestLanes_FailedFetchBeginsTheSessionAnew(t *testing.T) {
	type refusalCase struct {
		name    string
		code    protocol.ErrorCode
		id      int32
		waits   bool // for the backoff
		refresh bool
	}
	cases := []refusalCase{
		{"the broker forgot it", protocol.FetchSessionIDNotFound, 0, false, false},
		{"the epochs differ", protocol.InvalidFetchSessionEpoch, 7, false, false},
		{"the topic ids differ", protocol.FetchSessionTopicIDError, 7, true, true},
		{"anything else", protocol.UnknownServerError, 7, true, true},
		{"anything else, that does not pass", protocol.InvalidRequest, 7, true, true},
	}
	for code := range fetchRefusals {
		require.True(t, slices.ContainsFunc(cases, func(c refusalCase) bool { return c.code == code }), code.Name())
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRooms(t)
			parts := r.assign(2)
			r.fetched(part{index: 0}, part{index: 1})
			main, _ := r.plan()
			require.Equal(t, []int32{7, 1}, []int32{main.request.SessionID, main.request.SessionEpoch})

			require.NoError(t, r.visitor(main).Response(&protocol.FetchResponse{ErrorCode: c.code}))
			refresh := r.fetcher.landed(main, nil, false)

			require.Equal(t, c.refresh, refresh != "", refresh)
			require.NoError(t, r.told(), "it is between the broker and this client")
			require.Equal(t, []int64{0, 0}, []int64{parts[0].position, parts[1].position})
			main, _ = r.plan()
			if c.waits {
				require.Nil(t, main)
				r.fetcher.nodes[1].retryAt = time.Time{}
				main, _ = r.plan()
			}
			got, _ := asked(main)
			require.Equal(t, map[int32]int64{0: 0, 1: 0}, got, "all of it")
			require.Equal(t, []int32{c.id, 0}, []int32{main.request.SessionID, main.request.SessionEpoch})
		})
	}
}

// What follows on the main lane is planned by whoever has seen the last fetch land, but where others wait for room, or on the side lane.
func TestLanes_TheNextFetchIsPlannedWhereTheLastOneLanded(t *testing.T) {
	r := newRooms(t)
	r.assign(2)
	lands := func(pl *fetchPlan, parts ...part) *fetchPlan {
		r.answer(pl, parts...)
		return r.fetcher.next(t.Context(), pl)
	}
	main, _ := r.plan()
	next := lands(main, part{index: 0, set: batchOf(0, 1)})
	require.NotNil(t, next)
	require.Same(t, main, next, "in the memory of the last one")
	got, _ := asked(next)
	require.Equal(t, map[int32]int64{0: 1}, got)
	none, _ := r.plan()
	require.Nil(t, none, "the lane is taken")

	require.NoError(t, r.Seek(TopicPartition{"t", 1}, 0))
	_, side := r.plan()
	require.NotNil(t, side)
	require.Nil(t, lands(side, part{index: 1, set: batchOf(0, 1)}))

	require.False(t, r.sub.budget.takeRaw(1<<40), "somebody waits for room")
	require.Nil(t, lands(next, part{index: 0, set: batchOf(1, 1)}))
	main, _ = r.plan()
	require.NotNil(t, main)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.answer(main)
	require.Nil(t, r.fetcher.next(ended, main))
}
