package protocol

import "encoding/binary"

// maxString is the longest string Kafka's own readers accept, in either length encoding.
const maxString = 1<<15 - 1

func (c *coder) int8(field string, v *int8) {
	if !c.reading {
		c.buf = append(c.buf, byte(*v))
	} else if b := c.take(field, 1); b != nil {
		*v = int8(b[0])
	}
}

func (c *coder) int16(field string, v *int16) {
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(*v))
	} else if b := c.take(field, 2); b != nil {
		*v = int16(binary.BigEndian.Uint16(b))
	}
}

func (c *coder) int32(field string, v *int32) {
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(*v))
	} else if b := c.take(field, 4); b != nil {
		*v = int32(binary.BigEndian.Uint32(b))
	}
}

func (c *coder) int64(field string, v *int64) {
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(*v))
	} else if b := c.take(field, 8); b != nil {
		*v = int64(binary.BigEndian.Uint64(b))
	}
}

func (c *coder) bool(field string, v *bool) {
	if c.reading {
		if b := c.take(field, 1); b != nil {
			*v = b[0] != 0
		}
		return
	}
	if *v {
		c.buf = append(c.buf, 1)
	} else {
		c.buf = append(c.buf, 0)
	}
}

func (c *coder) errorCode(field string, v *ErrorCode) { c.int16(field, (*int16)(v)) }

func (c *coder) uuid(field string, v *UUID) {
	if !c.reading {
		c.buf = append(c.buf, v[:]...)
	} else if b := c.take(field, len(v)); b != nil {
		*v = UUID(b)
	}
}

// string codes a string that is never null.
func (c *coder) string(field string, v *string) {
	if !c.reading {
		c.writeString(field, *v)
		return
	}
	n := c.readStringLen(field)
	if n < 0 {
		c.fail(field, "null where the schema allows none")
		return
	}
	if b := c.take(field, n); b != nil {
		*v = string(b)
	}
}

// nullableString codes a string that is null when nil, from version since on; before, null is not allowed.
func (c *coder) nullableString(field string, v **string, since int16) {
	if c.reading {
		n := c.readStringLen(field)
		if n < 0 {
			*v = nil
			if c.version < since {
				c.fail(field, "null where the schema allows none")
			}
			return
		}
		if b := c.take(field, n); b != nil {
			s := string(b)
			*v = &s
		}
		return
	}
	switch {
	case *v != nil:
		c.writeString(field, **v)
	case c.version < since:
		c.fail(field, "null, which is allowed from version %d on", since)
	case c.flexible:
		c.buf = append(c.buf, 0)
	default:
		c.buf = append(c.buf, 0xff, 0xff)
	}
}

func (c *coder) writeString(field, s string) {
	if len(s) > maxString {
		c.fail(field, "a string of %d bytes, longer than Kafka's %d", len(s), maxString)
		return
	}
	if c.flexible {
		c.writeUvarint(uint32(len(s)) + 1)
	} else {
		c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(len(s)))
	}
	c.buf = append(c.buf, s...)
}

// readStringLen reads a string's length, -1 for null. After a failure it is 0.
func (c *coder) readStringLen(field string) int {
	n := 0
	if c.flexible {
		n = int(c.readUvarint(field)) - 1
		if c.failed != nil {
			return 0
		}
	} else if b := c.take(field, 2); b != nil {
		n = int(int16(binary.BigEndian.Uint16(b)))
	}
	if n < -1 || n > maxString {
		c.fail(field, "a string of %d bytes", n)
		return 0
	}
	return n
}

// nameOrID codes what a topic is called: its name up to version lastName, its id (KIP-516) after that. A topic
// that has only a name is refused then: the broker would answer UnknownTopicID without saying for which.
func (c *coder) nameOrID(field string, lastName int16, name *string, id *UUID) {
	if c.until(lastName) {
		c.string(field, name)
		return
	}
	if !c.reading && id.IsZero() && *name != "" {
		c.fail("TopicID", "topic %q has none, which version %d needs", *name, lastName+1)
		return
	}
	c.uuid("TopicID", id)
}

// either fails when writing a message whose content is in the form of other versions only.
func (c *coder) either(field string, has bool, other string, hasOther bool) {
	if !c.reading && !has && hasOther {
		c.fail(field, "is empty, and %s is not in this version", other)
	}
}

// bytes codes a byte slice that is null when nil and may be null if nullable. A slice read aliases the input.
func (c *coder) bytes(field string, v *[]byte, nullable bool) {
	if !c.reading {
		null := *v == nil && nullable
		c.writeLen(field, len(*v), null)
		c.buf = append(c.buf, *v...)
		return
	}
	n := c.readLen(field)
	if n < 0 {
		*v = nil
		if !nullable {
			c.fail(field, "null where the schema allows none")
		}
		return
	}
	if b := c.take(field, n); b != nil {
		*v = b
	}
}

// writeLen writes the length of bytes or an array.
func (c *coder) writeLen(field string, n int, null bool) {
	switch {
	case n > 1<<31-2:
		c.fail(field, "a length of %d, more than 31 bits", n)
	case c.flexible && null:
		c.writeUvarint(0)
	case c.flexible:
		c.writeUvarint(uint32(n) + 1)
	case null:
		c.buf = binary.BigEndian.AppendUint32(c.buf, 1<<32-1)
	default:
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(n))
	}
}

// readLen reads the length of bytes or an array, -1 for null. After a failure it is 0.
func (c *coder) readLen(field string) int {
	n := 0
	if c.flexible {
		n = int(c.readUvarint(field)) - 1
	} else if b := c.take(field, 4); b != nil {
		n = int(int32(binary.BigEndian.Uint32(b)))
	}
	switch {
	case c.failed != nil:
		return 0
	case n < -1:
		c.fail(field, "a length of %d", n)
		return 0
	case n > c.left():
		c.fail(field, "a length of %d, with %d bytes left", n, c.left())
		return 0
	}
	return n
}

func (c *coder) writeUvarint(v uint32) { c.buf = binary.AppendUvarint(c.buf, uint64(v)) }

// readUvarint reads an unsigned varint of 32 bits. After a failure it is 0.
func (c *coder) readUvarint(field string) uint32 {
	if c.failed != nil {
		return 0
	}
	v, n := uvarint32(c.buf[c.off:])
	switch {
	case n == 0:
		c.fail(field, "an unfinished varint, with %d bytes left", c.left())
	case n < 0:
		c.fail(field, "a varint of more than 32 bits")
	default:
		c.off += n
	}
	return v
}

// uvarint32 reads an unsigned varint of 32 bits from the start of b: its value and length. The length is 0 if b ends
// before it does, and negative if it has more than 32 bits.
func uvarint32(b []byte) (v uint32, n int) {
	for i := range b {
		if i == 4 && b[i] > 0x0f {
			return 0, -1
		}
		v |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}
