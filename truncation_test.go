package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// The epoch that is committed with a position, and asked about when the leader changes, is that of the batch before the
// position: also where nothing of that batch is handed out.
func TestPosition_HasTheEpochOfTheBatchBeforeIt(t *testing.T) {
	spread := func(h *protocol.BatchHeader) { h.LastOffsetDelta = 9 }
	cases := []struct {
		name     string
		set      []byte
		position int64
		epoch    int32
	}{
		{"a record", batchOf(0, 2, inEpoch(1)), 2, 1},
		{"records of two epochs", joined(batchOf(0, 2, inEpoch(1)), batchOf(2, 2, inEpoch(3))), 4, 3},
		{"a marker", joined(batchOf(0, 2, byProducer(1), inEpoch(1)), marker(2, 1, protocol.ControlCommit, inEpoch(2))), 3, 2},
		{"nothing but a marker", marker(0, 1, protocol.ControlAbort, inEpoch(2)), 1, 2},
		{"an empty batch", joined(batchOf(0, 1, inEpoch(1)), batchOf(1, 0, spread, inEpoch(4))), 11, 4},
		{"a record behind a marker", joined(marker(0, 1, protocol.ControlAbort, inEpoch(2)), batchOf(1, 1, inEpoch(3))), 2, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRooms(t)
			p := r.assign(1)[0]
			r.answer(r.next(), part{set: c.set})
			r.drain()
			require.Equal(t, c.position, p.position)
			require.Equal(t, c.epoch, p.lastEpoch)
			require.Equal(t, c.epoch, p.fetch.lastEpoch)
		})
	}
}

// What is settled while a message is in hand ends before that message, and so does its epoch.
func TestPosition_SettledEpochIsOfWhatIsSettled(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.answer(r.next(), part{set: joined(
		batchOf(0, 1, byProducer(1), inEpoch(1)), marker(1, 1, protocol.ControlCommit, inEpoch(2)), batchOf(2, 1, inEpoch(3)))})
	r.decode()
	settled := func() []int64 {
		r.sub.mu.Lock()
		defer r.sub.mu.Unlock()
		offset, epoch := r.sub.settled(p)
		return []int64{offset, int64(epoch)}
	}
	r.one()
	require.Equal(t, []int64{0, -1}, settled())
	r.one()
	require.Equal(t, []int64{2, 2}, settled())
}

// Room is made by dropping the newest batches; what is asked for next then has the epoch of what comes before it.
func TestPosition_EpochOfWhatIsAskedForAfterRoomWasMade(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.answer(r.next(), part{set: batchOf(0, 2, inEpoch(1))})
	r.answer(r.next(), part{set: batchOf(2, 2, inEpoch(3))})
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	r.sub.makeRoom(r.sub.budget.available() + 1)
	require.Equal(t, []int64{2, 1}, []int64{p.fetch.offset, int64(p.fetch.lastEpoch)})
}

// Two unclean elections may have cut a partition twice. The answer about the epoch of what is buffered says nothing about an
// older one, of which the application's position is.
func TestValidated_CutOfTheBufferLeavesAnOlderEpochToBeAskedAbout(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.answer(r.next(), part{set: joined(batchOf(0, 10, inEpoch(0)), batchOf(10, 10, inEpoch(2)))})
	r.decode()
	r.takeN(8)
	validated := func(end epochEnd) []logEvent {
		r.sub.mu.Lock()
		defer r.sub.mu.Unlock()
		p.fetch.leaderEpoch, p.fetch.validate = 3, true
		l := lookup{p: p, epoch: p.epoch, leaderEpoch: 3, offset: p.fetch.offset, lastEpoch: p.fetch.lastEpoch}
		return r.validated(&l, end)
	}
	require.Len(t, validated(epochEnd{epoch: 1, offset: 12}), 1)
	require.Equal(t, []int64{8, 8, 0}, []int64{p.position, p.fetch.offset, int64(p.fetch.lastEpoch)})
	require.True(t, p.fetch.validate, "the epoch of the position is older than the one that was asked about")
	require.Len(t, validated(epochEnd{epoch: 0, offset: 5}), 1)
	require.Equal(t, int64(5), p.position)
}

func TestValidated_CutOfTheBufferInThePositionsOwnEpochIsTheEndOfIt(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.answer(r.next(), part{set: batchOf(0, 20, inEpoch(2))})
	r.decode()
	r.takeN(8)
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	l := lookup{p: p, epoch: p.epoch, leaderEpoch: 3, offset: p.fetch.offset, lastEpoch: p.fetch.lastEpoch}
	require.Len(t, r.validated(&l, epochEnd{epoch: 2, offset: 12}), 1)
	require.False(t, p.fetch.validate)
}
