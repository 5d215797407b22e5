package protocol

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadRecord_MeasuredMarkers(t *testing.T) {
	for _, tc := range []struct {
		bytes string
		want  ControlType
	}{
		{"\x20\x00\x00\x00\x08\x00\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00", ControlAbort},
		{"\x20\x00\x00\x00\x08\x00\x00\x00\x01\x0c\x00\x00\x00\x00\x00\x00\x00", ControlCommit},
	} {
		var r Record
		n, err := ReadRecord([]byte(tc.bytes), &r)
		require.NoError(t, err)
		require.Equal(t, len(tc.bytes), n)
		key, err := ParseControlKey(r.Key)
		require.NoError(t, err)
		require.Equal(t, ControlRecordKey{0, tc.want}, key)
		marker, err := ParseEndTxnMarker(r.Value)
		require.NoError(t, err)
		require.Equal(t, EndTxnMarker{}, marker)
	}
}

func TestReadRecord_NullAndEmptyDiffer(t *testing.T) {
	for _, tc := range []struct{ key, value []byte }{{nil, nil}, {[]byte{}, nil}, {nil, []byte{}}, {[]byte("k"), []byte("v")}} {
		b := AppendRecord(nil, &RecordData{Key: tc.key, Value: tc.value})
		var r Record
		_, err := ReadRecord(append(b, "more"...), &r)
		require.NoError(t, err)
		require.Equal(t, tc.key, r.Key)
		require.Equal(t, tc.value, r.Value)
		require.Equal(t, len(r.Key), cap(r.Key), "a message must not reach into the next")
		require.Equal(t, len(r.Value), cap(r.Value))
		require.Zero(t, r.HeaderCount)
		require.Empty(t, r.Headers)
	}
}

func TestReadRecord_EveryLengthOfNumber(t *testing.T) {
	for _, size := range []int{0, 1, 62, 63, 64, 65, 8190, 8191, 8192, 8193, 1 << 20} {
		for _, ts := range []int64{0, -1, 63, -64, 64, 8191, -8192, 8192, 1 << 34, -1 << 34, 1<<63 - 1, -1 << 63} {
			in := RecordData{OffsetDelta: int32(size), TimestampDelta: ts, Key: make([]byte, size), Value: bytes.Repeat([]byte{1}, size)}
			b := AppendRecord(nil, &in)
			var r Record
			n, err := ReadRecord(b, &r)
			require.NoError(t, err)
			require.Equal(t, len(b), n)
			require.Equal(t, in, RecordData{OffsetDelta: r.OffsetDelta, TimestampDelta: r.TimestampDelta, Key: r.Key, Value: r.Value})
		}
	}
}

// body wraps the bytes of a record after its length in that length.
func body(b string) []byte {
	return append(appendRecordVarint(nil, int64(len(b))), b...)
}

// Hostile corpus H2, within a batch.
func TestReadRecord_RefusesWhatIsNoRecord(t *testing.T) {
	const start = "\x00\x00\x00" // attributes, deltas
	for name, tc := range map[string]struct {
		bytes []byte
		field string
	}{
		"nothing":                       {nil, "length"},
		"negative length":               {[]byte{1, 0, 0, 0, 0, 0, 0}, "length"},
		"length beyond the data":        {[]byte{16, 0, 0, 0, 1, 1, 0}, "length"},
		"length 2^31-1":                 {[]byte("\xfe\xff\xff\xff\x0f" + start), "length"},
		"length of 6 bytes":             {[]byte("\x80\x80\x80\x80\x80\x00" + start), "length"},
		"length above 32 bits":          {[]byte("\x80\x80\x80\x80\x10" + start), "length"},
		"length 0":                      {[]byte{0}, "attributes"},
		"ends after attributes":         {body("\x00"), "timestamp delta"},
		"timestamp delta of 11 bytes":   {body("\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00\x01\x01\x00"), "timestamp delta"},
		"timestamp delta above 64 bits": {body("\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x00\x01\x01\x00"), "timestamp delta"},
		"ends after timestamp delta":    {body("\x00\x00"), "offset delta"},
		"offset delta above 32 bits":    {body("\x00\x00\x80\x80\x80\x80\x10\x01\x01\x00"), "offset delta"},
		"ends after deltas":             {body(start), "key length"},
		"key length -2":                 {body(start + "\x03\x01\x00"), "key length"},
		"key beyond the record":         {append(body(start+"\x10ab\x01\x00"), "more data"...), "key length"},
		"key length 2^31-1":             {body(start + "\xfe\xff\xff\xff\x0f\x01\x00"), "key length"},
		"ends after key":                {body(start + "\x01"), "value length"},
		"value length -2":               {body(start + "\x01\x03\x00"), "value length"},
		"value takes the header count":  {body(start + "\x01\x02a"), "header count"},
		"value beyond the record":       {append(body(start+"\x01\x08ab\x00"), "more data"...), "value length"},
		"header count -1":               {body(start + "\x01\x01\x01"), "header count"},
		"header count 2^31-1":           {body(start + "\x01\x01\xfe\xff\xff\xff\x0f"), "header count"},
		"more headers than bytes":       {body(start + "\x01\x01\x04\x00\x00\x00"), "header count"},
		"header key null":               {body(start + "\x01\x01\x02\x01\x01"), "header key length"},
		"header key beyond the record":  {body(start + "\x01\x01\x02\x08ab\x01"), "header key length"},
		"header value -2":               {body(start + "\x01\x01\x02\x00\x03"), "header value length"},
		"header value beyond":           {body(start + "\x01\x01\x02\x00\x08ab"), "header value length"},
		"header without value":          {body(start + "\x01\x01\x02\x02a"), "header value length"},
		"bytes after the last header":   {body(start + "\x01\x01\x02\x00\x01x"), "record"},
		"bytes after no headers":        {body(start + "\x01\x01\x00x"), "record"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			_, err := ReadRecord(tc.bytes, &r)
			var e *RecordError
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.field, e.Field)
			require.Contains(t, err.Error(), "corrupt record: "+tc.field)
		})
	}
}

