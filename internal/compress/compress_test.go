package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/require"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// form is one way in which data of a codec comes.
type form struct {
	name   string
	codec  Codec
	opts   Options
	encode func(src []byte) ([]byte, error)
}

func forms() []form {
	all := []form{
		{"snappy-raw", Snappy, Options{}, func(src []byte) ([]byte, error) { return EncodeRawSnappy(nil, src), nil }},
		{"lz4-magic0", LZ4, Options{LZ4IgnoreHeaderChecksum: true}, func(src []byte) ([]byte, error) { return EncodeLZ4Magic0(nil, src) }},
	}
	for _, c := range codecs {
		all = append(all, form{c.String(), c, Options{}, func(src []byte) ([]byte, error) { return Encode(c, nil, src) }})
	}
	return slices.Concat(all, gzipForms(), lz4Forms(), zstdForms())
}

// noise is n bytes that no codec makes smaller.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b) //nolint:errcheck // never fails
	return b
}

func text(n int) []byte {
	return []byte(strings.Repeat("some words that come again, and again. ", n/38+1)[:n])
}

// samples are what to compress; of the sizes at which blocks and chunks end, too.
func samples() map[string][]byte {
	half := append(noise(140_000), text(140_000)...)
	return map[string][]byte{
		"empty": {}, "byte": {7}, "short": []byte("hello"), "text": text(10_000), "noise": noise(1000),
		"both": half, "zeros": make([]byte, 300_000), "64KiB": text(64 << 10), "64KiB+1": text(64<<10 + 1), "32KiB": noise(32 << 10),
	}
}

func TestRoundTrip_FillsDstExactly(t *testing.T) {
	for _, f := range forms() {
		for name, want := range samples() {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				packed, err := f.encode(want)
				require.NoError(t, err)

				n, err := Size(f.codec, packed)
				require.NoError(t, err)
				if f.codec == Snappy || f.codec == LZ4 && len(packed) <= lz4MeasureMax {
					require.Equal(t, len(want), n)
				}
				require.GreaterOrEqual(t, n, len(want))

				dst := make([]byte, len(want))
				m, err := Decode(f.codec, dst, packed, f.opts)
				require.NoError(t, err)
				require.Equal(t, len(want), m)
				require.True(t, bytes.Equal(want, dst))
			})
		}
	}
}

// A buffer one byte too small is ErrShortBuffer, never corrupt, and what lies behind it in memory stays as it was.
func TestDecode_ShortBufferWritesNothingBehindIt(t *testing.T) {
	for _, f := range forms() {
		for name, want := range samples() {
			if len(want) == 0 {
				continue
			}
			packed, err := f.encode(want)
			require.NoError(t, err)
			for _, short := range []int{0, 1, len(want) / 2, len(want) - 1} {
				if short >= len(want) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%d", f.name, name, short), func(t *testing.T) {
					mem := bytes.Repeat([]byte{0xAA}, len(want)+256)
					_, err := Decode(f.codec, mem[:short], packed, f.opts)
					require.ErrorIs(t, err, ErrShortBuffer)
					require.Equal(t, len(mem)-short, bytes.Count(mem[short:], []byte{0xAA}), "bytes behind dst")
				})
			}
		}
	}
}

func TestDecode_LeavesTheRestOfALargerBuffer(t *testing.T) {
	want := text(100_000)
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			packed, err := f.encode(want)
			require.NoError(t, err)
			dst := make([]byte, 2*len(want), 3*len(want))
			n, err := Decode(f.codec, dst, packed, f.opts)
			require.NoError(t, err)
			require.Equal(t, len(want), n)
			require.True(t, bytes.Equal(want, dst[:n]))
			require.Equal(t, len(want), bytes.Count(dst[len(dst):cap(dst)], []byte{0}), "bytes behind dst")
		})
	}
}

// Everything cut short is an error, at whatever byte, but where whole frames are left: those of lz4 and zstd, a xerial stream
// without chunks.
func TestDecode_CutShortIsCorrupt(t *testing.T) {
	clean := map[string]int{"snappy-raw": 0, "gzip": 0, "gzip-named": 0, "snappy": 1, "lz4-several-frames": 3, "zstd-several-frames": 3}
	want := append(text(3000), noise(500)...)
	for _, f := range forms() {
		if f.codec == None {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			packed, err := f.encode(want)
			require.NoError(t, err)
			dst := make([]byte, len(want))
			whole := 0
			for n := range len(packed) {
				m, err := Decode(f.codec, dst, packed[:n], f.opts)
				if err == nil {
					require.Less(t, m, len(want), "cut at %d of %d", n, len(packed))
					whole++
					continue
				}
				require.ErrorIs(t, err, ErrCorrupt, "cut at %d of %d", n, len(packed))
			}
			expect, ok := clean[f.name]
			if !ok {
				expect = 1 // nothing at all
			}
			require.Equal(t, expect, whole)
		})
	}
}

