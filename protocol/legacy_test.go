package protocol

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
)

// plain stands for a codec: the value of the wrapper is the set itself.
func plain(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }

// wrap makes a wrapper around inner and gives it as the scanner does.
func wrap(t *testing.T, wrapper LegacyMessage, inner ...LegacyMessage) LegacyMessage {
	t.Helper()
	b, err := AppendLegacyWrapper(nil, wrapper, plain, inner...)
	require.NoError(t, err)
	s := ScanBatches(b)
	require.True(t, s.Next())
	require.True(t, s.Message().CRCValid())
	return *s.Message()
}

// innerOf reads everything inside a wrapper.
func innerOf(m LegacyMessage) (offsets, timestamps []int64, next int64, err error) {
	set, err := m.Inner(m.Value)
	if err != nil {
		return nil, nil, 0, err
	}
	var in LegacyMessage
	for {
		ok, err := set.Next(&in)
		if err != nil || !ok {
			return offsets, timestamps, set.NextOffset(), err
		}
		offsets = append(offsets, in.Offset)
		timestamps = append(timestamps, in.Timestamp)
	}
}

func at(offset, timestamp int64) LegacyMessage {
	return LegacyMessage{Offset: offset, Timestamp: timestamp, Value: []byte("v")}
}

func TestLegacy_OffsetsInsideAWrapper(t *testing.T) {
	t.Run("magic 1: relative, the wrapper has the last", func(t *testing.T) {
		m := wrap(t, LegacyMessage{Magic: 1, Attributes: 1}, at(10, 1), at(11, 2), at(14, 3))
		require.EqualValues(t, 14, m.Offset)
		offsets, _, next, err := innerOf(m)
		require.NoError(t, err)
		require.Equal(t, []int64{10, 11, 14}, offsets)
		require.EqualValues(t, 15, next)
	})
	t.Run("magic 0: absolute", func(t *testing.T) {
		m := wrap(t, LegacyMessage{Magic: 0, Attributes: 1}, at(10, 0), at(12, 0))
		offsets, timestamps, next, err := innerOf(m)
		require.NoError(t, err)
		require.Equal(t, []int64{10, 12}, offsets)
		require.Equal(t, []int64{-1, -1}, timestamps)
		require.EqualValues(t, 13, next)

		m.Offset = 50 // whatever the wrapper says
		offsets, _, next, err = innerOf(m)
		require.NoError(t, err)
		require.Equal(t, []int64{10, 12}, offsets)
		require.EqualValues(t, 51, next)
	})
	t.Run("magic 1 of old librdkafka: wrapper offset 0", func(t *testing.T) {
		m := wrap(t, LegacyMessage{Magic: 1, Attributes: 1}, at(0, 1), at(1, 2), at(2, 3))
		m.Offset = 0
		offsets, _, next, err := innerOf(m)
		require.NoError(t, err)
		require.Equal(t, []int64{0, 1, 2}, offsets)
		require.EqualValues(t, 3, next)
	})
	t.Run("magic 1, compacted: the first inner offset is not 0", func(t *testing.T) {
		m := wrap(t, LegacyMessage{Magic: 1, Attributes: 1}, at(0, 1), at(3, 2), at(5, 3))
		n := 12 + int(binary.BigEndian.Uint32(m.Value[8:]))
		m.Value = m.Value[n:] // as a cleaner would, keeping relative offsets 3 and 5
		m.Offset = 105
		offsets, _, next, err := innerOf(m)
		require.NoError(t, err)
		require.Equal(t, []int64{103, 105}, offsets)
		require.EqualValues(t, 106, next)
	})
}

func TestLegacy_TimestampsInsideAWrapper(t *testing.T) {
	create := wrap(t, LegacyMessage{Magic: 1, Attributes: 1, Timestamp: 99}, at(1, 5), at(2, 4))
	_, timestamps, _, err := innerOf(create)
	require.NoError(t, err)
	require.Equal(t, []int64{5, 4}, timestamps)

	appended := wrap(t, LegacyMessage{Magic: 1, Attributes: 1 | 8, Timestamp: 99}, at(1, 5), at(2, 4))
	_, timestamps, _, err = innerOf(appended)
	require.NoError(t, err)
	require.Equal(t, []int64{99, 99}, timestamps)

	set, err := appended.Inner(appended.Value)
	require.NoError(t, err)
	var in LegacyMessage
	_, err = set.Next(&in)
	require.NoError(t, err)
	require.Equal(t, LogAppendTimestampType, in.TimestampType())
	require.True(t, in.CRCValid(), "of the bytes as they were written")
}

func TestLegacy_TimestampTypes(t *testing.T) {
	require.Equal(t, NoTimestampType, (&LegacyMessage{Magic: 0, Attributes: 8}).TimestampType())
	require.Equal(t, CreateTimestampType, (&LegacyMessage{Magic: 1}).TimestampType())
	require.Equal(t, LogAppendTimestampType, (&LegacyMessage{Magic: 1, Attributes: 8}).TimestampType())
}

