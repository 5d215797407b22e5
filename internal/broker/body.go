package broker

import (
	"bufio"
	"io"
)

// firstRead is the first allocation for a response of unknown honesty; it doubles as bytes really arrive.
const firstRead = 16 << 10

// body reads the rest of one frame and never a byte more. Like a bufio.Reader it offers ReadByte; large reads go
// through to the socket.
type body struct {
	r    *bufio.Reader
	left int
}

func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// ReadByte reads one byte of the frame.
func (b *body) ReadByte() (byte, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	c, err := b.r.ReadByte()
	if err == nil {
		b.left--
	}
	return c, err
}

// readAll reads what is left. Memory grows with what has arrived, whatever the size field claimed.
func (b *body) readAll() ([]byte, error) {
	buf := make([]byte, min(b.left, firstRead))
	got := 0
	for {
		n, err := io.ReadFull(b, buf[got:])
		got += n
		if err != nil {
			return nil, err
		}
		if b.left == 0 {
			return buf, nil
		}
		grown := make([]byte, got+min(b.left, got))
		copy(grown, buf)
		buf = grown
	}
}

// drain reads and drops what is left.
func (b *body) drain() error {
	for b.left > 0 {
		n, err := b.r.Discard(b.left)
		b.left -= n
		if err != nil {
			return err
		}
	}
	return nil
}
