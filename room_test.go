package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// waiting makes a Get call wait for messages of these partitions (none: all), as far as others can tell.
func (r *rooms) waiting(only ...*partition) {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	r.sub.waiters = append(r.sub.waiters, &waiter{ch: make(chan struct{}, 1), only: only})
	r.sub.callWaits()
}

// fill charges what is left of the budget.
func (r *rooms) fill() int64 {
	n := r.sub.budget.available()
	require.True(r.t, r.sub.budget.takeRaw(n))
	return n
}

// big is a batch of about n bytes.
func big(base int64, n int) []byte { return valuesBatch(base, []string{string(make([]byte, n))}) }

func TestRoom_MemberOfTheSessionThatIsWantedGetsRoom(t *testing.T) {
	r := newRooms(t, small(64<<10)...)
	parts := r.assign(2)
	r.fetched(part{index: 0, set: big(0, 46<<10)}, part{index: 1})
	require.NoError(t, r.Pause(parts[0].tp))
	main, _ := r.plan() // the second partition is in the session, and waits there
	r.answer(main)
	filled := r.fill() - 20<<10
	r.sub.budget.leaveRaw(20 << 10)

	none, _ := r.plan()
	require.Nil(t, none, "no room, and nobody waits")
	r.waiting(parts[1])
	main, _ = r.plan()

	require.NotNil(t, main, "the paused partition's batches make room")
	require.Empty(t, parts[0].buf.segments)
	require.True(t, parts[0].fetch.held)
	r.answer(main, part{index: 1, set: batchOf(0, 1)})
	r.sub.budget.leaveRaw(filled)
}

// Once much is decoded ahead, only what is wanted is; what a call asked for that did not wait is wanted, too.
func TestRoom_WhatIsPolledForIsDecodedHoweverMuchIsAhead(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	r.fetched(part{index: 0, set: batchOf(0, 3)}, part{index: 1, set: batchOf(0, 3)})
	var c charge
	holder := false
	require.True(t, r.sub.budget.takeDecoded(r.sub.mostAhead(), &c, &holder, false)) // of others
	require.False(t, r.decodeStep(), "nobody wants anything")
	poll := func() int {
		got, err := r.GetMany(t.Context(), WaitFor(0), FromPartitions(parts[1].tp))
		require.NoError(t, err)
		return len(got[parts[1].tp])
	}
	require.Zero(t, poll())
	require.True(t, r.decodeStep())
	require.False(t, r.decodeStep(), "only what was asked for")
	require.Equal(t, 3, poll())
	r.sub.budget.releaseDecoded(&c)
}

// A call that has been woken takes a while to run: until it has looked, it has something, and needs no more of others.
func TestRoom_WokenCallDoesNotHaveMoreDecoded(t *testing.T) {
	r := newRooms(t)
	r.assign(3)
	r.fetched(part{index: 0, set: batchOf(0, 3)}, part{index: 1, set: batchOf(0, 3)}, part{index: 2, set: batchOf(0, 3)})
	var c charge
	holder := false
	require.True(t, r.sub.budget.takeDecoded(r.sub.mostAhead(), &c, &holder, false)) // of others
	r.waiting()
	require.True(t, r.decodeStep())
	require.False(t, r.decodeStep(), "it has been woken")
	r.sub.waiters = nil
	require.Len(t, r.takeN(10), 3)

	require.False(t, r.decodeStep(), "nobody waits")
	poll := func() int {
		got, err := r.GetMany(t.Context(), WaitFor(0))
		require.NoError(t, err)
		return len(got)
	}
	require.Zero(t, poll())
	require.True(t, r.decodeStep())
	require.False(t, r.decodeStep(), "the next call will find something")
	require.Equal(t, 1, poll())
	require.Zero(t, poll())
	require.True(t, r.decodeStep(), "it found nothing")
	r.sub.budget.releaseDecoded(&c)
}

// Record sets do not take all the room there is, so that several can be decoded at a time; unless a call waits for them.
func TestRoom_RecordSetsLeaveSomeForDecoding(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	r.fetched(part{index: 0, set: batchOf(0, 3)}, part{index: 1})
	filled := r.fill()
	r.sub.budget.leaveRaw(r.sub.mostAhead()) // a little less, as a batch is buffered
	require.NoError(t, r.Seek(parts[1].tp, 5))
	none, _ := r.plan()
	require.Nil(t, none)

	r.sub.budget.leaveRaw(leastFetch)
	main, _ := r.plan()
	require.NotNil(t, main)
	require.LessOrEqual(t, main.left, int64(leastFetch))
	r.answer(main)
	require.True(t, r.sub.budget.takeRaw(leastFetch))

	none, _ = r.plan()
	require.Nil(t, none)
	r.waiting(parts[1])
	main, _ = r.plan()
	require.NotNil(t, main)
	r.answer(main)
	r.sub.budget.leaveRaw(filled - r.sub.mostAhead())
}