// Hostile corpus H2 and H4, on messages of magic 0 and 1.
func TestLegacy_RefusesBadWrappers(t *testing.T) {
	good := func() LegacyMessage { return wrap(t, LegacyMessage{Magic: 1, Attributes: 1}, at(10, 1), at(11, 2)) }
	length := 12 + int(binary.BigEndian.Uint32(good().Value[8:]))
	for name, tc := range map[string]struct {
		damage func(m *LegacyMessage)
		reason string
	}{
		"null value":          {func(m *LegacyMessage) { m.Value = nil }, "null value"},
		"no message":          {func(m *LegacyMessage) { m.Value = []byte{} }, "holds no message"},
		"cut short":           {func(m *LegacyMessage) { m.Value = m.Value[:len(m.Value)-1] }, "length 23"},
		"a few bytes left":    {func(m *LegacyMessage) { m.Value = append(m.Value, 1, 2, 3) }, "cut short"},
		"inner length -1":     {func(m *LegacyMessage) { put32(m.Value, 8, -1) }, "length -1"},
		"inner length 2^31-1": {func(m *LegacyMessage) { put32(m.Value, 8, math.MaxInt32) }, "length 2147483647"},
		"last before first":   {func(m *LegacyMessage) { m.Value[7] = 5 }, "do not rise"},
		"relative too large":  {func(m *LegacyMessage) { m.Value[length+6] = 1 }, "relative offset 257"},
		"relative negative":   {func(m *LegacyMessage) { m.Value[length] = 0x80 }, "relative offset -"},
		"first is negative":   {func(m *LegacyMessage) { m.Value[0] = 0x80 }, "message offset -"},
		"compressed again":    {func(m *LegacyMessage) { m.Value[17] = 1 }, "compressed again"},
		"another magic": {func(m *LegacyMessage) {
			m.Value = AppendLegacyMessage(nil, &LegacyMessage{Magic: 0, Value: []byte("v")})
		}, "has magic 1, one inside it 0"},
		"magic 2 inside": {func(m *LegacyMessage) { m.Value[16] = 2 }, "magic 2"},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			tc.damage(&m)
			_, _, _, err := innerOf(m)
			require.ErrorContains(t, err, tc.reason)
			require.ErrorContains(t, err, "11", "the wrapper's offset")
		})
	}
}

// A wrapper in a wrapper in a wrapper: depth 1 is all there is.
func TestLegacy_NestingEndsAtOnce(t *testing.T) {
	inner := LegacyMessage{Value: []byte("v")}
	for range 50 {
		b, err := AppendLegacyWrapper(nil, LegacyMessage{Magic: 1, Attributes: 1}, gzipped, inner)
		require.NoError(t, err)
		s := ScanBatches(b)
		require.True(t, s.Next())
		inner = *s.Message()
	}
	_, err := decodeSet(AppendLegacyMessage(nil, &inner))
	require.ErrorContains(t, err, "compressed again")
}

func gzipped(dst, src []byte) ([]byte, error) { return compress.Encode(compress.Gzip, dst, src) }

func TestLegacy_RefusesBadMessages(t *testing.T) {
	for name, tc := range map[string]struct {
		magic  int8
		damage func(b []byte) []byte
	}{
		"magic 1 shorter than its fields": {1, func(b []byte) []byte { put32(b, 8, 21); return b }},
		"magic 0 shorter than its fields": {0, func(b []byte) []byte { put32(b, 8, 13); return b }},
		"key length -2":                   {0, func(b []byte) []byte { put32(b, 18, -2); return b }},
		"key beyond the message":          {0, func(b []byte) []byte { put32(b, 18, 6); return append(b, make([]byte, 9)...) }},
		"key length 2^31-1":               {1, func(b []byte) []byte { put32(b, 26, math.MaxInt32); return b }},
		"value length -2":                 {0, func(b []byte) []byte { put32(b, 23, -2); return b }},
		"value shorter than the message":  {0, func(b []byte) []byte { put32(b, 23, 0); return b }},
		"negative offset":                 {0, func(b []byte) []byte { b[0] = 0x80; return b }},
		"magic 2":                         {0, func(b []byte) []byte { b[16] = 2; return b }},
		"cut short":                       {0, func(b []byte) []byte { return b[:len(b)-1] }},
		"nothing":                         {0, func(b []byte) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			b := AppendLegacyMessage(nil, &LegacyMessage{Offset: 7, Magic: tc.magic, Key: []byte("k"), Value: []byte("v")})
			var m LegacyMessage
			n, err := ReadLegacyMessage(b, &m)
			require.NoError(t, err)
			require.Equal(t, len(b), n)
			_, err = ReadLegacyMessage(tc.damage(b), &m)
			require.Error(t, err)
		})
	}
}

func TestLegacy_CRCCoversFromMagicToTheEnd(t *testing.T) {
	for magic := range int8(2) {
		good := AppendLegacyMessage(nil, &LegacyMessage{Offset: 7, Magic: magic, Key: []byte("key"), Value: []byte("value")})
		var m LegacyMessage
		for i := range good {
			b := append([]byte(nil), good...)
			b[i] ^= 0x10
			if _, err := ReadLegacyMessage(b, &m); err != nil {
				continue
			}
			require.Equal(t, i < 8, m.CRCValid(), "byte %d: only the offset is not covered", i)
		}
	}
}
