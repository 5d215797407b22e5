// Package topic makes the data of the benchmarks: what a topic looks like (Spec), the record batches it holds, and the
// endless log they are repeated into (Log). Everything follows from the Spec and a seed, so that every process of
// a run that makes a topic has the same bytes.
package topic

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Codec is the compression of a batch, numbered as in the attributes of a record batch; ZstdStream is zstd there too.
type Codec int8

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
	ZstdStream // without the content size in the frame header
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd", "zstdstream"}

func (c Codec) String() string { return codecNames[c] }

// attribute is the codec's number in a record batch.
func (c Codec) attribute() uint16 { return uint16(min(c, Zstd)) }

// Spec says what a topic holds.
type Spec struct {
	ValueBytes int   // size of every value; keys are null
	Codec      Codec // compression of the batches
	Partitions int
	Headers    int // headers per record, 0 to 2
	BatchBytes int // size of a batch before compression: a batch is as full as fits
}

// Name is the topic's name; ParseName turns it back into the Spec.
func (s Spec) Name() string {
	return fmt.Sprintf("v%d-%s-p%d-h%d-b%d", s.ValueBytes, s.Codec, s.Partitions, s.Headers, s.BatchBytes)
}

var nameForm = regexp.MustCompile(`^v(\d{1,6})-([a-z0-9]+)-p(\d{1,5})-h([0-2])-b(\d{1,8})(?:-r\d+)?$`)

// ParseName gives the Spec of a topic name made by Name, also with the length that topics in a cluster have behind it.
func ParseName(name string) (Spec, error) {
	m := nameForm.FindStringSubmatch(name)
	if m == nil {
		return Spec{}, fmt.Errorf("topic name %q is not of the form v1024-lz4-p6-h0-b1048576", name)
	}
	num := func(s string) int { n, _ := strconv.Atoi(s); return n } // digits only, by the pattern
	s := Spec{ValueBytes: num(m[1]), Codec: -1, Partitions: num(m[3]), Headers: num(m[4]), BatchBytes: num(m[5])}
	for c, n := range codecNames {
		if n == m[2] {
			s.Codec = Codec(c)
		}
	}
	switch {
	case s.Codec < 0:
		return Spec{}, fmt.Errorf("topic name %q: unknown codec %q", name, m[2])
	case s.Partitions == 0:
		return Spec{}, fmt.Errorf("topic name %q: no partitions", name)
	case s.RecordsPerBatch() == 0:
		return Spec{}, fmt.Errorf("topic name %q: no record fits into a batch", name)
	}
	return s, nil
}

// PayloadBytes is what a consumer gets of each record: value, header keys and header values.
func (s Spec) PayloadBytes() int {
	n := s.ValueBytes
	for i := range s.Headers {
		n += len(headerKeys[i]) + headerValueBytes
	}
	return n
}

// RecordsPerBatch is the number of records in every batch of the topic.
func (s Spec) RecordsPerBatch() int {
	// Attributes, null key and header count are a byte each, timestamp and offset delta at most three; a header has two lengths.
	record := 1 + 1 + 1 + 3 + 3 + varintBytes(s.ValueBytes) + s.PayloadBytes() + 2*s.Headers
	record += varintBytes(record)
	return (s.BatchBytes - HeaderBytes) / record
}

func varintBytes(n int) int { return len(binary.AppendVarint(nil, int64(n))) }

// Case is a topic of the results table.
type Case struct {
	Title string
	Spec  Spec
	Rate  int // records a second a good client reads: an order of magnitude, from which the length of a run is chosen
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// Cases are the topics of the results table.
var Cases = []Case{
	{"100 B, none, 1 partition", Spec{100, None, 1, 0, mib}, 5e6},
	{"100 B, lz4, 6 partitions", Spec{100, LZ4, 6, 0, mib}, 6e6},
	{"1 KiB, none, 6", Spec{kib, None, 6, 0, mib}, 2e6},
	{"1 KiB, lz4, 6", Spec{kib, LZ4, 6, 0, mib}, 1.5e6},
	{"1 KiB, lz4, two headers, 6", Spec{kib, LZ4, 6, 2, mib}, 1.2e6},
	{"1 KiB, snappy, 6", Spec{kib, Snappy, 6, 0, mib}, 1e6},
	{"1 KiB, zstd, 6", Spec{kib, Zstd, 6, 0, mib}, 1e6},
	{"1 KiB, gzip, 6", Spec{kib, Gzip, 6, 0, mib}, 5e5},
}

// MoreCases are read by the full run only: small batches, many partitions, one partition of compressed records, and zstd
// frames that do not say how large their content is.
var MoreCases = []Case{
	{"100 B, none, 1, 16 KiB batches", Spec{100, None, 1, 0, 16 * kib}, 5e6},
	{"100 B, lz4, 6, 16 KiB batches", Spec{100, LZ4, 6, 0, 16 * kib}, 5e6},
	{"1 KiB, none, 6, 16 KiB batches", Spec{kib, None, 6, 0, 16 * kib}, 2e6},
	{"1 KiB, lz4, 6, 16 KiB batches", Spec{kib, LZ4, 6, 0, 16 * kib}, 1.5e6},
	{"1 KiB, lz4, two headers, 6, 16 KiB batches", Spec{kib, LZ4, 6, 2, 16 * kib}, 1e6},
	{"1 KiB, zstd, 6, 16 KiB batches", Spec{kib, Zstd, 6, 0, 16 * kib}, 1e6},
	{"100 B, none, 100 partitions", Spec{100, None, 100, 0, mib}, 5e6},
	{"1 KiB, lz4, 100", Spec{kib, LZ4, 100, 0, mib}, 1.5e6},
	{"1 KiB, lz4, 1", Spec{kib, LZ4, 1, 0, mib}, 1.5e6},
	{"1 KiB, zstd, 1", Spec{kib, Zstd, 1, 0, mib}, 1e6},
	{"1 KiB, zstd as Java writes it, 6", Spec{kib, ZstdStream, 6, 0, mib}, 1e6},
}

// Together groups cases whose rounds are to alternate, as they are compared with one another: topics that differ in nothing but the size
// of their batches.
func Together(cases []Case) [][]Case {
	var groups [][]Case
	for _, c := range cases {
		i := slices.IndexFunc(groups, func(g []Case) bool { return sameRecords(g[0].Spec, c.Spec) })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// WithPartners gives the cases and, of the others, those that they are compared with.
func WithPartners(cases, others []Case) []Case {
	all := slices.Clone(cases)
	for _, o := range others {
		if slices.ContainsFunc(cases, func(c Case) bool { return sameRecords(c.Spec, o.Spec) }) {
			all = append(all, o)
		}
	}
	return all
}

func sameRecords(a, b Spec) bool {
	a.BatchBytes = b.BatchBytes
	return a == b
}
