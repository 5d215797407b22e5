package protocol

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// oneBatch is a batch of these many records at an offset.
func oneBatch(tb testing.TB, base int64, records int) []byte {
	tb.Helper()
	all := make([]RecordData, records)
	for i := range all {
		all[i] = RecordData{OffsetDelta: int32(i), Key: []byte{byte(i)}, Value: []byte("value")}
	}
	set, err := AppendBatch(nil, NewBatchHeader(base), nil, all...)
	require.NoError(tb, err)
	return set
}

func TestBatchHeader_FieldsWhereKafkaPutsThem(t *testing.T) {
	b := make([]byte, BatchHeaderSize)
	for i := range b {
		b[i] = byte(i)
	}
	b[16] = 2
	binary.BigEndian.PutUint32(b[57:], 0)
	h, err := ParseBatchHeader(b)
	require.NoError(t, err)
	require.Equal(t, BatchHeader{
		BaseOffset: 0x0001020304050607, Length: 0x08090a0b, PartitionLeaderEpoch: 0x0c0d0e0f, CRC: 0x11121314, Attributes: 0x1516,
		LastOffsetDelta: 0x1718191a, BaseTimestamp: 0x1b1c1d1e1f202122, MaxTimestamp: 0x232425262728292a,
		ProducerID: 0x2b2c2d2e2f303132, ProducerEpoch: 0x3334, BaseSequence: 0x35363738,
	}, h)
}

func TestBatchHeader_Attributes(t *testing.T) {
	for bits, want := range map[int16]string{0: "", 8: "append", 16: "txn", 32: "control", 64: "horizon"} {
		h := BatchHeader{Attributes: bits | 4, BaseTimestamp: 5, MaxTimestamp: 9}
		require.EqualValues(t, 4, h.Codec())
		require.Equal(t, want == "append", h.TimestampType() == LogAppendTimestampType)
		require.Equal(t, want == "txn", h.Transactional())
		require.Equal(t, want == "control", h.Control())
		_, ok := h.DeleteHorizon()
		require.Equal(t, want == "horizon", ok)
		if want == "append" {
			require.EqualValues(t, 9, h.Timestamp(-2), "the same for all records")
		} else {
			require.EqualValues(t, 3, h.Timestamp(-2))
		}
	}
}

func TestBatches_NextOffsetOfAnEmptyAndACompactedBatch(t *testing.T) {
	h := NewBatchHeader(300)
	h.LastOffsetDelta = 9
	s := ScanBatches(AppendRawBatch(nil, h, nil))
	require.True(t, s.Next())
	require.EqualValues(t, 310, s.NextOffset())
	require.Empty(t, s.Records())
	require.True(t, s.Header().CRCValid(s.Bytes()))
}

func TestBatches_EndsCleanlyAtAnIncompleteTail(t *testing.T) {
	first, second := oneBatch(t, 10, 3), oneBatch(t, 13, 2)
	set := append(first, second...)
	for n := len(first); n < len(set); n++ {
		s := ScanBatches(set[:n])
		require.True(t, s.Next())
		require.EqualValues(t, 13, s.NextOffset())
		require.False(t, s.Next())
		require.NoError(t, s.Err(), "cut at %d", n)
		require.Equal(t, len(first), s.Pos(), "where the tail begins")
	}
	s := ScanBatches(set)
	for s.Next() {
	}
	require.NoError(t, s.Err())
	require.Equal(t, len(set), s.Pos())
	require.False(t, s.Next(), "stays at the end")
}

// Since Fetch version 3 the first batch comes whole (KIP-74): less is damage, and silence would be an endless loop.
func TestBatches_NotOneWholeBatchIsAnError(t *testing.T) {
	set := oneBatch(t, 10, 3)
	for n := 1; n < len(set); n++ {
		s := ScanBatches(set[:n])
		require.False(t, s.Next())
		var e *BatchError
		require.ErrorAs(t, s.Err(), &e, "cut at %d", n)
		if n >= 27 {
			require.Equal(t, [2]int64{10, 13}, [2]int64{e.Offset, e.NextOffset})
		}
	}
	for _, empty := range [][]byte{nil, {}} {
		s := ScanBatches(empty)
		require.False(t, s.Next())
		require.NoError(t, s.Err())
	}
}

