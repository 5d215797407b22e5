package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// allocated gives the bytes allocated while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// memoryBound is what decoding n bytes may allocate: Go values are larger than their bytes on the wire, the most so an
// empty string in an array of strings (16 bytes for one); an error takes a little.
func memoryBound(n int) uint64 { return uint64(48*n + 4096) }

// lies are four bytes that, put anywhere, make lengths and counts of 2^31-1, 2^32-1, -2^31 and varints without end.
var lies = map[string][4]byte{
	"2^31-1":        {0x7f, 0xff, 0xff, 0xff},
	"-1":            {0xff, 0xff, 0xff, 0xff},
	"-2^31":         {0x80, 0x00, 0x00, 0x00},
	"varint 2^28-1": {0xff, 0xff, 0xff, 0x7f},
}

func TestDecodeResponse_AllocatesNoMoreThanTheBytesAllow(t *testing.T) {
	for _, g := range goldens(t, "response") {
		if g.Sample != "full" || !g.isEdge() {
			continue
		}
		hostile(t, g, func(b []byte) {
			resp := NewResponse(keyNamed(g.api))
			_ = DecodeResponse(b, g.Version, resp) // an error or not: a lie may hit an ordinary number
			if g.api == "Fetch" {
				_ = ReadFetchResponse(bytes.NewReader(b), len(b), g.Version, &collector{drain: true})
			}
		})
	}
}

func TestDecodeRequest_AllocatesNoMoreThanTheBytesAllow(t *testing.T) {
	for _, g := range goldens(t, "request") {
		if g.Sample == "full" && g.isEdge() {
			hostile(t, g, func(b []byte) { _, _, _ = DecodeRequest(append(g.Header[:len(g.Header):len(g.Header)], b...)) })
		}
	}
}

func TestDecodeConsumerProtocol_AllocatesNoMoreThanTheBytesAllow(t *testing.T) {
	for _, g := range goldens(t, "data") {
		if g.Sample != "full" {
			continue
		}
		hostile(t, g, func(b []byte) {
			b = append(g.Header[:len(g.Header):len(g.Header)], b...)
			if g.api == "ConsumerProtocolSubscription" {
				_, _, _ = DecodeConsumerProtocolSubscription(b)
			} else {
				_, _, _ = DecodeConsumerProtocolAssignment(b)
			}
		})
	}
}

// hostile decodes a body with each lie at each byte, and cut off after it. The bound is on the sum, which one
// allocation from a length that lies would pass a thousand times over.
func hostile(t *testing.T, g golden, decode func(body []byte)) {
	t.Helper()
	for lie, four := range lies {
		bound, n := uint64(64<<10), 0 // the rest of the process allocates, too
		got := allocated(func() {
			for i := 0; i+4 <= len(g.Body); i++ {
				b := slices.Clone(g.Body)
				copy(b[i:], four[:])
				decode(b)
				decode(b[:i+4])
				bound += 2*memoryBound(len(b)) + 2*memoryBound(len(b)) // its copies, too
				n++
			}
		})
		require.LessOrEqual(t, got, bound, "%s with %s at each of %d bytes", g.name(), lie, n)
	}
}

