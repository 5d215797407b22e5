package kafka

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// The session's ids and epochs, as KIP-227 has them.
func TestSession_Epochs(t *testing.T) {
	s := newFetchSession()
	next := func() []int32 { id, epoch := s.next(); return []int32{id, epoch} }
	require.Equal(t, []int32{0, 0}, next(), "full, please make one")
	require.True(t, s.full())

	s.answered(0)
	require.Equal(t, []int32{0, 0}, next(), "none was granted: asked for again")

	s.answered(5)
	require.Equal(t, []int32{5, 1}, next())
	require.False(t, s.full())
	s.answered(5)
	require.Equal(t, []int32{5, 2}, next())
	s.answered(6)
	require.Equal(t, []int32{6, 1}, next(), "another one")

	s.epoch = math.MaxInt32
	s.answered(6)
	require.Equal(t, []int32{6, 1}, next(), "the epoch wraps to 1: 0 would make a new one")

	s.reset(protocol.InvalidFetchSessionEpoch)
	require.Equal(t, []int32{6, 0}, next(), "the broker may have it still: named once more, to be dropped")
	s.answered(7)
	s.reset(protocol.FetchSessionIDNotFound)
	require.Equal(t, []int32{0, 0}, next(), "the broker has none")
}

func TestSession_Members(t *testing.T) {
	s := newFetchSession()
	named, unnamed := newPartition(TopicPartition{"t", 0}, started), newPartition(TopicPartition{"u", 0}, started)
	s.put(named, sessionEntry{on: true, topicID: testTopicID})
	s.put(unnamed, sessionEntry{on: true})
	require.Equal(t, 1, s.unnamed)
	s.put(unnamed, sessionEntry{on: true, topicID: testTopicID}) // its id is known now
	require.Zero(t, s.unnamed)
	require.Len(t, s.members, 2)

	s.forget(named)
	s.forget(named)
	require.Equal(t, []forgottenPartition{{topicID: testTopicID, tp: named.tp}}, s.forgotten)
	require.False(t, named.fetch.session.on)

	s.put(named, sessionEntry{on: true})
	members := s.reset(protocol.None)
	require.ElementsMatch(t, []*partition{named, unnamed}, members)
	require.Empty(t, s.forgotten)
	require.Empty(t, s.members)
	require.Zero(t, s.unnamed)
	require.False(t, named.fetch.session.on)
}

func TestSession_OnlyWhatChangesIsSaid(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(3)
	pl, _ := r.plan()
	got, _ := asked(pl)
	require.Equal(t, map[int32]int64{0: 0, 1: 0, 2: 0}, got)
	r.answer(pl, part{index: 0, set: batchOf(0, 4)}, part{index: 1}, part{index: 2})
	r.drain()

	pl, _ = r.plan()
	got, forgotten := asked(pl)
	require.Equal(t, map[int32]int64{0: 4}, got)
	require.Empty(t, forgotten)
	require.NoError(t, r.Pause(parts[1].tp))
	r.answer(pl)

	pl, _ = r.plan()
	got, forgotten = asked(pl)
	require.Empty(t, got)
	require.Equal(t, []int32{1}, forgotten)
	require.NoError(t, r.Resume(parts[1].tp))
	require.NoError(t, r.Assign(parts[0].tp, parts[1].tp))
	r.answer(pl)

	pl, side := r.plan()
	require.Nil(t, side)
	got, forgotten = asked(pl)
	require.Equal(t, map[int32]int64{1: 0}, got)
	require.Equal(t, []int32{2}, forgotten)
	r.answer(pl)
}

func TestSession_PartitionForgottenAndAddedBetweenTwoFetchesIsNamedOnce(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(2)
	r.fetched(part{index: 0}, part{index: 1})
	pl, _ := r.plan()
	require.NoError(t, r.Assign(parts[1].tp))
	r.answer(pl)
	r.assign(2) // back again, as a new one

	pl, _ = r.plan()
	got, forgotten := asked(pl)
	require.Equal(t, map[int32]int64{0: 0}, got)
	require.Empty(t, forgotten, "named as fetched, it would be forgotten at once")
	r.answer(pl, part{index: 0, set: batchOf(0, 1)})
	require.Len(t, r.drain(), 1)
}

// By name, a topic made again is the one that is to be forgotten.
func TestSession_TopicMadeAgainIsForgottenWhereIDsTellTheTwoApart(t *testing.T) {
	for version, want := range map[int16][]int32{lastVersionByName: nil, lastVersionByName + 1: {0}} {
		r := newRooms(t)
		parts := r.assign(2)
		r.fetched(part{index: 0}, part{index: 1})
		pl, _ := r.plan()
		require.NoError(t, r.Assign(parts[1].tp))
		r.answer(pl)
		r.assign(2)[0].fetch.topicID = protocol.UUID{1: 'n'}
		r.fetcher.node(1).session.version = version

		pl, _ = r.plan()
		got, forgotten := asked(pl)
		require.Equal(t, map[int32]int64{0: 0}, got)
		require.Equal(t, want, forgotten, "version %d", version)
	}
}

func TestSession_KnowsTheVersionThatIsSpoken(t *testing.T) {
	limits := map[protocol.APIKey]int16{protocol.KeyFetch: lastVersionByName}
	inBubble(t, fakebroker.Options{MaxVersions: limits}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.AppendValues("t", 0, "a")
		c := startConsumer(t, k, WithTopics("t"))
		receive(t, c, 1)
		synctest.Wait() // the fetch that brought it has landed
		c.sub.mu.Lock()
		defer c.sub.mu.Unlock()
		require.Equal(t, int16(lastVersionByName), c.fetcher.node(1).session.version)
	})
}