func TestRoom_PartitionThatHasSomethingTakesNothingFromOthers(t *testing.T) {
	r := newRooms(t, small(64<<10)...)
	parts := r.assign(2)
	r.fetched(part{index: 0, set: big(0, 30<<10)}, part{index: 1, set: big(0, 30<<10)})
	require.NoError(t, r.Pause(parts[0].tp))
	filled := r.fill()
	r.waiting(parts[1])
	none, _ := r.plan()
	require.Nil(t, none)
	require.Len(t, parts[0].buf.segments, 1)
	r.sub.budget.leaveRaw(filled)
}

func TestRoom_PartitionThatGaveUpBatchesIsFetchedAgainWhenAskedFor(t *testing.T) {
	asks := map[string]func(r *rooms, p *partition){
		"by a call for all that finds other messages": func(r *rooms, p *partition) {
			require.NoError(r.t, r.Resume(p.tp))
			m, err := r.GetOne(r.t.Context())
			require.NoError(r.t, err)
			require.Equal(r.t, int32(1), m.Partition)
		},
		"by a call for it": func(r *rooms, p *partition) {
			require.NoError(r.t, r.Resume(p.tp))
			_, err := r.GetMany(r.t.Context(), WaitFor(0), FromPartitions(p.tp))
			require.NoError(r.t, err)
		},
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t, small(64<<10)...)
			parts := r.assign(2)
			r.fetched(part{index: 0, set: joined(big(0, 20<<10), big(1, 20<<10))}, part{index: 1, set: batchOf(0, 5)})
			p := parts[0]
			require.NoError(t, r.Pause(p.tp))
			r.sub.mu.Lock()
			r.sub.waiters = []*waiter{{only: parts[1:]}}
			r.sub.makeRoom(r.sub.budget.general())
			r.sub.waiters = nil
			r.sub.mu.Unlock()
			require.True(t, p.fetch.held)
			require.Zero(t, p.fetch.offset)
			r.decode()

			main, _ := r.plan()
			got, _ := asked(main)
			require.NotContains(t, got, int32(0))
			r.answer(main)
			ask(r, p)

			main, _ = r.plan()
			got, _ = asked(main)
			require.Equal(t, map[int32]int64{0: 0}, got)
		})
	}
}

func TestRoom_NewestBatchesGoFirstAndComeBackOnce(t *testing.T) {
	r := newRooms(t, small(512<<10)...)
	parts := r.assign(1)
	p := parts[0]
	bad := batchOf(4, 1)
	bad[len(bad)-1] ^= 1
	r.fetched(part{set: joined(big(0, segmentBytes+1), valuesBatch(1, []string{"b"}), batchOf(2, 2))})
	r.decode()
	require.Len(t, p.buf.segments, 2)
	require.Len(t, offsetsOf(r.takeN(1)), 1)
	// An error comes behind it.
	r.sub.mu.Lock()
	p.buf.push(&segment{p: p, next: 4, parsed: true, err: &CorruptRecordError{TopicPartition: p.tp, Offset: 4}})
	p.fetch.offset = 4
	drop := func() {
		r.sub.waiters = []*waiter{{only: []*partition{{}}}}
		r.sub.makeRoom(r.sub.budget.available() + 1)
	}

	drop()
	require.Equal(t, int64(1), p.position)
	require.Len(t, p.buf.segments, 0, "an error has no memory to give, so the batches before it follow")
	require.Equal(t, int64(1), p.fetch.offset)
	r.sub.waiters = nil
	r.sub.release(nil)
	r.sub.mu.Unlock()

	r.fetched(part{set: joined(valuesBatch(1, []string{"b"}), batchOf(2, 2))})
	require.Equal(t, []int64{1, 2, 3}, offsetsOf(r.drain()))
	r.requireAllFree()
}

// takeN hands out up to n messages.
func (r *rooms) takeN(n int) []*Message {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	got := make(map[TopicPartition][]*Message)
	r.sub.beginTurn()
	r.sub.takeMany(nil, n, got)
	var out []*Message
	for _, msgs := range got {
		out = append(out, msgs...)
	}
	return out
}

