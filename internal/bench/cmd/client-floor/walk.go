package main

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errCRC    = errors.New("wrong CRC")
	errRecord = errors.New("malformed record")
)

// message and header are what a consumer fills for each record.
type (
	message struct {
		offset, timestamp int64
		key, value        []byte
		headers           []header
	}
	header struct{ key, value []byte }
)

// walker takes batches apart.
type walker struct {
	codec   topic.Codec
	fresh   bool
	payload int64 // of a record, for skip
	inflate inflater
	records []byte
	slab    []message
	headers []header
}

// skip knows a batch from its header.
func (w *walker) skip(batch []byte) (counted, error) {
	n := int64(be.Uint32(batch[57:]))
	return counted{n, n * (n - 1) / 2, n * w.payload}, nil
}

// walk checks, decompresses and parses a batch. The offsets that it adds up are relative to the batch.
func (w *walker) walk(batch []byte) (counted, error) {
	if crc32.Checksum(batch[21:], castagnoli) != be.Uint32(batch[17:]) {
		return counted{}, errCRC
	}
	records := batch[topic.HeaderBytes:]
	if w.codec != topic.None {
		size := len(w.records) + 64<<10 // batches are alike; lz4 wants room for a whole block
		if w.fresh || cap(w.records) == 0 {
			w.records = make([]byte, 0, size)
		}
		out, err := w.inflate.decode(w.codec, w.records[:0], records)
		if err != nil {
			return counted{}, fmt.Errorf("decompressing %s: %w", w.codec, err)
		}
		w.records, records = out, out
	}
	n := int(be.Uint32(batch[57:]))
	if n > len(records)/7 {
		return counted{}, errRecord
	}
	if w.fresh || cap(w.slab) < n {
		w.slab, w.headers = make([]message, 0, n), make([]header, 0, len(w.headers))
	}
	w.slab, w.headers = w.slab[:n], w.headers[:0]
	var sum counted
	for i := range w.slab {
		m := &w.slab[i]
		rest, err := w.record(records, m)
		if err != nil {
			return counted{}, err
		}
		records = rest
		sum.records++
		sum.offsetSum += m.offset
		sum.bytes += int64(len(m.key) + len(m.value))
		for _, h := range m.headers {
			sum.bytes += int64(len(h.key) + len(h.value))
		}
	}
	return sum, nil
}

// record parses one record into m and returns what is behind it.
func (w *walker) record(b []byte, m *message) ([]byte, error) {
	size, b := varint(b)
	if size < 1 || size > int64(len(b)) {
		return nil, errRecord
	}
	rest := b[size:]
	b = b[1:size] // attributes are unused
	m.timestamp, b = varint(b)
	m.offset, b = varint(b)
	m.key, b = sized(b)
	m.value, b = sized(b)
	n, b := varint(b)
	m.headers = nil
	if n > 0 && n <= int64(len(b)) {
		first := len(w.headers)
		for range n {
			var h header
			h.key, b = sized(b)
			h.value, b = sized(b)
			w.headers = append(w.headers, h)
		}
		m.headers = w.headers[first:]
	}
	if len(b) != 0 {
		return nil, errRecord
	}
	return rest, nil
}

func sized(b []byte) ([]byte, []byte) {
	n, b := varint(b)
	if n < 0 || n > int64(len(b)) {
		return nil, b
	}
	return b[:n:n], b[n:]
}

// varint reads a zigzag varint; of malformed input it makes a zero, which fails the record's length check.
func varint(b []byte) (int64, []byte) {
	var u uint64
	for i, c := range b {
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1), b[i+1:]
		}
	}
	return 0, nil
}
