package topic

import (
	"encoding/binary"
	"hash/crc32"
)

// HeaderBytes is the size of the header of a record batch v2; base offset and leader epoch lie in it before the part
// that the CRC covers, which is what lets the replay server give a batch any place in a log.
const HeaderBytes = 61

const (
	firstTimestamp   = int64(1_760_000_000_000)
	headerValueBytes = 16
)

var headerKeys = [...]string{"trace-id", "span-parent"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// builder makes the batches of one topic, one after the other.
type builder struct {
	spec    Spec
	text    *text
	records []byte // of the batch being made, uncompressed
	record  []byte
	value   []byte
}

// next returns a batch with base offset 0.
func (b *builder) next() ([]byte, error) {
	base := b.text.ts
	b.records = b.records[:0]
	n := b.spec.RecordsPerBatch()
	for i := range n {
		b.appendRecord(i, base)
	}
	batch := make([]byte, HeaderBytes, HeaderBytes+len(b.records))
	batch, err := compress(b.spec.Codec, batch, b.records)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	be.PutUint32(batch[8:], uint32(len(batch)-12))
	batch[16] = 2 // magic
	be.PutUint16(batch[21:], b.spec.Codec.attribute())
	be.PutUint32(batch[23:], uint32(n-1)) // last offset delta
	be.PutUint64(batch[27:], uint64(base))
	be.PutUint64(batch[35:], uint64(b.text.ts))
	be.PutUint64(batch[43:], ^uint64(0)) // no producer id, epoch, sequence
	be.PutUint16(batch[51:], ^uint16(0))
	be.PutUint32(batch[53:], ^uint32(0))
	be.PutUint32(batch[57:], uint32(n))
	be.PutUint32(batch[17:], crc32.Checksum(batch[21:], castagnoli))
	return batch, nil
}

func (b *builder) appendRecord(delta int, base int64) {
	r := append(b.record[:0], 0) // attributes
	b.value = b.text.appendValue(b.value[:0], b.spec.ValueBytes)
	r = binary.AppendVarint(r, b.text.ts-base)
	r = binary.AppendVarint(r, int64(delta))
	r = binary.AppendVarint(r, -1) // null key
	r = binary.AppendVarint(r, int64(len(b.value)))
	r = append(r, b.value...)
	r = binary.AppendVarint(r, int64(b.spec.Headers))
	for i := range b.spec.Headers {
		r = binary.AppendVarint(r, int64(len(headerKeys[i])))
		r = append(r, headerKeys[i]...)
		r = binary.AppendVarint(r, headerValueBytes)
		r = b.text.appendHeaderValue(r)
	}
	b.record = r
	b.records = binary.AppendVarint(b.records, int64(len(r)))
	b.records = append(b.records, r...)
}
