package protocol

import (
	"encoding/binary"
	"fmt"
)

// Batches steps through a record set as Fetch returns it: batches of magic 2, and
// messages of magic 0 and 1, which brokers still return from old logs (KIP-724 took
// away only the writing). The zero value is an empty set. It allocates nothing but
// its error.
//
//	s := ScanBatches(set)
//	for s.Next() {
//		if s.Magic() == 2 {
//			use(s.Header(), s.Bytes())
//		} else {
//			useLegacy(s.Message())
//		}
//	}
//	err := s.Err()
type Batches struct {
	set     []byte
	pos     int // where the current batch begins
	end     int // where it ends
	header  BatchHeader
	message LegacyMessage
	err     error
}

// ScanBatches begins at the front of set, which is not copied.
func ScanBatches(set []byte) Batches { return Batches{set: set} }

// Next goes to the next whole batch. It returns false at the end of the set, at an
// incomplete batch (brokers cut at the byte limit of the request) and at bytes that
// are no batch; the last is an error, as is a set that holds bytes but not one whole
// batch: since Fetch version 3 the first always comes whole (KIP-74).
func (s *Batches) Next() bool {
	if s.err != nil {
		return false
	}
	b := s.set[s.end:]
	s.pos = s.end
	if len(b) <= magicOffset {
		return s.stop()
	}
	length := int(int32(binary.BigEndian.Uint32(b[8:])))
	magic := int8(b[magicOffset])
	if length < minLegacyLength || magic < 0 || magic > 2 {
		return s.fail(fmt.Sprintf("length %d, magic %d", length, magic))
	}
	if length > len(b)-logOverhead {
		return s.stop()
	}
	b = b[: logOverhead+length : logOverhead+length]
	if magic == 2 {
		if len(b) < BatchHeaderSize {
			return s.fail(fmt.Sprintf("length %d is less than a header", length))
		}
		s.header.parse(b)
		if reason := s.header.check(); reason != "" {
			return s.fail(reason)
		}
	} else if _, err := ReadLegacyMessage(b, &s.message); err != nil {
		return s.fail(err.Error())
	}
	s.end += len(b)
	return true
}

// stop ends the scan before a batch that is not complete.
func (s *Batches) stop() bool {
	if s.end > 0 || len(s.set) == 0 {
		return false
	}
	reason := fmt.Sprintf("no whole batch in %d bytes", len(s.set))
	if len(s.set) > magicOffset {
		return s.fail(reason)
	}
	s.err = &BatchError{Offset: -1, NextOffset: -1, Reason: reason}
	return false
}

// fail ends the scan at bytes that are no batch.
func (s *Batches) fail(reason string) bool {
	e := batchError(s.set[s.pos:], reason)
	e.Pos = s.pos
	s.err = e
	return false
}

// Err is nil or a *BatchError that says where the set is damaged.
func (s *Batches) Err() error { return s.err }

// Magic is the format of the current batch: 0, 1 or 2.
func (s *Batches) Magic() int8 { return int8(s.set[s.pos+magicOffset]) }

// Pos is where the current batch begins in the set. After the end it is where the
// incomplete or damaged rest begins, len(set) if there is none.
func (s *Batches) Pos() int { return s.pos }

// Bytes is the current batch whole; it aliases the set.
func (s *Batches) Bytes() []byte { return s.set[s.pos:s.end:s.end] }

// Records is what follows the header of the current batch of magic 2: its records,
// compressed if it has a codec; it aliases the set.
func (s *Batches) Records() []byte { return s.set[s.pos+BatchHeaderSize : s.end : s.end] }

// Header is that of the current batch of magic 2, valid until the next call of Next.
func (s *Batches) Header() *BatchHeader { return &s.header }

// Message is the current message of magic 0 or 1, valid until the next call of Next.
func (s *Batches) Message() *LegacyMessage { return &s.message }

// NextOffset is where to fetch after the current batch or message, as its header
// tells: for a compressed message see LegacySet.NextOffset.
func (s *Batches) NextOffset() int64 {
	if s.Magic() == 2 {
		return s.header.NextOffset()
	}
	return s.message.Offset + 1
}
