package kafka

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

const (
	messageSize = int(unsafe.Sizeof(Message{}))
	headerSize  = int(unsafe.Sizeof(Header{}))

	// chunkMessages is how many messages a slab holds, or a quarter more: enough that a slab's own cost does not show,
	// and few enough that it stays in a core's cache until the application reads it. A multiple of the default of
	// WithMaxPollRecords, so that what one GetMany returns seldom has to be joined.
	chunkMessages = 1500
	// arenaBytes is the least that is allocated for decompressed bytes when several small batches follow each other.
	arenaBytes = 256 << 10
)

// errNoRoom says that the budget has no room now for what decoding needs next.
var errNoRoom = errors.New("no room")

// tooLargeError says that a batch needs more memory than one batch may.
type tooLargeError struct{ size int }

func (e *tooLargeError) Error() string { return fmt.Sprintf("the batch needs %d bytes", e.size) }

// A batchFailure is why a batch cannot be handed out, and where it is.
type batchFailure struct {
	offset int64 // of the first record that cannot be read
	next   int64 // behind the batch
	err    error
}

func (e *batchFailure) Error() string { return e.err.Error() }

// A decoder turns the batches of one segment into chunks of messages, a chunk at a time. It belongs to the worker that
// has the segment; what it needs of the outside is in env.
type decoder struct {
	rest    []byte // batches not begun
	open    batchReader
	from    int64  // offset of the next message: what is below was made already, or not asked for
	arena   []byte // decompressed memory not used yet
	block   *block // the arena is the rest of it
	shared  bool   // messages point into the arena's front
	checked bool   // the checksum of the next batch is right: there was no room for it then
	want    int    // bytes the next batch was found to need decompressed; 0: its headers tell
	chunk   *chunk // begun and still empty, for lack of room
}

// A batchReader stands inside one batch.
type batchReader struct {
	head   protocol.BatchHeader
	body   []byte // records not read yet
	block  *block // what body is part of
	left   int    // how many
	prev   int32  // offset delta of the last one
	legacy *legacyReader
}

// decodeEnv is what a worker decodes with.
type decodeEnv struct {
	tp         TopicPartition
	checkCRC   bool
	batchLimit int
	slabLimit  int    // bytes of one slab; so much is left of the reserve, three times, beside a whole batch
	mayReserve bool   // nothing of the partition comes before the segment
	part       *block // the memory of the segment's part of a record set
	reuse      bool   // a Batches loop runs: memory is kept for the next fetch
	budget     *budget
	names      *nameCache
	swell      swell
}

// A chunkBuilder collects the messages of a chunk.
type chunkBuilder struct {
	env     *decodeEnv
	seg     *segment
	d       *decoder // the segment's
	chunk   *chunk
	headers []Header // free ones of the current slab
	keyRoom int      // charged for header keys, and not used
}

// next makes the segment's next chunk: nil when there is nothing left. With errNoRoom, what could be done was done and
// the call is to be made again when there is room; any other error is a *batchFailure, and the chunk holds what came
// before it.
func (d *decoder) next(s *segment, env *decodeEnv) (*chunk, error) {
	b := &chunkBuilder{env: env, seg: s, d: d, chunk: d.chunk}
	if d.chunk = nil; b.chunk != nil {
		b.headers = b.chunk.headers[:0]
	}
	for {
		if d.open.left == 0 {
			if len(d.rest) == 0 {
				return b.done(nil)
			}
			if err := b.begin(); err != nil {
				return b.done(err)
			}
			continue
		}
		if err := b.reserve(d.open.left); err != nil {
			return b.done(err)
		}
		b.chunk.hold(d.open.block)
		if err := d.open.read(b); err != nil {
			return b.done(err)
		}
		if b.full() {
			return b.done(nil)
		}
	}
}

// done ends a chunk. With messages in it, having no room is no error yet; without, it is kept, as giving its memory back
// would wake who waits for room only to find none.
func (b *chunkBuilder) done(err error) (*chunk, error) {
	c := b.chunk
	if c != nil && errors.Is(err, errNoRoom) {
		if len(c.msgs) == 0 {
			b.d.chunk = c
			return nil, err
		}
		err = nil
	}
	if b.d.open.left == 0 {
		b.ownArena()
	}
	return c, err
}

// ownArena makes the chunk carry the charge for decompressed memory that its messages, and no later ones, point into: it
// goes with the last of them.
func (b *chunkBuilder) ownArena() {
	if b.chunk == nil || !b.d.shared {
		return
	}
	b.chunk.charge.add(&b.seg.inflated)
	b.d.arena, b.d.shared = nil, false
}

func (b *chunkBuilder) full() bool {
	return b.chunk != nil && len(b.chunk.msgs) == cap(b.chunk.msgs)
}

// slabMessages gives how many of n messages to put into the next slab: a short rest goes with what is before it.
func slabMessages(n int) int {
	if n <= chunkMessages*5/4 {
		return n
	}
	return chunkMessages
}

