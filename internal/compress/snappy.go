package compress

import (
	"encoding/binary"

	"github.com/klauspost/compress/snappy"
)

// xerialMagic begins the framing of the xerial library, which Java clients write:
// this, two int32 versions, then chunks of an int32 length and a raw snappy block.
// Other clients send one raw block without a frame. No raw block can begin with
// these bytes: its first element would be a copy from before the block.
const xerialMagic = "\x82SNAPPY\x00"

// xerialHeaderLen is the magic and the two versions, which say nothing we need.
const xerialHeaderLen = len(xerialMagic) + 8

// snappyMaxRatio is above what a snappy block can expand: the densest element
// copies 64 bytes and takes 3.
const snappyMaxRatio = 22

func isXerial(src []byte) bool {
	return len(src) >= len(xerialMagic) && string(src[:len(xerialMagic)]) == xerialMagic
}

func snappySize(src []byte) (int, error) {
	if !isXerial(src) {
		return snappyBlockSize(src)
	}
	total := 0
	for len(src) > 0 {
		block, rest, err := nextXerialChunk(src)
		if err != nil {
			return 0, err
		}
		src = rest
		if block == nil {
			continue
		}
		n, err := snappyBlockSize(block)
		if err != nil {
			return 0, err
		}
		if total > maxInt-n {
			return 0, corrupt(Snappy, "declares more than memory can hold", nil)
		}
		total += n
	}
	return total, nil
}

func snappyDecode(dst, src []byte) (int, error) {
	if !isXerial(src) {
		return snappyDecodeBlock(dst, src)
	}
	total := 0
	for len(src) > 0 {
		block, rest, err := nextXerialChunk(src)
		if err != nil {
			return total, err
		}
		src = rest
		if block == nil {
			continue
		}
		n, err := snappyDecodeBlock(dst[total:], block)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// nextXerialChunk takes the next chunk off src. A nil block is a stream header,
// which may come again in the middle where streams were concatenated; its first
// four bytes are no valid chunk length.
func nextXerialChunk(src []byte) (block, rest []byte, err error) {
	if isXerial(src) {
		if len(src) < xerialHeaderLen {
			return nil, nil, corrupt(Snappy, "xerial header cut short", nil)
		}
		return nil, src[xerialHeaderLen:], nil
	}
	if len(src) < 4 {
		return nil, nil, corrupt(Snappy, "xerial chunk length cut short", nil)
	}
	n := int(int32(binary.BigEndian.Uint32(src)))
	src = src[4:]
	if n <= 0 || n > len(src) {
		return nil, nil, corrupt(Snappy, "xerial chunk length exceeds the data", nil)
	}
	return src[:n], src[n:], nil
}

// snappyBlockSize reads the length a raw block declares and refuses what the
// block cannot expand to.
func snappyBlockSize(block []byte) (int, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return 0, corrupt(Snappy, "reading the block length", err)
	}
	if n/snappyMaxRatio > len(block) {
		return 0, corrupt(Snappy, "the block declares more than it can hold", nil)
	}
	return n, nil
}

func snappyDecodeBlock(dst, block []byte) (int, error) {
	n, err := snappyBlockSize(block)
	if err != nil {
		return 0, err
	}
	if n > len(dst) {
		return 0, ErrShortBuffer
	}
	// With room for n bytes the library decodes in place. The capacity is cut
	// because it looks at that, not at the length.
	if _, err := snappy.Decode(dst[:n:n], block); err != nil {
		return 0, corrupt(Snappy, "decoding a block", err)
	}
	return n, nil
}
