package protocol

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// AppendLegacyMessage appends a message of m.Magic, 0 or 1, to dst. Of m it takes
// Offset, Magic, Attributes, Timestamp (in magic 1), Key and Value; the CRC it computes.
func AppendLegacyMessage(dst []byte, m *LegacyMessage) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.Offset))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // room for length and CRC
	dst = append(dst, byte(m.Magic), byte(m.Attributes))
	if m.Magic == 1 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.Timestamp))
	}
	dst = appendLegacyBytes(dst, m.Key)
	dst = appendLegacyBytes(dst, m.Value)
	binary.BigEndian.PutUint32(dst[start+8:], uint32(len(dst)-start-logOverhead))
	binary.BigEndian.PutUint32(dst[start+12:], crc32.ChecksumIEEE(dst[start+magicOffset:]))
	return dst
}

func appendLegacyBytes(dst, v []byte) []byte {
	if v == nil {
		return binary.BigEndian.AppendUint32(dst, 1<<32-1)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	return append(dst, v...)
}

// AppendLegacyWrapper appends a compressed message of wrapper's magic that holds inner,
// whose offsets are given absolute and rising. Codec and timestamp type come from
// wrapper.Attributes, its Timestamp too; its offset becomes that of the last message
// inside, and in magic 1 those inside become relative (KIP-31).
func AppendLegacyWrapper(dst []byte, wrapper LegacyMessage, compress Compressor, inner ...LegacyMessage) ([]byte, error) {
	if len(inner) == 0 {
		return dst, fmt.Errorf("a compressed message holds one message at the least")
	}
	var set []byte
	first := inner[0].Offset
	for _, m := range inner {
		wrapper.Offset = m.Offset
		if wrapper.Magic == 1 {
			m.Offset -= first
		}
		m.Magic = wrapper.Magic
		set = AppendLegacyMessage(set, &m)
	}
	packed, err := compress(nil, set)
	if err != nil {
		return dst, fmt.Errorf("compressing the messages up to offset %d: %w", wrapper.Offset, err)
	}
	wrapper.Value = packed
	return AppendLegacyMessage(dst, &wrapper), nil
}
