package protocol

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCoder_RefusesNullWhereTheSchemaAllowsNone(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version int16
		resp    Response
		body    string
		field   string
	}{
		{"string", 0, &FindCoordinatorResponse{}, "\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00\x00\x01", "Host"},
		{"compact string", 3, &FindCoordinatorResponse{}, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00", "Host"},
		{"string that may be null in later versions", 0, &JoinGroupResponse{}, "\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", "ProtocolName"},
		{"array", 1, &ListOffsetsResponse{}, "\xff\xff\xff\xff", "Topics"},
		{"compact array", 6, &ListOffsetsResponse{}, "\x00\x00\x00\x00\x00\x00", "Topics"},
		{"bytes", 0, &SyncGroupResponse{}, "\x00\x00\xff\xff\xff\xff", "Assignment"},
		{"compact bytes", 4, &SyncGroupResponse{}, "\x00\x00\x00\x00\x00\x00\x00\x00", "Assignment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := DecodeResponse([]byte(tc.body), tc.version, tc.resp)
			assert.ErrorContains(t, err, "field "+tc.field+" at byte")
			assert.ErrorContains(t, err, "null where the schema allows none")
		})
	}
}

func TestCoder_StringsAreAsLongAsInKafkaAtMost(t *testing.T) {
	resp := func(n int) *SaslAuthenticateResponse {
		return &SaslAuthenticateResponse{ErrorMessage: new(strings.Repeat("x", n))}
	}
	for _, v := range []int16{1, 2} {
		frame, err := AppendResponse(nil, 1, v, resp(32767))
		require.NoError(t, err)
		assert.Len(t, *decodeFrame(t, frame, v, KeySaslAuthenticate).(*SaslAuthenticateResponse).ErrorMessage, 32767)
		_, err = AppendResponse(nil, 1, v, resp(32768))
		assert.ErrorContains(t, err, "field ErrorMessage: a string of 32768 bytes, longer than Kafka's 32767")
	}

	body := append([]byte{0, 0}, binary.AppendUvarint(nil, 32769)...)
	body = append(body, make([]byte, 40000)...)
	assert.ErrorContains(t, DecodeResponse(body, 2, &SaslAuthenticateResponse{}), "field ErrorMessage at byte 5: a string of 32768 bytes")

	// The same in the streaming reader: the name of a topic.
	body = append(make([]byte, 10), 2)
	body = append(body, binary.AppendUvarint(nil, 32769)...)
	body = append(body, make([]byte, 40000)...)
	assert.ErrorContains(t, DecodeResponse(body, 12, &FetchResponse{}), "a string of 32768 bytes")
	assert.ErrorContains(t, ReadFetchResponse(bytes.NewReader(body), len(body), 12, &collector{}), "a string of 32768 bytes")
}

func TestCoder_BytesAliasTheInputAndNoMore(t *testing.T) {
	frame, err := AppendResponse(nil, 1, 1, &SaslAuthenticateResponse{AuthBytes: []byte("secret"), SessionLifetimeMs: 5})
	require.NoError(t, err)
	resp := decodeFrame(t, frame, 1, KeySaslAuthenticate).(*SaslAuthenticateResponse)

	_ = append(resp.AuthBytes, 0xff)
	assert.EqualValues(t, 5, decodeFrame(t, frame, 1, KeySaslAuthenticate).(*SaslAuthenticateResponse).SessionLifetimeMs,
		"appending to what was decoded does not write into what follows")
	frame[bytes.IndexByte(frame, 's')] = 'S'
	assert.Equal(t, "Secret", string(resp.AuthBytes))
}

func TestErrorCode_IsAnErrorButForNone(t *testing.T) {
	assert.NoError(t, None.Err())
	assert.ErrorIs(t, NotLeaderOrFollower.Err(), NotLeaderOrFollower)
	assert.Equal(t, "REQUEST_TIMED_OUT: The request timed out.", RequestTimedOut.Error())
	for _, unknown := range []ErrorCode{-2, 134, 32767, -32768} {
		assert.Error(t, unknown.Err())
		assert.False(t, unknown.Retriable())
		assert.Contains(t, unknown.Error(), unknown.Name())
	}
}

func TestUUID_HasKafkasTextForm(t *testing.T) {
	assert.Equal(t, "AAAAAAAAAAAAAAAAAAAAAA", UUID{}.String())
	assert.True(t, UUID{}.IsZero())
	id := UUID{0xfb, 0xff, 15: 1}
	assert.Equal(t, "-_8AAAAAAAAAAAAAAAAAAQ", id.String())
	assert.False(t, id.IsZero())
}

func TestVersions_OfAnUnknownAPI(t *testing.T) {
	_, _, ok := Versions(1000)
	assert.False(t, ok)
	assert.Nil(t, NewRequest(1000))
	assert.Nil(t, NewResponse(1000))
	assert.False(t, Flexible(1000, 5))
	assert.Equal(t, "key 1000", APIKey(1000).String())
}

func TestAnsweredBeforeThrottle_IsByVersion(t *testing.T) {
	// KIP-219, as the schemas' comments on "quota violation" say.
	for key, first := range map[APIKey]int16{
		KeyFetch: 8, KeyMetadata: 6, KeyListOffsets: 3, KeyOffsetCommit: 4, KeyOffsetFetch: 4, KeyFindCoordinator: 2,
		KeyJoinGroup: 3, KeyHeartbeat: 2, KeyLeaveGroup: 2, KeySyncGroup: 2, KeyApiVersions: 2,
	} {
		assert.False(t, AnsweredBeforeThrottle(key, first-1), key)
		assert.True(t, AnsweredBeforeThrottle(key, first), key)
	}
	_, highest, _ := Versions(KeySaslHandshake)
	assert.False(t, AnsweredBeforeThrottle(KeySaslHandshake, highest), "it has no throttle time")
}
