package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBudget_RawMemoryLeavesTheReserveAlone(t *testing.T) {
	calls := 0
	b := newBudget(100, 40, func() { calls++ })
	require.Equal(t, int64(60), b.general())
	require.Equal(t, int64(50), b.takeRawUpTo(10, 50, 0))
	require.Zero(t, b.takeRawUpTo(11, 50, 0), "less than the least")
	require.True(t, b.wasRefused())
	require.Zero(t, b.takeRawUpTo(5, 50, 6), "what is to be spared is not there")
	require.Equal(t, int64(5), b.takeRawUpTo(5, 50, 5))
	b.leaveRaw(0)
	require.Zero(t, calls)
	b.leaveRaw(55)
	require.Equal(t, 1, calls, "who was refused is told")
	b.takeRaw(1)
	b.leaveRaw(1)
	require.Equal(t, 1, calls, "nobody waits")
	now, _, peak := b.buffered()
	require.Equal(t, []int64{0, 55}, []int64{now, peak})
}

func TestBudget_ReserveIsForOneAtATime(t *testing.T) {
	b := newBudget(100, 40, func() {})
	require.True(t, b.takeRaw(55))
	var one, two, three bool
	var c1, c2, c3 charge
	require.True(t, b.takeDecoded(5, &c3, &three, false), "what is left beside the reserve")
	require.False(t, b.takeDecoded(5, &c3, &three, false), "it may not have it")
	require.True(t, b.takeDecoded(30, &c1, &one, true))
	require.True(t, one)
	require.False(t, b.takeDecoded(5, &c2, &two, true), "another has it")
	require.False(t, two)
	require.True(t, b.takeDecoded(10, &c1, &one, true))
	require.False(t, b.takeDecoded(1, &c1, &one, true), "all of it is used")
	now, decoded, _ := b.buffered()
	require.Equal(t, []int64{100, 45}, []int64{now, decoded})

	b.releaseDecoded(&c1)
	require.False(t, b.takeDecoded(5, &c2, &two, true), "the other one keeps it until it is done")
	b.leaveReserve()
	require.True(t, b.takeDecoded(5, &c2, &two, true))
	for _, c := range []*charge{&c1, &c2, &c3} {
		b.releaseDecoded(c)
		b.releaseDecoded(c) // giving back twice gives back once
	}
	b.leaveRaw(55)
	now, decoded, peak := b.buffered()
	require.Equal(t, []int64{0, 0, 100}, []int64{now, decoded, peak})
}

func TestBudget_NeverMoreThanItsLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	b := newBudget(1000, 300, func() {})
	holders := make([]bool, 5)
	charges := make([]charge, 5)
	var raw []int64
	for range 20_000 {
		i := random.IntN(5)
		switch random.IntN(5) {
		case 0:
			if n := b.takeRawUpTo(random.Int64N(100)+1, 100+random.Int64N(400), random.Int64N(50)); n > 0 {
				raw = append(raw, n)
			}
		case 1:
			if len(raw) > 0 {
				b.leaveRaw(raw[0])
				raw = raw[1:]
			}
		case 2, 3:
			b.takeDecoded(random.Int64N(200), &charges[i], &holders[i], random.IntN(2) == 0)
		default:
			b.releaseDecoded(&charges[i])
			if holders[i] {
				holders[i] = false
				b.leaveReserve()
			}
		}
		var want int64
		for _, n := range raw {
			want += n
		}
		for _, c := range charges {
			want += c.general + c.reserved
		}
		now, _, peak := b.buffered()
		require.Equal(t, want, now)
		require.LessOrEqual(t, peak, int64(1000))
	}
}