func TestDecode_DamageIsNeverAPanicOrAnOverrun(t *testing.T) {
	want := append(text(1000), noise(200)...)
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			packed, err := f.encode(want)
			require.NoError(t, err)
			mem := bytes.Repeat([]byte{0xAA}, len(want)+64)
			for bit := range len(packed) * 8 {
				packed[bit/8] ^= 1 << (bit % 8)
				n, err := Decode(f.codec, mem[:len(want)], packed, f.opts)
				if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrShortBuffer) {
					t.Fatalf("bit %d: untyped error %v", bit, err)
				}
				require.LessOrEqual(t, n, len(want))
				require.Equal(t, 64, bytes.Count(mem[len(want):], []byte{0xAA}), "bytes behind dst, bit %d", bit)
				_, err = Size(f.codec, packed)
				require.True(t, err == nil || errors.Is(err, ErrCorrupt), "bit %d: %v", bit, err)
				packed[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
}

func TestDecode_ManyAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i, f := range forms() {
		for g := range 4 {
			want := append(text(20_000+1000*g), noise(i*100)...)
			packed, err := f.encode(want)
			require.NoError(t, err)
			wg.Go(func() {
				dst := make([]byte, len(want))
				for range 20 {
					n, err := Decode(f.codec, dst, packed, f.opts)
					if err != nil || !bytes.Equal(want, dst[:n]) {
						t.Errorf("%s: %d bytes, %v", f.name, n, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestUnknownCodec(t *testing.T) {
	for _, c := range []Codec{-1, 5, 6, 7} {
		_, err := Size(c, []byte("x"))
		require.ErrorIs(t, err, ErrUnknownCodec)
		_, err = Decode(c, nil, []byte("x"), Options{})
		require.ErrorIs(t, err, ErrUnknownCodec)
		_, err = Encode(c, nil, nil)
		require.ErrorIs(t, err, ErrUnknownCodec)
	}
	require.Equal(t, "codec(7)", Codec(7).String())
}

// Decoding allocates nothing once the pools are warm: the output belongs to the caller.
func TestDecode_AllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	want := text(100_000)
	for _, f := range forms() {
		if f.name == "gzip-named" {
			continue // the library makes strings of name and comment, which no Kafka client writes
		}
		t.Run(f.name, func(t *testing.T) {
			packed, err := f.encode(want)
			require.NoError(t, err)
			dst := make([]byte, len(want))
			allocs := testing.AllocsPerRun(50, func() {
				if _, err := Size(f.codec, packed); err != nil {
					t.Fatal(err)
				}
				if _, err := Decode(f.codec, dst, packed, f.opts); err != nil {
					t.Fatal(err)
				}
			})
			require.Zero(t, allocs)
		})
	}
}

func TestXXH32_KnownValues(t *testing.T) {
	// From the reference implementation's own documentation and test suite.
	require.Equal(t, uint32(0x02CC5D05), xxh32(nil))
	require.Equal(t, uint32(0x550D7456), xxh32([]byte("a")))
	require.Equal(t, uint32(0x32D153FF), xxh32([]byte("abc")))
	require.Equal(t, uint32(0xE2293B2F), xxh32([]byte("Nobody inspects the spammish repetition")))
}

// lz4BlockSize and the decoder have to agree on every block.
func TestLZ4BlockSize_AgreesWithTheDecoder(t *testing.T) {
	check := func(seed uint64, n uint16) bool {
		r := rand.New(rand.NewPCG(seed, 1))
		src := make([]byte, int(n))
		for i := range src {
			src[i] = byte(r.IntN(1 + r.IntN(4)*r.IntN(60)))
		}
		packed, err := Encode(LZ4, nil, src)
		if err != nil {
			return false
		}
		body := packed[lz4MinFrame+4 : len(packed)-4]
		if len(src) == 0 || len(body) == len(src) {
			return true // no block, or a stored one
		}
		got, ok := lz4BlockSize(body)
		return ok && got == len(src)
	}
	require.NoError(t, quick.Check(check, &quick.Config{MaxCount: 100}))
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
