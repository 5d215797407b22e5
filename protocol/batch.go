package protocol

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// BatchHeaderSize is the length of the fixed front of a record batch of magic 2.
const BatchHeaderSize = 61

const (
	logOverhead     = 12 // base offset and length, in front of every batch and message
	magicOffset     = 16 // the same place in all three formats
	crcOffset       = 17
	attributesStart = 21 // the first byte the checksum of magic 2 covers
	minRecordSize   = 7  // length, attributes, two deltas, two lengths, header count: a byte each
	minLegacyLength = 14 // after length, in magic 0
)

// TimestampType says what a record's timestamp is (KIP-32).
type TimestampType int8

// The timestamp types. Records of magic 0 have no timestamp.
const (
	NoTimestampType        TimestampType = -1
	CreateTimestampType    TimestampType = 0 // set by the producer
	LogAppendTimestampType TimestampType = 1 // set by the broker
)

// Bits of the attributes of a record batch of magic 2, and (the codec and the
// timestamp type alone) of older messages.
const (
	AttributeCodecMask     int16 = 0x07 // 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
	AttributeLogAppendTime int16 = 1 << 3
	AttributeTransactional int16 = 1 << 4 // KIP-98
	AttributeControl       int16 = 1 << 5 // KIP-98
	AttributeDeleteHorizon int16 = 1 << 6 // KIP-534
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BatchHeader is the front of a record batch of magic 2, as RecordBatch in Kafka's
// documentation and KIP-98 describe it.
type BatchHeader struct {
	BaseOffset           int64
	Length               int32 // of what follows this field; Size counts the whole batch
	PartitionLeaderEpoch int32 // -1: unknown
	CRC                  uint32
	Attributes           int16
	LastOffsetDelta      int32
	BaseTimestamp        int64 // the delete horizon where that attribute is set
	MaxTimestamp         int64
	ProducerID           int64
	ProducerEpoch        int16
	BaseSequence         int32
	NumRecords           int32
}

// BatchError is about bytes in a record set that are no valid batch or message.
type BatchError struct {
	Offset     int64 // the base offset the bytes give; not to be trusted
	NextOffset int64 // where to go on to skip what is damaged; -1 when the bytes do not tell
	Pos        int   // where the batch begins in the record set
	Reason     string
}

// Error implements error.
func (e *BatchError) Error() string {
	return fmt.Sprintf("corrupt record batch at offset %d (byte %d of the record set): %s", e.Offset, e.Pos, e.Reason)
}

// ParseBatchHeader reads the header of the record batch that b begins with and
// checks that its fields agree with each other: a length that holds a header, no
// negative or overflowing offsets, no more records than bytes. It needs the first
// 61 bytes only, and errors are *BatchError.
func ParseBatchHeader(b []byte) (BatchHeader, error) {
	var h BatchHeader
	if len(b) < BatchHeaderSize {
		return h, &BatchError{Offset: -1, NextOffset: -1, Reason: fmt.Sprintf("header cut short: %d of %d bytes", len(b), BatchHeaderSize)}
	}
	h.parse(b)
	if b[magicOffset] != 2 {
		return h, batchError(b, fmt.Sprintf("magic is %d, not 2", int8(b[magicOffset])))
	}
	if reason := h.check(); reason != "" {
		return h, batchError(b, reason)
	}
	return h, nil
}

// parse fills h from the first 61 bytes of b.
func (h *BatchHeader) parse(b []byte) {
	_ = b[BatchHeaderSize-1]
	h.BaseOffset = int64(binary.BigEndian.Uint64(b))
	h.Length = int32(binary.BigEndian.Uint32(b[8:]))
	h.PartitionLeaderEpoch = int32(binary.BigEndian.Uint32(b[12:]))
	h.CRC = binary.BigEndian.Uint32(b[crcOffset:])
	h.Attributes = int16(binary.BigEndian.Uint16(b[attributesStart:]))
	h.LastOffsetDelta = int32(binary.BigEndian.Uint32(b[23:]))
	h.BaseTimestamp = int64(binary.BigEndian.Uint64(b[27:]))
	h.MaxTimestamp = int64(binary.BigEndian.Uint64(b[35:]))
	h.ProducerID = int64(binary.BigEndian.Uint64(b[43:]))
	h.ProducerEpoch = int16(binary.BigEndian.Uint16(b[51:]))
	h.BaseSequence = int32(binary.BigEndian.Uint32(b[53:]))
	h.NumRecords = int32(binary.BigEndian.Uint32(b[57:]))
}

// check returns what is wrong with the fields of h, "" for nothing.
func (h *BatchHeader) check() string {
	switch {
	case h.Length < BatchHeaderSize-logOverhead:
		return fmt.Sprintf("length %d is less than a header", h.Length)
	case h.BaseOffset < 0:
		return "negative base offset"
	case h.LastOffsetDelta < 0:
		return fmt.Sprintf("negative last offset delta %d", h.LastOffsetDelta)
	case h.BaseOffset > math.MaxInt64-1-int64(h.LastOffsetDelta):
		return fmt.Sprintf("offsets overflow: last offset delta %d", h.LastOffsetDelta)
	case h.NumRecords < 0:
		return fmt.Sprintf("negative record count %d", h.NumRecords)
	case h.Codec() == 0:
		if err := h.CheckCount(int(h.Length) - (BatchHeaderSize - logOverhead)); err != nil {
			return err.Error()
		}
	}
	return ""
}

// CheckCount says why size bytes of records, decompressed, cannot hold NumRecords; nil if
// they can.
func (h *BatchHeader) CheckCount(size int) error {
	if int(h.NumRecords) > size/minRecordSize {
		return fmt.Errorf("%d records do not fit into %d bytes", h.NumRecords, size)
	}
	return nil
}

// batchError describes the batch or message that b begins with, at least 17 bytes.
func batchError(b []byte, reason string) *BatchError {
	e := &BatchError{Offset: int64(binary.BigEndian.Uint64(b)), NextOffset: -1, Reason: reason}
	if e.Offset < 0 || e.Offset == math.MaxInt64 {
		return e
	}
	e.NextOffset = e.Offset + 1
	if b[magicOffset] == 2 && len(b) >= 27 {
		delta := int64(int32(binary.BigEndian.Uint32(b[23:])))
		if delta > 0 && e.Offset < math.MaxInt64-delta {
			e.NextOffset += delta
		}
	}
	return e
}

// Size is the length of the whole batch in bytes.
func (h *BatchHeader) Size() int { return logOverhead + int(h.Length) }

// LastOffset is the offset of the last record the batch was written with;
// compaction may have removed it since.
func (h *BatchHeader) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// NextOffset is where to fetch after this batch, also when it holds no records.
func (h *BatchHeader) NextOffset() int64 { return h.LastOffset() + 1 }

// Codec is the number of the compression codec of the records: 0 none, 1 gzip,
// 2 snappy, 3 lz4, 4 zstd. 5 to 7 are unknown.
func (h *BatchHeader) Codec() int8 { return int8(h.Attributes & AttributeCodecMask) }

// Transactional says whether the batch is part of a transaction (KIP-98).
func (h *BatchHeader) Transactional() bool { return h.Attributes&AttributeTransactional != 0 }

// Control says whether the batch holds a control record, which is never data for
// applications (KIP-98).
func (h *BatchHeader) Control() bool { return h.Attributes&AttributeControl != 0 }

// DeleteHorizon is the time, in milliseconds since 1970, from which compaction
// removes the batch's tombstones or marker, if it has been set (KIP-534).
func (h *BatchHeader) DeleteHorizon() (ms int64, ok bool) {
	return h.BaseTimestamp, h.Attributes&AttributeDeleteHorizon != 0
}

// TimestampType is that of every record in the batch.
func (h *BatchHeader) TimestampType() TimestampType {
	if h.Attributes&AttributeLogAppendTime != 0 {
		return LogAppendTimestampType
	}
	return CreateTimestampType
}

// Timestamp is that of the record with this delta, in milliseconds since 1970; -1
// for none. With log append time it is the same for all records of the batch. With
// a delete horizon the deltas count from that, which is in the same field.
func (h *BatchHeader) Timestamp(delta int64) int64 {
	if h.Attributes&AttributeLogAppendTime != 0 {
		return h.MaxTimestamp
	}
	return h.BaseTimestamp + delta
}

// CRCValid checks the CRC-32C of the batch, given whole. The base offset and the
// leader epoch, which brokers write, are not covered by it.
func (h *BatchHeader) CRCValid(batch []byte) bool {
	size := h.Size()
	if size < BatchHeaderSize || size > len(batch) {
		return false
	}
	return crc32.Checksum(batch[attributesStart:size], castagnoli) == h.CRC
}
