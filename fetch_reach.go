package kafka

import (
	"math"
	"time"
)

// This file decides how much to ask a broker for at a time, and how far ahead of the application. Where answers begin soon, little
// at a time does as well as much: it takes less memory, and what has been read is decoded while a core's cache has it yet. Where an
// answer takes long to begin, as over a long way or from a cold disk, that time is spread over much.

// nearAsk is what a near broker is asked for at a time: enough that what a request costs does not show.
const nearAsk = 2 << 20

// nearAskEach is how much more that is for each partition of the session: with many, what a request costs a broker is to look at all.
const nearAskEach = 16 << 10

// leastMeasured is the least answer that tells how fast answers are read.
const leastMeasured = 64 << 10

// A reach is what is known of the way to a broker. Nothing yet: it is near.
type reach struct {
	far     bool
	answers int           // that were measured
	wait    time.Duration // until an answer begins, when it begins soon
	read    time.Duration // to read nearAsk bytes of it
}

// measured takes in an answer of so many bytes.
func (r *reach) measured(wait, read time.Duration, bytes int64) {
	if bytes < leastMeasured {
		return
	}
	read = time.Duration(float64(read) * nearAsk / float64(bytes))
	if r.answers++; r.answers == 1 {
		r.wait, r.read = wait, read // the connection may have been made meanwhile; the next ones put that right
		return
	}
	// A wait is the way there and back, and whatever came in between: the shortest tell of the way.
	if r.wait += (wait - r.wait) / 64; wait < r.wait {
		r.wait = wait
	}
	r.read += (read - r.read) / 8
	switch {
	case r.answers < 3:
	case r.wait > r.read/2:
		r.far = true
	case r.wait <= r.read/4:
		r.far = false
	}
}

// ahead gives how many buffered bytes a partition may have and still be asked for; below half of that it is to be asked for now.
// reuse says that memory is used again, however much it is.
func (r *reach) ahead(p *partition, maxPartitionBytes int, reuse bool) int {
	switch {
	case r.far, reuse && p.fetch.compressed:
		return 2 * maxPartitionBytes
	case p.fetch.compressed: // it will be several times as much, for several workers
		return maxPartitionBytes
	}
	return maxPartitionBytes / 2
}

// most gives how many bytes are asked for, at most, for some of the members of a session.
func (r *reach) most(picked []*partition, members int) int64 {
	if r.far {
		return math.MaxInt64
	}
	for _, p := range picked {
		if p.fetch.compressed {
			return math.MaxInt64
		}
	}
	return nearAsk + nearAskEach*int64(members)
}
