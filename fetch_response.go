package kafka

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A fetchVisitor takes in the answer to one fetch while it is read from the socket: record sets go straight into memory
// of their own, and are queued for decoding as soon as they are whole. It runs in the connection's goroutine, takes the
// subscription's mutex for moments and never waits.
type fetchVisitor struct {
	f    *fetcher
	plan *fetchPlan

	sent    time.Time          // when the request was made
	began   time.Time          // when the response did
	code    protocol.ErrorCode // of the response as a whole
	version int16              // of the request, as it was sent
	refresh string             // why metadata is to be refreshed
	hints   []leaderHint

	parts    []*setPart // of the record set that is being read
	cutter   cutter
	took     int64 // bytes of records
	plain    int64 // of these, of record sets with batches that were not compressed
	tooLarge int   // size of a record set that is over the limit and was drained
	listed   int   // charged for the list of aborted transactions of the partition that is being read
	unlisted int   // what that needs, where it was drained
}

// A leaderHint is a new leader that a broker named beside its refusal (KIP-951).
type leaderHint struct {
	tp     TopicPartition
	leader protocol.FetchResponseLeaderIDAndEpoch
}

// Response implements protocol.FetchVisitor.
func (v *fetchVisitor) Response(h *protocol.FetchResponse) error {
	v.code, v.began = h.ErrorCode, time.Now()
	if v.plan.lane != mainLane || h.ErrorCode != protocol.None {
		return nil
	}
	v.f.sub.mu.Lock()
	defer v.f.sub.mu.Unlock()
	v.f.node(v.plan.node).session.answered(h.SessionID)
	return nil
}

// expected gives the partition an answer is about, if the answer is still of use: nothing has changed since it was asked
// for. Called with the mutex held.
func (v *fetchVisitor) expected(fp *protocol.FetchedPartition) *partition {
	topic := fp.Topic
	if topic == "" {
		topic = v.f.topics[fp.TopicID]
	}
	p := v.f.sub.partitions[TopicPartition{Topic: topic, Partition: fp.Partition.PartitionIndex}]
	if p == nil || !p.known || p.refused || p.buf.broken() || p.source() != v.plan.node {
		return nil
	}
	if v.plan.lane == sideLane {
		if fl := p.fetch.flight; fl.on && fl.node.id == v.plan.node && fl.epoch == p.epoch && fl.offset == p.fetch.offset {
			return p
		}
		return nil
	}
	e := p.fetch.session
	if e.on && e.node == v.plan.node && e.epoch == p.epoch && e.offset == p.fetch.offset &&
		(fp.TopicID == protocol.UUID{} || fp.TopicID == e.topicID) {
		return p
	}
	return nil
}

// partBytes is how much of a record set goes into one piece of memory where batches are small and compressed; a large batch has
// one to itself. What has been decoded of a record set can be used again that way while the rest of it waits. Where messages point
// into the record set, that gives back nothing, and less of larger pieces costs the garbage collector less.
const (
	partBytes      = 512 << 10
	largeBatchPart = partBytes / 8 // a large batch; what two parts have both of is less
)

// partSize gives the size for what comes next of p's record set, of which left bytes are to come and the first batch takes so many.
func (p *partition) partSize(batch, left int) int {
	switch {
	case !p.fetch.compressed:
		return left
	case batch >= largeBatchPart:
		return batch
	case left <= partBytes*5/4:
		return left
	}
	return partBytes
}

// askedOf gives how much is asked for when so many bytes are reserved for the answer: where record sets are read part by part, the small
// batch that a part has only the start of is in the next one, too.
func (n *fetchNode) askedOf(room int64) int64 {
	if n.compressed {
		return room - room*largeBatchPart/partBytes
	}
	return room
}

// Records implements protocol.FetchVisitor: it gives memory for a part of a record set, charged to the budget first.
func (v *fetchVisitor) Records(fp *protocol.FetchedPartition, batch, left int) []byte {
	size, compressed := v.admit(fp, batch, left)
	switch {
	case v.tooLarge > 0:
		return make([]byte, protocol.BatchHeaderSize) // enough to tell which batch it is
	case size == 0:
		return nil
	}
	piece := v.f.sub.budget.newSetPart(size, compressed) // without the mutex, as new memory is cleared
	v.parts = append(v.parts, piece)
	return piece.data
}

// admit gives the size of the next part of a record set, charged; 0 where it is not wanted, or there is no room. compressed says that
// what is in it is likely to be.
func (v *fetchVisitor) admit(fp *protocol.FetchedPartition, batch, left int) (size int, compressed bool) {
	v.f.sub.mu.Lock()
	defer v.f.sub.mu.Unlock()
	p := v.expected(fp)
	if p == nil || fp.Partition.ErrorCode != protocol.None || p.paused {
		return 0, false
	}
	begins := len(v.parts) == 0
	if begins && fp.RecordsSize > v.sizeLimit() {
		v.tooLarge = fp.RecordsSize
		return 0, false
	}
	want := p.partSize(batch, left)
	if v.unlisted == 0 {
		size = int(v.reserve(int64(batch), int64(want)))
	}
	if size == 0 {
		if begins {
			p.fetch.need = min(want+v.unlisted, int(v.f.sub.budget.general()))
		}
		return 0, false
	}
	if begins {
		v.took += int64(fp.RecordsSize)
	}
	return size, p.fetch.compressed
}

