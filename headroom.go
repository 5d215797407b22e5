package kafka

import (
	"sync"
	"time"
)

// The garbage collector runs whenever the heap has doubled (GOGC 100), and the heap of a service that streams and keeps little
// is small: at a gigabyte a second it would run hundreds of times a second, and cost more than reading does. A block that
// is never touched takes address space and no memory, counts as live all the same, and so lets the heap grow by as much
// before the collector runs. There is one for all consumers of a process, while any of them reads fast.
var headroom struct {
	mu    sync.Mutex
	users int
	block []byte
}

// headroomBytes is small beside what a process with a consumer takes anyway. Where the live heap is larger than it, it changes
// little.
const headroomBytes = 8 << 20

// fastFlow is how many bytes a consumer fetches in a second at least that is worth the headroom: below it the collector runs
// seldom, and what it would leave lying about longer is memory that a quiet consumer need not have.
const fastFlow = 4 << 20

// A flow is how fast a consumer reads; while that is fast, it has the headroom. Guarded by subscription.mu.
type flow struct {
	began    time.Time // of the second that is counted
	bytes    int64     // fetched in it
	giveBack func()    // the headroom is had
	ended    bool      // the consumer stops
}

// add counts what a fetch has brought, and decides. reuse says that a Batches loop runs, which leaves no garbage.
func (f *flow) add(n int64, now time.Time, reuse bool) {
	if reuse {
		f.leave()
		return
	}
	if now.Sub(f.began) >= time.Second {
		if f.bytes < fastFlow {
			f.leave()
		}
		f.began, f.bytes = now, 0
	}
	if f.bytes += n; f.bytes >= fastFlow && f.giveBack == nil && !f.ended {
		f.giveBack = takeHeadroom()
	}
}

func (f *flow) leave() {
	if f.giveBack != nil {
		f.giveBack()
		f.giveBack = nil
	}
}

// end is for when the consumer stops: fetches may land yet.
func (f *flow) end() {
	f.ended = true
	f.leave()
}

// takeHeadroom is for a consumer that reads fast; the function it returns is for when it does no more.
func takeHeadroom() (giveBack func()) {
	headroom.mu.Lock()
	defer headroom.mu.Unlock()
	if headroom.users++; headroom.users == 1 {
		headroom.block = make([]byte, headroomBytes)
	}
	return func() {
		headroom.mu.Lock()
		defer headroom.mu.Unlock()
		if headroom.users--; headroom.users == 0 {
			headroom.block = nil
		}
	}
}
