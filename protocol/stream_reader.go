package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// maxStreamedTags bounds what one struct's tagged fields may take in a message that is read as a stream: they are the
// only part of it that is held as bytes.
const maxStreamedTags = 1 << 20

// A streamReader reads a message from an io.Reader piece by piece, never past the end of the message. As with a coder, the
// first error sticks and makes every later call do nothing.
type streamReader struct {
	r         io.Reader
	bytes     io.ByteReader // r, if it is one
	message   string
	version   int16
	flexible  bool
	left      int // bytes of the message not read yet
	read      int // bytes of the message read
	err       error
	malformed *DecodeError // err, if it is of this reader's making
	scratch   [32]byte
	coder     coder // reads what is in scratch
}

func newStreamReader(r io.Reader, size int, message string, version int16, flexible bool) streamReader {
	s := streamReader{r: r, left: size, message: message, version: version, flexible: flexible}
	s.bytes, _ = r.(io.ByteReader)
	return s
}

func (s *streamReader) fail(field, format string, args ...any) {
	if s.err == nil {
		s.malformed = &DecodeError{Message: s.message, Version: s.version, Field: field, Offset: s.read,
			Reason: fmt.Sprintf(format, args...)}
		s.err = s.malformed
	}
}

// within puts the array element that is being read before the path of the failed field.
func (s *streamReader) within(array string, i int) {
	if s.malformed == nil {
		return // the visitor's error
	}
	parent := fmt.Sprintf("%s[%d]", array, i)
	if s.malformed.Field != "" {
		parent += "."
	}
	s.malformed.Field = parent + s.malformed.Field
}

// need reports whether n more bytes may be read.
func (s *streamReader) need(field string, n int) bool {
	if n > s.left {
		s.fail(field, "%d bytes needed, %d left", n, s.left)
	}
	return s.err == nil
}

// took accounts for n bytes read, with the reader's error.
func (s *streamReader) took(field string, n int, err error) {
	s.read += n
	s.left -= n
	if err == nil {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the message should have gone on
	}
	s.fail(field, "reading failed with %d bytes left: %v", s.left, err)
	s.malformed.Err = err
}

// full fills b.
func (s *streamReader) full(field string, b []byte) {
	if s.need(field, len(b)) {
		n, err := io.ReadFull(s.r, b)
		s.took(field, n, err)
	}
}

// scraps is memory for much that is dropped, as the batch may be that a broker has cut at the limit of the request: [io.Discard]
// would take many small reads of the socket.
var scraps = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// discard drops n bytes.
func (s *streamReader) discard(field string, n int) {
	if !s.need(field, n) {
		return
	}
	if n < 16<<10 {
		got, err := io.CopyN(io.Discard, s.r, int64(n))
		s.took(field, int(got), err)
		return
	}
	scrap := scraps.Get().(*[64 << 10]byte)
	defer scraps.Put(scrap)
	for n > 0 && s.err == nil {
		got, err := io.ReadFull(s.r, scrap[:min(n, len(scrap))])
		s.took(field, got, err)
		n -= got
	}
}

// fixed reads fields of fixed length that take n bytes and gives a coder over them, nil after a failure.
func (s *streamReader) fixed(field string, n int) *coder {
	b := s.scratch[:n]
	if s.full(field, b); s.err != nil {
		return nil
	}
	s.coder = coder{message: s.message, version: s.version, flexible: s.flexible, reading: true, buf: b}
	return &s.coder
}

func (s *streamReader) byte(field string) byte {
	if s.bytes == nil {
		b := s.scratch[:1]
		s.full(field, b)
		return b[0]
	}
	if !s.need(field, 1) {
		return 0
	}
	b, err := s.bytes.ReadByte()
	if err != nil {
		s.took(field, 0, err)
		return 0
	}
	s.took(field, 1, nil)
	return b
}

// uvarint reads an unsigned varint of 32 bits; after a failure it is 0.
func (s *streamReader) uvarint(field string) uint32 {
	var b [5]byte
	for i := range b {
		if b[i] = s.byte(field); s.err != nil {
			return 0
		}
		if v, n := uvarint32(b[:i+1]); n > 0 {
			return v
		}
	}
	s.fail(field, "a varint of more than 32 bits")
	return 0
}

// length reads the length of an array or bytes; after a failure it is 0. Null is -1 where it is allowed.
func (s *streamReader) length(field string, nullable bool) int {
	n := 0
	if s.flexible {
		n = int(s.uvarint(field)) - 1
	} else if s.full(field, s.scratch[:4]); s.err == nil {
		n = int(int32(binary.BigEndian.Uint32(s.scratch[:4])))
	}
	switch {
	case s.err != nil:
		return 0
	case n == -1 && !nullable:
		s.fail(field, "null where the schema allows none")
		return 0
	case n < -1:
		s.fail(field, "a length of %d", n)
		return 0
	case n > s.left:
		s.fail(field, "a length of %d, with %d bytes left", n, s.left)
		return 0
	}
	return n
}

// string reads a string that is never null.
func (s *streamReader) string(field string) string {
	n := 0
	if s.flexible {
		n = int(s.uvarint(field)) - 1
	} else if s.full(field, s.scratch[:2]); s.err == nil {
		n = int(int16(binary.BigEndian.Uint16(s.scratch[:2])))
	}
	if s.err == nil && (n < 0 || n > min(maxString, s.left)) {
		s.fail(field, "a string of %d bytes, with %d bytes left", n, s.left)
	}
	if s.err != nil {
		return ""
	}
	b := make([]byte, n)
	s.full(field, b)
	return string(b)
}

// tags ends a struct. It gives a coder over the section of tagged fields where there are any with a tag below known, to
// be handed to finish afterwards, else nil. Others are drained.
func (s *streamReader) tags(known uint32) *coder {
	const field = "tagged fields"
	if !s.flexible {
		return nil
	}
	var section []byte // known fields only, as they came
	found := uint32(0)
	for range s.uvarint(field) { // a count that lies ends with the input
		tag, size := s.uvarint(field), s.uvarint(field)
		switch {
		case s.err != nil:
			return nil
		case tag >= known:
			s.discard(field, int(size))
		case int(size) > maxStreamedTags-len(section):
			s.fail(fmt.Sprintf("tag %d", tag), "more than %d bytes of tagged fields", maxStreamedTags)
			return nil
		default:
			found++
			section = binary.AppendUvarint(section, uint64(tag))
			section = binary.AppendUvarint(section, uint64(size))
			section = s.appendTo(section, field, int(size))
		}
	}
	if found == 0 || s.err != nil {
		return nil
	}
	section = append(binary.AppendUvarint(nil, uint64(found)), section...)
	return &coder{message: s.message, version: s.version, flexible: true, reading: true, buf: section, base: s.read - len(section)}
}

// appendTo reads n bytes to the end of b, making room as they arrive.
func (s *streamReader) appendTo(b []byte, field string, n int) []byte {
	const chunk = 4096
	for n > 0 && s.err == nil {
		k := min(n, chunk)
		b = slices.Grow(b, k)[:len(b)+k]
		s.full(field, b[len(b)-k:])
		n -= k
	}
	return b
}

// finish takes over the failure of a coder that tags gave.
func (s *streamReader) finish(c *coder) {
	if f := c.failed; f != nil && s.err == nil {
		s.fail(f.field, "%s", f.reason)
		s.malformed.Offset = f.offset
	}
}
