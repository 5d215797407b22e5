package replay

import (
	"encoding/binary"
	"net"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// fetchWriter puts a Fetch response (versions 4 to 18) together from small bytes of its own and batches that stay where
// they are, and sends it in one writev. It is reused for all responses of a connection.
type fetchWriter struct {
	version  int16
	flexible bool
	small    []byte
	pieces   []piece
	bufs     net.Buffers
	size     int // of the bodies
}

// piece is a stretch of the response: small up to an end, then a body.
type piece struct {
	end  int
	body []byte
}

var be = binary.BigEndian

func (w *fetchWriter) begin(correlation int32, version int16) {
	w.version, w.flexible = version, version >= 12
	w.small = append(w.small[:0], 0, 0, 0, 0) // the size, set at the end
	w.pieces, w.size = w.pieces[:0], 0
	w.small = be.AppendUint32(w.small, uint32(correlation))
	w.tags()
}

// tags ends a structure: there are none.
func (w *fetchWriter) tags() {
	if w.flexible {
		w.small = append(w.small, 0)
	}
}

// length is that of an array, or with plain 4 bytes of a byte string.
func (w *fetchWriter) length(n int) {
	if w.flexible {
		w.small = binary.AppendUvarint(w.small, uint64(n)+1)
		return
	}
	w.small = be.AppendUint32(w.small, uint32(n))
}

func (w *fetchWriter) name(s string) {
	if w.flexible {
		w.small = binary.AppendUvarint(w.small, uint64(len(s))+1)
	} else {
		w.small = be.AppendUint16(w.small, uint16(len(s)))
	}
	w.small = append(w.small, s...)
}

// top writes the fields before the topics.
func (w *fetchWriter) top(code int16, ss *session) {
	w.small = be.AppendUint32(w.small, 0) // throttle time
	if w.version < 7 {
		return
	}
	w.small = be.AppendUint16(w.small, uint16(code))
	id := int32(0)
	if ss != nil {
		id = ss.id
	}
	w.small = be.AppendUint32(w.small, uint32(id))
}

// partitions writes the topics, each a run of answers of the same topic.
func (w *fetchWriter) partitions(answers []answer) {
	runs := 0
	for i := range answers {
		if i == 0 || !sameTopic(answers[i-1], answers[i]) {
			runs++
		}
	}
	w.length(runs)
	for start := 0; start < len(answers); {
		end := start + 1
		for end < len(answers) && sameTopic(answers[start], answers[end]) {
			end++
		}
		if w.version >= 13 {
			w.small = append(w.small, answers[start].topicID[:]...)
		} else {
			w.name(answers[start].partitionKey.topic)
		}
		w.length(end - start)
		for _, a := range answers[start:end] {
			w.partition(a)
		}
		w.tags()
		start = end
	}
	w.tags()
}

func sameTopic(a, b answer) bool {
	return a.partitionKey.topic == b.partitionKey.topic && a.topicID == b.topicID
}

func (w *fetchWriter) partition(a answer) {
	end, logStart := int64(-1), int64(-1)
	if a.topic != nil {
		end, logStart = a.end, 0
	}
	w.small = be.AppendUint32(w.small, uint32(a.partition))
	w.small = be.AppendUint16(w.small, uint16(a.code))
	w.small = be.AppendUint64(w.small, uint64(end)) // high watermark
	w.small = be.AppendUint64(w.small, uint64(end)) // last stable offset
	if w.version >= 5 {
		w.small = be.AppendUint64(w.small, uint64(logStart))
	}
	w.length(0) // aborted transactions
	if w.version >= 11 {
		w.small = be.AppendUint32(w.small, ^uint32(0)) // preferred read replica
	}
	w.length(a.bytes)
	w.records(a)
	w.tags()
}

// records places as many batches as the answer has bytes for into the log, each with a copy of its header.
func (w *fetchWriter) records(a answer) {
	offset := a.offset
	for left := a.bytes; left > 0; {
		batch, base := a.topic.log.Batch(a.partition, offset)
		header := len(w.small)
		w.small = append(w.small, batch[:topic.HeaderBytes]...)
		be.PutUint64(w.small[header:], uint64(base))
		be.PutUint32(w.small[header+12:], leaderEpoch)
		n := min(left, len(batch))
		if n == len(batch) {
			a.topic.seen.send(a.partition, base, int64(a.topic.log.Spec.RecordsPerBatch()))
		}
		if n <= topic.HeaderBytes {
			w.small = w.small[:header+n]
			return
		}
		w.pieces = append(w.pieces, piece{end: len(w.small), body: batch[topic.HeaderBytes:n]})
		w.size += n - topic.HeaderBytes
		left -= n
		offset = base + int64(a.topic.log.Spec.RecordsPerBatch())
	}
}

func (w *fetchWriter) send(nc net.Conn) error {
	be.PutUint32(w.small, uint32(len(w.small)+w.size-4))
	w.bufs = w.bufs[:0]
	start := 0
	for _, p := range w.pieces {
		w.bufs = append(w.bufs, w.small[start:p.end], p.body)
		start = p.end
	}
	w.bufs = append(w.bufs, w.small[start:])
	bufs := w.bufs // WriteTo eats the slice that it is called on
	_, err := bufs.WriteTo(nc)
	return err
}
