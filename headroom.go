package kafka

import "sync"

// The garbage collector runs whenever the heap has doubled (GOGC 100), and the heap of a service that streams and keeps little
// is small: at a gigabyte a second it would run hundreds of times a second, and cost more than reading does. A block that
// is never touched takes address space and no memory, counts as live all the same, and so lets the heap grow by as much
// before the collector runs. There is one for all consumers of a process, while any of them runs.
var headroom struct {
	mu    sync.Mutex
	users int
	block []byte
}

// headroomBytes is small beside what a process with a consumer takes anyway. Where the live heap is larger than it, it changes
// little.
const headroomBytes = 8 << 20

// takeHeadroom is for a consumer that starts; the function it returns is for when it has stopped.
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
