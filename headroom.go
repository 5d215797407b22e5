package kafka

import (
	"strings"
	"sync"
	"time"
)

// The garbage collector runs whenever the heap has doubled (GOGC 100), and the heap of a service that streams and keeps little
// is small: at a gigabyte a second it would run hundreds of times a second, and cost more than reading does. Blocks that
// are never touched take address space and no memory, count as live all the same, and so let the heap grow by as much
// before the collector runs. They are there for all consumers of a process, while any of them reads fast.
var headroom struct {
	mu    sync.Mutex
	users [2]int // of each block
	// A builder's memory is not cleared. Where the allocator has memory again that was in use before, clearing would touch it.
	blocks [2]strings.Builder
}

// headroomBytes is the first block's size, the second has half of it: small beside what a process with a consumer takes anyway. Where
// the live heap is larger than they are, they change little.
const headroomBytes = 4 << 20

// fastFlow is how many bytes a consumer fetches in a second at least that is worth headroom: below it the collector runs
// seldom, and what it would leave lying about longer is memory that a quiet consumer need not have.
const fastFlow = 4 << 20

// A flow is how fast a consumer reads; while that is fast, it has headroom. Guarded by subscription.mu.
type flow struct {
	began    time.Time // of the second that is counted
	bytes    int64     // fetched in it
	plain    int64     // of these, not compressed
	buffered int64     // the most that was buffered in it
	blocks   int       // of headroom that it has
	ended    bool      // the consumer stops
}

// worth gives how many blocks reading as fast as in this second is worth. To decompress takes several times as long as to collect what
// has been decompressed: the second block saves little there, and the first one less than it costs where a consumer holds little, as one
// that reads a single partition does.
func (f *flow) worth() int {
	switch {
	case f.ended:
		return 0
	case f.plain >= fastFlow:
		return 2
	case f.bytes >= fastFlow && f.buffered >= 2*headroomBytes:
		return 1
	}
	return 0
}

// add counts what a fetch has brought, with so much buffered now, and decides. reuse says that a Batches loop runs, which leaves no garbage.
func (f *flow) add(bytes, plain, buffered int64, now time.Time, reuse bool) {
	if reuse {
		f.have(0)
		return
	}
	if now.Sub(f.began) >= time.Second {
		f.have(min(f.blocks, f.worth()))
		f.began, f.bytes, f.plain, f.buffered = now, 0, 0, 0
	}
	f.bytes += bytes
	f.plain += plain
	f.buffered = max(f.buffered, buffered)
	f.have(max(f.blocks, f.worth()))
}

// end is for when the consumer stops: fetches may land yet.
func (f *flow) end() {
	f.ended = true
	f.have(0)
}

// have takes or gives back blocks until the flow has n.
func (f *flow) have(n int) {
	if f.blocks == n {
		return
	}
	headroom.mu.Lock()
	defer headroom.mu.Unlock()
	for ; f.blocks < n; f.blocks++ {
		if headroom.users[f.blocks]++; headroom.users[f.blocks] == 1 {
			headroom.blocks[f.blocks].Grow(headroomBytes >> f.blocks)
		}
	}
	for f.blocks > n {
		f.blocks--
		if headroom.users[f.blocks]--; headroom.users[f.blocks] == 0 {
			headroom.blocks[f.blocks].Reset()
		}
	}
}
