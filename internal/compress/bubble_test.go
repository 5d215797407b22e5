package compress

import (
	"bytes"
	"testing"
	"testing/synctest"
)

// What one bubble has pooled, others and the world outside must be able to use.
func TestDecode_InsideAndOutsideOfBubbles(t *testing.T) {
	want := bytes.Repeat([]byte("kafka"), 1000)
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		src, err := Encode(c, nil, want)
		if err != nil {
			t.Fatal(err)
		}
		decode := func(t *testing.T) {
			dst := make([]byte, len(want))
			if n, err := Decode(c, dst, src, Options{}); err != nil || !bytes.Equal(dst[:n], want) {
				t.Fatalf("%v: %d bytes, %v", c, n, err)
			}
		}
		for range 3 {
			synctest.Test(t, decode)
			decode(t)
		}
	}
}
