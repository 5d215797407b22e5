package protocol

import (
	"fmt"
	"slices"
	"unsafe"
)

// array codes an array that is never null: nil is written as empty, empty is read as non-nil.
func array[T any](c *coder, field string, s *[]T, each func(*T, *coder)) {
	if c.reading {
		readArray(c, field, s, false, each)
		return
	}
	c.writeLen(field, len(*s), false)
	writeElements(c, field, *s, each)
}

// nullableArray codes an array that is null when nil.
func nullableArray[T any](c *coder, field string, s *[]T, each func(*T, *coder)) {
	if c.reading {
		readArray(c, field, s, true, each)
		return
	}
	c.writeLen(field, len(*s), *s == nil)
	writeElements(c, field, *s, each)
}

func writeElements[T any](c *coder, field string, s []T, each func(*T, *coder)) {
	if c.failed != nil {
		return
	}
	for i := range s {
		if each(&s[i], c); c.failed != nil {
			c.within(fmt.Sprintf("%s[%d]", field, i))
			return
		}
	}
}

func readArray[T any](c *coder, field string, s *[]T, nullable bool, each func(*T, *coder)) {
	*s = nil
	n := c.readLen(field) // no more than the bytes left: no element takes less than one
	if c.failed != nil {
		return
	}
	if n < 0 {
		if !nullable {
			c.fail(field, "null where the schema allows none")
		}
		return
	}
	before := c.left()
	out := make([]T, 0, firstCapacity[T](n, before))
	for i := range n {
		if len(out) == cap(out) {
			out = grown(out, n, before-c.left(), c.left())
		}
		var zero T
		out = append(out, zero)
		if each(&out[i], c); c.failed != nil {
			c.within(fmt.Sprintf("%s[%d]", field, i))
			return
		}
	}
	*s = out
}

// firstCapacity is the room to make for n elements before the first is read: n, but no more memory than there are
// bytes left, so that a count that lies costs nothing; the array then grows by what is really there.
func firstCapacity[T any](n, left int) int {
	var zero T
	return min(n, left/max(int(unsafe.Sizeof(zero)), 1)+1)
}

// grown gives out, which took so many bytes to read and is full, room for more: for all n if what is left can hold the others
// should they be like the first, for twice as many otherwise.
func grown[T any](out []T, n, took, left int) []T {
	rest := n - len(out)
	if int64(rest)*int64(took) > int64(left)*int64(len(out)) {
		rest = min(rest, len(out))
	}
	return slices.Grow(out, rest)
}

func (c *coder) int32s(field string, s *[]int32) {
	array(c, field, s, func(v *int32, c *coder) { c.int32("", v) })
}

func (c *coder) strings(field string, s *[]string) {
	array(c, field, s, func(v *string, c *coder) { c.string("", v) })
}
