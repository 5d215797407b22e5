package compress

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// recordLike is n bytes of the kind that services log: words in changing order, numbers.
func recordLike(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"order", "customer", "status", "shipped", "amount", "currency", "EUR", "created", "region", "north"}
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, `{"%s":"%s","id":%d,"%s":%d},`, words[r.IntN(10)], words[r.IntN(10)], r.IntN(1e6), words[r.IntN(10)], r.IntN(1000))
	}
	return b[:n]
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		want := recordLike(size)
		for _, f := range forms() {
			switch f.name {
			case "gzip", "snappy", "snappy-raw", "lz4", "zstd", "zstd-streamed":
			default:
				continue
			}
			b.Run(fmt.Sprintf("%s/%dKiB", f.name, size>>10), func(b *testing.B) {
				packed, err := f.encode(want)
				require.NoError(b, err)
				dst := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Decode(f.codec, dst, packed, f.opts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSize(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		for _, c := range codecs {
			b.Run(fmt.Sprintf("%s/%dKiB", c, size>>10), func(b *testing.B) {
				packed, err := Encode(c, nil, recordLike(size))
				require.NoError(b, err)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Size(c, packed); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