func TestReadRecord_CutAnywhereIsAnError(t *testing.T) {
	b := AppendRecord(nil, &RecordData{
		OffsetDelta: 1000, TimestampDelta: 1 << 40, Key: make([]byte, 70), Value: make([]byte, 9000),
		Headers: []RecordHeader{{"key", []byte("value")}, {"null", nil}},
	})
	var r Record
	for n := range b {
		_, err := ReadRecord(b[:n], &r)
		require.Error(t, err, "cut at %d of %d", n, len(b))
	}
}

func TestReadHeader_RefusesWhatIsNoHeader(t *testing.T) {
	for _, b := range []string{"", "\x01", "\x08ab", "\x02a", "\x02a\x03", "\x02a\x08bc", "\xff\xff\xff\xff\xff\xff", "\x02a\x80\x80\x80\x80\x10"} {
		_, _, _, err := ReadHeader([]byte(b))
		var e *RecordError
		require.ErrorAs(t, err, &e, "%q", b)
	}
}

func TestRecordReader_HoldsRecordsToTheirHeader(t *testing.T) {
	three := func(h BatchHeader, deltas ...int32) (BatchHeader, []byte) {
		var raw []byte
		for _, d := range deltas {
			raw = AppendRecord(raw, &RecordData{OffsetDelta: d})
		}
		return h, raw
	}
	for name, tc := range map[string]struct {
		count, last int32
		deltas      []int32
		extra       string
		want        string // in the error; "" for none
	}{
		"as counted":                    {3, 2, []int32{0, 1, 2}, "", ""},
		"with gaps":                     {3, 90, []int32{7, 11, 90}, "", ""},
		"none":                          {0, 9, nil, "", ""},
		"fewer than counted":            {3, 2, []int32{0, 1}, "", "record count"},
		"more than counted":             {2, 2, []int32{0, 1, 2}, "", "record count"},
		"bytes after the last":          {3, 2, []int32{0, 1, 2}, "x", "record count"},
		"bytes in an empty batch":       {0, 2, nil, "x", "record count"},
		"count negative":                {-1, 2, nil, "", "record count"},
		"count 2^31-1":                  {1<<31 - 1, 2, []int32{0, 1, 2}, "", "record count"},
		"offset twice":                  {3, 2, []int32{0, 1, 1}, "", "offset delta"},
		"offset falls":                  {3, 2, []int32{0, 2, 1}, "", "offset delta"},
		"offset negative":               {3, 2, []int32{-1, 1, 2}, "", "offset delta"},
		"offset after the batch's last": {3, 2, []int32{0, 1, 3}, "", "offset delta"},
	} {
		t.Run(name, func(t *testing.T) {
			h, raw := three(BatchHeader{NumRecords: tc.count, LastOffsetDelta: tc.last}, tc.deltas...)
			raw = append(raw, tc.extra...)
			rr, err := h.ReadRecords(raw)
			var r Record
			n := 0
			for ok := err == nil; ok; n++ {
				ok, err = rr.Next(&r)
			}
			if tc.want == "" {
				require.NoError(t, err)
				require.Equal(t, len(tc.deltas), n-1)
				require.Zero(t, rr.Left())
				return
			}
			var e *RecordError
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.want, e.Field)
		})
	}
}

func TestRecordPath_AllocatesNothing(t *testing.T) {
	set := append(benchBatch(t, 100, 2), AppendLegacyMessage(nil, &LegacyMessage{Offset: 2000, Magic: 1, Value: []byte("v")})...)
	records := 0
	allocs := testing.AllocsPerRun(20, func() {
		s := ScanBatches(set)
		var r Record
		for s.Next() {
			if s.Magic() < 2 {
				if !s.Message().CRCValid() {
					t.Fatal("checksum")
				}
				continue
			}
			if !s.Header().CRCValid(s.Bytes()) {
				t.Fatal("checksum")
			}
			rr, err := s.Header().ReadRecords(s.Records())
			for ok := err == nil; ok; records++ {
				ok, err = rr.Next(&r)
				for b := r.Headers; ok && len(b) > 0; {
					_, _, n, err := ReadHeader(b)
					if err != nil {
						t.Fatal(err)
					}
					b = b[n:]
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	})
	require.Zero(t, allocs)
	require.Greater(t, records, 20*1000)
}

func TestParseControl_RefusesShortOnes(t *testing.T) {
	_, err := ParseControlKey([]byte{0, 0, 0})
	require.ErrorContains(t, err, "3 bytes")
	_, err = ParseControlKey([]byte{0xff, 0xff, 0, 0})
	require.ErrorContains(t, err, "version -1")
	key, err := ParseControlKey([]byte{0, 9, 0, 6, 1, 2, 3}) // a later version may be longer
	require.NoError(t, err)
	require.Equal(t, "CONTROL(6)", key.Type.String())
	_, err = ParseEndTxnMarker([]byte{0, 0, 0, 0, 0})
	require.ErrorContains(t, err, "5 bytes")
	_, err = (&BatchHeader{BaseOffset: 7}).ControlType(nil)
	require.ErrorContains(t, err, "offset 7")
}
