package protocol

import "fmt"

// A coder carries a message between bytes and Go values, in one direction. Each message has one code method that names
// its fields in wire order; whether that reads or writes, in which version, and with which length encoding, is the coder's business.
//
// The first failure sticks: from then on every call does nothing, so code methods check no errors.
type coder struct {
	message  string // schema name, for errors; before kind
	kind     string // Request or Response, where message is an API's name
	version  int16
	flexible bool // compact lengths, tagged fields
	reading  bool
	buf      []byte // reading: the whole input; writing: the output so far
	off      int    // reading: the next byte of buf
	base     int    // reading: where buf starts in the message, for errors
	failed   *failure
}

// failure is the first thing that went wrong.
type failure struct {
	field  string
	offset int
	reason string
}

// since reports whether the version being coded has what was added in version v.
func (c *coder) since(v int16) bool { return c.version >= v }

// until reports whether the version being coded still has what was last there in version v.
func (c *coder) until(v int16) bool { return c.version <= v }

// left is the number of unread bytes.
func (c *coder) left() int { return len(c.buf) - c.off }

// fail records the first failure.
func (c *coder) fail(field, format string, args ...any) {
	if c.failed == nil {
		c.failed = &failure{field: field, offset: c.base + c.off, reason: fmt.Sprintf(format, args...)}
	}
}

// within puts a parent's name before the path of the failed field.
func (c *coder) within(parent string) {
	if c.failed.field == "" {
		c.failed.field = parent
		return
	}
	c.failed.field = parent + "." + c.failed.field
}

// take gives the next n bytes of the input, or fails and gives nil.
func (c *coder) take(field string, n int) []byte {
	if c.failed != nil {
		return nil
	}
	if n > c.left() {
		c.fail(field, "%d bytes needed, %d left", n, c.left())
		return nil
	}
	b := c.buf[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

// err is the failure as the package's error type, nil for none.
func (c *coder) err() error {
	switch f := c.failed; {
	case f == nil:
		return nil
	case c.reading:
		return &DecodeError{Message: c.message + c.kind, Version: c.version, Field: f.field, Offset: f.offset, Reason: f.reason}
	default:
		return &EncodeError{Message: c.message + c.kind, Version: c.version, Field: f.field, Reason: f.reason}
	}
}
