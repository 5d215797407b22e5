package protocol

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// inParts is a visitor that takes record sets in parts.
type inParts struct {
	collector
	t     testing.TB
	size  func(batch, left int) int // of the next part
	parts [][]byte
	asked []int // sizes of the batches they begin with
}

func (v *inParts) Records(_ *FetchedPartition, batch, left int) []byte {
	require.Positive(v.t, batch)
	require.LessOrEqual(v.t, batch, left)
	n := v.size(batch, left)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	v.parts, v.asked = append(v.parts, b), append(v.asked, batch)
	return b
}

// least takes a batch at a time.
func least(batch, _ int) int { return batch }

// atLeast takes parts of n bytes, unless a batch is larger or there is less.
func atLeast(n int) func(batch, left int) int {
	return func(batch, left int) int { return min(max(n, batch), left) }
}

// drawn takes parts of any size.
func drawn(random *rand.Rand) func(batch, left int) int {
	return func(batch, left int) int { return batch + random.IntN(left-batch+1) }
}

// framed gives bytes with the length of a batch in the right place.
func framed(size int, random *rand.Rand) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	binary.BigEndian.PutUint32(b[8:], uint32(size-logOverhead))
	return b
}

// partsBody is a response with a record set, and a partition behind it.
func partsBody(t testing.TB, set []byte) []byte {
	first, second := NewFetchResponsePartition(), NewFetchResponsePartition()
	first.Records, second.PartitionIndex, second.HighWatermark = set, 1, 77
	return bodyOf(t, 12, &FetchResponse{Responses: []FetchResponseTopic{{Topic: "t", Partitions: []FetchResponsePartition{first, second}}}})
}

// read reads a response with the set to its end.
func (v *inParts) read(set []byte, reader func(io.Reader) io.Reader) {
	v.t.Helper()
	body := partsBody(v.t, set)
	require.NoError(v.t, ReadFetchResponse(reader(bytes.NewReader(body)), len(body), 12, v))
	require.Len(v.t, v.partitions, 2)
	require.Equal(v.t, len(set), v.partitions[0].RecordsSize)
	require.EqualValues(v.t, 77, v.partitions[1].Partition.HighWatermark, "what follows is read from its beginning")
}

// requireAll holds the parts to the set: each begins with a batch, and together they have all whole batches, once.
func (v *inParts) requireAll(set []byte) {
	v.t.Helper()
	all, _ := wholeBatches(set)
	at := 0
	for i, b := range v.parts {
		require.Equal(v.t, set[at:at+len(b)], b, "part %d", i)
		if at < all {
			size, _ := batchSize(set[at:])
			require.Equal(v.t, size, v.asked[i], "the batch that part %d begins with", i)
		}
		whole, _ := wholeBatches(b)
		at += whole
	}
	require.Equal(v.t, all, at)
}

func TestReadFetchResponse_InParts(t *testing.T) {
	readers := []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader}
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		var set []byte
		for range 1 + random.IntN(12) {
			set = append(set, framed(logOverhead+minLegacyLength+random.IntN(1<<random.IntN(9)), random)...)
		}
		if cut := random.IntN(2 * len(set)); cut > 0 && cut < len(set) {
			set = set[:cut]
		}
		v := &inParts{t: t, size: drawn(random)}
		if seed%3 == 0 {
			v.size = least
		}
		v.read(set, readers[seed%uint64(len(readers))])
		v.requireAll(set)
	}
}

// A batch that the broker has cut at the limit of the request takes no memory, unless it is the first: then it is all there is to
// tell what is wrong.
func TestReadFetchResponse_InPartsLeavesOutACutBatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	whole, cut := framed(100, random), framed(90, random)
	for n := range len(cut) {
		v := &inParts{t: t, size: least}
		v.read(append(whole[:100:100], cut[:n]...), iotest.HalfReader)
		require.Equal(t, [][]byte{whole}, v.parts, "%d bytes of a second batch", n)
		if n > 0 {
			v = &inParts{t: t, size: least}
			v.read(cut[:n], iotest.HalfReader)
			require.Equal(t, [][]byte{cut[:n]}, v.parts, "%d bytes of the only batch", n)
		}
	}
}

// Where no batch begins nobody can tell where the next one does: a part ends the set, and the visitor has the bytes in it.
func TestReadFetchResponse_InPartsEndsWithWhatIsNoBatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	set := append(append(framed(100, random), make([]byte, 50)...), framed(60, random)...)
	for _, size := range []int{100, 110, 112, 150, 210} {
		v := &inParts{t: t, size: atLeast(size)}
		v.read(set, iotest.HalfReader)
		last := v.parts[len(v.parts)-1]
		require.GreaterOrEqual(t, len(last), 12)
		if size < 112 {
			require.Equal(t, set[100:], last, "parts of %d: it begins the second, which is all there is", size)
			require.Len(t, v.parts, 2)
		} else {
			require.Equal(t, set[:size], last, "parts of %d: it is inside the first", size)
			require.Len(t, v.parts, 1)
		}
	}
}

func TestReadFetchResponse_InPartsDrainsWhatIsNotTaken(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var set []byte
	for range 5 {
		set = append(set, framed(200, random)...)
	}
	for most := 1; most <= 5; most++ {
		v := &inParts{t: t}
		v.size = func(batch, _ int) int {
			if len(v.parts) == most {
				return 0
			}
			return batch
		}
		v.read(set, iotest.HalfReader)
		require.Len(t, v.parts, most)
		require.Equal(t, set[(most-1)*200:most*200], v.partitions[0].Partition.Records, "the part that was read last")
	}
}

func FuzzReadFetchResponse_InParts(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 1))
	f.Add(append(framed(100, random), framed(40, random)...), uint64(1))
	f.Add(append(framed(100, random), framed(40, random)[:20]...), uint64(2))
	f.Fuzz(func(t *testing.T, set []byte, seed uint64) {
		v := &inParts{t: t, size: drawn(rand.New(rand.NewPCG(seed, 1)))}
		v.read(set, iotest.HalfReader)
		if _, ok := wholeBatches(set); ok {
			v.requireAll(set)
		}
	})
}
