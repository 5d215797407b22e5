package kafka

import "sync"

// A budget bounds the memory of what is fetched and not yet handed out (WithMaxBufferedBytes). Whoever is about to
// allocate charges it first, and gives the charge back when the application takes the messages, or they are dropped.
//
// A part of the bound, the reserve, is kept for decoding: one segment at a time may hold it. However full the rest is
// with record sets that wait to be decoded, that one segment can always be, so partitions that wait for room cannot
// block one another.
type budget struct {
	mu      sync.Mutex
	limit   int64 // all of it
	reserve int64 // the part of limit that only the reserve's holder may use
	used    int64 // without the reserve
	promise int64 // of used: taken for record sets that are still to come, so that there is no memory yet
	held    int64 // used of the reserve
	taken   bool  // a segment holds the reserve
	decoded int64 // of used and held: decompressed bytes and slabs
	peak    int64 // of used + held
	refused bool  // somebody was, since the last call of onFree
	frees   int64 // counts what was given back
	onFree  func()
	spare   spare // kept for reuse, within limit - reserve beside used
}

// A charge is memory that decoding took from a budget.
type charge struct{ general, reserved int64 }

// add moves another charge into c.
func (c *charge) add(other *charge) {
	c.general += other.general
	c.reserved += other.reserved
	*other = charge{}
}

func newBudget(limit, reserve int64, onFree func()) *budget {
	return &budget{limit: limit, reserve: reserve, onFree: onFree}
}

// takeRaw charges n bytes for a record set, or says that there is no room.
func (b *budget) takeRaw(n int64) bool { return b.takeRawUpTo(n, n, 0) == n }

// takeRawUpTo charges between low and high bytes for what is still to come, as many as there is room for beside spare bytes that are to
// stay free; 0 where there is less than low.
func (b *budget) takeRawUpTo(low, high, spare int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(high, b.limit-b.reserve-b.used-spare)
	if n < low {
		b.refused = true
		return 0
	}
	b.used += n
	b.promise += n
	b.note()
	return n
}

// made is for what takeRaw took once there is memory for it.
func (b *budget) made(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.promise -= n
	b.makeWay()
}

// unmade is for memory that takeRaw took n bytes for, and that is not needed any more: they are for what is still to come again.
func (b *budget) unmade(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.promise += n
}

// leaveRaw gives back what takeRaw took, and no memory was made for.
func (b *budget) leaveRaw(n int64) {
	if n != 0 {
		b.unmade(-n)
		b.give(n, 0, 0)
	}
}

// releaseRaw gives back what takeRaw took, and memory was made for.
func (b *budget) releaseRaw(n int64) {
	if n != 0 {
		b.give(n, 0, 0)
	}
}

// takeDecoded charges n bytes and adds them to c: from the reserve where there is no other room and the caller holds it
// already, or may have it and it is free; then holder is set.
func (b *budget) takeDecoded(n int64, c *charge, holder *bool, mayHold bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.used+n <= b.limit-b.reserve:
		b.used += n
		c.general += n
	case (*holder || mayHold && !b.taken) && b.held+n <= b.reserve:
		b.taken, *holder = true, true
		b.held += n
		c.reserved += n
	default:
		b.refused = true
		return false
	}
	b.decoded += n
	b.note()
	return true
}

// takeGeneral is takeDecoded without the reserve.
func (b *budget) takeGeneral(n int64, c *charge) bool {
	holder := false
	return b.takeDecoded(n, c, &holder, false)
}

// releaseDecoded gives a charge back.
func (b *budget) releaseDecoded(c *charge) {
	if *c != (charge{}) {
		b.give(c.general, c.reserved, c.general+c.reserved)
		*c = charge{}
	}
}

// leaveReserve lets another segment take the reserve.
func (b *budget) leaveReserve() {
	b.mu.Lock()
	b.taken = false
	b.mu.Unlock()
	b.give(0, 0, 0)
}

func (b *budget) give(general, reserved, decoded int64) {
	b.mu.Lock()
	b.used -= general
	b.held -= reserved
	b.decoded -= decoded
	b.frees++
	call := b.refused
	b.refused = false
	b.mu.Unlock()
	if call {
		b.onFree()
	}
}

func (b *budget) note() { b.peak = max(b.peak, b.used+b.held) }

// available gives the room there is outside of the reserve.
func (b *budget) available() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit - b.reserve - b.used
}

// wasRefused says whether somebody waits for room.
func (b *budget) wasRefused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// freed counts how often memory was given back.
func (b *budget) freed() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.frees
}

// general is the bound outside of the reserve.
func (b *budget) general() int64 { return b.limit - b.reserve }

// buffered gives the bytes charged now, those of them that are decoded, and the most that ever were charged.
func (b *budget) buffered() (now, decoded, peak int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used + b.held, b.decoded, b.peak
}
