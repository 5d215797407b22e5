package protocol

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// taggedField is an optional field of a flexible version (KIP-482). Those given to tags are in ascending order.
type taggedField struct {
	tag     uint32
	name    string
	since   int16  // first version that has it
	present bool   // writing: it differs from its default
	code    func() // codes the value
}

// noTags ends a struct without tagged fields of its own. Unknown ones are skipped.
func (c *coder) noTags() { c.tags() }

// tags ends a struct: in a flexible version it codes the tagged fields, and when reading skips those it does not know.
func (c *coder) tags(fields ...taggedField) {
	switch {
	case !c.flexible || c.failed != nil:
	case c.reading:
		c.readTags(fields)
	default:
		c.writeTags(fields)
	}
}

func (c *coder) writeTags(fields []taggedField) {
	n := uint32(0)
	for i := range fields {
		if fields[i].present = fields[i].present && c.since(fields[i].since); fields[i].present {
			n++
		}
	}
	c.writeUvarint(n)
	for i := range fields {
		f := &fields[i]
		if !f.present {
			continue
		}
		c.writeUvarint(f.tag)
		start := len(c.buf)
		f.code()
		if c.failed != nil {
			return
		}
		size := binary.AppendUvarint(nil, uint64(len(c.buf)-start))
		c.buf = slices.Insert(c.buf, start, size...)
	}
}

func (c *coder) readTags(fields []taggedField) {
	n := c.readUvarint("tagged fields")
	for range n { // a count that lies ends with the input: every tag takes two bytes at least
		tag := c.readUvarint("tagged fields")
		size := c.readUvarint("tagged fields")
		if c.failed != nil {
			return
		}
		if int64(size) > int64(c.left()) {
			c.fail(fmt.Sprintf("tag %d", tag), "a length of %d, with %d bytes left", size, c.left())
			return
		}
		i := slices.IndexFunc(fields, func(f taggedField) bool { return f.tag == tag && c.since(f.since) })
		if i < 0 {
			c.off += int(size)
			continue
		}
		c.readTag(&fields[i], int(size))
	}
}

// readTag reads the value of a known tag, which must take exactly size bytes.
func (c *coder) readTag(f *taggedField, size int) {
	whole, end := c.buf, c.off+size
	c.buf = whole[:end:end]
	f.code()
	c.buf = whole
	if c.failed == nil && c.off != end {
		c.fail(f.name, "%d bytes left over of the tagged field's %d", end-c.off, size)
	}
}

// pointer codes the value behind a pointer that is nil where a tagged field is absent.
func pointer[T any](c *coder, field string, p **T, code func(*T, *coder)) {
	if c.reading {
		*p = new(T)
	}
	if code(*p, c); c.failed != nil {
		c.within(field)
	}
}
