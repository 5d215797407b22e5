package compress

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// zstdForms are frames as other writers make them: streamed without a content size, as Java's, of several levels and windows,
// several frames with a skippable one between.
func zstdForms() []form {
	stream := func(opts ...zstd.EOption) func(src []byte) ([]byte, error) {
		return func(src []byte) ([]byte, error) {
			var b bytes.Buffer
			w, err := zstd.NewWriter(&b, append(opts, zstd.WithEncoderConcurrency(1))...)
			if err != nil {
				return nil, err
			}
			for len(src) > 0 { // in pieces: a single write would get a content size
				n := min(len(src), 20_000)
				if _, err := w.Write(src[:n]); err != nil {
					return nil, err
				}
				if err := w.Flush(); err != nil {
					return nil, err
				}
				src = src[n:]
			}
			err = w.Close()
			return b.Bytes(), err
		}
	}
	frames := func(src []byte) ([]byte, error) {
		a, err := encodeZstd(nil, src[:len(src)/3])
		if err != nil {
			return nil, err
		}
		b, err := stream()(src[len(src)/3:])
		return join(a, []byte{0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9}, b), err
	}
	return []form{
		{"zstd-streamed", Zstd, Options{}, stream()},
		{"zstd-best", Zstd, Options{}, stream(zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(16<<20))},
		{"zstd-no-checksum", Zstd, Options{}, stream(zstd.WithEncoderCRC(false))},
		{"zstd-several-frames", Zstd, Options{}, frames},
	}
}

// zstdFrame1 is a frame without content size or checksum, window 128 KiB, of these blocks.
func zstdFrame1(blocks ...[]byte) []byte {
	return join(le32(zstdMagic), []byte{0, 7 << 3}, join(blocks...))
}

// zstdBlock writes a block: kind 0 raw, 1 repeated byte, 2 compressed.
func zstdBlock(kind, size int, last bool, data []byte) []byte {
	h := uint32(size)<<3 | uint32(kind)<<1
	if last {
		h |= 1
	}
	return join([]byte{byte(h), byte(h >> 8), byte(h >> 16)}, data)
}

func TestZstd_BoundsFromBlockHeaders(t *testing.T) {
	literalsOnly := []byte{1 | 3<<2, 0, 0, 'x', 0} // 20-bit size, set below: one byte repeated, no sequences
	n := 100_000
	literalsOnly[0] |= byte(n << 4)
	literalsOnly[1], literalsOnly[2] = byte(n>>4), byte(n>>12)
	src := zstdFrame1(
		zstdBlock(0, 5, false, []byte("hello")),
		zstdBlock(1, 1000, false, []byte("z")),
		zstdBlock(2, len(literalsOnly), true, literalsOnly))

	least, most, err := zstdBounds(src)
	require.NoError(t, err)
	require.EqualValues(t, 101_005, least)
	require.EqualValues(t, 1005+zstdMaxBlock, most)

	dst := make([]byte, 101_005)
	m, err := Decode(Zstd, dst, src, Options{})
	require.NoError(t, err)
	require.Equal(t, 101_005, m)
	require.Equal(t, "helloz", string(dst[:6]))
	require.EqualValues(t, 'x', dst[m-1])

	_, err = Decode(Zstd, dst[:101_004], src, Options{})
	require.ErrorIs(t, err, ErrShortBuffer)
}

func TestZstd_RefusesBadFrames(t *testing.T) {
	single := func(fcs ...byte) []byte { // a frame with content size and one block of 5 stored bytes
		flags := map[int]byte{1: 0x20, 4: 0xa0, 8: 0xe0}[len(fcs)]
		return join(le32(zstdMagic), []byte{flags}, fcs, zstdBlock(0, 5, true, []byte("hello")))
	}
	good := single(5)
	dst := make([]byte, 1<<20)
	n, err := Decode(Zstd, dst, good, Options{})
	require.NoError(t, err)
	require.Equal(t, "hello", string(dst[:n]))

	for name, src := range map[string][]byte{
		"no magic":                  []byte("not a zstd frame"),
		"frame header cut short":    le32(zstdMagic),
		"content size too small":    single(4),
		"content size too large":    single(6),
		"content size 4 GiB":        single(0xff, 0xff, 0xff, 0xff),
		"content size 2^64-2":       single(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"reserved block type":       zstdFrame1(zstdBlock(3, 5, true, []byte("hello"))),
		"no last block":             zstdFrame1(zstdBlock(0, 5, false, []byte("hello"))),
		"block beyond the data":     zstdFrame1(zstdBlock(0, 6, true, []byte("hello"))),
		"block above 128 KiB":       zstdFrame1(zstdBlock(1, zstdMaxBlock+1, true, []byte("x"))),
		"compressed block, garbage": zstdFrame1(zstdBlock(2, 9, true, []byte("\x02garbage!"))),
		"skippable beyond the data": join(le32(zstdSkipMagic), le32(1<<31)),
		"unknown dictionary":        join(le32(zstdMagic), []byte{1, 7 << 3, 9}, zstdBlock(0, 5, true, []byte("hello"))),
		"trailing bytes":            join(good, []byte("x")),
		"wrong content checksum":    join(le32(zstdMagic), []byte{4, 7 << 3}, zstdBlock(0, 5, true, []byte("hello")), le32(1)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(Zstd, dst, src, Options{})
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
}

func TestZstd_WindowIsNotAllocated(t *testing.T) {
	src := join(le32(zstdMagic), []byte{0, 18 << 3}, zstdBlock(0, 5, true, []byte("hello"))) // window 256 MiB
	dst := make([]byte, 5)
	got := allocated(t, func() {
		n, err := Decode(Zstd, dst, src, Options{})
		require.NoError(t, err)
		require.Equal(t, 5, n)
	})
	require.Less(t, got, uint64(1<<20))
}

// Behind dst, no more is overwritten than the slack that is given; with less capacity than that, no more than there is.
func TestZstd_OverwritesTheSlackAtMost(t *testing.T) {
	want := append(text(1000), noise(200)...)
	for _, f := range zstdForms() {
		packed, err := f.encode(want)
		require.NoError(t, err)
		for bit := -1; bit < len(packed)*8; bit++ { // -1: as it is
			if bit >= 0 {
				packed[bit/8] ^= 1 << (bit % 8)
			}
			for _, room := range []int{len(want) + 64, len(want) + ZstdSlack/2} {
				mem := bytes.Repeat([]byte{0xAA}, len(want)+64)
				n, err := Decode(f.codec, mem[:len(want):room], packed, Options{Slack: ZstdSlack})
				if bit < 0 {
					require.NoError(t, err)
					require.Equal(t, want, mem[:n])
				}
				behind := mem[min(room, len(want)+ZstdSlack):]
				require.Len(t, behind, bytes.Count(behind, []byte{0xAA}), "%s, bit %d", f.name, bit)
			}
			if bit >= 0 {
				packed[bit/8] ^= 1 << (bit % 8)
			}
		}
	}
}
