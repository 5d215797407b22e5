package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
)

// LegacySet steps through the messages inside a compressed message (a wrapper).
type LegacySet struct {
	set     []byte
	pos     int
	wrapper LegacyMessage
	base    int64 // what the inner offsets count from
	last    int64 // absolute offset of the last inner message
}

// Inner begins at the first message inside wrapper m. set is its value, decompressed.
// A value that is null, holds no message, or one of another magic is an error.
//
// The offsets inside magic 1 are relative and the wrapper's is that of the last
// message (KIP-31); some versions of librdkafka left the wrapper's 0, which then
// stands for a set that begins at 0. Inside magic 0 offsets are absolute. This walks
// the set once to find the last one.
func (m *LegacyMessage) Inner(set []byte) (LegacySet, error) {
	s := LegacySet{set: set, wrapper: *m}
	if m.Value == nil {
		return s, fmt.Errorf("compressed message at offset %d has a null value", m.Offset)
	}
	last := int64(0)
	for b := set; len(b) > 0; {
		if len(b) < logOverhead {
			return s, fmt.Errorf("compressed message at offset %d: a message inside is cut short", m.Offset)
		}
		last = int64(binary.BigEndian.Uint64(b))
		n := int64(int32(binary.BigEndian.Uint32(b[8:])))
		if n < minLegacyLength || n > int64(len(b)-logOverhead) {
			return s, fmt.Errorf("compressed message at offset %d: a message inside has length %d, %d bytes are left", m.Offset, n, len(b)-logOverhead)
		}
		b = b[logOverhead+int(n):]
	}
	if len(set) == 0 {
		return s, fmt.Errorf("compressed message at offset %d holds no message", m.Offset)
	}
	if m.Magic == 1 && m.Offset != 0 {
		s.base = m.Offset - last
	}
	if m.Offset < 0 || m.Offset == math.MaxInt64 || last < 0 || s.base < 0 || s.base > math.MaxInt64-1-last {
		return s, fmt.Errorf("compressed message at offset %d: the last message inside has relative offset %d", m.Offset, last)
	}
	s.last = s.base + last
	return s, nil
}

// NextOffset is where to fetch after the set.
func (s *LegacySet) NextOffset() int64 { return max(s.wrapper.Offset, s.last) + 1 }

// Next reads the next message into m, with its absolute offset, and with the wrapper's
// timestamp where that was set by the broker; false at the end. A message that is
// itself compressed is an error, as is one of another magic than its wrapper.
func (s *LegacySet) Next(m *LegacyMessage) (bool, error) {
	if s.pos == len(s.set) {
		return false, nil
	}
	n, err := ReadLegacyMessage(s.set[s.pos:], m)
	if err != nil {
		return false, fmt.Errorf("inside the compressed message at offset %d: %w", s.wrapper.Offset, err)
	}
	s.pos += n
	if m.Magic != s.wrapper.Magic {
		return false, fmt.Errorf("compressed message at offset %d has magic %d, one inside it %d", s.wrapper.Offset, s.wrapper.Magic, m.Magic)
	}
	if m.Codec() != 0 {
		return false, fmt.Errorf("compressed message at offset %d: one inside it is compressed again", s.wrapper.Offset)
	}
	if m.Offset > s.last-s.base {
		return false, fmt.Errorf("compressed message at offset %d: the offsets inside do not rise", s.wrapper.Offset)
	}
	m.Offset += s.base
	if s.wrapper.TimestampType() == LogAppendTimestampType {
		m.Timestamp = s.wrapper.Timestamp
		m.Attributes |= int8(AttributeLogAppendTime)
	}
	return true, nil
}
