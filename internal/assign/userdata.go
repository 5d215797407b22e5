package assign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errShort is the cause where user data ends before what it announces.
var errShort = errors.New("it ends too early")

// StickyUserData is what the sticky assignor adds to a subscription: the partitions the member held last, and since when
// (StickyAssignor's STICKY_ASSIGNOR_USER_DATA_V1: KIP-54, KIP-341). Topics come in the order of their first partition in
// owned. Nil for a member that has not been in a generation.
func StickyUserData(owned []Partition, generation int32) []byte {
	if len(owned) == 0 && generation < 0 {
		return nil
	}
	var order []string
	numbers := map[string][]int32{}
	for _, p := range owned {
		if _, known := numbers[p.Topic]; !known {
			order = append(order, p.Topic)
		}
		numbers[p.Topic] = append(numbers[p.Topic], p.Partition)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(order)))
	for _, topic := range order {
		name := topic[:min(len(topic), math.MaxInt16)] // no topic of a broker is longer than 249
		b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
		b = append(b, name...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(numbers[topic])))
		for _, n := range numbers[topic] {
			b = binary.BigEndian.AppendUint32(b, uint32(n))
		}
	}
	return binary.BigEndian.AppendUint32(b, uint32(generation))
}

// ParseStickyUserData reads [StickyUserData], also version 0, which has no generation: -1. Like Java it ignores what follows.
func ParseStickyUserData(b []byte) (owned []Partition, generation int32, err error) {
	r := reader{rest: b}
	const smallestTopic = 2 + 4 // an empty name, no partitions
	for range r.count("previous_assignment", smallestTopic) {
		name := string(r.take("topic", r.int16("topic")))
		for range r.count("partitions", 4) {
			owned = append(owned, Partition{Topic: name, Partition: r.int32("partitions")})
		}
	}
	generation = -1
	if r.err == nil && len(r.rest) >= 4 {
		generation = r.int32("generation")
	}
	if r.err != nil {
		return nil, -1, fmt.Errorf("user data of a sticky member: %w", r.err)
	}
	return owned, generation, nil
}

// CooperativeUserData is what the cooperative sticky assignor adds to a subscription: the generation of the partitions the
// member owns (CooperativeStickyAssignor's COOPERATIVE_STICKY_ASSIGNOR_USER_DATA_V0), for leaders that read no version 2 of it.
func CooperativeUserData(generation int32) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(generation))
}

// ParseCooperativeUserData reads [CooperativeUserData]. Like Java it ignores what follows.
func ParseCooperativeUserData(b []byte) (generation int32, err error) {
	r := reader{rest: b}
	if generation = r.int32("generation"); r.err != nil {
		return -1, fmt.Errorf("user data of a cooperative sticky member: %w", r.err)
	}
	return generation, nil
}

// reader takes fields from the front of rest. After the first error all fields are zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(field string, n int) []byte {
	switch {
	case r.err != nil:
		return nil
	case n < 0:
		r.err = fmt.Errorf("%s: length %d", field, n)
		return nil
	case n > len(r.rest):
		r.err = fmt.Errorf("%s: %w: %d bytes where %d are needed", field, errShort, len(r.rest), n)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) int16(field string) int {
	if b := r.take(field, 2); b != nil {
		return int(int16(binary.BigEndian.Uint16(b)))
	}
	return 0
}

func (r *reader) int32(field string) int32 {
	if b := r.take(field, 4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// count reads the length of an array whose elements take at least size bytes, and refuses one that the rest cannot hold.
func (r *reader) count(field string, size int) int {
	n := int(r.int32(field))
	if r.err == nil && (n < 0 || n > len(r.rest)/size) {
		r.err = fmt.Errorf("%s: %d elements in %d bytes", field, n, len(r.rest))
	}
	if r.err != nil {
		return 0
	}
	return n
}
