package compress

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// allocated is how much memory f allocates, at its second run: the first fills the pools.
func allocated(t *testing.T, f func()) uint64 {
	t.Helper()
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// bombs are small inputs that expand to, or claim, very much (hostile corpus H4).
func bombs(t *testing.T) map[string]form {
	t.Helper()
	zeros := make([]byte, 16<<20)
	bytesOf := func(b []byte) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return b, nil }
	}
	encoded := func(c Codec) form {
		return form{"", c, Options{}, func([]byte) ([]byte, error) { return Encode(c, nil, zeros) }}
	}
	var rle, literals [][]byte
	for i := range 1000 {
		rle = append(rle, zstdBlock(1, zstdMaxBlock, i == 999, []byte{0}))
		literals = append(literals, zstdBlock(2, 5, i == 999, []byte{1 | 3<<2, 0, 0x20, 0, 0})) // 128 KiB of one byte
	}
	xerial := []byte(xerialHeader)
	one := EncodeRawSnappy(nil, zeros[:1<<20])
	for range 100 {
		xerial = join(xerial, be32(uint32(len(one))), one)
	}
	claim := join([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 100))
	return map[string]form{
		"gzip 1032x": encoded(Gzip),
		"gzip of many members": {"", Gzip, Options{}, func([]byte) ([]byte, error) {
			b, err := Encode(Gzip, nil, zeros[:1<<20])
			return bytes.Repeat(b, 50), err
		}},
		"snappy":              encoded(Snappy),
		"snappy header 4 GiB": {"", Snappy, Options{}, bytesOf(claim)},
		"xerial chunk list":   {"", Snappy, Options{}, bytesOf(xerial)},
		"lz4 255x":            encoded(LZ4),
		"lz4 of many frames": {"", LZ4, Options{}, func([]byte) ([]byte, error) {
			b, err := Encode(LZ4, nil, zeros[:1<<20])
			return bytes.Repeat(b, 50), err
		}},
		"zstd":                 encoded(Zstd),
		"zstd declares 64 GiB": {"", Zstd, Options{}, bytesOf(join(le32(zstdMagic), []byte{0xe0, 0, 0, 0, 0, 16, 0, 0, 0}, zstdBlock(1, 100, true, []byte{0})))},
		"zstd repeated bytes":  {"", Zstd, Options{}, bytesOf(zstdFrame1(rle...))},
		"zstd literals only":   {"", Zstd, Options{}, bytesOf(zstdFrame1(literals...))},
		"zstd of many frames": {"", Zstd, Options{}, func([]byte) ([]byte, error) {
			b, err := Encode(Zstd, nil, zeros[:1<<20])
			return bytes.Repeat(b, 50), err
		}},
		"zstd streamed, no size at all": {"", Zstd, Options{}, func([]byte) ([]byte, error) { return zstdForms()[0].encode(zeros[:8<<20]) }},
	}
}

// A bomb costs the memory the caller gave and next to nothing more.
func TestBombs_CostNoMoreThanTheBuffer(t *testing.T) {
	dst := make([]byte, 1<<20)
	for name, bomb := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			src, err := bomb.encode(nil)
			require.NoError(t, err)
			var n int
			got := allocated(t, func() {
				n, err = Decode(bomb.codec, dst, src, bomb.opts)
				if err == nil {
					t.Error("a bomb of 8 MiB and more fits into 1 MiB")
				}
			})
			require.LessOrEqual(t, n, len(dst))
			if raceEnabled {
				return // pools forget on purpose
			}
			require.Less(t, got, uint64(64<<10), "allocated beside dst")

			got = allocated(t, func() { _, _ = Size(bomb.codec, src) }) //nolint:errcheck // what it costs counts
			require.Less(t, got, uint64(1<<10), "allocated by Size")
		})
	}
}
