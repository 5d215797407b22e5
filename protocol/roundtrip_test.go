package protocol

import (
	"errors"
	"math/rand"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newRandom gives random numbers of a seed, which a failing test shows.
func newRandom(t testing.TB, seed int64) *rand.Rand {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("random seed %d", seed)
		}
	})
	return rand.New(rand.NewSource(seed))
}

// fill gives random values to everything in the message that p points at.
func fill(r *rand.Rand, p any) { fillValue(r, reflect.ValueOf(p).Elem()) }

func fillValue(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(r, v.Field(i))
		}
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.Intn(64) >> (64 - v.Type().Bits()))
	case reflect.Uint8:
		v.SetUint(uint64(r.Intn(256)))
	case reflect.String:
		b := make([]byte, r.Intn(1<<r.Intn(9)))
		r.Read(b)
		v.SetString(string(b))
	case reflect.Array:
		for i := range v.Len() {
			fillValue(r, v.Index(i))
		}
	case reflect.Slice:
		v.SetZero()
		if n := r.Intn(6) - 1; n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fillValue(r, v.Index(i))
			}
		}
	case reflect.Pointer:
		v.SetZero()
		if r.Intn(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillValue(r, v.Elem())
		}
	default:
		panic("no random value for " + v.Type().String())
	}
}

// notInVersion reports whether a message was refused for what its version cannot say.
func notInVersion(err error) bool {
	var e *EncodeError
	return errors.As(err, &e)
}

const roundTrips = 100 // tries per message and version

func TestRequests_RoundTrip(t *testing.T) {
	for key := range apis {
		lowest, highest, _ := Versions(key)
		for v := lowest; v <= highest; v++ {
			r, written := newRandom(t, int64(v)), 0
			for range roundTrips {
				req := NewRequest(key)
				fill(r, req)
				first, err := AppendRequest(nil, "me", 1, v, req)
				if notInVersion(err) {
					continue
				}
				require.NoError(t, err)
				_, read, err := DecodeRequest(first[4:])
				require.NoError(t, err, "%s v%d: %+v", key, v, req)
				second, err := AppendRequest(nil, "me", 1, v, read)
				require.NoError(t, err)
				require.Equal(t, first, second, "%s v%d", key, v)
				_, again, err := DecodeRequest(second[4:])
				require.NoError(t, err)
				require.Equal(t, read, again, "%s v%d", key, v)
				written++
			}
			assert.Greater(t, written, roundTrips/25, "%s v%d", key, v)
		}
	}
}

func TestResponses_RoundTrip(t *testing.T) {
	for key := range apis {
		lowest, highest, _ := Versions(key)
		for v := lowest; v <= highest; v++ {
			r, written := newRandom(t, int64(v)), 0
			for range roundTrips {
				resp := NewResponse(key)
				fill(r, resp)
				first, err := AppendResponse(nil, 1, v, resp)
				if notInVersion(err) {
					continue
				}
				require.NoError(t, err)
				read := decodeFrame(t, first, v, key)
				second, err := AppendResponse(nil, 1, v, read)
				require.NoError(t, err)
				require.Equal(t, first, second, "%s v%d", key, v)
				require.Equal(t, read, decodeFrame(t, second, v, key), "%s v%d", key, v)
				written++
			}
			assert.Greater(t, written, roundTrips/25, "%s v%d", key, v)
		}
	}
}

// decodeFrame reads a response from its whole frame.
func decodeFrame(t *testing.T, frame []byte, version int16, key APIKey) Response {
	t.Helper()
	_, body, err := SplitResponse(frame[4:], ResponseHeaderVersion(key, version))
	require.NoError(t, err)
	resp := NewResponse(key)
	require.NoError(t, DecodeResponse(body, version, resp), "%s v%d", key, version)
	return resp
}

func TestNewestVersion_KeepsEveryField(t *testing.T) {
	// In its newest version a message says all that it still can: what comes back differs only in
	// fields that have been dropped, and in empty for null.
	r := newRandom(t, 1)
	req := &FetchRequest{}
	fill(r, req)
	req.ReplicaID, req.Topics[0].Topic = -1, "" // gone since 15 and 13
	req.Topics, req.ForgottenTopicsData = req.Topics[:1], nil
	frame, err := AppendRequest(nil, "me", 1, 18, req)
	require.NoError(t, err)
	_, got, err := DecodeRequest(frame[4:])
	require.NoError(t, err)
	req.ForgottenTopicsData = []FetchRequestForgottenTopic{}
	assert.Equal(t, req, got)
}

func TestDecodeConsumerProtocol_ReadsNewerVersionsAsItsNewest(t *testing.T) {
	s := ConsumerProtocolSubscription{Topics: []string{"a"}, OwnedPartitions: []ConsumerProtocolTopicPartition{{"a", []int32{1}}}, GenerationID: 3, RackID: new("r")}
	b, err := AppendConsumerProtocolSubscription(nil, 3, &s)
	require.NoError(t, err)
	b[1] = 9 // version 9, which may add fields at the end

	version, got, err := DecodeConsumerProtocolSubscription(append(b, "more"...))

	require.NoError(t, err)
	assert.EqualValues(t, 9, version)
	assert.Equal(t, s, got)
	_, err = AppendConsumerProtocolSubscription(nil, 4, &s)
	assert.EqualError(t, err, "protocol: cannot encode ConsumerProtocolSubscription version 4: only versions 0 to 3 are known")
	_, _, err = DecodeConsumerProtocolSubscription([]byte{0xff, 0xff, 0, 0})
	assert.ErrorContains(t, err, "field Version")
}

func TestDecodeConsumerProtocolAssignment_TakesNoBytesForNoPartitions(t *testing.T) {
	_, a, err := DecodeConsumerProtocolAssignment(nil)
	require.NoError(t, err)
	assert.Empty(t, a.AssignedPartitions)
}
