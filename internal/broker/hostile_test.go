package broker

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// frame builds a response frame whose size field may lie.
func frame(size, correlation uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = binary.BigEndian.AppendUint32(b, correlation)
	return append(b, body...)
}

// A broker in the middle of a conversation sends what it should not: the request fails with a reason, the
// connection is closed, no answer goes to the wrong caller.
func TestHostile_BadFramesCloseTheConnection(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply func(k *fakebroker.Call) []byte
		why   string
	}{
		{"size zero", func(*fakebroker.Call) []byte { return frame(0, 0, "") }, "size 0"},
		{"size three", func(*fakebroker.Call) []byte { return frame(3, 0, "") }, "size 3"},
		{"size minus one", func(*fakebroker.Call) []byte { return frame(1<<32-1, 0, "") }, "size -1"},
		{"size 2^31-1", func(*fakebroker.Call) []byte { return frame(1<<31-1, 0, "") }, "size 2147483647"},
		{"a TLS alert", func(*fakebroker.Call) []byte { return []byte("\x15\x03\x03\x00\x02\x02\x46\x00") }, "TLS alert"},
		{"HTTP", func(*fakebroker.Call) []byte { return []byte("HTTP/1.1 200 OK\r\n") }, "HTTP"},
		{"another correlation id", func(k *fakebroker.Call) []byte { return frame(8, uint32(k.Correlation)+1, "\x00\x00\x00\x00") }, "correlation id"},
		{"an older correlation id", func(k *fakebroker.Call) []byte { return frame(8, uint32(k.Correlation)-1, "\x00\x00\x00\x00") }, "correlation id"},
		{"no body", func(k *fakebroker.Call) []byte { return frame(4, uint32(k.Correlation), "") }, ""},
		{"tags that never end", func(k *fakebroker.Call) []byte {
			return frame(9, uint32(k.Correlation), "\xff\xff\xff\xff\x0f")
		}, ""},
		{"a tag longer than the frame", func(k *fakebroker.Call) []byte {
			return frame(9, uint32(k.Correlation), "\x01\x00\xff\xff\x07")
		}, ""},
		{"an array of 2^31 brokers", func(k *fakebroker.Call) []byte {
			return frame(14, uint32(k.Correlation), "\x00\x00\x00\x00\x00\xff\xff\xff\xff\x07")
		}, "Metadata"},
		{"bytes left over", func(k *fakebroker.Call) []byte {
			b, err := protocol.AppendResponse(nil, k.Correlation, k.Version, protocol.NewMetadataResponse())
			require.NoError(t, err)
			binary.BigEndian.PutUint32(b, uint32(len(b)-4+1))
			return append(b, 0)
		}, "left over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := inMemory(t)
			fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
				return fakebroker.Reply{Raw: tt.reply(k)}
			})
			conn := dialFake(t, fake, nil)
			_, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
			require.ErrorContains(t, err, tt.why)
			require.ErrorContains(t, err, "Metadata to "+fake.Addr(1))
			<-conn.Done()
		})
	}
}

func TestHostile_UnsolicitedAndDoubledResponses(t *testing.T) {
	fake := inMemory(t)
	fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
		b, err := protocol.AppendResponse(nil, k.Correlation, k.Version, k.Default())
		require.NoError(t, err)
		return fakebroker.Reply{Raw: append(b, b...)}
	})
	conn := dialFake(t, fake, nil)
	r, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
	require.NoError(t, err)
	require.Equal(t, "a", topicIn(t, r))
	<-conn.Done()
	_, ok := errors.AsType[*FrameError](conn.Err())
	require.True(t, ok, "%v", conn.Err())
}

// The size field may claim as much as the limit allows; memory is taken as bytes come.
func TestHostile_MemoryFollowsTheBytes(t *testing.T) {
	fake := inMemory(t)
	fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
		return fakebroker.Reply{Raw: frame(DefaultMaxResponseBytes, uint32(k.Correlation), "\x00short"), Drop: true}
	})
	conn := dialFake(t, fake, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrPeerClosed)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

func TestHostile_FetchResponses(t *testing.T) {
	for _, tt := range []struct {
		name, body string
	}{
		{"no body", ""},
		{"no topics where some are claimed", "\x00" + "\x00\x00\x00\x00" + "\x00\x00" + "\x00\x00\x00\x00" + "\xff\xff\xff\xff\x07"},
		{"bytes left over", "\x00" + "\x00\x00\x00\x00" + "\x00\x00" + "\x00\x00\x00\x00" + "\x01" + "\x00" + "left over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := inMemory(t)
			id := fake.CreateTopic("t", 1)
			fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
				return fakebroker.Reply{Raw: frame(uint32(4+len(tt.body)), uint32(k.Correlation), tt.body)}
			})
			conn := dialFake(t, fake, nil)
			r := &recorder{}
			_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, r)
			require.ErrorContains(t, err, "Fetch to "+fake.Addr(1))
			require.False(t, errors.Is(err, ErrPeerClosed), "the broker is at fault, not the network: %v", err)
			<-conn.Done()
		})
	}
}

// Every way to cut a response in two arrives whole; the halves come in separate packets over a real socket.
func TestRead_ResponsesSplitAnywhere(t *testing.T) {
	fake := fakebroker.Start(t, fakebroker.Options{})
	cut := 0
	fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
		b, err := protocol.AppendResponse(nil, k.Correlation, k.Version, k.Default())
		require.NoError(t, err)
		if cut < len(b) {
			_, err = k.Conn.Write(b[:cut])
			require.NoError(t, err)
			b = b[cut:]
		}
		return fakebroker.Reply{Raw: b}
	})
	conn, err := Dial(t.Context(), Config{RequestTimeout: 10 * time.Second}, fake.Addr(1))
	require.NoError(t, err)
	for ; cut < 80; cut++ {
		r, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
		require.NoError(t, err)
		require.Equal(t, "a", topicIn(t, r))
	}
	conn.Close(nil)
	conn.Wait()
}
