package compress

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdMagic         = 0xFD2FB528
	zstdSkipMagic     = 0x184D2A50 // the low four bits are free
	zstdSkipMask      = 0xFFFFFFF0
	zstdMaxBlock      = 128 << 10
	zstdBlockHeader   = 3
	zstdNoContentSize = ^uint64(0)
)

// zstdDecoders are decoders of concurrency 1: they start no goroutines. No window is
// allocated: the output is the history, and so windows above 8 MiB, which high levels
// write, cost nothing. They are made when the program starts, as each holds a channel:
// one made inside a testing/synctest bubble could not be used outside of it, so it is
// not kept.
var zstdDecoders = newZstdPool(max(4, runtime.NumCPU()))

// zstdPool keeps the decoders that nobody uses, the warmest on top.
type zstdPool struct {
	mu   sync.Mutex
	free []*zstd.Decoder
}

func newZstdPool(n int) *zstdPool {
	p := &zstdPool{}
	for range n {
		if d, err := newZstdDecoder(); err == nil {
			p.free = append(p.free, d)
		}
	}
	return p
}

// get gives a decoder; where none is free, one that is not to be put back.
func (p *zstdPool) get() (d *zstd.Decoder, pooled bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		d, p.free = p.free[n-1], p.free[:n-1]
		return d, true, nil
	}
	d, err = newZstdDecoder()
	return d, false, err
}

func (p *zstdPool) put(d *zstd.Decoder) {
	p.mu.Lock()
	p.free = append(p.free, d)
	p.mu.Unlock()
}

func newZstdDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderLowmem(true),
	)
}

// zstdDecode decodes into dst in place. What the headers show not to fit is refused
// before anything is decoded; of the rest, a block that overflows dst by its last
// literals makes the library move its output once, which is dropped then.
func zstdDecode(dst, src []byte, o Options) (int, error) {
	least, most, err := zstdBounds(src)
	if err != nil {
		return 0, err
	}
	if least > uint64(len(dst)) {
		return 0, ErrShortBuffer
	}
	d, pooled, err := zstdDecoders.get()
	if err != nil {
		return 0, err
	}
	out, err := d.DecodeAll(src, dst[:0:min(cap(dst), len(dst)+o.Slack)])
	if pooled {
		zstdDecoders.put(d)
	} else {
		d.Close()
	}
	if len(out) > len(dst) {
		return 0, ErrShortBuffer
	}
	if err != nil {
		if most > uint64(len(dst)) && zstdRanOut(err) {
			return 0, ErrShortBuffer
		}
		return 0, corrupt(Zstd, "decoding", err)
	}
	// What fits is in dst already: the library moves its output only to grow it.
	if len(out) > 0 && &out[0] != &dst[0] {
		copy(dst, out)
	}
	return len(out), nil
}

// zstdRanOut tells an output that does not fit from damaged input. The library
// has no own error for a block that runs past the end of its buffer.
func zstdRanOut(err error) bool {
	return errors.Is(err, zstd.ErrDecoderSizeExceeded) ||
		strings.HasPrefix(err.Error(), "output bigger than max block size")
}

func zstdSize(src []byte) (int, error) {
	_, most, err := zstdBounds(src)
	if err != nil {
		return 0, err
	}
	if most > uint64(maxInt) {
		return 0, corrupt(Zstd, "declares more than memory can hold", nil)
	}
	return int(most), nil
}

// zstdBounds walks frame and block headers (RFC 8878) and returns the least and
// the most that src can decompress to.
func zstdBounds(src []byte) (least, most uint64, err error) {
	for len(src) > 0 {
		if len(src) < 8 {
			return 0, 0, corrupt(Zstd, "frame header cut short", nil)
		}
		magic := binary.LittleEndian.Uint32(src)
		if magic&zstdSkipMask == zstdSkipMagic {
			n := uint64(binary.LittleEndian.Uint32(src[4:])) + 8
			if n > uint64(len(src)) {
				return 0, 0, corrupt(Zstd, "skippable frame cut short", nil)
			}
			src = src[n:]
			continue
		}
		if magic != zstdMagic {
			return 0, 0, corrupt(Zstd, "no frame magic", nil)
		}
		f, rest, err := zstdFrameBounds(src[4:])
		if err != nil {
			return 0, 0, err
		}
		src = rest
		least += f.least
		most += f.most
	}
	return least, most, nil
}