func TestSession_TopicWithoutAnIDCapsTheVersion(t *testing.T) {
	r := newRooms(t)
	parts := r.assign(1)
	r.sub.mu.Lock()
	parts[0].fetch.topicID = protocol.UUID{}
	r.sub.mu.Unlock()
	pl, _ := r.plan()
	require.Equal(t, int16(lastVersionByName), pl.maxVersion)
	require.Equal(t, "t", pl.request.Topics[0].Topic)
}

func TestFetchable(t *testing.T) {
	now := time.Now()
	cases := []struct {
		name   string
		change func(p *partition)
		want   verdict
	}{
		{"as it should be", func(*partition) {}, fetchNow},
		{"not assigned any more", func(p *partition) { p.gone = true }, fetchNot},
		{"paused", func(p *partition) { p.paused = true }, fetchNot},
		{"no position", func(p *partition) { p.known = false }, fetchNot},
		{"no leader", func(p *partition) { p.fetch.leader = -1 }, fetchNot},
		{"a full buffer", func(p *partition) { p.buf.push(&segment{size: 6000}); p.buf.push(&segment{size: 4000 - 2*segmentCost}) }, fetchNot},
		{"a buffer that is nearly full", func(p *partition) { p.buf.push(&segment{size: 6000}); p.buf.push(&segment{size: 3999 - 2*segmentCost}) }, fetchNow},
		{"one large batch", func(p *partition) { p.buf.push(&segment{size: 100_000}) }, fetchNow},
		{"an error at the end of the buffer", func(p *partition) { p.buf.push(&segment{err: errNoRoom}) }, fetchNot},
		{"held", func(p *partition) { p.fetch.held = true }, fetchNot},
		{"to be validated", func(p *partition) { p.fetch.validate = true }, fetchNot},
		{"lost", func(p *partition) { p.fetch.lost = true }, fetchNot},
		{"in its backoff", func(p *partition) { p.fetch.retryAt = now.Add(time.Second) }, fetchLater},
		{"behind its backoff", func(p *partition) { p.fetch.retryAt = now }, fetchNow},
		{"paused in its backoff", func(p *partition) { p.paused, p.fetch.retryAt = true, now.Add(time.Second) }, fetchNot},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPartition(TopicPartition{"t", 0}, started)
			p.known, p.fetch.leader = true, 1
			c.change(p)
			require.Equal(t, c.want, p.fetchable(now, 10_000))
		})
	}
}

// The next answer is on its way while the last one waits to be decoded, whatever the size of its batches: the socket is not idle as
// long as there is room. Two answers that nobody has begun to take are enough.
func TestPlan_SocketIsNotIdleWhileBuffersHaveRoom(t *testing.T) {
	for name, size := range map[string]int{"small batches": 3 << 10, "batches as large as a fetch": 100 << 10, "larger ones": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			r := newRooms(t, WithMaxPartitionFetchBytes(100<<10))
			p := r.assign(1)[0]
			answer := func() {
				var set []byte
				offset := p.fetch.offset
				for len(set)+size <= max(size, 100<<10) {
					set = append(set, big(offset, size-100)...)
					offset++
				}
				r.fetched(part{set: set}) // there is a fetch to answer
			}
			answer()
			answer()
			none, _ := r.plan()
			require.Nil(t, none)
			r.decode()
			none, _ = r.plan()
			require.Nil(t, none, "decoded, and not taken")
			first := p.buf.segments[0].size
			for taken := 0; taken < max(first, 100<<10); taken += size {
				require.Len(t, r.takeN(1), 1)
			}
			answer()
		})
	}
}

func TestPlan_BrokersAreAskedApartAndFailuresAreOne(t *testing.T) {
	r := newRooms(t, WithRetryBackoff(time.Second, time.Second))
	parts := r.assign(4)
	r.sub.mu.Lock()
	for i, p := range parts {
		p.fetch.leader = int32(i%2) + 1
		r.fetcher.markDirty(p)
	}
	r.sub.mu.Unlock()
	plans := plansOf(r)
	require.Len(t, plans, 2)
	for _, pl := range plans {
		if pl.node == 2 {
			r.visitor(pl)
			refresh := r.fetcher.landed(pl, protocol.NetworkException, false)
			require.NotEmpty(t, refresh)
			continue
		}
		r.answer(pl, part{index: 0}, part{index: 2})
	}
	r.sub.mu.Lock()
	plans, again := r.fetcher.plan(time.Now())
	r.sub.mu.Unlock()
	require.Len(t, plans, 1, "the other broker is in its backoff")
	require.Equal(t, int32(1), plans[0].node)
	require.InDelta(t, time.Second, time.Until(again), float64(400*time.Millisecond), "and looked at again after it")
	r.answer(plans[0])

	r.sub.mu.Lock()
	plans, _ = r.fetcher.plan(time.Now().Add(2 * time.Second))
	r.sub.mu.Unlock()
	for _, pl := range plans {
		if pl.node == 2 {
			got, _ := asked(pl)
			require.Equal(t, map[int32]int64{1: 0, 3: 0}, got)
		}
		r.answer(pl)
	}
	require.Len(t, plans, 2)
	r.requireAllFree()
}

// When a fetch last answered for a partition is not taken back when the partition leaves the session, whose answers were for it
// too.
func TestSession_LastPollTimestampNeverGoesBack(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.fetched(part{index: 0})
	main, _ := r.plan()
	r.answer(main) // of the session, and with nothing new
	before, ok := r.LastPollTimestamp(p.tp)
	require.True(t, ok)
	r.sub.mu.Lock()
	r.fetcher.node(1).session.forget(p)
	r.sub.mu.Unlock()
	after, _ := r.LastPollTimestamp(p.tp)
	require.False(t, after.Before(before))
}
