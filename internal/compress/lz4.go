package compress

import (
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

// lz4MeasureMax is the largest compressed block that Size measures. That takes about
// half as long as decompressing it, and pays only against clearing unused memory.
const lz4MeasureMax = 4 << 10

const (
	lz4Magic       = 0x184D2204
	lz4SkipMagic   = 0x184D2A50 // the low four bits are free
	lz4SkipMask    = 0xFFFFFFF0
	lz4MaxRatio    = 255 // a length byte of 255 adds that many bytes of match
	lz4DictSize    = 64 << 10
	lz4Uncompr     = 1 << 31 // set in a block's size when its bytes are stored
	lz4MinFrame    = 7       // magic, FLG, BD, header checksum
	lz4FlagIndep   = 1 << 5
	lz4FlagBlockCS = 1 << 4
	lz4FlagSize    = 1 << 3
	lz4FlagCS      = 1 << 2
	lz4FlagDictID  = 1 << 0
)

// lz4Frame is the descriptor of a frame (LZ4 Frame Format 1.6.2).
type lz4Frame struct {
	flags       byte
	maxBlock    int
	contentSize uint64 // with lz4FlagSize
}

func (f *lz4Frame) has(flag byte) bool { return f.flags&flag != 0 }

// lz4Block is one block of a frame.
type lz4Block struct {
	data   []byte
	stored bool // data is not compressed
	end    bool // the EndMark: no block
}

// readLZ4Frame reads the frame header that src begins with and returns what
// follows it. Skippable frames are passed over; at the end of src, ok is false.
func readLZ4Frame(src []byte, o Options) (f lz4Frame, rest []byte, ok bool, err error) {
	for len(src) >= 8 && binary.LittleEndian.Uint32(src)&lz4SkipMask == lz4SkipMagic {
		n := uint64(binary.LittleEndian.Uint32(src[4:])) + 8
		if n > uint64(len(src)) {
			return f, nil, false, corrupt(LZ4, "skippable frame cut short", nil)
		}
		src = src[n:]
	}
	if len(src) == 0 {
		return f, nil, false, nil
	}
	if len(src) < lz4MinFrame {
		return f, nil, false, corrupt(LZ4, "frame header cut short", nil)
	}
	if binary.LittleEndian.Uint32(src) != lz4Magic {
		return f, nil, false, corrupt(LZ4, "no frame magic", nil)
	}
	flags, bd := src[4], src[5]
	if flags>>6 != 1 {
		return f, nil, false, corrupt(LZ4, "frame version is not 1", nil)
	}
	if flags&lz4FlagDictID != 0 {
		return f, nil, false, corrupt(LZ4, "the frame needs a dictionary", nil)
	}
	// Block maximum sizes 4 to 7 stand for 64 KiB, 256 KiB, 1 MiB and 4 MiB.
	if bd&0x8f != 0 || bd>>4 < 4 {
		return f, nil, false, corrupt(LZ4, "bad block maximum size", nil)
	}
	f = lz4Frame{flags: flags, maxBlock: 1 << (8 + 2*(bd>>4))}
	end := 6
	if f.has(lz4FlagSize) {
		if len(src) < lz4MinFrame+8 {
			return f, nil, false, corrupt(LZ4, "frame header cut short", nil)
		}
		f.contentSize = binary.LittleEndian.Uint64(src[6:])
		end += 8
	}
	if !o.LZ4IgnoreHeaderChecksum && src[end] != byte(xxh32(src[4:end])>>8) {
		return f, nil, false, corrupt(LZ4, "frame header checksum does not match", nil)
	}
	return f, src[end+1:], true, nil
}

// next reads the next block of the frame and returns what follows it. The block
// checksum is verified where there is one, the content checksum after the EndMark
// is passed over, as Java clients do: the record batch has a checksum of its own.
func (f *lz4Frame) next(src []byte) (b lz4Block, rest []byte, err error) {
	if len(src) < 4 {
		return b, nil, corrupt(LZ4, "block size cut short", nil)
	}
	word := binary.LittleEndian.Uint32(src)
	src = src[4:]
	if word == 0 {
		if f.has(lz4FlagCS) {
			if len(src) < 4 {
				return b, nil, corrupt(LZ4, "content checksum cut short", nil)
			}
			src = src[4:]
		}
		return lz4Block{end: true}, src, nil
	}
	n := int(word &^ lz4Uncompr)
	if n > f.maxBlock {
		return b, nil, corrupt(LZ4, "block larger than the frame's maximum", nil)
	}
	if n > len(src) {
		return b, nil, corrupt(LZ4, "block cut short", nil)
	}
	b = lz4Block{data: src[:n], stored: word&lz4Uncompr != 0}
	src = src[n:]
	if f.has(lz4FlagBlockCS) {
		if len(src) < 4 {
			return b, nil, corrupt(LZ4, "block checksum cut short", nil)
		}
		if binary.LittleEndian.Uint32(src) != xxh32(b.data) {
			return b, nil, corrupt(LZ4, "block checksum does not match", nil)
		}
		src = src[4:]
	}
	return b, src, nil
}

// lz4Size sums the blocks, each counted as full. Writers fill every block but a
// frame's last; where that is small, and so the bound far off, it is measured.
func lz4Size(src []byte) (n int, err error) {
	for {
		f, rest, ok, err := readLZ4Frame(src, Options{LZ4IgnoreHeaderChecksum: true})
		if err != nil {
			return 0, err
		}
		if !ok {
			return n, nil
		}
		size, rest, err := f.size(rest)
		if err != nil {
			return 0, err
		}
		if n > maxInt-size {
			return 0, corrupt(LZ4, "declares more than memory can hold", nil)
		}
		n += size
		src = rest
	}
}

// size is what the frame, whose blocks src begins with, counts for.
func (f *lz4Frame) size(src []byte) (n int, rest []byte, err error) {
	var last lz4Block
	lastSize := 0 // what n counts for it
	blocks := 0
	exact := true // n is the decompressed size
	for {
		b, rest, err := f.next(src)
		if err != nil {
			return 0, nil, err
		}
		src = rest
		if b.end {
			break
		}
		if blocks > 0 && !last.stored {
			exact = false
		}
		last, lastSize = b, len(b.data)
		if !b.stored {
			lastSize = min(f.maxBlock, len(b.data)*lz4MaxRatio)
		}
		if n > maxInt-lastSize {
			return 0, nil, corrupt(LZ4, "declares more than memory can hold", nil)
		}
		n += lastSize
		blocks++
	}
	switch {
	case blocks == 0 || last.stored: // exact as it is
	case len(last.data) > lz4MeasureMax:
		exact = false
	default:
		size, ok := lz4BlockSize(last.data)
		if !ok || size > f.maxBlock {
			return 0, nil, corrupt(LZ4, "bad block", nil)
		}
		n += size - lastSize
	}
	if f.has(lz4FlagSize) {
		if f.contentSize > uint64(n) || exact && f.contentSize != uint64(n) {
			return 0, nil, corrupt(LZ4, "content size disagrees with the blocks", nil)
		}
		n = int(f.contentSize)
	}
	return n, src, nil
}

// lz4BlockSize walks the sequences of a compressed block and adds up what they
// write, without writing it.
func lz4BlockSize(b []byte) (n int, ok bool) {
	for i := 0; i < len(b); {
		token := b[i]
		i++
		lit := int(token >> 4)
		if lit == 15 {
			for {
				if i >= len(b) {
					return 0, false
				}
				lit += int(b[i])
				i++
				if b[i-1] != 255 {
					break
				}
			}
		}
		i += lit
		n += lit
		if i == len(b) {
			return n, true // the last sequence has no match
		}
		i += 2 // match offset
		if i > len(b) {
			return 0, false
		}
		match := int(token & 15)
		if match == 15 {
			for {
				if i >= len(b) {
					return 0, false
				}
				match += int(b[i])
				i++
				if b[i-1] != 255 {
					break
				}
			}
		}
		n += match + 4
	}
	return 0, false
}

func lz4Decode(dst, src []byte, o Options) (n int, err error) {
	for {
		f, rest, ok, err := readLZ4Frame(src, o)
		if err != nil || !ok {
			return n, err
		}
		m, rest, err := f.decode(dst[n:], rest)
		n += m
		if err != nil {
			return n, err
		}
		src = rest
	}
}

// decode writes the blocks of the frame that src begins with one after the other
// straight into dst, where the last 64 KiB are the dictionary of a dependent block.
func (f *lz4Frame) decode(dst, src []byte) (n int, rest []byte, err error) {
	for {
		b, rest, err := f.next(src)
		if err != nil {
			return n, nil, err
		}
		src = rest
		if b.end {
			break
		}
		m, err := f.decodeBlock(dst, n, b)
		if err != nil {
			return n, nil, err
		}
		n += m
	}
	if f.has(lz4FlagSize) && f.contentSize != uint64(n) {
		return n, nil, corrupt(LZ4, "content size disagrees with the blocks", nil)
	}
	return n, src, nil
}

func (f *lz4Frame) decodeBlock(dst []byte, at int, b lz4Block) (int, error) {
	room := dst[at:min(at+f.maxBlock, len(dst))]
	if b.stored {
		if len(b.data) > len(room) {
			return 0, ErrShortBuffer
		}
		return copy(room, b.data), nil
	}
	var m int
	var err error
	if f.has(lz4FlagIndep) {
		m, err = lz4.UncompressBlock(b.data, room)
	} else {
		m, err = lz4.UncompressBlockWithDict(b.data, room, dst[max(0, at-lz4DictSize):at])
	}
	if err == nil {
		return m, nil
	}
	// The library has one error for damage and for a buffer that is too small.
	if size, ok := lz4BlockSize(b.data); ok && size > len(room) && size <= f.maxBlock {
		return 0, ErrShortBuffer
	}
	return 0, corrupt(LZ4, "decoding a block", err)
}
