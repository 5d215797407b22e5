package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fetched is what a FetchVisitor saw, or what the ordinary decoder gave.
type fetched struct {
	head       FetchResponse
	partitions []FetchedPartition
	endpoints  []FetchResponseNodeEndpoint
}

// collector is a FetchVisitor that keeps everything, and drains what it may if told to.
type collector struct {
	fetched
	drain bool
	calls []string
	fail  string // the call that fails
}

var errVisitor = errors.New("the visitor's error")

func (c *collector) call(name string) error {
	c.calls = append(c.calls, name)
	if c.fail == name {
		return errVisitor
	}
	return nil
}

func (c *collector) Response(h *FetchResponse) error {
	c.head = *h
	return c.call("Response")
}

func (c *collector) Aborted(_ *FetchedPartition, n int) []FetchResponseAbortedTransaction {
	if c.call("Aborted"); c.drain {
		return nil
	}
	return make([]FetchResponseAbortedTransaction, n)
}

func (c *collector) Records(_ *FetchedPartition, _, size int) []byte {
	if c.call("Records"); c.drain {
		return nil
	}
	return make([]byte, size)
}

func (c *collector) Partition(p *FetchedPartition) error {
	c.partitions = append(c.partitions, *p)
	return c.call("Partition")
}

func (c *collector) End(endpoints []FetchResponseNodeEndpoint) error {
	c.endpoints = endpoints
	return c.call("End")
}

// ordinary gives what the ordinary decoder makes of a body, in the form of what a visitor sees. Memory is given only
// for record sets that have bytes.
func ordinary(body []byte, version int16, drain bool) (fetched, error) {
	var m FetchResponse
	if err := DecodeResponse(body, version, &m); err != nil {
		return fetched{}, err
	}
	f := fetched{head: FetchResponse{ThrottleTimeMs: m.ThrottleTimeMs, ErrorCode: m.ErrorCode, SessionID: m.SessionID},
		endpoints: m.NodeEndpoints}
	for _, topic := range m.Responses {
		for _, p := range topic.Partitions {
			size := len(p.Records)
			if drain || size == 0 {
				p.Records = nil
			}
			if drain && len(p.AbortedTransactions) > 0 {
				p.AbortedTransactions = nil
			}
			f.partitions = append(f.partitions, FetchedPartition{Topic: topic.Topic, TopicID: topic.TopicID, Partition: p, RecordsSize: size})
		}
	}
	return f, nil
}

// fetchBodies gives the golden response bodies by name.
func fetchBodies(t testing.TB) map[string]golden {
	out := map[string]golden{}
	for _, g := range goldens(t, "response") {
		if g.api == "Fetch" {
			out[g.name()] = g
		}
	}
	require.NotEmpty(t, out)
	return out
}

func TestReadFetchResponse_AgreesWithTheOrdinaryDecoder(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole":        func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"halves":       iotest.HalfReader,
		"data and EOF": iotest.DataErrReader,
		"buffered":     func(r io.Reader) io.Reader { return bufio.NewReaderSize(r, 16) },
	}
	for name, g := range fetchBodies(t) {
		for how, reader := range readers {
			for _, drain := range []bool{false, true} {
				want, err := ordinary(g.Body, g.Version, drain)
				require.NoError(t, err, name)
				c := &collector{drain: drain}
				require.NoError(t, ReadFetchResponse(reader(bytes.NewReader(g.Body)), len(g.Body), g.Version, c), "%s, %s", name, how)
				assert.Equal(t, want, c.fetched, "%s, %s, drain %v", name, how, drain)
			}
		}
	}
}

func TestReadFetchResponse_TakesReadsSplitAnywhere(t *testing.T) {
	for name, g := range fetchBodies(t) {
		if !g.isEdge() || g.Sample != "full" && !g.hasUnknownTags() {
			continue
		}
		want, err := ordinary(g.Body, g.Version, false)
		require.NoError(t, err, name)
		for split := range g.Body {
			r := io.MultiReader(bytes.NewReader(g.Body[:split]), bytes.NewReader(g.Body[split:]))
			c := &collector{}
			require.NoError(t, ReadFetchResponse(r, len(g.Body), g.Version, c), "%s split at %d", name, split)
			require.Equal(t, want, c.fetched, "%s split at %d", name, split)
		}
	}
}

