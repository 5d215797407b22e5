package topic

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseName_GivesBackTheSpecOfEveryCase(t *testing.T) {
	for _, c := range append(append([]Case{}, Cases...), MoreCases...) {
		got, err := ParseName(c.Spec.Name())
		require.NoError(t, err)
		require.Equal(t, c.Spec, got)
	}
}

func TestParseName_RefusesWhatCannotBeServed(t *testing.T) {
	for _, name := range []string{"", "orders", "v100-brotli-p1-h0-b1024", "v100-lz4-p0-h0-b1024", "v100-lz4-p1-h0-b100", "v100-lz4-p1-h3-b1024"} {
		_, err := ParseName(name)
		require.Error(t, err, name)
	}
}

func TestNewLog_IsTheSameForTheSameSeed(t *testing.T) {
	spec := Spec{ValueBytes: 100, Codec: LZ4, Partitions: 2, Headers: 2, BatchBytes: 16 << 10}
	a, err := NewLog(spec, 5000, 1)
	require.NoError(t, err)
	b, err := NewLog(spec, 5000, 1)
	require.NoError(t, err)
	other, err := NewLog(spec, 5000, 2)
	require.NoError(t, err)
	require.Equal(t, a.batches, b.batches)
	require.NotEqual(t, a.batches[0], other.batches[0])
}

func TestNewLog_MakesBatchesAsFullAsFitsWithValidHeaders(t *testing.T) {
	for codec := None; codec <= ZstdStream; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			spec := Spec{ValueBytes: 100, Codec: codec, Partitions: 3, BatchBytes: 16 << 10}
			l, err := NewLog(spec, 1000, 1)
			require.NoError(t, err)
			require.GreaterOrEqual(t, l.Records(), int64(1000))
			for _, b := range l.Batches() {
				require.LessOrEqual(t, len(b), spec.BatchBytes)
				require.Equal(t, len(b)-12, int(binary.BigEndian.Uint32(b[8:])))
				require.Equal(t, crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)), binary.BigEndian.Uint32(b[17:]))
				require.Equal(t, spec.RecordsPerBatch(), int(binary.BigEndian.Uint32(b[57:])))
				require.Equal(t, min(int(codec), 4), int(b[22]))
			}
			if codec == None {
				require.Greater(t, len(l.Batches()[0]), spec.BatchBytes*95/100)
			}
		})
	}
}

func TestCompress_FramesAsTheJavaProducer(t *testing.T) {
	src := bytes.Repeat([]byte("a log line with a number 1 in it "), 5000)
	for codec, want := range map[Codec][]byte{
		Gzip:       {0x1f, 0x8b},
		Snappy:     {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1},
		LZ4:        {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40}, // independent blocks of 64 KiB, no checksums, no size
		ZstdStream: {0x28, 0xb5, 0x2f, 0xfd, 0x00},       // no content size, no single segment, no checksum
	} {
		got, err := compress(codec, nil, src)
		require.NoError(t, err)
		require.Equal(t, want, got[:len(want)], codec.String())
	}
}

func TestText_HasTheSizeAskedFor(t *testing.T) {
	text := newText(1)
	for size := range 2000 {
		require.Len(t, text.appendValue([]byte("before"), size), len("before")+size)
	}
}

func TestBatch_IsFoundByEachOfItsOffsets(t *testing.T) {
	l, err := NewLog(Spec{ValueBytes: 100, Partitions: 3, BatchBytes: 1 << 10}, 1000, 1)
	require.NoError(t, err)
	per := int64(l.Spec.RecordsPerBatch())
	for offset := range l.End() {
		_, base := l.Batch(1, offset)
		require.Equal(t, offset/per*per, base)
	}
}
