package kafka

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// While user code decodes, other calls may need room: what is decoded may then not be there any more.
func TestTyped_MessagesGivenUpWhileTheyAreDecodedComeLater(t *testing.T) {
	r := newRooms(t)
	p := r.assign(1)[0]
	r.fetched(part{set: joined(big(0, segmentBytes+1), big(1, segmentBytes+1))})
	r.decode()
	dropped := false
	value := func(_ context.Context, _ string, _ []Header, data []byte) (int, error) {
		if !dropped {
			dropped = true
			r.sub.mu.Lock()
			r.sub.waiters = []*waiter{{only: []*partition{{}}}} // a call for something else
			r.sub.makeRoom(r.sub.budget.available() + 1)
			r.sub.waiters = nil
			r.sub.mu.Unlock()
		}
		return len(data), nil
	}
	c := Typed(r.Consumer, Bytes, value)

	got, err := c.GetMany(t.Context(), WaitFor(0))
	require.NoError(t, err)
	for _, m := range got[p.tp] {
		require.Less(t, m.Offset, p.position)
	}
	first := len(got[p.tp])
	require.Equal(t, int64(first), p.position)

	main, _ := r.plan()
	r.answer(main, part{set: big(1, segmentBytes+1)})
	r.decode()
	got, err = c.GetMany(t.Context(), WaitFor(0))
	require.NoError(t, err)
	require.Len(t, got[p.tp], 2-first)
	require.Equal(t, int64(2), p.position)
	require.Equal(t, segmentBytes+1, got[p.tp][0].Value)
}
