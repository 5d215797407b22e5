package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

var errFrame = errors.New("malformed frame")

// inflater decompresses the frames that package topic makes, and no others, with the least work.
type inflater struct {
	zstd *zstd.Decoder
	gzip *gzip.Reader
}

// decode appends what is in src to dst.
func (f *inflater) decode(c topic.Codec, dst, src []byte) (out []byte, err error) {
	switch c {
	case topic.LZ4:
		return decodeLZ4(dst, src)
	case topic.Snappy:
		return decodeXerial(dst, src)
	case topic.Zstd, topic.ZstdStream:
		if f.zstd == nil {
			if f.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err != nil {
				return nil, err
			}
		}
		return f.zstd.DecodeAll(src, dst)
	case topic.Gzip:
		return f.decodeGzip(dst, src)
	default:
		return append(dst, src...), nil
	}
}

// decodeLZ4 takes frames of independent blocks of 64 KiB without checksums.
func decodeLZ4(dst, src []byte) ([]byte, error) {
	const header, blockMax, stored = 7, 64 << 10, 1 << 31
	if len(src) < header+4 {
		return nil, errFrame
	}
	src = src[header:]
	for len(src) >= 4 {
		n := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if n == 0 {
			return dst, nil
		}
		size := int(n &^ stored)
		if size > len(src) {
			break
		}
		if n&stored != 0 {
			dst = append(dst, src[:size]...)
		} else {
			dst = grow(dst, blockMax)
			got, err := lz4.UncompressBlock(src[:size], dst[len(dst):len(dst)+blockMax])
			if err != nil {
				return nil, err
			}
			dst = dst[:len(dst)+got]
		}
		src = src[size:]
	}
	return nil, errFrame
}

func decodeXerial(dst, src []byte) ([]byte, error) {
	const header = 16
	if len(src) < header {
		return nil, errFrame
	}
	for src = src[header:]; len(src) >= 4; {
		size := int(be.Uint32(src))
		if size > len(src)-4 {
			return nil, errFrame
		}
		block := src[4 : 4+size]
		src = src[4+size:]
		n, err := s2.DecodedLen(block)
		if err != nil {
			return nil, err
		}
		dst = grow(dst, n)
		if _, err := s2.Decode(dst[len(dst):len(dst)+n], block); err != nil {
			return nil, err
		}
		dst = dst[:len(dst)+n]
	}
	return dst, nil
}

func (f *inflater) decodeGzip(dst, src []byte) (_ []byte, err error) {
	if f.gzip == nil {
		f.gzip = new(gzip.Reader)
	}
	if err := f.gzip.Reset(bytes.NewReader(src)); err != nil {
		return nil, err
	}
	for {
		dst = grow(dst, 4<<10)
		n, err := f.gzip.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// grow makes room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, 2*cap(b)+n), b...)
}
