package protocol

import (
	"encoding/binary"
	"io"
)

// ResponseHeaderVersion is the version of the header (ResponseHeader.json) before a response: 0 is the correlation id, 1
// adds tagged fields. ApiVersions keeps 0, so that a client can read the answer whatever version the broker knows.
func ResponseHeaderVersion(k APIKey, v int16) int16 {
	if k != KeyApiVersions && Flexible(k, v) {
		return 1
	}
	return 0
}

// SplitResponse separates a response frame without its size into correlation id and body.
// headerVersion comes from [ResponseHeaderVersion].
func SplitResponse(frame []byte, headerVersion int16) (correlation int32, body []byte, err error) {
	c := &coder{message: "ResponseHeader", version: headerVersion, flexible: headerVersion >= 1, reading: true, buf: frame}
	c.int32("CorrelationId", &correlation)
	c.noTags()
	return correlation, frame[c.off:], c.err()
}

// SkipResponseHeader gives the body of a response from what follows its correlation id.
func SkipResponseHeader(rest []byte, headerVersion int16) (body []byte, err error) {
	c := &coder{message: "ResponseHeader", version: headerVersion, flexible: headerVersion >= 1, reading: true, buf: rest, base: 4}
	c.noTags()
	return rest[c.off:], c.err()
}

// ReadResponseHeader reads what follows the correlation id in a response header from r, at most size bytes, and gives
// the number of bytes read: what is left of size is the body, as [ReadFetchResponse] takes it.
func ReadResponseHeader(r io.Reader, size int, headerVersion int16) (n int, err error) {
	s := newStreamReader(r, size, "ResponseHeader", headerVersion, headerVersion >= 1)
	s.tags(0)
	return size - s.left, s.err
}

// FrameSize reads the size that precedes a frame. The caller bounds it before allocating.
func FrameSize(prefix [4]byte) int32 { return int32(binary.BigEndian.Uint32(prefix[:])) }
