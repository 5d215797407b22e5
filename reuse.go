package kafka

import (
	"slices"
	"sync/atomic"
)

// This file keeps memory for the next fetch: record sets that were compressed, which no message points into, and, while a
// Batches loop runs, everything. What other ways of taking messages hand out is the application's and the garbage
// collector's.

// A block is memory that messages point into: a record set as it was read, or what was decompressed of one. Everybody who
// needs it holds it; who lets go last gives it back. What was handed out for good is never given back.
type block struct {
	buf   []byte
	holds atomic.Int32
	kept  atomic.Bool // messages that point into it are the application's
}

// newBlock makes a block that its maker holds.
func newBlock(buf []byte) *block {
	m := &block{buf: buf}
	m.holds.Store(1)
	return m
}

// letGo ends one hold of the block.
func (m *block) letGo(b *budget) {
	if m != nil && m.holds.Add(-1) == 0 && !m.kept.Load() {
		b.keepBlock(m.buf)
	}
}

// hold makes the chunk's messages keep the block they point into.
func (c *chunk) hold(m *block) {
	if m == nil || len(c.blocks) > 0 && c.blocks[len(c.blocks)-1] == m {
		return
	}
	m.holds.Add(1)
	if c.blocks == nil {
		c.blocks = c.first[:0] // mostly there is one
	}
	c.blocks = append(c.blocks, m)
}

// letGo is for a chunk whose messages nobody reads any more, or, where some were handed out for good, the application
// alone.
func (c *chunk) letGo(b *budget) {
	for i, m := range c.blocks {
		if c.kept {
			m.kept.Store(true)
		}
		m.letGo(b)
		c.blocks[i] = nil
	}
	c.blocks = c.blocks[:0]
	if !c.kept {
		b.keepChunk(c)
	}
}

// spareBytes is how much memory is kept for reuse at most when no Batches loop runs. While one does, only
// WithMaxBufferedBytes bounds it: what was in use a moment ago will be again.
const spareBytes = 8 << 20

// spare is what a budget keeps for reuse; guarded by budget.mu.
type spare struct {
	loops  int // Batches loops that run
	blocks [][]byte
	chunks []*chunk
	bytes  int64 // of all of it
}

// mostOver is how many times as large as what is needed what was kept may be. What is charged for is all of it; where that were less,
// record sets, whose sizes differ, would have new memory made for each size.
const mostOver = 2

// roundSize gives the size to allocate instead of n, an eighth more at most, so that what is kept fits again.
func roundSize(n int) int {
	step := 64
	for step*16 <= n {
		step *= 2
	}
	return (n + step - 1) / step * step
}

// reuse begins a Batches loop; the function it returns ends it.
func (b *budget) reuse() (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare.loops++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.spare.loops--; b.spare.loops == 0 {
			b.spare = spare{}
		}
	}
}

// dropSpare is for when there was nothing to fetch: a consumer at rest keeps no memory for what may come. While memory is in use it is
// not at rest: another broker, or what this one has brought before, needs what is kept.
func (b *budget) dropSpare() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+b.held == b.promise {
		b.spare = spare{loops: b.spare.loops}
	}
}

// reusing says whether a Batches loop runs.
func (b *budget) reusing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spare.loops > 0
}

// makeWay drops as much of what is kept for reuse as is in the way of memory that is made new. What is charged for is not in the way
// before: it may be made of what is kept.
func (b *budget) makeWay() {
	if b.spare.bytes > 0 {
		b.spare.trim(b.unmadeBytes())
	}
}

// unmadeBytes is what of the bound, without the reserve, no memory in use takes.
func (b *budget) unmadeBytes() int64 { return b.limit - b.reserve - (b.used - b.promise) }

// willMake is makeWay for who is about to make memory that is charged for.
func (b *budget) willMake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.makeWay()
}

// trim drops what was kept longest until no more than most bytes are left.
func (s *spare) trim(most int64) {
	for s.bytes > most && len(s.blocks) > 0 {
		s.bytes -= int64(cap(s.blocks[0]))
		s.blocks = slices.Delete(s.blocks, 0, 1)
	}
	for s.bytes > most && len(s.chunks) > 0 {
		s.bytes -= s.chunks[0].size()
		s.chunks = slices.Delete(s.chunks, 0, 1)
	}
}

