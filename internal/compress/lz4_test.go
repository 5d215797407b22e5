package compress

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
)

// lz4Forms are frames as other writers make them: larger and dependent blocks, checksums, content sizes, several frames.
func lz4Forms() []form {
	writer := func(opts ...lz4.Option) func(src []byte) ([]byte, error) {
		return func(src []byte) ([]byte, error) {
			var b bytes.Buffer
			w := lz4.NewWriter(&b)
			if err := w.Apply(opts...); err != nil {
				return nil, err
			}
			if _, err := w.Write(src); err != nil {
				return nil, err
			}
			err := w.Close()
			return b.Bytes(), err
		}
	}
	sized := func(src []byte) ([]byte, error) {
		return writer(lz4.SizeOption(uint64(len(src))))(src)
	}
	twice := func(src []byte) ([]byte, error) {
		a, err := sized(src[:len(src)/2])
		if err != nil {
			return nil, err
		}
		b, err := encodeLZ4(a, src[len(src)/2:], false)
		return join([]byte{0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9}, b), err // a skippable frame in front
	}
	return []form{
		{"lz4-4MiB-blocks", LZ4, Options{}, writer(lz4.BlockSizeOption(lz4.Block4Mb))},
		{"lz4-block-checksums", LZ4, Options{}, writer(lz4.BlockChecksumOption(true), lz4.ChecksumOption(true), lz4.BlockSizeOption(lz4.Block64Kb))},
		{"lz4-content-size", LZ4, Options{}, sized},
		{"lz4-several-frames", LZ4, Options{}, twice},
		{"lz4-dependent-blocks", LZ4, Options{}, encodeLZ4Dependent},
	}
}

// encodeLZ4Dependent writes blocks of up to 1000 bytes, each of which copies its first bytes from the block before: no library at
// hand writes such frames. A block is one sequence: literals, a match, and the last literals.
func encodeLZ4Dependent(src []byte) ([]byte, error) {
	desc := []byte{1 << 6, 4 << 4}
	out := join(le32(lz4Magic), desc, []byte{byte(xxh32(desc) >> 8)})
	const size = 1000
	for at := 0; at < len(src); at += size {
		block := src[at:min(at+size, len(src))]
		match := 0
		for at >= size && match < len(block) && block[match] == src[at-size+match] {
			match++
		}
		var seq []byte
		if match >= 4 {
			seq = lz4Sequence(nil, nil, size, match)
		} else {
			match = 0
		}
		seq = lz4Sequence(seq, block[match:], 0, 0)
		out = join(out, le32(uint32(len(seq))), seq)
	}
	return join(out, le32(0)), nil
}

// lz4Sequence appends a sequence; without a match it is the last of its block.
func lz4Sequence(dst, literals []byte, offset, match int) []byte {
	length := func(dst []byte, n int) []byte {
		if n < 15 {
			return dst
		}
		for n -= 15; n >= 255; n -= 255 {
			dst = append(dst, 255)
		}
		return append(dst, byte(n))
	}
	token := byte(min(len(literals), 15) << 4)
	if match > 0 {
		token |= byte(min(match-4, 15))
	}
	dst = length(append(dst, token), len(literals))
	dst = append(dst, literals...)
	if match > 0 {
		dst = length(append(dst, byte(offset), byte(offset>>8)), match-4)
	}
	return dst
}

func TestLZ4_DependentBlocksReallyDepend(t *testing.T) {
	packed, err := encodeLZ4Dependent(make([]byte, 5000))
	require.NoError(t, err)
	require.Less(t, len(packed), 1200, "later blocks are matches only")
}

