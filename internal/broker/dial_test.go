package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

func TestDial_NegotiatesVersions(t *testing.T) {
	fake := fakebroker.Start(t, fakebroker.Options{InMemory: true, MaxVersions: map[protocol.APIKey]int16{
		protocol.KeyMetadata:    9,
		protocol.KeyFetch:       2, // below what we speak
		protocol.KeyApiVersions: 4,
	}})
	conn := dialFake(t, fake, nil)

	v, err := conn.version(protocol.KeyMetadata, 0)
	require.NoError(t, err)
	require.Equal(t, int16(9), v, "the broker's highest")
	_, highest, _ := protocol.Versions(protocol.KeyListOffsets)
	v, err = conn.version(protocol.KeyListOffsets, 0)
	require.NoError(t, err)
	require.Equal(t, highest, v, "our highest")
	_, err = conn.version(protocol.KeyFetch, 0)
	require.Error(t, err)
	_, version, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{MaxVersion: 7})
	require.NoError(t, err)
	require.Equal(t, int16(7), version, "the caller's cap")
	_, _, err = conn.Do(t.Context(), &protocol.JoinGroupRequest{}, CallOptions{})
	require.ErrorIs(t, err, protocol.UnsupportedVersion)
	require.NoError(t, conn.Err(), "what cannot be asked does not end the connection")
}

func TestDial_FallsBackToTheBrokersApiVersions(t *testing.T) {
	t.Run("a broker that names its highest", func(t *testing.T) {
		fake := fakebroker.Start(t, fakebroker.Options{InMemory: true, MaxVersions: map[protocol.APIKey]int16{protocol.KeyApiVersions: 1}})
		conn := dialFake(t, fake, nil)
		_, err := conn.version(protocol.KeyMetadata, 0)
		require.NoError(t, err)
		calls := fake.Calls(protocol.KeyApiVersions)
		require.Len(t, calls, 1)
		require.Equal(t, int16(1), calls[0].Version)
	})
	t.Run("a broker before 2.4, that names nothing", func(t *testing.T) {
		fake := inMemory(t)
		fake.Handle(protocol.KeyApiVersions, func(k *fakebroker.Call) fakebroker.Reply {
			if k.Version == 0 {
				return fakebroker.Reply{}
			}
			refusal := &protocol.ApiVersionsResponse{ErrorCode: protocol.UnsupportedVersion}
			raw, err := protocol.AppendResponse(nil, k.Correlation, 0, refusal)
			require.NoError(t, err)
			return fakebroker.Reply{Raw: raw}
		})
		conn := dialFake(t, fake, nil)
		_, err := conn.version(protocol.KeyMetadata, 0)
		require.NoError(t, err)
	})
	t.Run("a broker that refuses whatever is asked", func(t *testing.T) {
		fake := inMemory(t)
		fake.Handle(protocol.KeyApiVersions, func(k *fakebroker.Call) fakebroker.Reply {
			refusal := &protocol.ApiVersionsResponse{ErrorCode: protocol.UnsupportedVersion, ApiKeys: []protocol.ApiVersionsResponseKey{
				{ApiKey: protocol.KeyApiVersions, MaxVersion: 4},
			}}
			raw, err := protocol.AppendResponse(nil, k.Correlation, 0, refusal)
			require.NoError(t, err)
			return fakebroker.Reply{Raw: raw}
		})
		_, err := Dial(t.Context(), Config{Dial: fake.Dial}, fake.Addr(1))
		require.ErrorIs(t, err, protocol.UnsupportedVersion)
		require.LessOrEqual(t, fake.Count(protocol.KeyApiVersions), 2)
	})
}

func TestDial_TellsTheBrokerWhoWeAre(t *testing.T) {
	fake := inMemory(t)
	dialFake(t, fake, func(c *Config) { c.SoftwareName, c.SoftwareVersion = "-my client!", "v1.0_beta" })
	calls := fake.Calls(protocol.KeyApiVersions)
	require.Len(t, calls, 1)
	require.Equal(t, "test", calls[0].ClientID)
	require.Equal(t, &protocol.ApiVersionsRequest{ClientSoftwareName: "my-client", ClientSoftwareVersion: "v1.0-beta"}, calls[0].Request)
}

