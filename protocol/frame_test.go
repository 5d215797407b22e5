package protocol

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAppendRequest_WritesHeaderOfVersion(t *testing.T) {
	t.Run("not flexible", func(t *testing.T) {
		frame, err := AppendRequest([]byte("before"), "me", 7, 2, &ApiVersionsRequest{})
		require.NoError(t, err)
		assert.Equal(t, "before\x00\x00\x00\x0c\x00\x12\x00\x02\x00\x00\x00\x07\x00\x02me", string(frame))
	})
	t.Run("flexible keeps the client id's two-byte length", func(t *testing.T) {
		frame, err := AppendRequest(nil, "me", 7, 3, &ApiVersionsRequest{ClientSoftwareName: "a", ClientSoftwareVersion: "1"})
		require.NoError(t, err)
		assert.Equal(t, "\x00\x00\x00\x12\x00\x12\x00\x03\x00\x00\x00\x07\x00\x02me\x00\x02a\x021\x00", string(frame))
	})
}

func TestAppendRequest_RefusesWhatCannotBeSent(t *testing.T) {
	dst := []byte("before")

	got, err := AppendRequest(dst, "me", 1, 99, &ApiVersionsRequest{})
	var version *UnsupportedVersionError
	require.ErrorAs(t, err, &version)
	assert.Equal(t, UnsupportedVersionError{Key: KeyApiVersions, Version: 99, Min: 0, Max: 4}, *version)
	assert.Equal(t, dst, got)

	got, err = AppendRequest(dst, "me", 1, 9, &MetadataRequest{Topics: []MetadataRequestTopic{{}}})
	assert.EqualError(t, err, "protocol: cannot encode MetadataRequest version 9, field Topics[0].Name: null, which is allowed from version 10 on")
	assert.Equal(t, dst, got)

	_, err = AppendRequest(dst, "me", 1, 2, &HeartbeatRequest{GroupInstanceID: new("i")})
	assert.EqualError(t, err, `protocol: cannot encode HeartbeatRequest version 2, field GroupInstanceID: "i", which needs version 3`)

	_, err = AppendRequest(dst, string(make([]byte, 1<<15)), 1, 0, &ApiVersionsRequest{})
	assert.ErrorContains(t, err, "longer than Kafka's")
}

func TestAppendRequest_RefusesToLeaveOutWhatMatters(t *testing.T) {
	// What a request asks for has another form in other versions: one that has only that form would ask for nothing.
	id := UUID{1}
	for _, tc := range []struct {
		version int16
		req     Request
		reason  string
	}{
		{3, &FindCoordinatorRequest{CoordinatorKeys: []string{"g"}}, "field CoordinatorKey: is empty, and CoordinatorKeys is not in this version"},
		{4, &FindCoordinatorRequest{CoordinatorKey: "g"}, "field CoordinatorKeys: is empty, and CoordinatorKey is not in this version"},
		{0, &FindCoordinatorRequest{CoordinatorKey: "g", KeyType: 1}, "field KeyType: 1, which needs version 1"},
		{7, &OffsetFetchRequest{Groups: []OffsetFetchRequestGroup{{GroupID: "g"}}}, "field GroupID: is empty"},
		{8, &OffsetFetchRequest{GroupID: "g"}, "field Groups: is empty"},
		{2, &LeaveGroupRequest{Members: []LeaveGroupRequestMember{{MemberID: "m"}}}, "field MemberID: is empty"},
		{3, &LeaveGroupRequest{MemberID: "m"}, "field Members: is empty"},
		{1, &ListOffsetsRequest{IsolationLevel: 1}, "field IsolationLevel: 1, which needs version 2"},
		{13, &FetchRequest{Topics: []FetchRequestTopic{{TopicID: id}, {Topic: "t"}}}, `field Topics[1].TopicID: topic "t" has none, which version 13 needs`},
		{13, &FetchRequest{ForgottenTopicsData: []FetchRequestForgottenTopic{{Topic: "t"}}}, `field ForgottenTopicsData[0].TopicID: topic "t" has none`},
		{10, &OffsetCommitRequest{Topics: []OffsetCommitRequestTopic{{Name: "t"}}}, `field Topics[0].TopicID: topic "t" has none, which version 10 needs`},
	} {
		_, err := AppendRequest(nil, "me", 1, tc.version, tc.req)
		assert.ErrorContains(t, err, tc.reason)
	}
}

func TestDecodeRequest_GivesHeaderOfUnsupportedVersion(t *testing.T) {
	// KIP-511: a broker answers an ApiVersions request of a version it does not know, in version 0.
	frame := []byte("\x00\x12\x00\x7f\x00\x00\x00\x07\x00\x02me\x00what version 127 may hold")
	h, req, err := DecodeRequest(frame)
	var version *UnsupportedVersionError
	require.ErrorAs(t, err, &version)
	assert.Nil(t, req)
	assert.Equal(t, RequestHeader{Key: KeyApiVersions, Version: 127, CorrelationID: 7, ClientID: new("me")}, h)
}

func TestDecodeRequest_GivesHeaderOfUnknownAPI(t *testing.T) {
	h, _, err := DecodeRequest([]byte("\x03\xe8\x00\x01\x00\x00\x00\x07\xff\xff"))
	assert.EqualError(t, err, "protocol: API key 1000 is not supported")
	assert.Equal(t, RequestHeader{Key: 1000, Version: 1, CorrelationID: 7}, h)
}

func TestResponseHeader_HasTagsWhereFlexible(t *testing.T) {
	assert.EqualValues(t, 0, ResponseHeaderVersion(KeyMetadata, 8))
	assert.EqualValues(t, 1, ResponseHeaderVersion(KeyMetadata, 9))
	assert.EqualValues(t, 0, ResponseHeaderVersion(KeyApiVersions, 4), "ApiVersions keeps header version 0")

	frame := []byte("\x00\x00\x00\x2a\x01\x05\x02xxbody")
	correlation, body, err := SplitResponse(frame, 1)
	require.NoError(t, err)
	assert.EqualValues(t, 42, correlation)
	assert.Equal(t, "body", string(body))

	body, err = SkipResponseHeader(frame[4:], 1)
	require.NoError(t, err)
	assert.Equal(t, "body", string(body))

	_, body, err = SplitResponse(frame, 0)
	require.NoError(t, err)
	assert.Equal(t, frame[4:], body)
}
