package topic

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var zstdEncoder, _ = zstd.NewWriter(nil, zstdOptions...) // fails for wrong options only

var zstdOptions = []zstd.EOption{zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1)}

// compress appends src to dst, framed as the Java producer frames it, but for Zstd, whose frames have their content size as those of
// librdkafka and franz-go do; ZstdStream is Java's.
func compress(c Codec, dst, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Snappy:
		return appendXerial(dst, src), nil
	case Zstd:
		return zstdEncoder.EncodeAll(src, dst), nil
	}
	out := bytes.NewBuffer(dst)
	w, err := compressor(c, out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// compressor is a stream in the manner of Java's: no checksums, no content size, lz4 in independent blocks of 64 KiB.
func compressor(c Codec, out io.Writer) (io.WriteCloser, error) {
	switch c {
	case LZ4:
		w := lz4.NewWriter(out)
		err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.BlockChecksumOption(false))
		return w, err
	case ZstdStream:
		w, err := zstd.NewWriter(out, zstdOptions...)
		if err != nil {
			return nil, err
		}
		return flushFirst{w}, nil
	default:
		return gzip.NewWriterLevel(out, gzip.DefaultCompression)
	}
}

// flushFirst keeps the encoder from seeing that its input ends: it would write the content size of short input into the
// frame header, which zstd-jni, fed by a stream, cannot.
type flushFirst struct{ *zstd.Encoder }

func (f flushFirst) Close() error {
	if err := f.Flush(); err != nil {
		return err
	}
	return f.Encoder.Close()
}

// appendXerial frames snappy blocks of 32 KiB as snappy-java does.
func appendXerial(dst, src []byte) []byte {
	dst = append(dst, 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		n := min(len(src), 32<<10)
		block := s2.EncodeSnappy(nil, src[:n])
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
		dst = append(dst, block...)
		src = src[n:]
	}
	return dst
}