func TestReadFetchResponse_RefusesWhatTheOrdinaryDecoderRefuses(t *testing.T) {
	for name, g := range fetchBodies(t) {
		if !g.isEdge() || g.Sample != "full" && g.Sample != "empty" {
			continue
		}
		for lie, four := range lies {
			for i := 0; i+4 <= len(g.Body); i++ {
				b := slices.Clone(g.Body)
				copy(b[i:], four[:])
				want, wantErr := ordinary(b, g.Version, false)
				c := &collector{}
				err := ReadFetchResponse(bytes.NewReader(b), len(b), g.Version, c)
				require.Equal(t, wantErr == nil, err == nil, "%s with %s at %d\nstreaming: %v\nordinary: %v", name, lie, i, err, wantErr)
				if err == nil {
					require.Equal(t, want, c.fetched, "%s with %s at %d", name, lie, i)
				}
			}
		}
	}
}

func TestReadFetchResponse_ReadsNoByteTooMany(t *testing.T) {
	for name, g := range fetchBodies(t) {
		r := bytes.NewReader(append(g.Body[:len(g.Body):len(g.Body)], "next"...))
		require.NoError(t, ReadFetchResponse(struct{ io.Reader }{r}, len(g.Body), g.Version, &collector{drain: true}), name)
		rest, _ := io.ReadAll(r)
		assert.Equal(t, "next", string(rest), name)
	}
}

func TestReadFetchResponse_ToldTooSmallASizeReadsNoFurther(t *testing.T) {
	for name, g := range fetchBodies(t) {
		if !g.isEdge() {
			continue
		}
		for size := range g.Body {
			r := bytes.NewReader(g.Body)
			err := ReadFetchResponse(r, size, g.Version, &collector{})
			var decode *DecodeError
			require.ErrorAs(t, err, &decode, "%s cut at %d", name, size)
			require.LessOrEqual(t, len(g.Body)-r.Len(), size, "%s cut at %d", name, size)
		}
	}
}

func TestReadFetchResponse_TellsThatTheReaderEnded(t *testing.T) {
	for name, g := range fetchBodies(t) {
		if !g.isEdge() {
			continue
		}
		for end := range g.Body {
			err := ReadFetchResponse(bytes.NewReader(g.Body[:end]), len(g.Body), g.Version, &collector{drain: end%2 == 0})
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s ended at %d", name, end)
		}
	}
}

func TestReadFetchResponse_PassesTheReadersErrorOn(t *testing.T) {
	broken := errors.New("connection reset")
	err := ReadFetchResponse(io.MultiReader(bytes.NewReader([]byte{0, 0}), iotest.ErrReader(broken)), 100, 18, &collector{})
	require.ErrorIs(t, err, broken)
	assert.EqualError(t, err, "protocol: cannot decode FetchResponse version 18, field ThrottleTimeMs at byte 2: reading failed with 98 bytes left: connection reset")
}

func TestReadFetchResponse_CallsInTheOrderOfTheBytes(t *testing.T) {
	body := fetchBody(t, 16)
	c := &collector{}
	require.NoError(t, ReadFetchResponse(bytes.NewReader(body), len(body), 16, c))
	assert.Equal(t, []string{"Response", "Records", "Partition", "Partition", "End"}, c.calls)
}

func TestReadFetchResponse_EndsAtTheVisitorsError(t *testing.T) {
	body := fetchBody(t, 16)
	for _, call := range []string{"Response", "Partition", "End"} {
		c := &collector{fail: call}
		err := ReadFetchResponse(bytes.NewReader(body), len(body), 16, c)
		assert.Equal(t, errVisitor, err, call)
		assert.Equal(t, call, c.calls[len(c.calls)-1])
	}
}

