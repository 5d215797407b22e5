package kafka

import "unsafe"

// A setPart is a part of one partition's record set in a fetch response: the memory of one large batch, or of some small ones.
// It is given back when the last segment of it is done.
type setPart struct {
	mem   block  // held until nobody uses the part
	data  []byte // what of it was read; there may be the start of a batch at its end
	bytes int64  // charged
	users int    // segments, and who reads it
}

func (sp *setPart) leave(b *budget) {
	if sp == nil {
		return
	}
	sp.users--
	if sp.users == 0 {
		b.releaseRaw(sp.bytes)
		sp.bytes = 0
		sp.mem.letGo(b)
	}
}

// memory is nil for a segment without a part.
func (sp *setPart) memory() *block {
	if sp == nil {
		return nil
	}
	return &sp.mem
}

// A segment is a run of batches of one record set: the unit of decoding. Segments of a partition are in the log's
// order; each gives chunks of messages, in order too. Guarded by subscription.mu, but for what is the worker's.
type segment struct {
	p       *partition
	part    *setPart // nil once it is not needed
	data    []byte   // whole batches
	next    int64    // the position behind it
	epoch   int32    // leader epoch of the last batch before next, handed out or not; -1 unknown
	size    int      // bytes it counts for in its partition's share
	records int      // as the batch headers have it; a hint
	batches int

	chunks  []*chunk
	early   [2]*chunk // the memory of chunks, as a rule
	parsed  bool      // all chunks have been made
	busy    bool      // a worker has it
	starved bool      // it waits for room
	err     error

	// The worker's that has the segment, while it is busy.
	decoder    decoder
	aliased    bool // messages point into data: it was not compressed
	hasReserve bool
	inflated   charge // for decompressed memory that no chunk carries the charge of

	frees int64 // budget.freed when a worker took it
	first bool  // nothing of its partition came before it when a worker took it: it may have the reserve
}

// segmentCost is what a segment takes beside its bytes, with its record set and the first of its chunks: more than those bytes, where a
// fetch brings a small message.
const segmentCost = int(unsafe.Sizeof(segment{}) + unsafe.Sizeof(setPart{}) + unsafe.Sizeof(chunk{}))

// A chunk is a slab of messages made from a segment.
type chunk struct {
	msgs    []Message
	headers []Header   // the slab of their headers, the largest where there are several
	ptrs    []*Message // made when GetMany first takes from the chunk
	taken   int
	charge  charge
	blocks  []*block // what the messages point into, held
	first   [1]*block
	kept    bool // the application has messages of it for good
	lent    bool // a Batches loop has it, and lets go when its turn ends
	run     run
}

// release gives back what the chunk is charged for, and its memory unless somebody reads it yet.
func (c *chunk) release(bud *budget) {
	bud.releaseDecoded(&c.charge)
	if !c.lent {
		c.letGo(bud)
	}
}

// ahead counts what the segment has ready.
func (s *segment) ahead() int {
	n := 0
	for _, c := range s.chunks {
		n += len(c.msgs) - c.taken
	}
	return n
}

// A buffer is what one partition has fetched and not yet handed out: segments in the log's order.
type buffer struct {
	segments []*segment
	bytes    int // sum of the segments' sizes, and what they cost beside
}

// ready says whether the next thing in the buffer is a message.
func (b *buffer) ready() bool {
	return len(b.segments) > 0 && len(b.segments[0].chunks) > 0
}

// failed gives the error that is next in the buffer, if there is one.
func (b *buffer) failed() error {
	if len(b.segments) > 0 && len(b.segments[0].chunks) == 0 && b.segments[0].parsed {
		return b.segments[0].err
	}
	return nil
}

// ahead counts the messages that come next in the buffer.
func (b *buffer) ahead() (n int) {
	for _, s := range b.segments {
		n += s.ahead()
		if !s.parsed || s.err != nil {
			break
		}
	}
	return n
}

// broken says that the buffer ends with an error: nothing behind it is of use.
func (b *buffer) broken() bool {
	return len(b.segments) > 0 && b.segments[len(b.segments)-1].err != nil
}

func (b *buffer) push(s *segment) {
	b.segments = append(b.segments, s)
	b.bytes += s.size + segmentCost
}

// popFinished drops what is used up from the front and gives the position behind it with the leader epoch of what lies
// before that, or what was given where there is nothing of that kind. A batch of which nothing is handed out may be of a
// newer epoch than the message before it, as the marker of a transaction is whose leader has moved.
func (b *buffer) popFinished(position int64, epoch int32, bud *budget) (int64, int32) {
	for len(b.segments) > 0 {
		s := b.segments[0]
		s.skipBelow(position, bud)
		if !s.parsed || s.busy || len(s.chunks) > 0 {
			break
		}
		if s.err != nil {
			s.release(bud) // it stays, but needs no memory for it
			break
		}
		if s.next > position {
			position, epoch = s.next, s.epoch
		}
		b.drop(0, bud)
	}
	return position, epoch
}

// skipBelow drops messages below position: a log that is broken, or a broker that is, may have offsets twice.
func (s *segment) skipBelow(position int64, bud *budget) {
	for len(s.chunks) > 0 {
		c := s.chunks[0]
		for c.taken < len(c.msgs) && c.msgs[c.taken].Offset < position {
			c.taken++
		}
		if c.taken < len(c.msgs) {
			return
		}
		s.dropChunk(bud)
	}
}

// dropChunk drops the first chunk.
func (s *segment) dropChunk(bud *budget) {
	s.chunks[0].release(bud)
	copy(s.chunks, s.chunks[1:])
	s.chunks[len(s.chunks)-1] = nil
	s.chunks = s.chunks[:len(s.chunks)-1]
}

// drop removes the segment at i and gives back its memory. A worker that has it gives back its own part when it finds
// out.
func (b *buffer) drop(i int, bud *budget) {
	s := b.segments[i]
	copy(b.segments[i:], b.segments[i+1:])
	b.segments[len(b.segments)-1] = nil
	b.segments = b.segments[:len(b.segments)-1]
	b.bytes -= s.size + segmentCost
	s.p = nil
	if !s.busy {
		s.free(bud)
	}
}

// dropFrom removes the segments from i on.
func (b *buffer) dropFrom(i int, bud *budget) {
	for len(b.segments) > i {
		b.drop(len(b.segments)-1, bud)
	}
}

// free gives back all memory that the segment is charged for.
func (s *segment) free(bud *budget) {
	for _, c := range s.chunks {
		c.release(bud)
	}
	s.chunks = nil
	s.release(bud)
}

// release gives back what the segment is charged for beside its chunks: when it is used up.
func (s *segment) release(bud *budget) {
	bud.releaseDecoded(&s.inflated)
	if c := s.decoder.chunk; c != nil {
		c.release(bud)
	}
	s.decoder.block.letGo(bud)
	if s.hasReserve {
		s.hasReserve = false
		bud.leaveReserve()
	}
	s.leavePart(bud)
	s.decoder = decoder{}
}

// leavePart lets go of the part of a record set that the segment's batches are in.
func (s *segment) leavePart(bud *budget) {
	if s.part != nil {
		s.part.leave(bud)
		s.part, s.data = nil, nil
	}
}
