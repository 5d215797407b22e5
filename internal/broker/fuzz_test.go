package broker

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// script is a transport whose peer says what it is given, after the first request, and closes.
type script struct {
	net.Conn // nil: deadlines and addresses are not asked for
	said     *bytes.Reader
	begin    chan struct{} // closed by the first write
	end      chan struct{} // closed by Close
}

func newScript(says []byte) *script {
	return &script{said: bytes.NewReader(says), begin: make(chan struct{}), end: make(chan struct{})}
}

func (s *script) Read(p []byte) (int, error) {
	select {
	case <-s.begin:
		return s.said.Read(p)
	case <-s.end:
		return 0, net.ErrClosed
	}
}

func (s *script) Write(p []byte) (int, error) {
	select {
	case <-s.begin:
	default:
		close(s.begin)
	}
	return len(p), nil
}

func (s *script) Close() error                     { close(s.end); return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// Whatever a peer says, a request ends, and so does the connection's every goroutine.
func FuzzConn_AnyAnswer(f *testing.F) {
	hello := []byte{0, 0, 0, 1}
	for _, version := range []int16{4, 9, 13, 18} {
		r := &protocol.FetchResponse{}
		b, err := protocol.AppendResponse(nil, 1, version, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, version, true)
	}
	b, err := protocol.AppendResponse(nil, 1, 12, protocol.NewMetadataResponse())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, int16(12), false)
	f.Add(append([]byte{0, 0, 0, 40}, hello...), int16(13), true)
	f.Add([]byte("HTTP/1.1 400 Bad Request"), int16(13), false)
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x46"), int16(13), true)
	f.Fuzz(func(t *testing.T, says []byte, version int16, fetch bool) {
		s := newScript(says)
		c := newConn(Config{MaxResponseBytes: 1 << 20}.withDefaults(), "fuzz:1", s, s)
		c.versions = map[protocol.APIKey]versionRange{
			protocol.KeyFetch:    {version, version},
			protocol.KeyMetadata: {version, version},
		}
		var err error
		if fetch {
			_, err = c.Fetch(context.Background(), fetchOf(protocol.UUID{1}, "t"), CallOptions{}, &recorder{})
		} else {
			_, _, err = c.Do(context.Background(), metadataFor("t"), CallOptions{})
		}
		if err == nil && len(says) < 8 {
			t.Fatalf("%d bytes made an answer", len(says))
		}
		c.Close(nil)
		c.Wait()
		if c.InFlight() != 0 {
			t.Fatal("a request was left behind")
		}
	})
}