// Hostile corpus H2, on batches.
func TestBatches_RefusesWhatIsNoBatch(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(b []byte)
		next   int64
		reason string
	}{
		"length 0":                   {func(b []byte) { put32(b, 8, 0) }, 25, "length 0"},
		"length -1":                  {func(b []byte) { put32(b, 8, -1) }, 25, "length -1"},
		"length 13":                  {func(b []byte) { put32(b, 8, 13) }, 25, "length 13"},
		"length less than a header":  {func(b []byte) { put32(b, 8, 48) }, 25, "less than a header"},
		"length -2^31":               {func(b []byte) { put32(b, 8, math.MinInt32) }, 25, "length -2147483648"},
		"magic 3":                    {func(b []byte) { b[16] = 3 }, 21, "magic 3"},
		"magic -1":                   {func(b []byte) { b[16] = 0xff }, 21, "magic -1"},
		"negative offset":            {func(b []byte) { b[0] = 0x80 }, -1, "negative base offset"},
		"last offset delta -1":       {func(b []byte) { put32(b, 23, -1) }, 21, "last offset delta -1"},
		"offsets overflow":           {func(b []byte) { binary.BigEndian.PutUint64(b, math.MaxInt64-4) }, math.MaxInt64 - 3, "overflow"},
		"highest offset":             {func(b []byte) { binary.BigEndian.PutUint64(b, math.MaxInt64) }, -1, "overflow"},
		"count -1":                   {func(b []byte) { put32(b, 57, -1) }, 25, "record count -1"},
		"count 2^31-1":               {func(b []byte) { put32(b, 57, math.MaxInt32) }, 25, "2147483647 records"},
		"count a little above":       {func(b []byte) { put32(b, 57, 5*14/7+1) }, 25, "11 records"},
		"magic 0 in a magic 2 batch": {func(b []byte) { b[16] = 0 }, 21, "message"},
	} {
		t.Run(name, func(t *testing.T) {
			good, bad := oneBatch(t, 15, 5), oneBatch(t, 20, 5)
			tc.damage(bad)
			s := ScanBatches(append(good, bad...))
			require.True(t, s.Next(), "data comes before errors")
			require.False(t, s.Next())
			var e *BatchError
			require.ErrorAs(t, s.Err(), &e)
			require.Equal(t, len(good), e.Pos)
			require.Equal(t, tc.next, e.NextOffset)
			require.ErrorContains(t, e, tc.reason)
			require.False(t, s.Next(), "an error is for good")
			if _, err := ParseBatchHeader(bad); name != "length 13" {
				require.ErrorAs(t, err, &e)
			}
		})
	}
}

func put32(b []byte, at int, v int32) { binary.BigEndian.PutUint32(b[at:], uint32(v)) }

// A length that a flipped bit made huge looks like an incomplete tail. The next fetch begins there, and then it is an error.
func TestBatches_HugeLengthIsAnErrorAtTheFront(t *testing.T) {
	good, bad := oneBatch(t, 15, 5), oneBatch(t, 20, 5)
	put32(bad, 8, math.MaxInt32)
	s := ScanBatches(append(good, bad...))
	require.True(t, s.Next())
	require.False(t, s.Next())
	require.NoError(t, s.Err())

	s = ScanBatches(bad)
	require.False(t, s.Next())
	var e *BatchError
	require.ErrorAs(t, s.Err(), &e)
	require.Equal(t, [2]int64{20, 25}, [2]int64{e.Offset, e.NextOffset})
}

func TestBatchHeader_CompressedCountIsCheckedAgainstTheRecords(t *testing.T) {
	h := NewBatchHeader(1)
	h.Attributes, h.NumRecords, h.LastOffsetDelta = 2, math.MaxInt32, math.MaxInt32-1
	b := AppendRawBatch(nil, h, []byte("compressed"))
	parsed, err := ParseBatchHeader(b)
	require.NoError(t, err, "compressed bytes say nothing about the count")
	_, err = parsed.ReadRecords(make([]byte, 1<<20))
	require.ErrorContains(t, err, "2147483647 records do not fit into 1048576 bytes")
}

func TestBatchHeader_CRCValidNeedsTheWholeBatch(t *testing.T) {
	b := oneBatch(t, 1, 3)
	h, err := ParseBatchHeader(b)
	require.NoError(t, err)
	require.True(t, h.CRCValid(b))
	require.True(t, h.CRCValid(append(b[:len(b):len(b)], "next batch"...)))
	require.False(t, h.CRCValid(b[:len(b)-1]))
	require.False(t, h.CRCValid(nil))
	require.False(t, (&BatchHeader{Length: -5}).CRCValid(b))
}

func TestAppendBatch_NeedsACompressorForACodec(t *testing.T) {
	h := NewBatchHeader(7)
	h.Attributes = 1
	_, err := AppendBatch(nil, h, nil, RecordData{})
	require.ErrorContains(t, err, "offset 7")
}
