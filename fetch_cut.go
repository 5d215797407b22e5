package kafka

import (
	"errors"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

const (
	// segmentBytes is how much of small batches goes into one segment: enough to share slabs, and little enough that
	// several workers can share a record set.
	segmentBytes = 256 << 10
	// legacyGuess is how many messages a compressed message of magic 0 or 1 is taken to hold; its header does not say.
	legacyGuess = 64
)

// A cutter goes over the batch headers of a record set, part by part, and cuts it into segments. It skips, by their headers alone, what
// is never handed out: batches below the offset asked for, control batches, and under ReadCommitted those of aborted
// transactions (KIP-98).
type cutter struct {
	p       *partition
	cfg     *config
	part    *setPart                                   // the part it is at
	at      int                                        // where that begins in the record set
	aborted []protocol.FetchResponseAbortedTransaction // not begun, by first offset
	pids    map[int64]struct{}                         // producers in an aborted transaction

	segments  []*segment
	open      *segment // the last one, while batches may be added
	gap       bool     // batches were skipped since one was added
	next      int64    // where to fetch next
	lastEpoch int32    // leader epoch of the last batch
	plain     bool     // a batch is not compressed
	err       error    // a *batchFailure
}

// begin is for the record set of an answer about p; a cutter may be used for one after the other.
func (c *cutter) begin(p *partition, part *protocol.FetchResponsePartition, cfg *config) {
	clear(c.segments)
	*c = cutter{p: p, cfg: cfg, next: p.fetch.offset, lastEpoch: p.fetch.lastEpoch, segments: c.segments[:0]}
	if cfg.isolation == ReadCommitted {
		c.aborted = part.AbortedTransactions
	}
}

// cut goes over one part of the record set; false: there is no use in going on with the next.
func (c *cutter) cut(piece *setPart) bool {
	c.part, c.open = piece, nil
	scan := protocol.ScanBatches(piece.data)
	for scan.Next() {
		next := scan.NextOffset()
		if size := len(scan.Bytes()); size > c.cfg.maxBatchBytes {
			c.fail(next, &tooLargeError{size: size})
			return false
		}
		skip, err := c.skips(&scan)
		if err != nil {
			c.fail(next, err)
			return false
		}
		epoch := int32(-1)
		if scan.Magic() == 2 {
			epoch = scan.Header().PartitionLeaderEpoch
			c.lastEpoch = epoch
		}
		if skip {
			c.skip(next, epoch)
		} else {
			c.add(&scan, next, epoch)
		}
		c.next = max(c.next, next)
	}
	if err := scan.Err(); err != nil {
		next := c.next
		if bad, ok := errors.AsType[*protocol.BatchError](err); ok {
			bad.Pos += c.at
			next = bad.NextOffset
		}
		c.fail(next, err)
	}
	c.at += scan.Pos()
	return c.err == nil
}

// legacyWrapper says whether the scanner stands at a compressed message, whose offset some old clients left 0.
func legacyWrapper(scan *protocol.Batches) bool {
	return scan.Magic() < 2 && scan.Message().Codec() != 0 && scan.Message().Offset == 0
}

// fail ends the cutting at a batch that may lie below the offset asked for, as far as its header tells.
func (c *cutter) fail(next int64, err error) {
	c.err = &batchFailure{offset: c.next, next: max(next, c.next+1), err: err}
}

// skips says whether the batch holds nothing for the application. What is skipped is checked first, like what is not: a
// flipped bit in a header must not make a batch vanish.
func (c *cutter) skips(scan *protocol.Batches) (bool, error) {
	skip, err := c.nothingIn(scan)
	if !skip || err != nil || !c.cfg.checkCRCs {
		return skip, err
	}
	if scan.Magic() == 2 {
		if !scan.Header().CRCValid(scan.Bytes()) {
			return false, errors.New("the checksum (CRC-32C) does not match")
		}
	} else if !scan.Message().CRCValid() {
		return false, errors.New("the checksum (CRC-32) does not match")
	}
	return true, nil
}

func (c *cutter) nothingIn(scan *protocol.Batches) (bool, error) {
	below := scan.NextOffset() <= c.next
	if scan.Magic() < 2 {
		return below && !legacyWrapper(scan), nil
	}
	h := scan.Header()
	for len(c.aborted) > 0 && c.aborted[0].FirstOffset <= h.LastOffset() {
		if c.pids == nil {
			c.pids = make(map[int64]struct{})
		}
		c.pids[c.aborted[0].ProducerID] = struct{}{}
		c.aborted = c.aborted[1:]
	}
	if h.Control() {
		return true, c.control(scan)
	}
	if h.NumRecords == 0 {
		return true, nil // compaction left it for its producer's sake
	}
	_, aborted := c.pids[h.ProducerID]
	return below || (aborted && h.Transactional()), nil
}

// control takes in a control batch: an abort marker ends its producer's aborted transaction.
func (c *cutter) control(scan *protocol.Batches) error {
	h := scan.Header()
	if len(c.pids) == 0 || h.NumRecords == 0 {
		return nil
	}
	if codec := compress.Codec(h.Codec()); codec != compress.None {
		return fmt.Errorf("a control batch is compressed (%v)", codec)
	}
	kind, err := h.ControlType(scan.Records())
	if err != nil {
		return err
	}
	if kind == protocol.ControlAbort {
		delete(c.pids, h.ProducerID)
	}
	return nil
}

// skip moves the position past a batch, which is of the given leader epoch.
func (c *cutter) skip(next int64, epoch int32) {
	if len(c.segments) == 0 {
		c.segments = append(c.segments, &segment{p: c.p, next: next, epoch: epoch, parsed: true})
	}
	last := c.segments[len(c.segments)-1]
	if epoch != last.epoch {
		c.open = nil
	}
	if next > last.next {
		last.next, last.epoch = next, epoch
	}
	c.gap = true
}

// add puts a batch into the open segment, or into one of its own. It is moved up to what is before it in the segment where some were
// skipped in between: transactions of one small batch each, with a marker after each, would be a segment each otherwise.
func (c *cutter) add(scan *protocol.Batches, next int64, epoch int32) {
	batch := scan.Bytes()
	s := c.open
	if s == nil || s.size+len(batch) > segmentBytes || c.gap && !s.spans(scan) {
		at := scan.Pos()
		s = &segment{p: c.p, part: c.part, data: c.part.data[at:at]}
		s.decoder.from = c.next
		c.part.users++
		c.segments = append(c.segments, s)
		c.open = s
	}
	c.gap = false
	n := len(s.data)
	s.data = s.data[:n+len(batch)]
	if &s.data[n] != &batch[0] {
		copy(s.data[n:], batch)
	}
	s.decoder.rest = s.data
	s.size += len(batch)
	s.next, s.epoch = max(next, c.next), epoch
	s.batches++
	switch {
	case scan.Magic() == 2:
		s.records += int(scan.Header().NumRecords)
		c.plain = c.plain || scan.Header().Codec() == 0
	case scan.Message().Codec() != 0:
		s.records += legacyGuess
	default:
		s.records++
		c.plain = true
	}
}

// spans says whether a batch may come behind a gap in the segment: both sides of it are to be in one chunk, and of one leader epoch, so
// that the position moves past the gap with the message before it.
func (s *segment) spans(scan *protocol.Batches) bool {
	return scan.Magic() == 2 && scan.Header().PartitionLeaderEpoch == s.epoch && s.records+int(scan.Header().NumRecords) <= chunkMessages
}
