package protocol

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A FetchVisitor takes a Fetch response while it is read. Its methods are called in the order of the bytes, from the
// goroutine that reads; an error from one ends the reading where it is, with the rest of the response unread.
type FetchVisitor interface {
	// Response comes first, with the fields of the response itself, without topics or node endpoints.
	Response(h *FetchResponse) error
	// Aborted asks for memory for a partition's list of aborted transactions, which comes before its records: n of them, 1 or more.
	// A slice of that length is filled; with nil the list is drained. p has the fields that come before it.
	Aborted(p *FetchedPartition, n int) []FetchResponseAbortedTransaction
	// Records asks for memory for what comes next of a record set: a part of it that begins with a batch, or all of it. left is
	// how many bytes of the set are to come; batch is how many of those the first batch takes, left where that cannot be told.
	//
	// A slice is filled; it is, when the next call comes. After one of at least batch bytes, as long as whole batches are to
	// come, that is Records again; a batch of which a slice has only the start is in the next one from its beginning. After a
	// shorter slice, also after nil, the rest of the set is drained. p has its other fields but for the tagged ones.
	Records(p *FetchedPartition, batch, left int) []byte
	// Partition comes when all of the partition has been read.
	Partition(p *FetchedPartition) error
	// End comes last, with the addresses of leaders that partitions named (KIP-951); nil for none.
	End(endpoints []FetchResponseNodeEndpoint) error
}

// FetchedPartition is one partition of a Fetch response. What it points to may be kept; it itself is filled anew for the next
// one.
type FetchedPartition struct {
	Topic       string                 // up to version 12
	TopicID     UUID                   // from version 13 on
	Partition   FetchResponsePartition // AbortedTransactions and Records are the memory that the visitor gave last; nil when drained or null
	RecordsSize int                    // of the record set as it was sent, also when drained
}

// ReadFetchResponse reads the body of a Fetch response, size bytes, from r and never a byte more. Record sets go straight
// from r into memory that v provides. r should be buffered, as many reads are small; a [bufio.Reader] passes large ones on
// without copying.
//
// Malformed content is a [*DecodeError], also a body that ends before size bytes (Err is then the reader's error).
// After any error it is unknown how much of the body has been read.
func ReadFetchResponse(r io.Reader, size int, version int16, v FetchVisitor) error {
	if err := unsupported(KeyFetch, version); err != nil {
		return err
	}
	s := &fetchStream{streamReader: newStreamReader(r, size, "FetchResponse", version, Flexible(KeyFetch, version)), visitor: v}
	s.response()
	if s.left > 0 {
		s.fail("", "%d bytes left over", s.left)
	}
	return s.err
}

// fetchStream is one run of ReadFetchResponse.
type fetchStream struct {
	streamReader
	visitor FetchVisitor
	head    FetchResponse     // without topics
	part    FetchedPartition  // that is being read
	batch   [logOverhead]byte // the start of one
}

func (s *fetchStream) response() {
	h := &s.head
	if c := s.fixed("ThrottleTimeMs", h.headSize(s.version)); c != nil {
		h.codeHead(c)
	}
	if s.err == nil {
		s.err = s.visitor.Response(h)
	}
	for i := range s.length("Responses", false) {
		if s.topic(); s.err != nil {
			s.within("Responses", i)
			return
		}
	}
	if c := s.tags(1); c != nil {
		h.codeTags(c)
		s.finish(c)
	}
	if s.err == nil {
		s.err = s.visitor.End(h.NodeEndpoints)
	}
}

func (s *fetchStream) topic() {
	var name string
	var id UUID
	if s.version <= 12 {
		name = s.string("Topic")
	} else if c := s.fixed("TopicID", len(id)); c != nil {
		c.uuid("TopicID", &id)
	}
	for i := range s.length("Partitions", false) {
		if s.partition(name, id); s.err != nil {
			s.within("Partitions", i)
			return
		}
	}
	s.tags(0)
}

func (s *fetchStream) partition(name string, id UUID) {
	s.part = FetchedPartition{Topic: name, TopicID: id, Partition: NewFetchResponsePartition()}
	p := &s.part
	if c := s.fixed("PartitionIndex", p.Partition.headSize(s.version)); c != nil {
		p.Partition.codeHead(c)
	}
	s.aborted(p)
	if s.version >= 11 {
		if c := s.fixed("PreferredReadReplica", 4); c != nil {
			c.int32("PreferredReadReplica", &p.Partition.PreferredReadReplica)
		}
	}
	s.records(p)
	if c := s.tags(3); c != nil {
		p.Partition.codeTags(c)
		s.finish(c)
	}
	if s.err == nil {
		s.err = s.visitor.Partition(p)
	}
}

