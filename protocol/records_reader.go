package protocol

import "fmt"

// RecordReader reads the records of one batch of magic 2 and checks what concerns
// them together: as many as the header counts, offsets that rise and stay within the
// batch, and nothing after them. It allocates nothing but its error.
type RecordReader struct {
	b    []byte
	pos  int
	left int32 // records to come
	next int32 // the lowest offset delta the next one may have
	last int32 // the highest
}

// ReadRecords begins at the first record of the batch. records is what follows its
// header, decompressed. A count that these bytes cannot hold is a *RecordError here,
// so NumRecords is safe to allocate by afterwards.
func (h *BatchHeader) ReadRecords(records []byte) (RecordReader, error) {
	if h.NumRecords < 0 {
		return RecordReader{}, &RecordError{"record count", fmt.Sprintf("%d is negative", h.NumRecords)}
	}
	if err := h.CheckCount(len(records)); err != nil {
		return RecordReader{}, &RecordError{"record count", err.Error()}
	}
	return RecordReader{b: records, left: h.NumRecords, last: h.LastOffsetDelta}, nil
}

// Left is how many records are still to be read.
func (rr *RecordReader) Left() int { return int(rr.left) }

// Next reads the next record into r. It returns false at the end, and with an error
// (*RecordError) at bytes that are no record of this batch.
func (rr *RecordReader) Next(r *Record) (bool, error) {
	if rr.left == 0 {
		if rr.pos != len(rr.b) {
			return false, &RecordError{"record count", fmt.Sprintf("%d bytes are left after the last record", len(rr.b)-rr.pos)}
		}
		return false, nil
	}
	n, err := ReadRecord(rr.b[rr.pos:], r)
	if err != nil {
		return false, err
	}
	if r.OffsetDelta < rr.next || r.OffsetDelta > rr.last {
		return false, &RecordError{"offset delta", fmt.Sprintf("%d is not within %d to %d", r.OffsetDelta, rr.next, rr.last)}
	}
	rr.pos += n
	rr.left--
	rr.next = r.OffsetDelta + 1
	return true, nil
}