// mayKeep makes room among what is kept for n bytes more, dropping what was kept longest.
func (b *budget) mayKeep(n int64) bool {
	s := &b.spare
	most := b.unmadeBytes() - n
	if s.loops == 0 {
		most = min(most, spareBytes-n)
	}
	if s.trim(most); s.bytes > most {
		return false
	}
	s.bytes += n
	return true
}

// keepBlock takes in memory that nobody needs any more.
func (b *budget) keepBlock(buf []byte) {
	buf = buf[:cap(buf)]
	poison(buf)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(buf) == roundSize(len(buf)) && b.mayKeep(int64(len(buf))) {
		b.spare.blocks = append(b.spare.blocks, buf)
	}
}

// keepChunk takes in a slab that nobody needs any more.
func (b *budget) keepChunk(c *chunk) {
	poisonMessages(c.msgs)
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := cap(c.msgs); b.spare.loops > 0 && n == roundSize(n) && b.mayKeep(c.size()) {
		*c = chunk{msgs: c.msgs[:0], headers: c.headers[:0]}
		b.spare.chunks = append(b.spare.chunks, c)
	}
}

// size is what the chunk's slabs take.
func (c *chunk) size() int64 { return int64(cap(c.msgs)*messageSize + cap(c.headers)*headerSize) }

// fit gives the size to take instead of n: that of the smallest block kept that fits, or one that fits again.
func (s *spare) fit(n int) int {
	best := 0
	for _, buf := range s.blocks {
		if size := len(buf); size >= n && size <= mostOver*n && (best == 0 || size < best) {
			best = size
		}
	}
	if best == 0 {
		return roundSize(n)
	}
	return best
}

// fit is spare.fit.
func (b *budget) fit(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spare.fit(n)
}

// bytesOf gives n bytes that are charged for: kept ones, whose content is of no meaning, or new ones.
func (b *budget) bytesOf(n int) []byte {
	b.mu.Lock()
	buf := b.spare.take(n)
	if buf == nil {
		b.makeWay()
	}
	b.mu.Unlock()
	if buf == nil {
		buf = make([]byte, n) // without the mutex, as it is cleared
	}
	return buf
}

// take gives a kept block of n bytes, or nil.
func (s *spare) take(n int) []byte {
	for i := len(s.blocks) - 1; i >= 0; i-- {
		if buf := s.blocks[i]; len(buf) == n {
			s.blocks = slices.Delete(s.blocks, i, i+1)
			s.bytes -= int64(n)
			return buf
		}
	}
	return nil
}

// spareChunk gives the smallest kept chunk that has place for n messages, or nil.
func (b *budget) spareChunk(n int) *chunk {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.spare
	best := -1
	for i, c := range s.chunks {
		if have := cap(c.msgs); have >= n && have <= mostOver*n && (best < 0 || have < cap(s.chunks[best].msgs)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	c := s.chunks[best]
	s.chunks = slices.Delete(s.chunks, best, best+1)
	s.bytes -= c.size()
	return c
}

// newSetPart makes a part of a record set that size bytes are charged for already. If the memory is likely to come back, as that of
// compressed batches does, or while a Batches loop runs, it is rounded up, and charged so, if there is room for that.
func (b *budget) newSetPart(size int, comesBack bool) *setPart {
	n := size
	b.mu.Lock()
	if comesBack || b.spare.loops > 0 {
		if fit := b.spare.fit(size); b.used+int64(fit-size) <= b.limit-b.reserve {
			n = fit
			b.used += int64(fit - size)
			b.note()
		}
	}
	b.promise -= int64(size)
	b.mu.Unlock()
	sp := &setPart{bytes: int64(n), users: 1}
	sp.mem.buf = b.bytesOf(n)
	sp.data = sp.mem.buf[:size]
	sp.mem.holds.Store(1)
	return sp
}
