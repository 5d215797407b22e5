package protocol

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/stretchr/testify/require"
)

// flipSets are record sets of several batches, in every format and codec, to be damaged.
func flipSets(t testing.TB) map[string][]byte {
	t.Helper()
	pack := func(c compress.Codec) Compressor {
		return func(dst, src []byte) ([]byte, error) { return compress.Encode(c, dst, src) }
	}
	sets := map[string][]byte{}
	for c := compress.None; c <= compress.Zstd; c++ {
		var v2, v1 []byte
		for i := range 3 {
			h := NewBatchHeader(int64(100 + 10*i))
			h.Attributes, h.BaseTimestamp = int16(c), 1000
			var records []RecordData
			var messages []LegacyMessage
			for j := range 10 {
				records = append(records, RecordData{
					OffsetDelta: int32(j), TimestampDelta: int64(j), Key: []byte("key"), Value: []byte("some value, some value"),
					Headers: []RecordHeader{{"h", []byte("v")}},
				})
				messages = append(messages, LegacyMessage{Magic: 1, Offset: h.BaseOffset + int64(j), Timestamp: int64(j), Value: []byte("some value, some value")})
			}
			var err error
			v2, err = AppendBatch(v2, h, pack(c), records...)
			require.NoError(t, err)
			switch c {
			case compress.Zstd: // came with magic 2
			case compress.None:
				for _, m := range messages {
					v1 = AppendLegacyMessage(v1, &m)
				}
			default:
				v1, err = AppendLegacyWrapper(v1, LegacyMessage{Magic: 1, Attributes: int8(c)}, pack(c), messages...)
				require.NoError(t, err)
			}
		}
		sets["magic2-"+c.String()] = v2
		if v1 != nil {
			sets["magic1-"+c.String()] = v1
		}
	}
	return sets
}

// uncovered takes out what no checksum covers: offsets, and the leader epoch.
func uncovered(all []decodedBatch) []decodedBatch {
	out := make([]decodedBatch, len(all))
	for i, b := range all {
		shift := b.Last
		b.Base, b.Next, b.Last, b.LeaderEpoch = b.Base-shift, b.Next-shift, 0, 0
		b.Records = append([]decodedRecord(nil), b.Records...)
		for j := range b.Records {
			b.Records[j].Offset -= shift
		}
		out[i] = b
	}
	return out
}

// With any one bit flipped, either the records are the same or there is an error; and what comes before is right. Only a length
// that has become larger may end the set early instead: that looks as a cut at the byte limit does, and the next fetch, which
// begins there, is an error.
func TestBitFlips_ChecksumCatchesOrRecordsAreTheSame(t *testing.T) {
	const flips = 10_000
	sets := flipSets(t)
	r := rand.New(rand.NewPCG(4, 2))
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			want, err := decodeSet(set)
			require.NoError(t, err)
			want = uncovered(want)
			caught, same, ended := 0, 0, 0
			for range flips/len(sets) + 1 {
				bit := r.IntN(len(set) * 8)
				set[bit/8] ^= 1 << (bit % 8)
				got, err := decodeSet(set)
				set[bit/8] ^= 1 << (bit % 8)
				got = uncovered(got)
				if len(got) > len(want) || !reflect.DeepEqual(want[:len(got)], got) {
					t.Fatalf("bit %d of byte %d: wrong records, error %v", bit%8, bit/8, err)
				}
				switch {
				case err != nil:
					caught++
				case len(got) == len(want):
					same++
				case !lengthField(set, bit/8):
					t.Fatalf("bit %d of byte %d: %d of %d batches and no error", bit%8, bit/8, len(got), len(want))
				default:
					ended++
				}
			}
			require.Greater(t, caught, 3*(same+ended), "same %d, ended early %d", same, ended)
		})
	}
}

// lengthField says whether byte at of a good set is in the length of a batch or message.
func lengthField(set []byte, at int) bool {
	s := ScanBatches(set)
	for s.Next() {
		if at >= s.Pos()+8 && at < s.Pos()+12 {
			return true
		}
	}
	return false
}