// The measured header of a frame of magic 0: Java clients before 0.10 put 0x1a where 0x82 belongs (KIP-57).
func TestLZ4_HeaderChecksumOfMagic0(t *testing.T) {
	frame := join(le32(lz4Magic), []byte{0x60, 0x40, 0x1a}, le32(5|lz4Uncompr), []byte("hello"), le32(0))
	dst := make([]byte, 5)

	_, err := Decode(LZ4, dst, frame, Options{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "header checksum")

	n, err := Decode(LZ4, dst, frame, Options{LZ4IgnoreHeaderChecksum: true})
	require.NoError(t, err)
	require.Equal(t, "hello", string(dst[:n]))

	frame[6] = 0x82
	_, err = Decode(LZ4, dst, frame, Options{})
	require.NoError(t, err)

	ours, err := EncodeLZ4Magic0(nil, []byte("hello"))
	require.NoError(t, err)
	require.EqualValues(t, 0x1a, ours[6])
}

func TestLZ4_RefusesBadFrames(t *testing.T) {
	frame := func(flags, bd byte, rest ...[]byte) []byte {
		desc := []byte{flags, bd}
		return join(le32(lz4Magic), desc, []byte{byte(xxh32(desc) >> 8)}, join(rest...))
	}
	tooLong := lz4Sequence(lz4Sequence(nil, []byte("a"), 1, 64<<10), []byte("the end"), 0, 0)
	for name, src := range map[string][]byte{
		"no magic":                     []byte("not an lz4 frame"),
		"legacy frame":                 join(le32(0x184C2102), make([]byte, 20)),
		"version 2":                    frame(0xa0, 0x40, le32(0)),
		"dictionary id":                frame(0x61, 0x40, le32(7), le32(0)),
		"block maximum 3":              frame(0x60, 0x30, le32(0)),
		"reserved bit of BD":           frame(0x60, 0xc0, le32(0)),
		"block larger than maximum":    frame(0x60, 0x40, le32(64<<10+1), make([]byte, 70<<10)),
		"stored block above maximum":   frame(0x60, 0x40, le32((64<<10+1)|lz4Uncompr), make([]byte, 70<<10)),
		"block size beyond the data":   frame(0x60, 0x40, le32(100), []byte("short")),
		"no EndMark":                   frame(0x60, 0x40, le32(5|lz4Uncompr), []byte("hello")),
		"skippable frame beyond data":  join(le32(lz4SkipMagic), le32(1<<31)),
		"match before the block":       frame(0x60, 0x40, le32(4), []byte{0x10, 'a', 9, 0}, le32(0)),
		"wrong block checksum":         frame(0x70, 0x40, le32(5|lz4Uncompr), []byte("hello"), le32(1), le32(0)),
		"content checksum cut short":   frame(0x64, 0x40, le32(0), []byte{1}),
		"block expands above maximum":  frame(0x60, 0x40, le32(uint32(len(tooLong))), tooLong, le32(0)),
		"trailing bytes after a frame": frame(0x60, 0x40, le32(0), []byte("x")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(LZ4, make([]byte, 1<<20), src, Options{})
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
}

func TestLZ4_ContentSizeMustBeTrue(t *testing.T) {
	for _, claim := range []byte{0, 4, 6, 255} {
		desc := []byte{0x68, 0x40, claim, 0, 0, 0, 0, 0, 0, 0}
		src := join(le32(lz4Magic), desc, []byte{byte(xxh32(desc) >> 8)}, le32(5|lz4Uncompr), []byte("hello"), le32(0))
		_, err := Size(LZ4, src)
		require.ErrorIs(t, err, ErrCorrupt)
		_, err = Decode(LZ4, make([]byte, 300), src, Options{})
		require.ErrorIs(t, err, ErrCorrupt)
	}
}

// A claim above what the blocks can hold is refused before anybody allocates by it, also where only a bound is known.
func TestLZ4_ContentSizeAboveTheBoundIsRefused(t *testing.T) {
	packed, err := Encode(LZ4, nil, recordLike(30_000))
	require.NoError(t, err)
	blocks := packed[lz4MinFrame:]
	require.Greater(t, len(blocks), lz4MeasureMax)
	for _, claim := range []uint64{64<<10 + 1, 1 << 40, 1<<64 - 1} {
		desc := binary.LittleEndian.AppendUint64([]byte{0x68, 0x40}, claim)
		src := join(le32(lz4Magic), desc, []byte{byte(xxh32(desc) >> 8)}, blocks)
		_, err := Size(LZ4, src)
		require.ErrorIs(t, err, ErrCorrupt, "%d", claim)
	}
}
