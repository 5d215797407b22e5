package protocol

import "fmt"

// Reasons in a RecordError.
const (
	errBadVarint = "no valid varint"
	errCutShort  = "cut short"
)

func lengthError(field string, v int64, left int) error {
	return &RecordError{field, fmt.Sprintf("%d, %d bytes are left", v, left)}
}

// shortVarint reads the zigzag varint of one or two bytes at b[i] and returns it with
// the place after it; 0 for that says that it is longer, or too near the end of b to
// tell: then ask varint32 or varint64. It is small enough to be inlined.
func shortVarint(b []byte, i int) (v int64, next int) {
	if i+1 < len(b) {
		u := int64(b[i])
		if u < 0x80 {
			return u>>1 ^ -(u & 1), i + 1
		}
		if b[i+1] < 0x80 {
			return (u&0x7f)>>1 ^ int64(b[i+1])<<6 ^ -(u & 1), i + 2
		}
	}
	return 0, 0
}

// varint32 reads the zigzag varint of at most 32 bits at b[i] and returns it with
// the place after it; 0 for that says that there is none.
func varint32(b []byte, i int) (int64, int) {
	var u uint64
	for shift := 0; shift < 35 && i < len(b); shift += 7 {
		c := b[i]
		i++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if u > 1<<32-1 {
				return 0, 0
			}
			return int64(u>>1) ^ -int64(u&1), i
		}
	}
	return 0, 0
}

// varint64 is varint32 for 64 bits: at most ten bytes, the tenth 0 or 1.
func varint64(b []byte, i int) (int64, int) {
	var u uint64
	for shift := 0; shift < 70 && i < len(b); shift += 7 {
		c := b[i]
		i++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, 0
			}
			return int64(u>>1) ^ -int64(u&1), i
		}
	}
	return 0, 0
}

// appendRecordVarint appends v as a zigzag varint, the form of all numbers in a record.
func appendRecordVarint(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}
