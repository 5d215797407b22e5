package protocol

import (
	"bytes"
	"reflect"
	"testing"
	"testing/iotest"
)

// fuzzResponse fuzzes the decoder of one response: whatever it accepts, it must be able to write, and read again as the same.
func fuzzResponse(f *testing.F, key APIKey) {
	for _, g := range goldens(f, "response") {
		if g.api == key.String() {
			f.Add(g.Version, []byte(g.Body))
		}
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		lowest, highest, _ := Versions(key)
		resp := NewResponse(key)
		err := DecodeResponse(body, version, resp)
		if version < lowest || version > highest {
			if err == nil {
				t.Fatalf("version %d was taken", version)
			}
			return
		}
		if err != nil {
			return
		}
		frame, err := AppendResponse(nil, 1, version, resp)
		if err != nil {
			t.Fatalf("%+v was read but cannot be written: %v", resp, err)
		}
		_, again, err := SplitResponse(frame[4:], ResponseHeaderVersion(key, version))
		if err != nil {
			t.Fatal(err)
		}
		second := NewResponse(key)
		if err := DecodeResponse(again, version, second); err != nil {
			t.Fatalf("%+v was written but cannot be read: %v", resp, err)
		}
		forgetEmptyTagged(resp)
		if !reflect.DeepEqual(resp, second) {
			t.Fatalf("read %+v\nread again %+v", resp, second)
		}
	})
}

// forgetEmptyTagged makes arrays nil that came empty in a tag: no tag is written for them.
func forgetEmptyTagged(resp Response) {
	switch r := resp.(type) {
	case *ApiVersionsResponse:
		r.SupportedFeatures = nilIfEmpty(r.SupportedFeatures)
		r.FinalizedFeatures = nilIfEmpty(r.FinalizedFeatures)
	case *FetchResponse:
		r.NodeEndpoints = nilIfEmpty(r.NodeEndpoints)
	}
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func FuzzDecodeApiVersions(f *testing.F)          { fuzzResponse(f, KeyApiVersions) }
func FuzzDecodeFetch(f *testing.F)                { fuzzResponse(f, KeyFetch) }
func FuzzDecodeFindCoordinator(f *testing.F)      { fuzzResponse(f, KeyFindCoordinator) }
func FuzzDecodeHeartbeat(f *testing.F)            { fuzzResponse(f, KeyHeartbeat) }
func FuzzDecodeJoinGroup(f *testing.F)            { fuzzResponse(f, KeyJoinGroup) }
func FuzzDecodeLeaveGroup(f *testing.F)           { fuzzResponse(f, KeyLeaveGroup) }
func FuzzDecodeListOffsets(f *testing.F)          { fuzzResponse(f, KeyListOffsets) }
func FuzzDecodeMetadata(f *testing.F)             { fuzzResponse(f, KeyMetadata) }
func FuzzDecodeOffsetCommit(f *testing.F)         { fuzzResponse(f, KeyOffsetCommit) }
func FuzzDecodeOffsetFetch(f *testing.F)          { fuzzResponse(f, KeyOffsetFetch) }
func FuzzDecodeOffsetForLeaderEpoch(f *testing.F) { fuzzResponse(f, KeyOffsetForLeaderEpoch) }
func FuzzDecodeSaslAuthenticate(f *testing.F)     { fuzzResponse(f, KeySaslAuthenticate) }
func FuzzDecodeSaslHandshake(f *testing.F)        { fuzzResponse(f, KeySaslHandshake) }
func FuzzDecodeSyncGroup(f *testing.F)            { fuzzResponse(f, KeySyncGroup) }

// FuzzReadFetchResponse holds the streaming reader to the ordinary decoder: both refuse, or both give the same.
func FuzzReadFetchResponse(f *testing.F) {
	for _, g := range fetchBodies(f) {
		f.Add(g.Version, []byte(g.Body), false, false)
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte, drain, slow bool) {
		want, wantErr := ordinary(body, version, drain)
		next := []byte("next")
		source := bytes.NewReader(append(body[:len(body):len(body)], next...))
		c := &collector{drain: drain}
		var err error
		if slow {
			err = ReadFetchResponse(iotest.OneByteReader(source), len(body), version, c)
		} else {
			err = ReadFetchResponse(source, len(body), version, c)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("streaming: %v\nordinary: %v", err, wantErr)
		}
		if source.Len() < len(next) {
			t.Fatalf("read %d bytes past the body", len(next)-source.Len())
		}
		if err == nil && !reflect.DeepEqual(want, c.fetched) {
			t.Fatalf("streaming %+v\nordinary %+v", c.fetched, want)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	for _, g := range goldens(f, "request") {
		f.Add(g.message())
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, req, err := DecodeRequest(frame)
		if err != nil {
			return
		}
		again, err := AppendRequest(nil, "", h.CorrelationID, h.Version, req)
		if err != nil {
			t.Fatalf("%+v was read but cannot be written: %v", req, err)
		}
		_, second, err := DecodeRequest(again[4:])
		if err != nil {
			t.Fatalf("%+v was written but cannot be read: %v", req, err)
		}
		if !reflect.DeepEqual(req, second) {
			t.Fatalf("read %+v\nread again %+v", req, second)
		}
	})
}

func FuzzDecodeConsumerProtocol(f *testing.F) {
	for _, g := range goldens(f, "data") {
		f.Add(g.message())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, s, err := DecodeConsumerProtocolSubscription(b); err == nil {
			again, err := AppendConsumerProtocolSubscription(nil, min(v, ConsumerProtocolVersion), &s)
			if err != nil {
				t.Fatal(err)
			}
			if _, second, err := DecodeConsumerProtocolSubscription(again); err != nil || !reflect.DeepEqual(s, second) {
				t.Fatalf("read %+v\nread again %+v, %v", s, second, err)
			}
		}
		if v, a, err := DecodeConsumerProtocolAssignment(b); err == nil && len(b) > 0 {
			again, err := AppendConsumerProtocolAssignment(nil, min(v, ConsumerProtocolVersion), &a)
			if err != nil {
				t.Fatal(err)
			}
			if _, second, err := DecodeConsumerProtocolAssignment(again); err != nil || !reflect.DeepEqual(a, second) {
				t.Fatalf("read %+v\nread again %+v, %v", a, second, err)
			}
		}
	})
}

func FuzzReadResponseHeader(f *testing.F) {
	f.Add([]byte("\x02\x05\x02xx\x07\x00body"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		r := bytes.NewReader(rest)
		n, err := ReadResponseHeader(r, len(rest), 1)
		body, want := SkipResponseHeader(rest, 1)
		if (err == nil) != (want == nil) {
			t.Fatalf("streaming: %v\nordinary: %v", err, want)
		}
		if err == nil && (len(rest)-n != len(body) || r.Len() != len(body)) {
			t.Fatalf("streaming leaves %d bytes and read all but %d, ordinary leaves %d", len(rest)-n, r.Len(), len(body))
		}
	})
}
