package kafka

import (
	"errors"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A legacyReader stands inside a message of magic 0 or 1, which brokers still return from old logs (KIP-724 took only
// the writing of them away): a plain one, or a compressed one with a set of messages in it.
type legacyReader struct {
	message protocol.LegacyMessage // the plain one, or the one read last
	set     protocol.LegacySet
	inside  bool // a compressed message: set holds what is in it
	pending bool // message has not been handed out yet
	offset  int64
	next    int64
}

// beginLegacy opens the message the scanner stands at.
func (b *chunkBuilder) beginLegacy(scan *protocol.Batches) error {
	d, m := b.d, scan.Message()
	fail := func(err error) error {
		return &batchFailure{offset: d.from, next: max(scan.NextOffset(), d.from+1), err: err}
	}
	if b.env.checkCRC && !d.checked && !m.CRCValid() {
		return fail(errors.New("the checksum (CRC-32) does not match"))
	}
	d.checked = true
	r := &legacyReader{message: *m, pending: true, offset: m.Offset, next: m.Offset + 1}
	if m.Codec() == 0 {
		b.seg.aliased = true
	} else {
		body, err := b.inflateLegacy(m)
		if errors.Is(err, errNoRoom) {
			return err
		}
		if err != nil {
			return fail(err)
		}
		if r.set, err = m.Inner(body); err != nil {
			return fail(err)
		}
		r.inside, r.pending, r.next = true, false, r.set.NextOffset()
	}
	d.open = batchReader{legacy: r, block: b.blockOf(compress.Codec(m.Codec())), left: 1}
	d.rest, d.checked = d.rest[len(scan.Bytes()):], false
	return nil
}

func (b *chunkBuilder) inflateLegacy(m *protocol.LegacyMessage) ([]byte, error) {
	codec := compress.Codec(m.Codec())
	if codec >= compress.Zstd {
		return nil, fmt.Errorf("codec %v in a message of magic %d", codec, m.Magic)
	}
	return b.inflate(codec, m.Value, compress.Options{LZ4IgnoreHeaderChecksum: m.Magic == 0})
}

// readLegacy makes messages of what is in the reader; left goes to 0 when it is used up.
func (r *batchReader) readLegacy(b *chunkBuilder) error {
	l := r.legacy
	for len(b.chunk.msgs) < cap(b.chunk.msgs) {
		if !l.pending {
			more, err := false, error(nil)
			if l.inside {
				more, err = l.set.Next(&l.message)
			}
			if err != nil {
				return l.fail(b, l.offset, err)
			}
			if !more {
				r.left, r.legacy = 0, nil
				b.d.from = max(b.d.from, l.next)
				return nil
			}
			if b.env.checkCRC && !l.message.CRCValid() {
				return l.fail(b, l.message.Offset, errors.New("the checksum (CRC-32) inside a compressed message does not match"))
			}
		}
		l.pending = false
		l.offset = l.message.Offset + 1
		if l.message.Offset >= b.d.from {
			b.addLegacy(&l.message)
			b.d.from = l.offset
		}
	}
	return nil
}

// fail is for a message that cannot be read; see batchReader.fail.
func (l *legacyReader) fail(b *chunkBuilder, offset int64, err error) error {
	next := max(l.next, b.d.from+1)
	return &batchFailure{offset: min(max(offset, b.d.from), next-1), next: next, err: err}
}

func (b *chunkBuilder) addLegacy(m *protocol.LegacyMessage) {
	out := Message{
		Topic: b.env.tp.Topic, Partition: b.env.tp.Partition,
		Offset: m.Offset, LeaderEpoch: -1,
		TimestampType: TimestampType(m.TimestampType()),
		Key:           m.Key, Value: m.Value,
	}
	if out.TimestampType != NoTimestamp {
		out.Timestamp = millis(m.Timestamp)
	}
	b.chunk.msgs = append(b.chunk.msgs, out)
}
