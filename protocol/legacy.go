package protocol

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// LegacyMessage is a message of magic 0 or 1, the formats before Kafka 0.11. A
// compressed one is a wrapper: its value is a message set of the same magic, see Inner.
// Key and Value alias the bytes it was read from; cap equals len.
type LegacyMessage struct {
	Offset     int64 // of a wrapper: that of its last message
	Timestamp  int64 // milliseconds since 1970; -1 in magic 0
	Key, Value []byte
	CRC        uint32
	Magic      int8
	Attributes int8

	covered []byte // by the CRC: from magic to the end
}

// ReadLegacyMessage reads the message of magic 0 or 1 that b begins with and returns
// its length in bytes. It must be whole, and use exactly the length it declares. It
// allocates nothing but its error.
func ReadLegacyMessage(b []byte, m *LegacyMessage) (n int, err error) {
	if len(b) <= magicOffset {
		return 0, fmt.Errorf("message cut short: %d bytes", len(b))
	}
	length := int64(int32(binary.BigEndian.Uint32(b[8:])))
	magic := int8(b[magicOffset])
	if magic != 0 && magic != 1 {
		return 0, fmt.Errorf("message of magic %d, not 0 or 1", magic)
	}
	least := int64(minLegacyLength)
	if magic == 1 {
		least += 8 // the timestamp
	}
	if length < least || length > int64(len(b)-logOverhead) {
		return 0, fmt.Errorf("message of length %d: needs %d, %d bytes are left", length, least, len(b)-logOverhead)
	}
	end := logOverhead + int(length)
	b = b[:end:end]
	m.Offset = int64(binary.BigEndian.Uint64(b))
	m.CRC = binary.BigEndian.Uint32(b[12:])
	m.Magic = magic
	m.Attributes = int8(b[17])
	m.covered = b[magicOffset:]
	i := 18
	m.Timestamp = -1
	if magic == 1 {
		m.Timestamp = int64(binary.BigEndian.Uint64(b[i:]))
		i += 8
	}
	if m.Offset < 0 || m.Offset == math.MaxInt64 {
		return 0, fmt.Errorf("message offset %d", m.Offset)
	}
	var ok bool
	if m.Key, i, ok = legacyBytes(b, i); !ok {
		return 0, fmt.Errorf("message key exceeds its message")
	}
	if m.Value, i, ok = legacyBytes(b, i); !ok {
		return 0, fmt.Errorf("message value exceeds its message")
	}
	if i != end {
		return 0, fmt.Errorf("message is %d bytes too long for its fields", end-i)
	}
	return end, nil
}

// legacyBytes reads nullable bytes with an int32 length at b[i] and returns the place
// after them.
func legacyBytes(b []byte, i int) (v []byte, next int, ok bool) {
	if len(b)-i < 4 {
		return nil, i, false
	}
	n := int64(int32(binary.BigEndian.Uint32(b[i:])))
	i += 4
	if n == -1 {
		return nil, i, true
	}
	if n < 0 || n > int64(len(b)-i) {
		return nil, i, false
	}
	end := i + int(n)
	return b[i:end:end], end, true
}

// CRCValid checks the CRC-32 (IEEE) of a message that was read, and not changed since.
func (m *LegacyMessage) CRCValid() bool {
	return crc32.ChecksumIEEE(m.covered) == m.CRC
}

// Codec is the number of the compression codec: 0 for a plain message; 1 gzip, 2 snappy,
// 3 lz4 for a wrapper. 4, zstd, came with magic 2 and is not valid here.
func (m *LegacyMessage) Codec() int8 { return m.Attributes & int8(AttributeCodecMask) }

// TimestampType is that of the message: none in magic 0.
func (m *LegacyMessage) TimestampType() TimestampType {
	switch {
	case m.Magic == 0:
		return NoTimestampType
	case m.Attributes&int8(AttributeLogAppendTime) != 0:
		return LogAppendTimestampType
	}
	return CreateTimestampType
}