func TestDecodeResponse_RefusesCountsThatLie(t *testing.T) {
	// An array count of 2^31-1 in a response of 20 bytes, for the arrays that come early enough for it.
	for _, tc := range []struct {
		key     APIKey
		version int16
		body    string // up to the count
		field   string
	}{
		{KeyFetch, 11, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "Responses"},
		{KeyFetch, 16, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "Responses"},
		{KeyListOffsets, 4, "\x00\x00\x00\x00", "Topics"},
		{KeyListOffsets, 11, "\x00\x00\x00\x00", "Topics"},
		{KeyMetadata, 8, "\x00\x00\x00\x00", "Brokers"},
		{KeyMetadata, 13, "\x00\x00\x00\x00", "Brokers"},
		{KeyOffsetCommit, 7, "\x00\x00\x00\x00", "Topics"},
		{KeyOffsetCommit, 10, "\x00\x00\x00\x00", "Topics"},
		{KeyOffsetFetch, 5, "\x00\x00\x00\x00", "Topics"},
		{KeyOffsetFetch, 10, "\x00\x00\x00\x00", "Groups"},
		{KeyFindCoordinator, 6, "\x00\x00\x00\x00", "Coordinators"},
		{KeyJoinGroup, 0, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "Members"},
		{KeyLeaveGroup, 5, "\x00\x00\x00\x00\x00\x00", "Members"},
		{KeySaslHandshake, 1, "\x00\x00", "Mechanisms"},
		{KeyApiVersions, 0, "\x00\x00", "ApiKeys"},
		{KeyApiVersions, 4, "\x00\x00", "ApiKeys"},
		{KeyOffsetForLeaderEpoch, 4, "\x00\x00\x00\x00", "Topics"},
	} {
		t.Run(fmt.Sprintf("%s v%d", tc.key, tc.version), func(t *testing.T) {
			count := "\x7f\xff\xff\xff"
			if Flexible(tc.key, tc.version) {
				count = "\xff\xff\xff\xff\x07"
			}
			body := []byte(tc.body + count)
			body = append(body, make([]byte, 20-len(body))...)
			resp := NewResponse(tc.key)
			var err error
			got := allocated(func() { err = DecodeResponse(body, tc.version, resp) })
			var decode *DecodeError
			require.ErrorAs(t, err, &decode)
			assert.Equal(t, tc.field, decode.Field)
			assert.Equal(t, len(tc.body)+len(count), decode.Offset)
			assert.LessOrEqual(t, got, memoryBound(len(body))+64<<10) // of 2^31: the rest of the process allocates, too
		})
	}
}

func TestDecodeResponse_MakesRoomByBytesNotByCount(t *testing.T) {
	// As many brokers as there are bytes left: possible by the count alone, but the first is broken already.
	body := make([]byte, 100_000)
	binary.BigEndian.PutUint32(body[4:], uint32(len(body)-8))
	binary.BigEndian.PutUint16(body[12:], 0xffff) // the first host is null
	var err error
	got := allocated(func() { err = DecodeResponse(body, 8, new(MetadataResponse)) })
	assert.EqualError(t, err, "protocol: cannot decode MetadataResponse version 8, field Brokers[0].Host at byte 14: null where the schema allows none")
	assert.LessOrEqual(t, got, uint64(len(body)+64<<10)) // of 56 bytes for each
}

func TestDecodeResponse_TaggedFieldsThatLie(t *testing.T) {
	// An ApiVersions response of version 3 without APIs, up to its tagged fields.
	const head = "\x00\x00\x01\x00\x00\x00\x00"
	epoch := string(binary.BigEndian.AppendUint64(nil, 5))
	for _, tc := range []struct {
		name, tags, reason string
	}{
		{"fewer than counted", "\x02\x01\x08" + epoch, "unfinished varint"},
		{"2^32-1 of them", "\xff\xff\xff\xff\x0f\x09\x00", "unfinished varint"},
		{"a count of 2^35", "\xff\xff\xff\xff\x7f", "more than 32 bits"},
		{"unknown, past the end", "\x01\x09\x05abcd", "field tag 9 at byte 10: a length of 5, with 4 bytes left"},
		{"known, past the end", "\x01\x01\x09" + epoch, "field tag 1 at byte 10: a length of 9, with 8 bytes left"},
		{"known, too short", "\x01\x01\x07" + epoch[1:], "FinalizedFeaturesEpoch at byte 10: 8 bytes needed, 7 left"},
		{"known, too long", "\x01\x01\x09" + epoch + "x", "FinalizedFeaturesEpoch at byte 18: 1 bytes left over of the tagged field's 9"},
		{"an array that runs into the next field", "\x02\x00\x01\x7f\x01\x08" + epoch, "SupportedFeatures at byte 11: a length of 126, with 0 bytes left"},
		{"size of 2^32-1", "\x01\x00\xff\xff\xff\xff\x0f", "a length of 4294967295, with 0 bytes left"},
		{"bytes after them", "\x00x", "1 bytes left over"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := DecodeResponse([]byte(head+tc.tags), 3, &ApiVersionsResponse{})
			assert.ErrorContains(t, err, tc.reason)
		})
	}

	t.Run("one twice: the last counts, as in Java", func(t *testing.T) {
		last := string(binary.BigEndian.AppendUint64(nil, 6))
		resp := &ApiVersionsResponse{}
		require.NoError(t, DecodeResponse([]byte(head+"\x02\x01\x08"+epoch+"\x01\x08"+last), 3, resp))
		assert.EqualValues(t, 6, resp.FinalizedFeaturesEpoch)
	})
	t.Run("not in order", func(t *testing.T) {
		resp := &ApiVersionsResponse{}
		require.NoError(t, DecodeResponse([]byte(head+"\x02\x03\x01\x01\x01\x08"+epoch), 3, resp))
		assert.EqualValues(t, 5, resp.FinalizedFeaturesEpoch)
		assert.True(t, resp.ZkMigrationReady)
	})
	t.Run("a known tag in a version that does not have it", func(t *testing.T) {
		// Tag 0 of a Fetch response has been NodeEndpoints since version 16 only.
		body := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x03abc"
		resp := &FetchResponse{}
		require.NoError(t, DecodeResponse([]byte(body), 15, resp))
		assert.Nil(t, resp.NodeEndpoints)
		require.NoError(t, ReadFetchResponse(strings.NewReader(body), len(body), 15, &collector{}))
		require.Error(t, DecodeResponse([]byte(body), 16, resp))
		require.Error(t, ReadFetchResponse(strings.NewReader(body), len(body), 16, &collector{}))
	})
}

