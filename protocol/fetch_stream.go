package protocol

import (
	"fmt"
	"io"
)

// A FetchVisitor takes a Fetch response while it is read. Its methods are called in the order of the bytes, from the
// goroutine that reads; an error from one ends the reading where it is, with the rest of the response unread.
type FetchVisitor interface {
	// Response comes first, with the fields of the response itself, without topics or node endpoints.
	Response(h *FetchResponse) error
	// Records asks for the memory of a record set of size > 0 bytes: a slice of that length, or a shorter one to have the
	// rest of the set drained, or nil to have all of it drained.
	// p has its other fields but for the tagged ones.
	Records(p *FetchedPartition, size int) []byte
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
	Partition   FetchResponsePartition // Records is the memory the visitor gave; nil when drained, empty or null
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
	head    FetchResponse    // without topics
	part    FetchedPartition // that is being read
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
	s.aborted(&p.Partition)
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

// aborted reads the list of aborted transactions, which grows by what is really there.
func (s *fetchStream) aborted(p *FetchResponsePartition) {
	const field = "AbortedTransactions"
	n := s.length(field, true)
	if n < 0 || s.err != nil {
		return
	}
	out := make([]FetchResponseAbortedTransaction, 0, firstCapacity[FetchResponseAbortedTransaction](n, s.left))
	for i := range n {
		var t FetchResponseAbortedTransaction
		if c := s.fixed("ProducerID", 16); c != nil {
			c.int64("ProducerID", &t.ProducerID)
			c.int64("FirstOffset", &t.FirstOffset)
		}
		if s.tags(0); s.err != nil {
			s.within(field, i)
			return
		}
		out = append(out, t)
	}
	p.AbortedTransactions = out
}

// records reads a record set into the visitor's memory, or drains it.
func (s *fetchStream) records(p *FetchedPartition) {
	const field = "Records"
	p.RecordsSize = max(s.length(field, true), 0)
	if s.err != nil || p.RecordsSize == 0 {
		return
	}
	b := s.visitor.Records(p, p.RecordsSize)
	switch {
	case b == nil:
		s.discard(field, p.RecordsSize)
	case len(b) > p.RecordsSize:
		s.err = fmt.Errorf("protocol: FetchVisitor.Records gave %d bytes for a record set of only %d", len(b), p.RecordsSize)
	default:
		s.full(field, b)
		if rest := p.RecordsSize - len(b); rest > 0 {
			s.discard(field, rest)
		}
		p.Partition.Records = b
	}
}
