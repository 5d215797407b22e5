package protocol

import "fmt"

// readHeaders checks the headers of the record in b, whose header count is at i,
// and notes them in r.
func readHeaders(b []byte, i int, r *Record) error {
	count, i := varint32(b, i)
	if i == 0 {
		return &RecordError{"header count", errBadVarint}
	}
	// A header has two lengths, of a byte each at the least.
	if count < 0 || count > int64(len(b)-i)/2 {
		return lengthError("header count", count, len(b)-i)
	}
	r.Headers, r.HeaderCount = b[i:], int(count)
	for range count {
		var v int64
		next := 0
		if v, next = shortVarint(b, i); next == 0 {
			if v, next = varint32(b, i); next == 0 {
				return &RecordError{"header key length", errBadVarint}
			}
		}
		i = next
		if uint64(v) > uint64(len(b)-i) {
			return lengthError("header key length", v, len(b)-i)
		}
		i += int(v)
		if v, next = shortVarint(b, i); next == 0 {
			if v, next = varint32(b, i); next == 0 {
				return &RecordError{"header value length", errBadVarint}
			}
		}
		i = next
		if uint64(v) <= uint64(len(b)-i) {
			i += int(v)
		} else if v != -1 {
			return lengthError("header value length", v, len(b)-i)
		}
	}
	if i != len(b) {
		return &RecordError{"record", fmt.Sprintf("%d bytes too long for its fields", len(b)-i)}
	}
	return nil
}

// ReadHeader reads the header that b, the Headers of a Record or the rest of them,
// begins with, and returns its length in bytes. key and value alias b; a null value
// is nil.
//
//	for b := r.Headers; len(b) > 0; {
//		key, value, n, err := ReadHeader(b)
//		…
//		b = b[n:]
//	}
func ReadHeader(b []byte) (key, value []byte, n int, err error) {
	v, i := shortVarint(b, 0)
	if i == 0 {
		if v, i = varint32(b, 0); i == 0 {
			return nil, nil, 0, &RecordError{"header key length", errBadVarint}
		}
	}
	if uint64(v) > uint64(len(b)-i) {
		return nil, nil, 0, lengthError("header key length", v, len(b)-i)
	}
	end := i + int(v)
	key = b[i:end:end]
	if v, i = shortVarint(b, end); i == 0 {
		if v, i = varint32(b, end); i == 0 {
			return nil, nil, 0, &RecordError{"header value length", errBadVarint}
		}
	}
	if v == -1 {
		return key, nil, i, nil
	}
	if uint64(v) > uint64(len(b)-i) {
		return nil, nil, 0, lengthError("header value length", v, len(b)-i)
	}
	end = i + int(v)
	return key, b[i:end:end], end, nil
}
