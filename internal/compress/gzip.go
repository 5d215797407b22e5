package compress

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipMaxRatio is the most that deflate can expand: a match of 258 bytes costs
// two bits at the least.
const gzipMaxRatio = 1032

// gzipMinSize is an empty member: a header of 10 bytes, an empty deflate block of
// 2, a trailer of 8 (RFC 1952).
const gzipMinSize = 20

// gzipReader keeps a decoder together with the reader it reads from, so that
// neither is allocated again.
type gzipReader struct {
	src bytes.Reader
	z   gzip.Reader
}

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

// gzipSize reads ISIZE, the last four bytes: the length of the last member
// modulo 4 GiB.
func gzipSize(src []byte) (int, error) {
	if len(src) < gzipMinSize {
		return 0, corrupt(Gzip, "shorter than an empty member", nil)
	}
	if src[0] != 0x1f || src[1] != 0x8b {
		return 0, corrupt(Gzip, "no gzip header", nil)
	}
	n := int64(binary.LittleEndian.Uint32(src[len(src)-4:]))
	return int(min(n, int64(len(src))*gzipMaxRatio, int64(maxInt))), nil
}

// gzipDecode reads all members: some clients have sent concatenated ones.
func gzipDecode(dst, src []byte) (int, error) {
	g := gzipReaders.Get().(*gzipReader)
	defer func() {
		g.src.Reset(nil) // a pooled reader keeps nobody's bytes alive
		gzipReaders.Put(g)
	}()
	g.src.Reset(src)
	if err := g.z.Reset(&g.src); err != nil {
		return 0, corrupt(Gzip, "reading the member header", noEOF(err))
	}
	n := 0
	for n < len(dst) {
		m, err := g.z.Read(dst[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, corrupt(Gzip, "inflating", noEOF(err))
		}
	}
	// dst is full: only the end may follow, with its checksums.
	var one [1]byte
	for {
		m, err := g.z.Read(one[:])
		switch {
		case m > 0:
			return n, ErrShortBuffer
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, corrupt(Gzip, "inflating", noEOF(err))
		}
	}
}

// noEOF turns an io.EOF that comes in the middle of a member into what it is.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
