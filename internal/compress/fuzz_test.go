package compress

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzDecompress holds a codec to its contract on any bytes: errors of the two kinds, nothing written behind dst, the same answer
// from a larger buffer, and a size from the headers that is never below what comes out (gzip's is only a hint).
func fuzzDecompress(f *testing.F, codec Codec, o Options) {
	for _, form := range forms() {
		if form.codec != codec {
			continue
		}
		for _, want := range [][]byte{nil, []byte("hello"), text(3000), noise(300), make([]byte, 70_000)} {
			packed, err := form.encode(want)
			require.NoError(f, err)
			f.Add(packed, uint16(len(want)))
		}
	}
	mem := make([]byte, 80<<10)
	again := make([]byte, 200<<10)
	f.Fuzz(func(t *testing.T, src []byte, room uint16) {
		for i := range mem {
			mem[i] = 0xAA
		}
		n, err := Decode(codec, mem[:room], src, o)
		if behind := mem[room:]; len(behind) != bytes.Count(behind, []byte{0xAA}) {
			t.Fatal("wrote behind dst")
		}
		if n < 0 || n > int(room) {
			t.Fatalf("%d bytes in a buffer of %d", n, room)
		}
		size, sizeErr := Size(codec, src)
		for _, err := range []error{err, sizeErr} {
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrShortBuffer) {
				t.Fatalf("untyped error: %v", err)
			}
		}
		if errors.Is(sizeErr, ErrShortBuffer) {
			t.Fatal("Size needs no buffer")
		}
		if err != nil {
			return
		}
		if sizeErr != nil {
			t.Fatalf("decodes to %d bytes, but Size says %v", n, sizeErr)
		}
		if codec != Gzip && size < n || codec == Snappy && size != n {
			t.Fatalf("decodes to %d bytes, Size says %d", n, size)
		}
		if codec == Zstd {
			if least, _, err := zstdBounds(src); err != nil || uint64(n) < least {
				t.Fatalf("decodes to %d bytes, the least is %d, %v", n, least, err)
			}
		}
		m, err := Decode(codec, again, src, o)
		if err != nil || !bytes.Equal(mem[:n], again[:m]) {
			t.Fatalf("%d bytes, into a larger buffer %d, %v", n, m, err)
		}
	})
}

func FuzzDecompressGzip(f *testing.F)   { fuzzDecompress(f, Gzip, Options{}) }
func FuzzDecompressSnappy(f *testing.F) { fuzzDecompress(f, Snappy, Options{}) }
func FuzzDecompressZstd(f *testing.F)   { fuzzDecompress(f, Zstd, Options{}) }

// The header checksum would stop the fuzzer at the first byte.
func FuzzDecompressLZ4(f *testing.F) { fuzzDecompress(f, LZ4, Options{LZ4IgnoreHeaderChecksum: true}) }
