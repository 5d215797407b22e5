package protocol

import (
	"math"
	"strconv"
)

// APIKey numbers the kinds of request (ApiKeys in Kafka).
type APIKey int16

// The APIs of this package.
const (
	KeyFetch                APIKey = 1
	KeyListOffsets          APIKey = 2
	KeyMetadata             APIKey = 3
	KeyOffsetCommit         APIKey = 8
	KeyOffsetFetch          APIKey = 9
	KeyFindCoordinator      APIKey = 10
	KeyJoinGroup            APIKey = 11
	KeyHeartbeat            APIKey = 12
	KeyLeaveGroup           APIKey = 13
	KeySyncGroup            APIKey = 14
	KeySaslHandshake        APIKey = 17
	KeyApiVersions          APIKey = 18
	KeyOffsetForLeaderEpoch APIKey = 23
	KeySaslAuthenticate     APIKey = 36
)

// api is what the package knows of one API.
type api struct {
	name     string
	min, max int16 // versions spoken
	flexible int16 // first version with compact types and tagged fields (KIP-482)
	throttle int16 // first version that is answered before the broker throttles (KIP-219)
	request  func() Request
	response func() Response
}

// never is the first version with something an API does not have.
const never = math.MaxInt16

// apis maps keys to APIs. Upper versions are those of Kafka 4.3; lower ones are what a 4.x broker still
// accepts, except for Metadata, which may create topics unasked below version 4.
var apis = map[APIKey]*api{
	KeyFetch: {"Fetch", 4, 18, 12, 8,
		func() Request { return NewFetchRequest() }, func() Response { return new(FetchResponse) }},
	KeyListOffsets: {"ListOffsets", 1, 11, 6, 3,
		func() Request { return NewListOffsetsRequest() }, func() Response { return new(ListOffsetsResponse) }},
	KeyMetadata: {"Metadata", 4, 13, 9, 6,
		func() Request { return NewMetadataRequest() }, func() Response { return NewMetadataResponse() }},
	KeyOffsetCommit: {"OffsetCommit", 2, 10, 8, 4,
		func() Request { return NewOffsetCommitRequest() }, func() Response { return new(OffsetCommitResponse) }},
	KeyOffsetFetch: {"OffsetFetch", 1, 10, 6, 4,
		func() Request { return new(OffsetFetchRequest) }, func() Response { return new(OffsetFetchResponse) }},
	KeyFindCoordinator: {"FindCoordinator", 0, 6, 3, 2,
		func() Request { return new(FindCoordinatorRequest) }, func() Response { return new(FindCoordinatorResponse) }},
	KeyJoinGroup: {"JoinGroup", 0, 9, 6, 3,
		func() Request { return NewJoinGroupRequest() }, func() Response { return NewJoinGroupResponse() }},
	KeyHeartbeat: {"Heartbeat", 0, 4, 4, 2,
		func() Request { return new(HeartbeatRequest) }, func() Response { return new(HeartbeatResponse) }},
	KeyLeaveGroup: {"LeaveGroup", 0, 5, 4, 2,
		func() Request { return new(LeaveGroupRequest) }, func() Response { return new(LeaveGroupResponse) }},
	KeySyncGroup: {"SyncGroup", 0, 5, 4, 2,
		func() Request { return new(SyncGroupRequest) }, func() Response { return new(SyncGroupResponse) }},
	KeySaslHandshake: {"SaslHandshake", 0, 1, never, never,
		func() Request { return new(SaslHandshakeRequest) }, func() Response { return new(SaslHandshakeResponse) }},
	KeySaslAuthenticate: {"SaslAuthenticate", 0, 2, 2, never,
		func() Request { return new(SaslAuthenticateRequest) }, func() Response { return new(SaslAuthenticateResponse) }},
	KeyApiVersions: {"ApiVersions", 0, 4, 3, 2,
		func() Request { return new(ApiVersionsRequest) }, func() Response { return NewApiVersionsResponse() }},
	KeyOffsetForLeaderEpoch: {"OffsetForLeaderEpoch", 2, 4, 4, 2,
		func() Request { return NewOffsetForLeaderEpochRequest() }, func() Response { return new(OffsetForLeaderEpochResponse) }},
}

// String gives the API's name as Kafka writes it, "Fetch"; its number for one this package does not know.
func (k APIKey) String() string {
	if a := apis[k]; a != nil {
		return a.name
	}
	return "key " + strconv.Itoa(int(k))
}

// Versions gives the lowest and highest version of an API that this package speaks; ok is false for none.
func Versions(k APIKey) (lowest, highest int16, ok bool) {
	a := apis[k]
	if a == nil {
		return 0, -1, false
	}
	return a.min, a.max, true
}

// Flexible reports whether a version of an API uses compact types and tagged fields (KIP-482).
func Flexible(k APIKey, v int16) bool {
	a := apis[k]
	return a != nil && v >= a.flexible
}

// AnsweredBeforeThrottle reports whether a broker that throttles answers this version of an API first and
// leaves the waiting to the client (KIP-219). Below it the broker has already waited.
func AnsweredBeforeThrottle(k APIKey, v int16) bool {
	a := apis[k]
	return a != nil && v >= a.throttle
}

// NewRequest gives an empty request of an API with the schema's defaults, nil for an unknown key.
func NewRequest(k APIKey) Request {
	if a := apis[k]; a != nil {
		return a.request()
	}
	return nil
}

// NewResponse gives an empty response of an API with the schema's defaults, nil for an unknown key.
func NewResponse(k APIKey) Response {
	if a := apis[k]; a != nil {
		return a.response()
	}
	return nil
}

// unsupported is the error for a version outside of Versions, nil inside.
func unsupported(k APIKey, v int16) error {
	lowest, highest, _ := Versions(k)
	if v >= lowest && v <= highest {
		return nil
	}
	return &UnsupportedVersionError{Key: k, Version: v, Min: lowest, Max: highest}
}