func TestDial_ErrorsCarryAddressAndCause(t *testing.T) {
	refused := errors.New("connection refused")
	_, err := Dial(t.Context(), Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}, "kafka:9092")
	require.ErrorIs(t, err, refused)
	require.Equal(t, "dial kafka:9092: connection refused", err.Error())
	require.False(t, Permanent(err))
	_, err = Dial(t.Context(), Config{}, "no port")
	require.ErrorContains(t, err, "no port")
}

func TestDial_TriesEveryAddressOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		var mu sync.Mutex
		var dialed []string
		cfg := Config{
			Resolve: func(_ context.Context, host string) ([]string, error) {
				require.Equal(t, "kafka", host)
				return []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}, nil
			},
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				mu.Lock()
				dialed = append(dialed, addr)
				mu.Unlock()
				switch addr {
				case "10.0.0.1:9092":
					<-ctx.Done() // a black hole
					return nil, ctx.Err()
				case "10.0.0.2:9092":
					return nil, errors.New("refused")
				default:
					return fake.Dial(ctx, network, fake.Addr(1))
				}
			},
		}
		start := time.Now()
		conn, err := Dial(t.Context(), cfg, "kafka:9092")
		require.NoError(t, err)
		require.Equal(t, "kafka:9092", conn.Addr())
		require.Equal(t, stagger, time.Since(start), "the black hole holds it up no longer than that, the refusal not at all")
		require.Equal(t, []string{"10.0.0.1:9092", "10.0.0.2:9092", "10.0.0.3:9092"}, dialed)
		conn.Close(nil)
		conn.Wait()
	})
}

func TestDial_NamesEveryAddressThatFailed(t *testing.T) {
	cfg := Config{
		Resolve: func(context.Context, string) ([]string, error) { return []string{"::1", "127.0.0.1"}, nil },
		Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
			return nil, errors.New("no way to " + addr)
		},
	}
	_, err := Dial(t.Context(), cfg, "kafka:9092")
	require.ErrorContains(t, err, "kafka:9092 [[::1]:9092]: no way to [::1]:9092")
	require.ErrorContains(t, err, "kafka:9092 [127.0.0.1:9092]: no way to 127.0.0.1:9092")
}

func TestDial_BoundedByConnectTimeout(t *testing.T) {
	hangs := map[string]func(ctx context.Context, network, addr string) (net.Conn, error){
		"a dialer that waits for its context": func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"a broker that does not answer": func(ctx context.Context, _, _ string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				_, _ = far.Read(make([]byte, 1024))
				<-ctx.Done()
				_ = far.Close()
			}()
			return near, nil
		},
	}
	for name, dial := range hangs {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := Dial(t.Context(), Config{Dial: dial}, "kafka:9092")
				require.ErrorContains(t, err, "kafka:9092")
				require.ErrorContains(t, err, "not connected within 10s")
				require.LessOrEqual(t, time.Since(start), DefaultConnectTimeout+dialGrace)
			})
		})
	}
}

func TestDial_ClosesWhatAnAbandonedDialerBrings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		near, far := net.Pipe()
		dial := func(context.Context, string, string) (net.Conn, error) {
			<-release // whatever becomes of its context
			return near, nil
		}
		start := time.Now()
		_, err := Dial(t.Context(), Config{Dial: dial}, "kafka:9092")
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, DefaultConnectTimeout+dialGrace, time.Since(start))

		close(release)
		_, err = far.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestDial_CancelledDuringTheHandshakeLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		fake.HangNode(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Dial(ctx, Config{Dial: fake.Dial}, fake.Addr(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, fake.Await(t.Context(), func() bool { return fake.Connections(1) == 0 }))
	})
}

func TestDial_RealSockets(t *testing.T) {
	fake := fakebroker.Start(t, fakebroker.Options{})
	conn, err := Dial(t.Context(), Config{}, fake.Addr(1))
	require.NoError(t, err)
	r, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
	require.NoError(t, err)
	require.Equal(t, "a", topicIn(t, r))
	conn.Close(nil)
	conn.Wait()

	addr := fake.Addr(1)
	fake.StopNode(1)
	_, err = Dial(t.Context(), Config{}, addr)
	require.ErrorContains(t, err, addr)
	require.ErrorContains(t, err, "refused")
}

