// Package compress decodes and encodes the four codecs of Kafka's record
// batches: gzip, snappy (raw and xerial-framed), lz4 frames and zstd.
//
// Every decoder writes into memory the caller gives and never past it, so a
// decompression bomb costs no more than that memory. What a frame claims about
// its size is checked against what its compressed bytes can at most expand to
// before anything is allocated for it.
package compress

import (
	"errors"
	"fmt"
)

// Codec is a compression codec as numbered in bits 0–2 of the attributes of a
// record batch.
type Codec int8

// The codecs of Kafka. Zstd came with KIP-110.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// String gives the codec's name as Kafka writes it in compression.type.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Options changes how data is decoded.
type Options struct {
	// LZ4IgnoreHeaderChecksum accepts any header checksum in lz4 frames. Java
	// clients before 0.10 computed it over the wrong bytes, and such frames
	// live on in messages of magic 0 (KIP-57).
	LZ4IgnoreHeaderChecksum bool
	// Slack is how many bytes behind dst, in its capacity, may be overwritten. With
	// ZstdSlack of them zstd is decompressed in copies of 16 bytes to the very end, which
	// makes small batches a tenth faster. Other codecs do not need any.
	Slack int
}

// ZstdSlack is the slack that zstd is decompressed faster with.
const ZstdSlack = 16

var (
	// ErrShortBuffer says that the decompressed data does not fit into dst.
	ErrShortBuffer = errors.New("decompressed data does not fit the buffer")
	// ErrCorrupt is what errors.Is finds in every error about compressed bytes
	// that are not what their codec prescribes.
	ErrCorrupt = errors.New("corrupt compressed data")
	// ErrUnknownCodec says that no codec has this number.
	ErrUnknownCodec = errors.New("unknown compression codec")
)

// CorruptError says what is wrong with compressed bytes. errors.Is finds
// ErrCorrupt in it.
type CorruptError struct {
	Codec  Codec
	Reason string
	Err    error // what the codec's decoder said, or nil
}

// Error implements error.
func (e *CorruptError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("corrupt %s data: %s: %v", e.Codec, e.Reason, e.Err)
	}
	return fmt.Sprintf("corrupt %s data: %s", e.Codec, e.Reason)
}

// Unwrap gives the decoder's own error, nil when there is none.
func (e *CorruptError) Unwrap() error { return e.Err }

// Is reports true for ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// maxInt bounds sums of sizes where int has 32 bits.
const maxInt = int(^uint(0) >> 1)

func corrupt(c Codec, reason string, err error) error {
	return &CorruptError{Codec: c, Reason: reason, Err: err}
}

// Size tells from the frame headers alone, without decompressing, how much
// memory Decode needs for src. That is an upper bound, except for gzip, whose only
// size field counts modulo 4 GiB and for the last member alone: there n is the
// likely size. Decode checks in every case, and says ErrShortBuffer when src turns
// out to hold more.
//
// A claim that the compressed bytes cannot fulfil is an error, so n is never
// more than what src could really expand to.
func Size(c Codec, src []byte) (n int, err error) {
	switch c {
	case None:
		return len(src), nil
	case Gzip:
		return gzipSize(src)
	case Snappy:
		return snappySize(src)
	case LZ4:
		return lz4Size(src)
	case Zstd:
		return zstdSize(src)
	}
	return 0, fmt.Errorf("%w %d", ErrUnknownCodec, int8(c))
}

// Decode decompresses src into dst and returns how much was written. It writes
// nothing past len(dst) but Options.Slack, and says ErrShortBuffer when the data does not fit; what
// dst holds after an error is undefined. It may be called from any number of
// goroutines; src and dst must not overlap.
func Decode(c Codec, dst, src []byte, o Options) (n int, err error) {
	switch c {
	case None:
		if len(src) > len(dst) {
			return 0, ErrShortBuffer
		}
		return copy(dst, src), nil
	case Gzip:
		return gzipDecode(dst, src)
	case Snappy:
		return snappyDecode(dst, src)
	case LZ4:
		return lz4Decode(dst, src, o)
	case Zstd:
		return zstdDecode(dst, src, o)
	}
	return 0, fmt.Errorf("%w %d", ErrUnknownCodec, int8(c))
}
