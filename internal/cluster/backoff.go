package cluster

import (
	"math/rand/v2"
	"time"
)

// Backoff is exponential, base 2, with ±20 % jitter (KIP-144, KIP-580).
type Backoff struct {
	Min, Max time.Duration
	// Rand gives numbers in [0, 1); nil is random.
	Rand func() float64
}

// After is how long to wait after the attempt-th failure in a row, counted from 1; 0 for none.
func (b Backoff) After(attempt int) time.Duration {
	if attempt <= 0 {
		return 0
	}
	return b.jitter(b.plain(attempt))
}

// plain is After without jitter.
func (b Backoff) plain(attempt int) time.Duration {
	d := b.Min
	for i := 1; i < attempt && d < b.Max; i++ {
		d *= 2
	}
	return min(d, b.Max)
}

// jitter spreads d over 80 % to 120 %, so that many clients do not come back at once.
func (b Backoff) jitter(d time.Duration) time.Duration {
	r := b.Rand
	if r == nil {
		r = rand.Float64
	}
	return time.Duration(float64(d) * (0.8 + 0.4*r()))
}
