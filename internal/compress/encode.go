package compress

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// xerialBlock is how much a Java client puts into one xerial chunk.
const xerialBlock = 32 << 10

// Encode appends src, compressed in the form a Java client writes, to dst: one
// gzip member, xerial-framed snappy, an lz4 frame of independent blocks of 64 KiB
// without checksums, one zstd frame. It is for tests and fake brokers.
func Encode(c Codec, dst, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return encodeGzip(dst, src)
	case Snappy:
		return encodeXerial(dst, src), nil
	case LZ4:
		return encodeLZ4(dst, src, false)
	case Zstd:
		return encodeZstd(dst, src)
	}
	return dst, fmt.Errorf("%w %d", ErrUnknownCodec, int8(c))
}

// EncodeRawSnappy appends src as one snappy block without a frame, as clients other
// than Java's send it.
func EncodeRawSnappy(dst, src []byte) []byte {
	return append(dst, snappy.Encode(nil, src)...)
}

// EncodeLZ4Magic0 is Encode with the wrong frame header checksum that Java clients
// put into messages of magic 0: computed over the frame's magic too (KIP-57).
func EncodeLZ4Magic0(dst, src []byte) ([]byte, error) {
	return encodeLZ4(dst, src, true)
}

func encodeGzip(dst, src []byte) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	w := gzip.NewWriter(buf)
	if _, err := w.Write(src); err != nil {
		return dst, fmt.Errorf("compressing with gzip: %w", err)
	}
	if err := w.Close(); err != nil {
		return dst, fmt.Errorf("compressing with gzip: %w", err)
	}
	return buf.Bytes(), nil
}

func encodeXerial(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, 1) // version
	dst = binary.BigEndian.AppendUint32(dst, 1) // lowest compatible version
	for len(src) > 0 {
		n := min(len(src), xerialBlock)
		block := snappy.Encode(nil, src[:n])
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
		dst = append(dst, block...)
		src = src[n:]
	}
	return dst
}

func encodeLZ4(dst, src []byte, magic0 bool) ([]byte, error) {
	const maxBlock = 64 << 10
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	dst = append(dst, 1<<6|lz4FlagIndep, 4<<4)
	from := start + 4
	if magic0 {
		from = start
	}
	dst = append(dst, byte(xxh32(dst[from:])>>8))
	block := make([]byte, lz4.CompressBlockBound(maxBlock))
	var c lz4.Compressor
	for len(src) > 0 {
		n := min(len(src), maxBlock)
		m, err := c.CompressBlock(src[:n], block)
		if err != nil {
			return dst[:start], fmt.Errorf("compressing with lz4: %w", err)
		}
		if m == 0 || m >= n { // does not compress: stored
			dst = binary.LittleEndian.AppendUint32(dst, uint32(n)|lz4Uncompr)
			dst = append(dst, src[:n]...)
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(m))
			dst = append(dst, block[:m]...)
		}
		src = src[n:]
	}
	return binary.LittleEndian.AppendUint32(dst, 0), nil // EndMark
}

func encodeZstd(dst, src []byte) ([]byte, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return dst, fmt.Errorf("making a zstd encoder: %w", err)
	}
	defer e.Close() //nolint:errcheck // nothing is streamed through it
	return e.EncodeAll(src, dst), nil
}
