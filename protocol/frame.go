package protocol

import (
	"encoding/binary"
	"math"
)

// RequestHeader is what precedes every request (RequestHeader.json, versions 1 and 2).
type RequestHeader struct {
	Key           APIKey
	Version       int16
	CorrelationID int32
	ClientID      *string
}

// code codes the header. The client id keeps its two-byte length in flexible versions too, so that any
// broker can read the header of any ApiVersions request.
func (h *RequestHeader) code(c *coder) {
	c.int16("RequestApiKey", (*int16)(&h.Key))
	c.int16("RequestApiVersion", &h.Version)
	c.int32("CorrelationId", &h.CorrelationID)
	c.flexible = false
	c.nullableString("ClientId", &h.ClientID, 0)
	c.flexible = Flexible(h.Key, h.Version)
	c.noTags()
}

// AppendRequest appends a request as a whole frame: size, header and body. On an error dst is returned as it was.
func AppendRequest(dst []byte, clientID string, correlation int32, version int16, req Request) ([]byte, error) {
	if err := unsupported(req.Key(), version); err != nil {
		return dst, err
	}
	c := writer(dst, req.Key(), version, "Request")
	h := RequestHeader{Key: req.Key(), Version: version, CorrelationID: correlation, ClientID: &clientID}
	h.code(c)
	req.code(c)
	return c.endFrame(dst)
}

// AppendResponse appends a response as a whole frame: size, header and body. On an error dst is returned as it was.
func AppendResponse(dst []byte, correlation int32, version int16, resp Response) ([]byte, error) {
	if err := unsupported(resp.Key(), version); err != nil {
		return dst, err
	}
	c := writer(dst, resp.Key(), version, "Response")
	c.int32("CorrelationId", &correlation)
	if ResponseHeaderVersion(resp.Key(), version) >= 1 {
		c.noTags()
	}
	resp.code(c)
	return c.endFrame(dst)
}

// writer gives a coder that appends a frame to dst, with room for its size.
func writer(dst []byte, k APIKey, version int16, kind string) *coder {
	return &coder{message: k.String(), kind: kind, version: version, flexible: Flexible(k, version), buf: append(dst, 0, 0, 0, 0)}
}

// endFrame fills in the size of the frame that begins after dst.
func (c *coder) endFrame(dst []byte) ([]byte, error) {
	size := len(c.buf) - len(dst) - 4
	if size > math.MaxInt32 {
		c.fail("", "a frame of %d bytes, more than 31 bits", size)
	}
	if err := c.err(); err != nil {
		return dst, err
	}
	binary.BigEndian.PutUint32(c.buf[len(dst):], uint32(size))
	return c.buf, nil
}

// DecodeRequest reads a request from its frame without the size before it. The header is returned whenever it
// could be read: with an [*UnsupportedVersionError], that is what a broker needs to answer (KIP-511). Byte slices in
// the request alias frame.
func DecodeRequest(frame []byte) (RequestHeader, Request, error) {
	c := &coder{message: "RequestHeader", reading: true, buf: frame}
	var h RequestHeader
	h.code(c)
	if err := c.err(); err != nil {
		return h, nil, err
	}
	if err := unsupported(h.Key, h.Version); err != nil {
		return h, nil, err
	}
	req := NewRequest(h.Key)
	c.message, c.kind, c.version = h.Key.String(), "Request", h.Version
	req.code(c)
	if err := c.endMessage(); err != nil {
		return h, nil, err
	}
	return h, req, nil
}

// DecodeResponse reads the body of a response, what follows its header, into resp; nothing of its old content stays.
// Byte slices in the response alias body. Bytes left over are an error. After an error resp holds part of the message.
func DecodeResponse(body []byte, version int16, resp Response) error {
	if err := unsupported(resp.Key(), version); err != nil {
		return err
	}
	c := reader(body, resp.Key(), version)
	resp.code(c)
	return c.endMessage()
}

// reader gives a coder that reads a response body.
func reader(body []byte, k APIKey, version int16) *coder {
	return &coder{message: k.String(), kind: "Response", version: version, flexible: Flexible(k, version), reading: true, buf: body}
}

// endMessage is the failure of a message that was read, or that bytes are left over.
func (c *coder) endMessage() error {
	if c.left() > 0 {
		c.fail("", "%d bytes left over", c.left())
	}
	return c.err()
}