// notKafka is what may come from a port where no Kafka broker listens, or from half of one.
var notKafka = map[string]string{
	"nothing":            "",
	"half a correlation": "\x00\x00",
	"a TLS alert":        "\x15\x03\x03\x00\x02\x02\x46",
	"HTTP":               "HTTP/1.1 400 Bad Request\r\n\r\n",
	"ones":               strings.Repeat("\xff", 64),
}

func TestDecodeRequest_RefusesWhatIsNotKafka(t *testing.T) {
	frames := maps.Clone(notKafka)
	frames["zeros"] = strings.Repeat("\x00", 64)
	frames["a negative API key"] = "\xff\xff\x00\x00\x00\x00\x00\x07\xff\xff"
	frames["a negative version"] = "\x00\x03\xff\xff\x00\x00\x00\x07\xff\xff"
	frames["a client id of -2"] = "\x00\x12\x00\x00\x00\x00\x00\x07\xff\xfe"
	frames["a client id too far"] = "\x00\x12\x00\x00\x00\x00\x00\x07\x7f\xffabc"
	for name, frame := range frames {
		_, req, err := DecodeRequest([]byte(frame))
		assert.Error(t, err, name)
		assert.Nil(t, req, name)
	}
}

func TestDecodeResponse_RefusesWhatIsNotKafka(t *testing.T) {
	for name, frame := range notKafka {
		for key := range apis {
			lowest, highest, _ := Versions(key)
			for v := lowest; v <= highest; v++ {
				_, body, err := SplitResponse([]byte(frame), ResponseHeaderVersion(key, v))
				if err == nil {
					err = DecodeResponse(body, v, NewResponse(key))
				}
				var decode *DecodeError
				assert.ErrorAs(t, err, &decode, "%s as %s v%d", name, key, v)
			}
		}
	}
}

func TestDecodeResponse_DropsWhatTheMessageHeldBefore(t *testing.T) {
	for key := range apis {
		lowest, highest, _ := Versions(key)
		for v := lowest; v <= highest; v++ {
			fresh, used := NewResponse(key), NewResponse(key)
			fill(newRandom(t, int64(v)), used)
			frame, err := AppendResponse(nil, 1, v, NewResponse(key))
			if key == KeyJoinGroup && v < 7 {
				require.Error(t, err) // the protocol's name may not be null
				continue
			}
			require.NoError(t, err)
			_, body, err := SplitResponse(frame[4:], ResponseHeaderVersion(key, v))
			require.NoError(t, err)
			require.NoError(t, DecodeResponse(body, v, fresh))
			require.NoError(t, DecodeResponse(body, v, used))
			assert.Equal(t, fresh, used, "%s v%d", key, v)
		}
	}
}