func TestDial_RecognisesWhatIsNotKafka(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		permanent    bool
		hint         string
	}{
		{"a TLS listener's alert", "\x15\x03\x03\x00\x02\x02\x46", true, "expects TLS"},
		{"a TLS listener's hello", "\x16\x03\x03\x00\x02\x02\x46", true, "expects TLS"},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n", true, "HTTP"},
		{"an ssh server", "SSH-2.0-OpenSSH_9.6\r\n", true, "SSH"},
		{"a listener that closes", "", false, "TLS or SASL"},
		{"a size above the limit", "\x7f\xff\xff\xff\x00\x00\x00\x01", false, "either not a Kafka listener"},
		{"a size of zero", "\x00\x00\x00\x00", false, "size 0"},
		{"a negative size", "\xff\xff\xff\xff", false, "size -1"},
		{"half a frame", "\x00\x00\x00\x64\x00\x00", false, "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					_, _ = far.Read(make([]byte, 1024))
					_, _ = far.Write([]byte(tt.answer))
				}()
				return near, nil
			}
			_, err := Dial(t.Context(), Config{Dial: dial}, "kafka:9092")
			h, ok := errors.AsType[*HandshakeError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "versions", h.Stage)
			require.Equal(t, tt.permanent, h.Permanent)
			require.Equal(t, tt.permanent, Permanent(err))
			require.ErrorContains(t, err, "kafka:9092")
			require.ErrorContains(t, err, tt.hint)
		})
	}
}

// A listener that closes with a request unread resets the connection; its hint is that of one that closes in order.
func TestDial_AResetBeforeAnAnswerIsAListenerThatCloses(t *testing.T) {
	for _, how := range []error{syscall.ECONNRESET, syscall.EPIPE} {
		for advice, secured := range map[string]*tls.Config{"TLS or SASL": nil, "plaintext listener": {}} {
			dial := func(context.Context, string, string) (net.Conn, error) {
				near, _ := net.Pipe()
				return endedConn{near, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", how)}}, nil
			}
			_, err := Dial(t.Context(), Config{Dial: dial, TLS: secured}, "kafka:9092")
			h, ok := errors.AsType[*HandshakeError](err)
			require.True(t, ok, "%v", err)
			require.False(t, h.Permanent)
			require.ErrorIs(t, err, how)
			require.ErrorContains(t, err, advice)
		}
	}
}

// An endedConn is a connection that has ended.
type endedConn struct {
	net.Conn
	err error
}

func (c endedConn) Read([]byte) (int, error)  { return 0, c.err }
func (c endedConn) Write([]byte) (int, error) { return 0, c.err }

func TestDial_ASocketThatIsReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err == nil {
			_, _ = nc.Read(make([]byte, 1)) // there is something unread
			_ = nc.(*net.TCPConn).SetLinger(0)
			_ = nc.Close()
		}
	}()
	_, err = Dial(t.Context(), Config{}, l.Addr().String())
	require.ErrorContains(t, err, "TLS or SASL")
}

func TestDial_TLSAtAPlaintextListener(t *testing.T) {
	for _, tt := range []struct {
		name, answer, hint string
		permanent          bool
	}{
		{"answers in plaintext", "\x00\x00\x00\x0a\x00\x00\x00\x01", "plaintext", true},
		{"closes", "", "plaintext", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					_, _ = far.Read(make([]byte, 4096))
					_, _ = far.Write([]byte(tt.answer))
				}()
				return near, nil
			}
			_, err := Dial(t.Context(), Config{Dial: dial, TLS: &tls.Config{}}, "kafka:9093")
			h, ok := errors.AsType[*HandshakeError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "tls", h.Stage)
			require.Equal(t, tt.permanent, h.Permanent)
			require.ErrorContains(t, err, tt.hint)
		})
	}
}

func TestPermanent_AllAddressesMustBe(t *testing.T) {
	forever := &HandshakeError{Permanent: true, Err: errors.New("x")}
	passing := &DialError{Err: errors.New("y")}
	require.True(t, Permanent(&AddressesError{Errs: []error{forever, forever}}))
	require.False(t, Permanent(&AddressesError{Errs: []error{forever, passing}}))
	require.False(t, Permanent(nil))
}