// reserve makes the slab, for at most left messages and what the segment has yet.
func (b *chunkBuilder) reserve(left int) error {
	if b.chunk != nil {
		return nil
	}
	n := min(slabMessages(max(left, b.seg.records)), max(1, b.env.slabLimit/messageSize))
	if b.env.reuse {
		if b.reserveSpare(roundSize(n)) {
			return nil
		}
	}
	c := &chunk{}
	if !b.take(n*messageSize, &c.charge) {
		return errNoRoom
	}
	b.env.budget.willMake()
	c.msgs = make([]Message, 0, n)
	b.chunk = c
	return nil
}

// reserveSpare makes the slab of one kept for reuse, or of a size that can be kept.
func (b *chunkBuilder) reserveSpare(n int) bool {
	c := b.env.budget.spareChunk(n)
	if c == nil {
		c = &chunk{msgs: make([]Message, 0, n)}
	}
	if !b.env.budget.takeGeneral(c.size(), &c.charge) { // more than is needed must not come out of the reserve
		return false
	}
	b.env.budget.willMake()
	b.chunk, b.headers = c, c.headers[:0]
	return true
}

// take charges decoded memory.
func (b *chunkBuilder) take(n int, c *charge) bool {
	return b.env.budget.takeDecoded(int64(n), c, &b.seg.hasReserve, b.env.mayReserve)
}

// takeHeaders gives memory for n headers.
func (b *chunkBuilder) takeHeaders(n int) ([]Header, error) {
	if n > cap(b.headers)-len(b.headers) {
		if n*headerSize > b.env.slabLimit {
			return nil, &tooLargeError{size: max(n*headerSize, b.env.batchLimit+1)}
		}
		// As many as the messages still to come need, if they are like this one; within bounds, as they may not be.
		size := max(n, min(n*(cap(b.chunk.msgs)-len(b.chunk.msgs)), 4*chunkMessages, b.env.slabLimit/headerSize))
		if !b.take(size*headerSize, &b.chunk.charge) {
			if size = n; !b.take(size*headerSize, &b.chunk.charge) {
				return nil, errNoRoom
			}
		}
		b.env.budget.willMake()
		b.headers = make([]Header, 0, size)
		if size > cap(b.chunk.headers) {
			b.chunk.headers = b.headers
		}
	}
	from := len(b.headers)
	b.headers = b.headers[:from+n]
	return b.headers[from : from+n : from+n], nil
}

// begin opens the next batch: checksum, decompression.
func (b *chunkBuilder) begin() error {
	d, env := b.d, b.env
	scan := protocol.ScanBatches(d.rest)
	if !scan.Next() {
		return &batchFailure{offset: d.from, next: max(b.seg.next, d.from+1), err: scan.Err()}
	}
	if scan.Magic() < 2 {
		return b.beginLegacy(&scan)
	}
	h := scan.Header()
	fail := func(err error) error {
		return &batchFailure{offset: max(h.BaseOffset, d.from), next: h.NextOffset(), err: err}
	}
	batch := scan.Bytes()
	if env.checkCRC && !d.checked && !h.CRCValid(batch) {
		return fail(errors.New("the checksum (CRC-32C) does not match"))
	}
	d.checked = true
	body, err := b.inflate(compress.Codec(h.Codec()), scan.Records(), compress.Options{})
	if err != nil {
		if errors.Is(err, errNoRoom) {
			return err
		}
		return fail(err)
	}
	if err := h.CheckCount(len(body)); err != nil {
		return fail(err)
	}
	d.open = batchReader{head: *h, body: body, block: b.blockOf(compress.Codec(h.Codec())), left: int(h.NumRecords), prev: -1}
	d.rest, d.checked = d.rest[len(batch):], false
	return nil
}

// inflate gives the decompressed bytes of src, in memory charged to the segment.
func (b *chunkBuilder) inflate(codec compress.Codec, src []byte, o compress.Options) ([]byte, error) {
	d, limit := b.d, b.env.batchLimit
	if codec == compress.None || len(src) == 0 {
		b.seg.aliased = true
		return src, nil
	}
	bound, err := compress.Size(codec, src)
	if err != nil {
		return nil, err
	}
	bound = max(bound, d.want)
	size := bound
	if codec == compress.Zstd {
		o.Slack = compress.ZstdSlack
	}
	if room := len(d.arena) - o.Slack; b.env.swell.fits(len(src), room) {
		size = min(bound, room)
	}
	for {
		// A bound from the frame headers may be above the limit by less than a block, and the bytes be fine.
		size = min(size, limit)
		if need := min(size+o.Slack, limit); need > len(d.arena) && !b.grow(need) {
			d.want = size
			return nil, errNoRoom
		}
		n, err := compress.Decode(codec, d.arena[:size], src, o)
		switch {
		case err == nil:
			out := d.arena[:n:n]
			d.arena, d.shared, d.want = d.arena[n:], true, 0
			b.env.swell = swell{in: len(src), out: n}
			return out, nil
		case !errors.Is(err, compress.ErrShortBuffer):
			return nil, err
		case size >= limit:
			return nil, &tooLargeError{size: limit + 1}
		case size < bound:
			size = bound // it does not fit into what is left, after all
		default:
			size = max(2*size, 4<<10)
		}
	}
}