// zstdFrame is what the headers of one frame say about its decompressed size.
type zstdFrame struct {
	least, most uint64
}

// zstdFrameBounds reads one frame after its magic.
func zstdFrameBounds(src []byte) (f zstdFrame, rest []byte, err error) {
	cut := func() (zstdFrame, []byte, error) {
		return zstdFrame{}, nil, corrupt(Zstd, "frame cut short", nil)
	}
	fhd := src[0]
	src = src[1:]
	single := fhd&(1<<5) != 0
	skip := 0
	if !single {
		skip++ // window descriptor
	}
	skip += [4]int{0, 1, 2, 4}[fhd&3] // dictionary id
	sizeLen := [4]int{0, 2, 4, 8}[fhd>>6]
	if sizeLen == 0 && single {
		sizeLen = 1
	}
	if len(src) < skip+sizeLen {
		return cut()
	}
	content := zstdContentSize(src[skip:skip+sizeLen], sizeLen)
	src = src[skip+sizeLen:]

	for last := false; !last; {
		if len(src) < zstdBlockHeader {
			return cut()
		}
		bh := uint32(src[0]) | uint32(src[1])<<8 | uint32(src[2])<<16
		src = src[zstdBlockHeader:]
		last = bh&1 != 0
		size := int(bh >> 3)
		if size > zstdMaxBlock {
			return zstdFrame{}, nil, corrupt(Zstd, "block larger than 128 KiB", nil)
		}
		stored := size
		switch bh >> 1 & 3 {
		case 0: // raw
			f.least += uint64(size)
			f.most += uint64(size)
		case 1: // one byte, repeated
			f.least += uint64(size)
			f.most += uint64(size)
			stored = 1
		case 2: // compressed
			f.most += zstdMaxBlock
			f.least += zstdLiterals(src[:min(size, len(src))])
		default:
			return zstdFrame{}, nil, corrupt(Zstd, "reserved block type", nil)
		}
		if stored > len(src) {
			return cut()
		}
		src = src[stored:]
	}
	if fhd&(1<<2) != 0 { // content checksum
		if len(src) < 4 {
			return cut()
		}
		src = src[4:]
	}
	if content != zstdNoContentSize {
		if content < f.least || content > f.most {
			return zstdFrame{}, nil, corrupt(Zstd, "content size disagrees with the blocks", nil)
		}
		f.least, f.most = content, content
	}
	return f, src, nil
}

// zstdLiterals reads from the front of a compressed block how many literals it has,
// all of which it writes (RFC 8878, 3.1.1.3.1.1).
func zstdLiterals(block []byte) uint64 {
	if len(block) == 0 {
		return 0
	}
	var b [8]byte
	copy(b[:5], block)
	header := binary.LittleEndian.Uint64(b[:]) // shorter ones leave higher bits unused
	format := header >> 2 & 3
	n := uint64(0)
	switch {
	case header&3 < 2 && format&1 == 0: // stored, or one byte repeated
		n = header >> 3 & 0x1f
	case header&3 < 2 && format == 1:
		n = header >> 4 & 0xfff
	case header&3 < 2:
		n = header >> 4 & 0xfffff
	case format < 2: // Huffman-coded
		n = header >> 4 & 0x3ff
	case format == 2:
		n = header >> 4 & 0x3fff
	default:
		n = header >> 4 & 0x3ffff
	}
	return min(n, zstdMaxBlock) // more is damage, which decoding tells
}

// zstdContentSize reads the field of n bytes in b.
func zstdContentSize(b []byte, n int) uint64 {
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)) + 256
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	return zstdNoContentSize
}