// sizeLimit is the most that a record set may take.
func (v *fetchVisitor) sizeLimit() int { return max(v.f.cfg.maxBatchBytes, v.plan.setLimit) }

// reserve takes between least and n bytes of what was reserved for the fetch, and, where that is less, of what there is.
func (v *fetchVisitor) reserve(least, n int64) int64 {
	if more := n - v.plan.left; more > 0 {
		switch budget := v.f.sub.budget; {
		case budget.takeRaw(more):
			v.plan.left += more
		case v.plan.left >= least:
			n = v.plan.left
		default:
			return 0
		}
	}
	v.plan.left -= n
	return n
}

// Partition implements protocol.FetchVisitor: it takes in what was read of one partition.
func (v *fetchVisitor) Partition(fp *protocol.FetchedPartition) error {
	s := v.f.sub
	part := &fp.Partition
	sortAborted(part.AbortedTransactions)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer v.leaveParts()
	p := v.expected(fp)
	if p == nil {
		return nil
	}
	if p.fetch.refusal = part.ErrorCode; part.ErrorCode != protocol.None {
		v.failed(p, part)
		return nil
	}
	p.highwater, p.stable, p.logStart = part.HighWatermark, part.LastStableOffset, part.LogStartOffset
	p.stable = min(p.stable, p.highwater) // -1 where the broker gives none
	p.lastAnswer = time.Now()
	if !v.f.prefer(p, part.PreferredReadReplica) {
		p.fetch.attempts, p.fetch.resets = 0, 0
	}
	switch {
	case fp.RecordsSize == 0:
		s.healed(p)
	case v.unlisted > v.listLimit():
		v.tooManyAborted(p)
	case v.tooLarge > 0:
		v.oversized(p, part.Records)
	case len(v.parts) == 0:
		v.f.markDirty(p) // no room: asked again with as much as it needs
	default:
		p.fetch.need = 0
		v.taken(p, part)
	}
	return nil
}

// leaveParts is for when the record set has been queued, or is not wanted.
func (v *fetchVisitor) leaveParts() {
	for i, piece := range v.parts {
		piece.leave(v.f.sub.budget)
		v.parts[i] = nil
	}
	v.parts, v.tooLarge = v.parts[:0], 0
	v.leaveList()
}

// taken queues a record set.
func (v *fetchVisitor) taken(p *partition, part *protocol.FetchResponsePartition) {
	s := v.f.sub
	cut := &v.cutter
	cut.begin(p, part, v.f.cfg)
	for _, piece := range v.parts {
		if !cut.cut(piece) {
			break
		}
	}
	next := cut.next
	if p.fetch.compressed = !cut.plain; p.fetch.compressed {
		v.f.node(v.plan.node).compressed = true
	} else {
		v.plain += int64(cut.at)
	}
	for _, seg := range cut.segments {
		p.buf.push(seg)
	}
	cost := s.budget.takeRawUpTo(0, int64(len(cut.segments)*segmentCost), 0) // in use already: what there is room for
	s.budget.made(cost)
	v.parts[0].bytes += cost
	if bad, ok := errors.AsType[*batchFailure](cut.err); ok {
		s.cutShort(p, bad)
	}
	if next > p.fetch.offset {
		p.fetch.offset, p.fetch.lastEpoch, p.fetch.stuck = next, cut.lastEpoch, 0
		s.healed(p)
	} else if cut.err == nil {
		v.noProgress(p)
	}
	v.f.markDirty(p)
	s.settle(p)
	s.decodable(p)
	if len(p.buf.segments) == 0 || p.buf.failed() != nil {
		s.wake(p)
	}
	s.signal()
}

// cutShort is for a record set with a batch that cannot be taken apart: what was cut before it has been queued.
func (s *subscription) cutShort(p *partition, bad *batchFailure) {
	err := s.batchError(p, bad)
	if err == nil {
		s.refetch(p, bad.offset)
		return
	}
	p.buf.push(&segment{p: p, next: bad.offset, parsed: true, err: err})
}

// noProgress is for an answer with records of which none is at or behind the offset asked for.
func (v *fetchVisitor) noProgress(p *partition) {
	v.askLater(p)
	if p.fetch.stuck >= 3 {
		v.f.sub.fail(p, &CorruptRecordError{
			TopicPartition: p.tp, Offset: p.fetch.offset, NextOffset: p.fetch.offset + 1,
			Err: fmt.Errorf("broker %d answers again and again with records below that offset only", v.plan.node),
		})
	}
}