// sized is a visitor that gives memory of one size.
type sized struct {
	collector
	size int
}

func (v *sized) Records(*FetchedPartition, int, int) []byte { return make([]byte, v.size) }

func TestReadFetchResponse_DrainsWhatTheMemoryDoesNotHold(t *testing.T) {
	body := fetchBody(t, 16)
	for _, size := range []int{0, 1, 6} {
		v := &sized{size: size}
		require.NoError(t, ReadFetchResponse(bytes.NewReader(body), len(body), 16, v))
		assert.Equal(t, "records"[:size], string(v.partitions[0].Partition.Records))
		assert.Equal(t, 7, v.partitions[0].RecordsSize)
	}
}

func TestReadFetchResponse_RefusesMoreMemoryThanAskedFor(t *testing.T) {
	body := fetchBody(t, 16)
	err := ReadFetchResponse(bytes.NewReader(body), len(body), 16, &sized{size: 8})
	assert.EqualError(t, err, "protocol: FetchVisitor.Records gave 8 bytes for a record set of only 7")
}

// listed is a visitor that gives room for so many aborted transactions.
type listed struct {
	collector
	n int
}

func (v *listed) Aborted(*FetchedPartition, int) []FetchResponseAbortedTransaction {
	return make([]FetchResponseAbortedTransaction, v.n)
}

func TestReadFetchResponse_AsksForTheRoomThatAbortedTransactionsNeed(t *testing.T) {
	part := NewFetchResponsePartition()
	part.AbortedTransactions = []FetchResponseAbortedTransaction{{ProducerID: 1, FirstOffset: 2}, {ProducerID: 3, FirstOffset: 4}}
	body := bodyOf(t, 11, &FetchResponse{Responses: []FetchResponseTopic{{Topic: "t", Partitions: []FetchResponsePartition{part}}}})
	v := &listed{n: 2}
	require.NoError(t, ReadFetchResponse(bytes.NewReader(body), len(body), 11, v))
	assert.Equal(t, part.AbortedTransactions, v.partitions[0].Partition.AbortedTransactions)

	err := ReadFetchResponse(bytes.NewReader(body), len(body), 11, &listed{n: 3})
	assert.EqualError(t, err, "protocol: FetchVisitor.Aborted gave room for 3 transactions, not for 2")

	body[len(body)-4-4-2*abortedSize-1] = 3 // before them are four bytes of their number, behind them replica and records
	c := &collector{}
	require.ErrorContains(t, ReadFetchResponse(bytes.NewReader(body), len(body), 11, c), "AbortedTransactions at byte")
	assert.Equal(t, []string{"Response"}, c.calls, "room for what cannot come")
}

func TestReadFetchResponse_NamesTheFieldOfAnError(t *testing.T) {
	body := fetchBody(t, 11)
	body[len(body)-4] = 0x7f // the second partition's record set was null: now it has a length of 2^31-1
	err := ReadFetchResponse(bytes.NewReader(body), len(body), 11, &collector{})
	want := fmt.Sprintf("version 11, field Responses[0].Partitions[1].Records at byte %d: a length of 2147483647, with 0 bytes left", len(body))
	assert.EqualError(t, err, "protocol: cannot decode FetchResponse "+want)
	// The ordinary decoder says the same.
	assert.EqualError(t, DecodeResponse(body, 11, new(FetchResponse)), "protocol: cannot decode FetchResponse "+want)
}

// fetchBody is a response of one topic with two partitions: one with seven bytes of records, one in error.
func fetchBody(t testing.TB, version int16) []byte {
	data, moved := NewFetchResponsePartition(), NewFetchResponsePartition()
	data.Records = []byte("records")
	moved.PartitionIndex, moved.ErrorCode = 1, NotLeaderOrFollower
	moved.CurrentLeader = &FetchResponseLeaderIDAndEpoch{LeaderID: 2, LeaderEpoch: 5}
	resp := &FetchResponse{
		SessionID:     9,
		Responses:     []FetchResponseTopic{{Topic: "t", TopicID: UUID{1}, Partitions: []FetchResponsePartition{data, moved}}},
		NodeEndpoints: []FetchResponseNodeEndpoint{{NodeID: 2, Host: "h", Port: 9092}},
	}
	return bodyOf(t, version, resp)
}

