package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// abortedBy7 is a list of n aborted transactions, the last of which is of producer 7 and begins at offset 0.
func abortedBy7(n int) []protocol.FetchResponseAbortedTransaction {
	list := make([]protocol.FetchResponseAbortedTransaction, n)
	for i := range list {
		list[i] = protocol.FetchResponseAbortedTransaction{ProducerID: 7 + int64(n-1-i), FirstOffset: int64(n-1-i) * 10}
	}
	return list
}

func TestAborted_ListIsDroppedWhereNobodyAsksForIt(t *testing.T) {
	r := newRooms(t, small(64<<10)...)
	r.assign(1)
	pl := r.next()
	require.Nil(t, (&fetchVisitor{f: r.fetcher, plan: pl}).Aborted(&protocol.FetchedPartition{Topic: "t"}, 1))
	r.answer(pl, part{set: batchOf(0, 2), aborted: abortedBy7(10_000)})
	require.Equal(t, []int64{0, 1}, offsetsOf(r.drain()))
	r.requireAllFree()
}

func TestAborted_MoreThanThereMayBeRoomForAreTold(t *testing.T) {
	r := newRooms(t, append(small(64<<10), WithIsolationLevel(ReadCommitted))...)
	p := r.assign(2)[0]
	for range 3 {
		r.answer(r.next(), part{set: batchOf(0, 2), high: 2, aborted: abortedBy7(10_000)}, part{index: 1})
		require.Zero(t, p.fetch.need)
	}
	require.Equal(t, int32(2), p.fetch.attempts-1, "the backoff grows")
	require.Empty(t, r.drain())
	err := r.told()
	require.ErrorAs(t, err, new(*CorruptRecordError))
	require.ErrorContains(t, err, "t-0 at offset 0")
	require.ErrorContains(t, err, "10000 aborted transactions")

	r.answer(r.next(), part{set: joined(batchOf(0, 2, byProducer(7)), batchOf(2, 1)), high: 3, aborted: abortedBy7(100)})
	require.Equal(t, []int64{2}, offsetsOf(r.drain()))
	require.NoError(t, r.told())
	r.requireAllFree()
}

func TestAborted_RecordsWithoutRoomForTheirListAreAskedForAgain(t *testing.T) {
	r := newRooms(t, append(small(64<<10), WithIsolationLevel(ReadCommitted))...)
	p := r.assign(1)[0]
	answer := part{set: joined(batchOf(0, 2, byProducer(7)), batchOf(2, 1)), high: 3, aborted: abortedBy7(1000)}
	pl := r.next()
	others := r.sub.budget.available() + pl.left - 1000 // as answers to other fetches take it
	require.True(t, r.sub.budget.takeRaw(others-(pl.left-1000)))
	pl.left = 1000
	r.answer(pl, answer)
	require.Empty(t, r.drain())
	require.NoError(t, r.told())
	require.Greater(t, p.fetch.need, 1000*abortedBytes)
	r.sub.budget.leaveRaw(others)

	pl = r.next()
	require.GreaterOrEqual(t, pl.left, int64(p.fetch.need))
	r.answer(pl, answer)
	require.Equal(t, []int64{2}, offsetsOf(r.drain()))
	r.requireAllFree()
}