// abortedSize is what an aborted transaction takes at least.
const abortedSize = 8 + 8

// aborted reads the list of aborted transactions into the visitor's memory, or drains it.
func (s *fetchStream) aborted(p *FetchedPartition) {
	const field = "AbortedTransactions"
	n := s.length(field, true)
	if n > s.left/abortedSize {
		s.fail(field, "a length of %d, with %d bytes left", n, s.left)
	}
	if n < 0 || s.err != nil {
		return
	}
	list := []FetchResponseAbortedTransaction{}
	if n > 0 {
		list = s.visitor.Aborted(p, n)
	}
	if list != nil && len(list) != n {
		s.err = fmt.Errorf("protocol: FetchVisitor.Aborted gave room for %d transactions, not for %d", len(list), n)
		return
	}
	for i := range n {
		if c := s.fixed("ProducerID", abortedSize); c != nil && list != nil {
			c.int64("ProducerID", &list[i].ProducerID)
			c.int64("FirstOffset", &list[i].FirstOffset)
		}
		if s.tags(0); s.err != nil {
			s.within(field, i)
			return
		}
	}
	p.Partition.AbortedTransactions = list
}

const recordsField = "Records"

// records reads a record set into the visitor's memory, part by part, or drains it.
func (s *fetchStream) records(p *FetchedPartition) {
	p.RecordsSize = max(s.length(recordsField, true), 0)
	unread := p.RecordsSize
	var begun []byte // the start of a batch, read already
	for more := p.RecordsSize > 0; more && s.err == nil; {
		begun, unread = s.begin(begun, unread)
		begun, unread, more = s.next(p, begun, unread)
	}
	if s.err == nil && unread > 0 {
		s.discard(recordsField, unread)
	}
}

// next reads what begins with begun, and with unread bytes behind that, into memory of the visitor's. It gives the bytes at its end
// that are the start of another batch, and how many are unread then; more says that there is another part to come.
func (s *fetchStream) next(p *FetchedPartition, begun []byte, unread int) ([]byte, int, bool) {
	left := len(begun) + unread
	batch, ok := batchSize(begun)
	if !ok || batch > left {
		if ok && p.Partition.Records != nil {
			return nil, unread, false // brokers cut the last batch at the limit of the request
		}
		batch = left
	}
	if s.err != nil {
		return nil, unread, false
	}
	b := s.visitor.Records(p, batch, left)
	if len(b) > left {
		s.err = fmt.Errorf("protocol: FetchVisitor.Records gave %d bytes for a record set of only %d", len(b), left)
		return nil, unread, false
	}
	n := copy(b, begun)
	s.full(recordsField, b[n:])
	unread -= len(b) - n
	if b != nil {
		p.Partition.Records = b
	}
	if unread == 0 || len(b) < batch {
		return nil, unread, false
	}
	whole, ok := wholeBatches(b)
	return b[whole:], unread, ok
}

// begin reads on until a batch is begun whose size can be told, if there is as much to read.
func (s *fetchStream) begin(begun []byte, unread int) ([]byte, int) {
	n := min(logOverhead-len(begun), unread)
	if n <= 0 {
		return begun, unread
	}
	head := append(s.batch[:0], begun...)[:len(begun)+n]
	s.full(recordsField, head[len(begun):])
	return head, unread - n
}

// batchSize gives the bytes that a batch takes, or a message of old formats, that begins with b; with too few of them to tell, what
// the smallest takes. Not ok: no batch begins like that.
func batchSize(b []byte) (size int, ok bool) {
	if len(b) < logOverhead {
		return logOverhead + minLegacyLength, true
	}
	length := int(int32(binary.BigEndian.Uint32(b[8:])))
	return logOverhead + length, length >= minLegacyLength
}

// wholeBatches gives how many bytes the whole batches take that b begins with. Not ok: what follows is no batch.
func wholeBatches(b []byte) (n int, ok bool) {
	for {
		size, ok := batchSize(b[n:])
		if !ok || size > len(b)-n {
			return n, ok
		}
		n += size
	}
}