func TestRoom_DroppedErrorDoesNotBringMessagesTwice(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.fetched(part{set: batchOf(0, 4)})
	r.sub.mu.Lock()
	p.buf.push(&segment{p: p, next: 4, parsed: true, err: &CorruptRecordError{TopicPartition: p.tp, Offset: 4}})
	last := len(p.buf.segments) - 1
	// Room for less than the messages take: only the error goes.
	p.buf.segments[last].part = &setPart{bytes: 1, users: 1}
	require.True(t, r.sub.budget.takeRaw(1))
	r.sub.waiters = []*waiter{{only: []*partition{{}}}}
	r.sub.makeRoom(r.sub.budget.available() + 1)
	require.Len(t, p.buf.segments, 1)
	require.Equal(t, int64(4), p.fetch.offset)
	r.sub.waiters = nil
	r.sub.release(nil)
	r.sub.mu.Unlock()
	r.fetched(part{set: joined(batchOf(0, 4), batchOf(4, 1))})
	require.Equal(t, []int64{0, 1, 2, 3, 4}, offsetsOf(r.drain()))
	r.requireAllFree()
}

func TestRoom_NextBatchThatNeedsMoreGoesBeforeOthers(t *testing.T) {
	r := newRooms(t, WithMaxBatchBytes(1<<20), WithMaxBufferedBytes(4<<20), WithMaxPartitionFetchBytes(64<<10), WithFetchMaxBytes(64<<10))
	parts := r.assign(2)
	r.fetched(part{index: 0}, part{index: 1})
	filled := r.fill()
	r.sub.budget.leaveRaw(400 << 10)
	main, _ := r.plan()
	r.answer(main, part{index: 0, size: 500 << 10, set: nil}) // more than there is
	require.Equal(t, 500<<10, parts[0].fetch.need)
	require.NoError(t, r.Seek(parts[1].tp, 1)) // the other one could be fetched with what there is

	main, side := r.plan()
	require.Nil(t, main)
	require.Nil(t, side)
	r.sub.budget.leaveRaw(400 << 10)
	main, side = r.plan()
	require.NotNil(t, main)
	require.GreaterOrEqual(t, main.request.MaxBytes, int32(500<<10))
	require.Nil(t, side)
	r.answer(main, part{index: 0, set: big(0, 499<<10)})
	require.Zero(t, parts[0].fetch.need)
	require.Len(t, r.drain(), 1)
	r.sub.budget.leaveRaw(filled - 800<<10)
	r.sub.unsubscribe()
	r.requireAllFree()
}

func TestRoom_EverythingDroppedGivesEverythingBack(t *testing.T) {
	drops := map[string]func(r *rooms, p *partition){
		"Seek":        func(r *rooms, p *partition) { require.NoError(r.t, r.Seek(p.tp, 7)) },
		"Assign":      func(r *rooms, p *partition) { require.NoError(r.t, r.Assign(TopicPartition{"u", 0})) },
		"unsubscribe": func(r *rooms, p *partition) { r.sub.unsubscribe() },
		"reset": func(r *rooms, p *partition) {
			r.sub.mu.Lock()
			defer r.sub.mu.Unlock()
			r.sub.reset(p, startAt{})
		},
		"a start that fails": func(r *rooms, p *partition) { r.sub.forgetCluster() },
	}
	for name, drop := range drops {
		for _, when := range []string{"fetched", "decoding", "decoded", "partly taken"} {
			t.Run(name+" when "+when, func(t *testing.T) {
				r := newRooms(t)
				p := r.assign(1)[0]
				r.fetched(part{set: joined(batchOf(0, 2000), valuesBatch(2000, numbered(2000, 2000), withCodec(2)))})
				finish := func() {}
				switch when {
				case "decoding":
					r.sub.mu.Lock()
					seg := r.sub.pick()
					env := &decodeEnv{names: &nameCache{}}
					r.prepare(env, seg)
					r.sub.mu.Unlock()
					ch, err := seg.decoder.next(seg, env)
					require.NoError(t, err)
					finish = func() {
						r.sub.mu.Lock()
						defer r.sub.mu.Unlock()
						require.False(t, r.sub.decoded(seg, ch, err))
					}
				case "decoded":
					r.decode()
				case "partly taken":
					r.decode()
					require.Len(t, r.takeN(100), 100)
				}
				drop(r, p)
				finish()
				require.Empty(t, r.drain())
				r.requireAllFree()
			})
		}
	}
}

func TestRoom_FetchThatFailsGivesItsMemoryBack(t *testing.T) {
	r := newRooms(t)
	r.assign(1)
	pl, _ := r.plan()
	v := r.visitor(pl)
	require.NoError(t, v.Response(&protocol.FetchResponse{SessionID: 7}))
	fp := &protocol.FetchedPartition{Topic: "t", RecordsSize: 1000}
	require.Len(t, v.Records(fp, 1000, 1000), 1000)
	r.fetcher.landed(pl, protocol.NetworkException, false) // in the middle of the record set
	r.requireAllFree()
}