// bodyOf gives the bytes of a response without its header.
func bodyOf(t testing.TB, version int16, resp *FetchResponse) []byte {
	frame, err := AppendResponse(nil, 1, version, resp)
	require.NoError(t, err)
	_, body, err := SplitResponse(frame[4:], ResponseHeaderVersion(KeyFetch, version))
	require.NoError(t, err)
	return body
}

func TestReadFetchResponse_BoundsTaggedFields(t *testing.T) {
	// A body that ends with a tagged field of 2 MiB: known, it is refused; unknown, it is drained.
	body := func(tag byte) []byte {
		b := append(make([]byte, 10), 1) // head of version 16, no topics
		b = append(b, 1, tag, 0x80, 0x80, 0x80, 0x01)
		return append(b, make([]byte, 2<<20)...)
	}
	b := body(0)
	err := ReadFetchResponse(bytes.NewReader(b), len(b), 16, &collector{})
	assert.ErrorContains(t, err, "field tag 0 at byte 17: more than 1048576 bytes of tagged fields")
	b = body(9)
	assert.NoError(t, ReadFetchResponse(bytes.NewReader(b), len(b), 16, &collector{}))
}

func TestReadResponseHeader_LeavesTheBody(t *testing.T) {
	for _, tc := range []struct {
		name    string
		header  string
		version int16
	}{
		{"version 0", "", 0},
		{"no tags", "\x00", 1},
		{"tags", "\x02\x05\x02xx\x07\x00", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := bytes.NewReader([]byte(tc.header + "body"))
			n, err := ReadResponseHeader(r, r.Len(), tc.version)
			require.NoError(t, err)
			assert.Equal(t, len(tc.header), n)
			rest, _ := io.ReadAll(r)
			assert.Equal(t, "body", string(rest))
		})
	}
	_, err := ReadResponseHeader(bytes.NewReader([]byte{9}), 1, 1)
	assert.EqualError(t, err, "protocol: cannot decode ResponseHeader version 1, field tagged fields at byte 1: 1 bytes needed, 0 left")
}

// taking is a visitor like a consumer's: one piece of memory, used again.
type taking struct{ memory []byte }

func (*taking) Response(*FetchResponse) error                                      { return nil }
func (v *taking) Aborted(*FetchedPartition, int) []FetchResponseAbortedTransaction { return nil }
func (v *taking) Records(_ *FetchedPartition, _, left int) []byte                  { return v.memory[:left] }
func (*taking) Partition(*FetchedPartition) error                                  { return nil }
func (*taking) End([]FetchResponseNodeEndpoint) error                              { return nil }

func BenchmarkReadFetchResponse(b *testing.B) {
	for _, shape := range []struct {
		name       string
		partitions int
		size       int
	}{{"1x1MiB", 1, 1 << 20}, {"100x10KiB", 100, 10 << 10}, {"1000xEmpty", 1000, 0}} {
		b.Run(shape.name, func(b *testing.B) {
			topic := FetchResponseTopic{TopicID: UUID{1}}
			for i := range shape.partitions {
				p := NewFetchResponsePartition()
				p.PartitionIndex, p.Records = int32(i), make([]byte, shape.size)
				topic.Partitions = append(topic.Partitions, p)
			}
			frame, err := AppendResponse(nil, 1, 18, &FetchResponse{Responses: []FetchResponseTopic{topic}})
			require.NoError(b, err)
			body := frame[9:]
			source := bytes.NewReader(nil)
			buffered := bufio.NewReaderSize(source, 64<<10)
			v := &taking{memory: make([]byte, shape.size)}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				source.Reset(body)
				buffered.Reset(source)
				if err := ReadFetchResponse(buffered, len(body), 18, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
