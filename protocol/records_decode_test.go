package protocol

import (
	"errors"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/compress"
)

// decodedBatch is a batch, or a message of magic 0 or 1, read to the last field. The tags are those of golden.jsonl.
type decodedBatch struct {
	Magic         int8            `json:"magic"`
	Base          int64           `json:"base"`
	Last          int64           `json:"last"`
	Next          int64           `json:"next"`
	Codec         int8            `json:"codec"`
	Producer      int64           `json:"producer"`
	ProducerEpoch int16           `json:"producerEpoch"`
	Sequence      int32           `json:"sequence"`
	LeaderEpoch   int32           `json:"leaderEpoch"`
	Transactional bool            `json:"transactional"`
	Control       bool            `json:"control"`
	TimestampType TimestampType   `json:"timestampType"`
	MaxTimestamp  int64           `json:"maxTimestamp"`
	DeleteHorizon int64           `json:"deleteHorizon"`
	Records       []decodedRecord `json:"records"`
}

type decodedRecord struct {
	Offset      int64        `json:"offset"`
	Timestamp   int64        `json:"timestamp"`
	ControlType ControlType  `json:"controlType"`
	Key         *string      `json:"key"`
	Value       *string      `json:"value"`
	Headers     [][2]*string `json:"headers"`
}

// decodeLimit is the most a test lets one batch decompress to.
const decodeLimit = 4 << 20

var errTooLarge = errors.New("decompresses to more than the limit")

// unpack decompresses in the way the consumer does: memory by the size the headers tell, more where they tell too little.
func unpack(codec int8, src []byte, o compress.Options) ([]byte, error) {
	n, err := compress.Size(compress.Codec(codec), src)
	if err != nil {
		return nil, err
	}
	for {
		n = min(n, decodeLimit)
		dst := make([]byte, n)
		m, err := compress.Decode(compress.Codec(codec), dst, src, o)
		if !errors.Is(err, compress.ErrShortBuffer) {
			return dst[:m], err
		}
		if n == decodeLimit {
			return nil, errTooLarge
		}
		n = 2*n + 1
	}
}

// legacyOptions are those for a wrapper of this magic.
func legacyOptions(magic int8) compress.Options {
	return compress.Options{LZ4IgnoreHeaderChecksum: magic == 0}
}

// decodeSet reads a whole record set and checks every checksum in it.
func decodeSet(set []byte) ([]decodedBatch, error) {
	var all []decodedBatch
	s := ScanBatches(set)
	for s.Next() {
		decode := decodeBatch
		if s.Magic() < 2 {
			decode = decodeLegacy
		}
		b, err := decode(&s)
		if err != nil {
			return all, err
		}
		all = append(all, b)
	}
	return all, s.Err()
}

func decodeBatch(s *Batches) (decodedBatch, error) {
	h := s.Header()
	horizon, ok := h.DeleteHorizon()
	if !ok {
		horizon = -1
	}
	b := decodedBatch{
		Magic: 2, Base: h.BaseOffset, Last: h.LastOffset(), Next: h.NextOffset(), Codec: h.Codec(), Producer: h.ProducerID,
		ProducerEpoch: h.ProducerEpoch, Sequence: h.BaseSequence, LeaderEpoch: h.PartitionLeaderEpoch, Transactional: h.Transactional(),
		Control: h.Control(), TimestampType: h.TimestampType(), MaxTimestamp: h.MaxTimestamp, DeleteHorizon: horizon,
	}
	if !h.CRCValid(s.Bytes()) {
		return b, errors.New("checksum does not match")
	}
	raw := s.Records()
	if h.Codec() != 0 {
		var err error
		if raw, err = unpack(h.Codec(), raw, compress.Options{}); err != nil {
			return b, err
		}
	}
	rr, err := h.ReadRecords(raw)
	if err != nil {
		return b, err
	}
	b.Records = make([]decodedRecord, 0, rr.Left())
	var r Record
	for {
		ok, err := rr.Next(&r)
		if err != nil {
			return b, err
		}
		if !ok {
			return b, nil
		}
		d, err := decodeRecord(h, &r)
		if err != nil {
			return b, err
		}
		b.Records = append(b.Records, d)
	}
}

func decodeRecord(h *BatchHeader, r *Record) (decodedRecord, error) {
	d := decodedRecord{
		Offset: h.BaseOffset + int64(r.OffsetDelta), Timestamp: h.Timestamp(r.TimestampDelta),
		Key: textOf(r.Key), Value: textOf(r.Value), Headers: [][2]*string{},
	}
	if h.Control() {
		key, err := ParseControlKey(r.Key)
		if err != nil {
			return d, err
		}
		d.ControlType = key.Type
	}
	for b := r.Headers; len(b) > 0; {
		key, value, n, err := ReadHeader(b)
		if err != nil {
			return d, fmt.Errorf("in headers that ReadRecord found good: %w", err)
		}
		d.Headers = append(d.Headers, [2]*string{textOf(key), textOf(value)})
		b = b[n:]
	}
	if len(d.Headers) != r.HeaderCount {
		return d, fmt.Errorf("%d headers, ReadRecord counted %d", len(d.Headers), r.HeaderCount)
	}
	return d, nil
}

func decodeLegacy(s *Batches) (decodedBatch, error) {
	m := *s.Message()
	b := decodedBatch{
		Magic: m.Magic, Last: m.Offset, Next: s.NextOffset(), Codec: m.Codec(), Producer: -1, ProducerEpoch: -1, Sequence: -1,
		LeaderEpoch: -1, TimestampType: m.TimestampType(), MaxTimestamp: m.Timestamp, DeleteHorizon: -1,
	}
	if !m.CRCValid() {
		return b, errors.New("checksum does not match")
	}
	if m.Codec() == 0 {
		b.Records = []decodedRecord{decodeMessage(&m)}
		b.Base = m.Offset
		return b, nil
	}
	if m.Codec() > 3 {
		return b, fmt.Errorf("codec %d in magic %d", m.Codec(), m.Magic)
	}
	raw, err := unpack(m.Codec(), m.Value, legacyOptions(m.Magic))
	if err != nil {
		return b, err
	}
	set, err := m.Inner(raw)
	if err != nil {
		return b, err
	}
	var inner LegacyMessage
	for {
		ok, err := set.Next(&inner)
		if err != nil {
			return b, err
		}
		if !ok {
			break
		}
		if !inner.CRCValid() {
			return b, errors.New("checksum of an inner message does not match")
		}
		b.Records = append(b.Records, decodeMessage(&inner))
	}
	b.Next = set.NextOffset()
	b.Base = b.Records[0].Offset
	return b, nil
}

func decodeMessage(m *LegacyMessage) decodedRecord {
	return decodedRecord{Offset: m.Offset, Timestamp: m.Timestamp, Key: textOf(m.Key), Value: textOf(m.Value), Headers: [][2]*string{}}
}
