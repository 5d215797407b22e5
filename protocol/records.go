package protocol

import "fmt"

// Record is one record of a batch of magic 2. Key, Value and Headers alias the
// bytes it was read from; cap equals len.
type Record struct {
	TimestampDelta int64 // see BatchHeader.Timestamp
	Key, Value     []byte
	Headers        []byte // HeaderCount headers, checked: see ReadHeader
	HeaderCount    int
	OffsetDelta    int32 // offset = BatchHeader.BaseOffset + OffsetDelta
	Attributes     int8  // unused by Kafka
}

// RecordError is about bytes in the records of a batch that are no valid record.
type RecordError struct {
	Field  string // what was being read
	Reason string
}

// Error implements error.
func (e *RecordError) Error() string {
	return fmt.Sprintf("corrupt record: %s: %s", e.Field, e.Reason)
}

// ReadRecord reads the record that b begins with and returns its length in bytes.
// Everything in it is checked: that it uses exactly the length it declares, and its
// headers too, so that reading those cannot fail afterwards. It allocates nothing
// but its error, a *RecordError; what r holds then is undefined.
func ReadRecord(b []byte, r *Record) (n int, err error) {
	// Each number is of one or two bytes as a rule: shortVarint is inlined for those.
	v, i := shortVarint(b, 0)
	if i == 0 {
		if v, i = varint32(b, 0); i == 0 {
			return 0, &RecordError{"length", errBadVarint}
		}
	}
	if uint64(v) > uint64(len(b)-i) {
		return 0, lengthError("length", v, len(b)-i)
	}
	end := i + int(v)
	b = b[:end:end]
	if i >= len(b) {
		return 0, &RecordError{"attributes", errCutShort}
	}
	r.Attributes = int8(b[i])
	i++

	next := 0
	if v, next = shortVarint(b, i); next == 0 {
		if v, next = varint64(b, i); next == 0 {
			return 0, &RecordError{"timestamp delta", errBadVarint}
		}
	}
	r.TimestampDelta, i = v, next
	if v, next = shortVarint(b, i); next == 0 {
		if v, next = varint32(b, i); next == 0 {
			return 0, &RecordError{"offset delta", errBadVarint}
		}
	}
	r.OffsetDelta, i = int32(v), next

	if v, next = shortVarint(b, i); next == 0 {
		if v, next = varint32(b, i); next == 0 {
			return 0, &RecordError{"key length", errBadVarint}
		}
	}
	i = next
	if uint64(v) <= uint64(len(b)-i) {
		end := i + int(v)
		r.Key = b[i:end:end]
		i = end
	} else if v == -1 {
		r.Key = nil
	} else {
		return 0, lengthError("key length", v, len(b)-i)
	}

	if v, next = shortVarint(b, i); next == 0 {
		if v, next = varint32(b, i); next == 0 {
			return 0, &RecordError{"value length", errBadVarint}
		}
	}
	i = next
	if uint64(v) <= uint64(len(b)-i) {
		end := i + int(v)
		r.Value = b[i:end:end]
		i = end
	} else if v == -1 {
		r.Value = nil
	} else {
		return 0, lengthError("value length", v, len(b)-i)
	}

	// The common end: no headers, nothing left.
	if i == len(b)-1 && b[i] == 0 {
		r.Headers, r.HeaderCount = nil, 0
		return len(b), nil
	}
	if err := readHeaders(b, i, r); err != nil {
		return 0, err
	}
	return len(b), nil
}