// askLater lets p wait the longer the more answers in a row have brought no progress.
func (v *fetchVisitor) askLater(p *partition) {
	p.fetch.stuck++
	p.fetch.attempts = p.fetch.stuck - 1
	v.f.backOff(p)
}

// oversized is for a record set that was not read, being larger than a batch may be.
func (v *fetchVisitor) oversized(p *partition, start []byte) {
	offset, next, size := p.fetch.offset, p.fetch.offset+1, v.tooLarge
	if h, err := protocol.ParseBatchHeader(start); err == nil && h.NextOffset() > offset {
		offset, next = max(h.BaseOffset, offset), h.NextOffset()
		if h.Size() > v.f.cfg.maxBatchBytes {
			size = h.Size()
		}
	}
	seg := &segment{p: p, next: offset, parsed: true}
	seg.err = v.f.sub.tooLarge(p.tp, offset, next, size)
	p.buf.push(seg)
	v.f.sub.settle(p)
	v.f.sub.wake(p)
	v.f.markDirty(p)
}

// End implements protocol.FetchVisitor.
func (v *fetchVisitor) End(endpoints []protocol.FetchResponseNodeEndpoint) error {
	for _, h := range v.hints {
		v.f.cluster.Hint(h.tp.Topic, h.tp.Partition, h.leader.LeaderID, h.leader.LeaderEpoch, endpoints)
	}
	if v.took > 0 {
		// What was woken last runs first. Without this that would be whoever plans and sends the next fetch, and a message would wait
		// for that before it is decoded and handed out.
		runtime.Gosched()
	}
	return nil
}

// failed takes in a partition's error code, as the table of fetch errors says.
func (v *fetchVisitor) failed(p *partition, part *protocol.FetchResponsePartition) {
	code := part.ErrorCode
	action := fetchErrorAction(code)
	if l := part.CurrentLeader; l != nil && l.LeaderID >= 0 && l.LeaderEpoch >= 0 && len(v.hints) < len(v.f.sub.partitions) {
		v.hints = append(v.hints, leaderHint{tp: p.tp, leader: *l})
	}
	if action.refresh {
		v.refresh = code.Name() + " for " + p.tp.String()
	}
	if v.f.backToLeader(p) && action.reset {
		v.f.backOff(p) // its leader knows, but may well name the replica again
		return
	}
	if action.reset {
		v.f.outOfRange(p)
		return
	}
	v.f.backOff(p)
	v.f.markDirty(p)
	if action.tell {
		v.f.sub.fail(p, brokerError("Fetch", fmt.Sprint(v.plan.node), p.tp, code))
	}
}

// outOfRange is for a position that the log does not have: WithAutoOffsetReset says where to go on.
func (f *fetcher) outOfRange(p *partition) {
	if len(p.buf.segments) > 0 {
		// What is buffered comes first; the offset is asked for again when it has been handed out.
		f.backOff(p)
		f.markDirty(p)
		return
	}
	start := startAt{reset: f.cfg.reset, why: protocol.OffsetOutOfRange.Name(), from: p.fetch.offset}
	if start.reset == ResetNone {
		f.sub.lose(p, start)
		return
	}
	// A broker that refuses what it named itself is not asked as fast as it answers.
	f.sub.reset(p, start)
	p.asking.attempts = p.fetch.resets
	p.asking.retryAt = time.Now().Add(f.backoff.After(int(p.fetch.resets)))
	p.fetch.resets++
}

// A fetchAction is what is done about a partition's error code. All of them wait for the backoff and ask again.
type fetchAction struct {
	refresh bool // ask for metadata
	reset   bool // the position is not in the log
	tell    bool // the application is told until it passes
}

// fetchErrorActions has every code that the Fetch schema documents; fetchErrorAction decides about others.
var fetchErrorActions = map[protocol.ErrorCode]fetchAction{
	protocol.OffsetOutOfRange:           {reset: true},
	protocol.NotLeaderOrFollower:        {refresh: true},
	protocol.ReplicaNotAvailable:        {refresh: true},
	protocol.KafkaStorageError:          {refresh: true},
	protocol.FencedLeaderEpoch:          {refresh: true},
	protocol.OffsetNotAvailable:         {refresh: true},
	protocol.LeaderNotAvailable:         {refresh: true},
	protocol.UnknownTopicOrPartition:    {refresh: true},
	protocol.UnknownTopicID:             {refresh: true},
	protocol.InconsistentTopicID:        {refresh: true},
	protocol.UnknownLeaderEpoch:         {},
	protocol.UnknownServerError:         {},
	protocol.TopicAuthorizationFailed:   {tell: true},
	protocol.CorruptMessage:             {tell: true},
	protocol.UnsupportedCompressionType: {tell: true},
	protocol.OffsetMovedToTieredStorage: {refresh: true},
}

func fetchErrorAction(code protocol.ErrorCode) fetchAction {
	if a, ok := fetchErrorActions[code]; ok {
		return a
	}
	return fetchAction{tell: !code.Retriable(), refresh: code.Retriable()}
}
