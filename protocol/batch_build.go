package protocol

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Compressor appends src, compressed, to dst. The builders take one because this
// package knows no codec.
type Compressor func(dst, src []byte) ([]byte, error)

// RecordHeader is one header of a record to be written.
type RecordHeader struct {
	Key   string
	Value []byte // nil is null
}

// RecordData is a record to be written.
type RecordData struct {
	OffsetDelta    int32
	TimestampDelta int64
	Key, Value     []byte // nil is null
	Headers        []RecordHeader
}

// NewBatchHeader is a header for AppendBatch without producer and leader epoch.
func NewBatchHeader(baseOffset int64) BatchHeader {
	return BatchHeader{BaseOffset: baseOffset, PartitionLeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}
}

// AppendBatch appends a record batch of magic 2 to dst. Of h it takes everything but
// Length, CRC and NumRecords, which it computes; LastOffsetDelta is raised to that of
// the last record, and MaxTimestamp becomes the highest unless the timestamps are log
// append time. With a codec in h.Attributes it compresses by compress.
func AppendBatch(dst []byte, h BatchHeader, compress Compressor, records ...RecordData) ([]byte, error) {
	var raw []byte
	for i := range records {
		r := &records[i]
		raw = AppendRecord(raw, r)
		h.LastOffsetDelta = max(h.LastOffsetDelta, r.OffsetDelta)
		if h.TimestampType() == CreateTimestampType {
			t := h.BaseTimestamp + r.TimestampDelta
			if i == 0 || t > h.MaxTimestamp {
				h.MaxTimestamp = t
			}
		}
	}
	h.NumRecords = int32(len(records))
	if h.Codec() == 0 {
		return AppendRawBatch(dst, h, raw), nil
	}
	if compress == nil {
		return dst, fmt.Errorf("batch at offset %d has codec %d but no compressor", h.BaseOffset, h.Codec())
	}
	packed, err := compress(nil, raw)
	if err != nil {
		return dst, fmt.Errorf("compressing the batch at offset %d: %w", h.BaseOffset, err)
	}
	return AppendRawBatch(dst, h, packed), nil
}

// AppendRawBatch appends a batch whose records are given as they are to stand in it,
// compressed or not. It computes Length and CRC and takes the rest from h.
func AppendRawBatch(dst []byte, h BatchHeader, records []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.BaseOffset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(BatchHeaderSize-logOverhead+len(records)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.PartitionLeaderEpoch))
	dst = append(dst, 2, 0, 0, 0, 0) // magic, room for the CRC
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Attributes))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.LastOffsetDelta))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.BaseTimestamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.MaxTimestamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.ProducerID))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.ProducerEpoch))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.BaseSequence))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.NumRecords))
	dst = append(dst, records...)
	crc := crc32.Checksum(dst[start+attributesStart:], castagnoli)
	binary.BigEndian.PutUint32(dst[start+crcOffset:], crc)
	return dst
}

// AppendRecord appends one record in the form of magic 2.
func AppendRecord(dst []byte, r *RecordData) []byte {
	body := []byte{0} // attributes
	body = appendRecordVarint(body, r.TimestampDelta)
	body = appendRecordVarint(body, int64(r.OffsetDelta))
	body = appendRecordBytes(body, r.Key)
	body = appendRecordBytes(body, r.Value)
	body = appendRecordVarint(body, int64(len(r.Headers)))
	for _, h := range r.Headers {
		body = appendRecordVarint(body, int64(len(h.Key)))
		body = append(body, h.Key...)
		body = appendRecordBytes(body, h.Value)
	}
	dst = appendRecordVarint(dst, int64(len(body)))
	return append(dst, body...)
}

func appendRecordBytes(dst, v []byte) []byte {
	if v == nil {
		return appendRecordVarint(dst, -1)
	}
	dst = appendRecordVarint(dst, int64(len(v)))
	return append(dst, v...)
}

// AppendControlBatch appends the marker that ends a transaction of h's producer, as a
// coordinator of this epoch writes it.
func AppendControlBatch(dst []byte, h BatchHeader, t ControlType, coordinatorEpoch int32) []byte {
	h.Attributes |= AttributeControl | AttributeTransactional
	h.LastOffsetDelta, h.NumRecords, h.BaseSequence = 0, 1, -1
	h.MaxTimestamp = h.BaseTimestamp
	key := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(t))
	value := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(coordinatorEpoch))
	return AppendRawBatch(dst, h, AppendRecord(nil, &RecordData{Key: key, Value: value}))
}