// swell is what became of the last compressed batch. What a frame's headers tell of its size is a bound that may be many times as much.
type swell struct{ in, out int }

// of gives how many bytes n compressed ones are likely to take; 0: not known.
func (s swell) of(n int) int {
	if s.in == 0 {
		return 0
	}
	likely := int64(n) * int64(s.out) / int64(s.in)
	return int(likely + likely/8)
}

// fits says whether n compressed bytes are likely to fit into a room.
func (s swell) fits(n, room int) bool {
	likely := s.of(n)
	return likely > 0 && likely <= room
}

// grow makes an arena of at least size bytes; larger, if there is room, where small batches follow that will need it too.
func (b *chunkBuilder) grow(size int) bool {
	d, s := b.d, b.seg
	b.ownArena()
	have := len(d.arena) // nobody points into it: it is replaced, its charge kept
	n := size
	if len(d.rest) > 0 && size < arenaBytes {
		all := b.env.swell.of(len(d.rest))
		if all == 0 {
			all = size * (len(d.rest)/max(1, s.size/max(1, s.batches)) + 1)
		}
		n = max(size, min(arenaBytes, all))
	}
	if b.env.reuse {
		n = b.env.budget.fit(n)
	}
	// More than this batch needs must not come out of the reserve, which is to last for the slabs, too.
	if n == size || !b.env.budget.takeGeneral(int64(n-have), &s.inflated) {
		if n = size; !b.take(n-have, &s.inflated) {
			return false
		}
	}
	d.block.letGo(b.env.budget)
	if b.env.reuse {
		d.arena = b.env.budget.bytesOf(n)
	} else {
		b.env.budget.willMake()
		d.arena = make([]byte, n) // it will not come back, and is not to use up the memory of record sets, which does
	}
	d.block = newBlock(d.arena)
	return true
}

// blockOf gives the block that a batch's records, as inflate gave them, are part of.
func (b *chunkBuilder) blockOf(codec compress.Codec) *block {
	if codec == compress.None {
		return b.env.part
	}
	return b.d.block
}

// read makes messages of the open batch's records until the chunk is full or the batch is read.
func (r *batchReader) read(b *chunkBuilder) error {
	if r.legacy != nil {
		return r.readLegacy(b)
	}
	h := &r.head
	kind := TimestampType(h.TimestampType())
	appendTime := millis(h.MaxTimestamp)
	first, msgs := b.d.from, b.chunk.msgs
	defer func() { b.chunk.msgs = msgs }()
	var rec protocol.Record
	for r.left > 0 && len(msgs) < cap(msgs) {
		n, err := protocol.ReadRecord(r.body, &rec)
		if err == nil && (rec.OffsetDelta <= r.prev || rec.OffsetDelta > h.LastOffsetDelta) {
			err = fmt.Errorf("offset delta %d is not between %d and the batch's %d", rec.OffsetDelta, r.prev+1, h.LastOffsetDelta)
		}
		if err != nil {
			return r.fail(max(h.BaseOffset+int64(r.prev)+1, first), err)
		}
		offset := h.BaseOffset + int64(rec.OffsetDelta)
		if offset >= first {
			msgs = msgs[:len(msgs)+1]
			m := &msgs[len(msgs)-1]
			m.Topic, m.Partition = b.env.tp.Topic, b.env.tp.Partition
			m.Offset, m.LeaderEpoch = offset, h.PartitionLeaderEpoch
			m.TimestampType = kind
			if kind == LogAppendTime {
				m.Timestamp = appendTime
			} else {
				m.Timestamp = millis(h.BaseTimestamp + rec.TimestampDelta)
			}
			m.Key, m.Value, m.Headers = rec.Key, rec.Value, nil
			if rec.HeaderCount > 0 {
				if err := b.addHeaders(m, &rec); err != nil {
					*m = Message{}
					msgs = msgs[:len(msgs)-1]
					if errors.Is(err, errNoRoom) {
						return err
					}
					return r.fail(offset, err)
				}
			}
		}
		r.prev = rec.OffsetDelta
		r.body = r.body[n:]
		r.left--
	}
	if r.left == 0 {
		if len(r.body) > 0 {
			return r.fail(max(h.BaseOffset+int64(r.prev)+1, first), fmt.Errorf("%d bytes behind the last record", len(r.body)))
		}
		b.d.from = max(first, h.NextOffset())
	}
	return nil
}

// fail is for a record that cannot be read. Its offset is within the batch in any case: asked for from behind it, the batch
// would not come again, and not be told.
func (r *batchReader) fail(offset int64, err error) error {
	return &batchFailure{offset: min(offset, r.head.LastOffset()), next: r.head.NextOffset(), err: err}
}

// millis makes a time of Kafka's milliseconds since 1970; negative ones are no time.
func millis(ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
