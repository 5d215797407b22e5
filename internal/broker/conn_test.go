package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// dialFake connects to a node of an in-memory cluster; the connection is closed with the test.
func dialFake(t testing.TB, c *fakebroker.Cluster, change func(*Config)) *Conn {
	t.Helper()
	cfg := Config{ClientID: "test", Dial: c.Dial}
	if change != nil {
		change(&cfg)
	}
	conn, err := Dial(t.Context(), cfg, c.Addr(1))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close(nil)
		conn.Wait()
	})
	return conn
}

func inMemory(t testing.TB) *fakebroker.Cluster {
	t.Helper()
	return fakebroker.Start(t, fakebroker.Options{InMemory: true})
}

// metadataFor is a request whose answer names the topic, so that answers can be told apart.
func metadataFor(topic string) *protocol.MetadataRequest {
	return &protocol.MetadataRequest{Topics: []protocol.MetadataRequestTopic{{Name: &topic}}}
}

func topicIn(t testing.TB, r protocol.Response) string {
	t.Helper()
	topics := r.(*protocol.MetadataResponse).Topics
	require.Len(t, topics, 1)
	return *topics[0].Name
}

func TestDo_PipelinesAndMatchesAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		hold := make(chan struct{})
		fake.HandleN(protocol.KeyMetadata, 1, func(*fakebroker.Call) fakebroker.Reply {
			<-hold
			return fakebroker.Reply{}
		})
		conn := dialFake(t, fake, nil)

		names := []string{"a", "b", "c", "d"}
		got := make(chan string, len(names))
		for _, name := range names {
			go func() {
				r, _, err := conn.Do(t.Context(), metadataFor(name), CallOptions{})
				if err == nil && topicIn(t, r) == name {
					got <- name
				}
			}()
		}
		synctest.Wait()
		require.Equal(t, len(names), conn.InFlight(), "all are on their way before the first is answered")

		close(hold)
		synctest.Wait()
		require.Len(t, got, len(names), "each got the answer to its own question")
		require.Zero(t, conn.InFlight())
	})
}

func TestDo_CancelledCallerHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		hold := make(chan struct{})
		fake.HandleN(protocol.KeyMetadata, 1, func(*fakebroker.Call) fakebroker.Reply {
			<-hold
			return fakebroker.Reply{}
		})
		conn := dialFake(t, fake, nil)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, _, err := conn.Do(ctx, metadataFor("cancelled"), CallOptions{})
			first <- err
		}()
		second := make(chan string, 1)
		synctest.Wait()
		go func() {
			r, _, err := conn.Do(t.Context(), metadataFor("kept"), CallOptions{})
			require.NoError(t, err)
			second <- topicIn(t, r)
		}()
		synctest.Wait()

		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		close(hold)
		require.Equal(t, "kept", <-second)
		require.NoError(t, conn.Err())
	})
}

func TestDo_CancelledBeforeItIsWrittenIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		fake.HandleN(protocol.KeyMetadata, 1, func(k *fakebroker.Call) fakebroker.Reply {
			r := k.Default().(*protocol.MetadataResponse)
			r.ThrottleTimeMs = 5000
			return fakebroker.Reply{Response: r}
		})
		conn := dialFake(t, fake, nil)
		_, _, err := conn.Do(t.Context(), metadataFor("throttled"), CallOptions{})
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err = conn.Do(ctx, metadataFor("never sent"), CallOptions{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, err = conn.Do(t.Context(), metadataFor("sent"), CallOptions{})
		require.NoError(t, err)
		require.Equal(t, 2, fake.Count(protocol.KeyMetadata))
	})
}

func TestDo_PastItsDeadlineClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		fake.Handle(protocol.KeyMetadata, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
		conn := dialFake(t, fake, nil)
		start := time.Now()
		behind := make(chan error, 1)
		go func() {
			_, _, err := conn.Do(t.Context(), metadataFor("behind"), CallOptions{Timeout: time.Hour})
			behind <- err
		}()
		synctest.Wait()

		_, _, err := conn.Do(t.Context(), metadataFor("late"), CallOptions{Timeout: 3 * time.Second})

		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, 3*time.Second, time.Since(start))
		require.ErrorIs(t, <-behind, ErrTimeout, "what is in flight beside it fails too")
		require.ErrorIs(t, conn.Err(), ErrTimeout)
		re, ok := errors.AsType[*RequestError](err)
		require.True(t, ok)
		require.Equal(t, protocol.KeyMetadata, re.API)
		require.Equal(t, fake.Addr(1), re.Addr)
		_, _, err = conn.Do(t.Context(), metadataFor("after"), CallOptions{})
		require.ErrorIs(t, err, ErrTimeout)
	})
}

func TestDo_AbandonedRequestStillHasItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		fake.Handle(protocol.KeyMetadata, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
		conn := dialFake(t, fake, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := conn.Do(ctx, metadataFor("a"), CallOptions{Timeout: 10 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, conn.Err())

		<-conn.Done()
		require.ErrorIs(t, conn.Err(), ErrTimeout)
	})
}

func TestDo_HonoursThrottleUpToABound(t *testing.T) {
	for _, tt := range []struct {
		name     string
		throttle int32
		version  int16
		want     time.Duration
	}{
		{"as told", 2500, 0, 2500 * time.Millisecond},
		{"at most a minute", 1<<31 - 1, 0, MaxThrottle},
		{"negative is none", -5, 0, 0},
		{"old versions have waited already", 2500, 5, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := inMemory(t)
				fake.HandleN(protocol.KeyMetadata, 1, func(k *fakebroker.Call) fakebroker.Reply {
					r := k.Default().(*protocol.MetadataResponse)
					r.ThrottleTimeMs = tt.throttle
					return fakebroker.Reply{Response: r}
				})
				var log strings.Builder
				conn := dialFake(t, fake, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				start := time.Now()
				_, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{MaxVersion: tt.version})
				require.NoError(t, err)
				require.Equal(t, tt.want == MaxThrottle, strings.Contains(log.String(), "level=WARN"))
				require.Zero(t, time.Since(start), "the throttled answer itself comes at once")

				_, _, err = conn.Do(t.Context(), metadataFor("b"), CallOptions{})
				require.NoError(t, err)
				require.Equal(t, tt.want, time.Since(start))
			})
		})
	}
}

// What was written before a throttled answer came waits with the broker, which does not read for that long (KIP-219): its clock runs
// when the silence is over, and then it does run.
func TestDo_ThrottleHoldsTheClocksOfWhatIsWritten(t *testing.T) {
	for name, hangs := range map[string]bool{"answered": false, "never answered": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const silent, patience = 5 * time.Second, 2 * time.Second
				fake := inMemory(t)
				hold := make(chan struct{}) // until both are written
				fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
					if *k.Request.(*protocol.MetadataRequest).Topics[0].Name == "behind it" {
						return fakebroker.Reply{Hang: hangs, Delay: silent}
					}
					<-hold
					r := k.Default().(*protocol.MetadataResponse)
					r.ThrottleTimeMs = int32(silent.Milliseconds())
					return fakebroker.Reply{Response: r}
				})
				conn := dialFake(t, fake, nil)
				ask := func(topic string) <-chan error {
					done := make(chan error, 1)
					go func() {
						_, _, err := conn.Do(t.Context(), metadataFor(topic), CallOptions{Timeout: patience})
						done <- err
					}()
					synctest.Wait()
					return done
				}
				first, second := ask("throttled"), ask("behind it")
				start := time.Now()
				close(hold)
				require.NoError(t, <-first)
				err := <-second
				if !hangs {
					require.NoError(t, err)
					require.Equal(t, silent, time.Since(start))
					return
				}
				require.ErrorIs(t, err, ErrTimeout)
				require.Equal(t, silent+patience, time.Since(start))
			})
		})
	}
}

func TestClose_FailsRequestsAndEndsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		fake.Handle(protocol.KeyMetadata, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
		conn := dialFake(t, fake, nil)
		failed := make(chan error, 1)
		go func() {
			_, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
			failed <- err
		}()
		synctest.Wait()

		cause := errors.New("enough")
		conn.Close(cause)
		conn.Close(nil)
		conn.Wait()

		require.ErrorIs(t, <-failed, cause)
		require.ErrorIs(t, conn.Err(), cause)
		require.NoError(t, fake.Await(t.Context(), func() bool { return fake.Connections(1) == 0 }))
	})
}

func TestCloseIfIdle_OnlyWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		hold := make(chan struct{})
		fake.Handle(protocol.KeyMetadata, func(*fakebroker.Call) fakebroker.Reply {
			<-hold
			return fakebroker.Reply{}
		})
		conn := dialFake(t, fake, func(c *Config) { c.RequestTimeout = time.Hour })
		go func() { _, _, _ = conn.Do(t.Context(), metadataFor("a"), CallOptions{}) }()
		synctest.Wait()
		time.Sleep(time.Minute)
		require.False(t, conn.CloseIfIdle(time.Now()), "a request is in flight")
		close(hold)
		synctest.Wait()
		require.False(t, conn.CloseIfIdle(time.Now().Add(-time.Second)), "it was used later")
		require.True(t, conn.CloseIfIdle(time.Now()))
		_, _, err := conn.Do(t.Context(), metadataFor("b"), CallOptions{})
		require.ErrorIs(t, err, ErrIdle)
	})
}

func TestDo_BrokerThatTakesNoBytesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		var stuck atomic.Bool
		conn := dialFake(t, fake, func(c *Config) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				return &stuckConn{nc, &stuck}, err
			}
		})
		stuck.Store(true)
		start := time.Now()
		_, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{Timeout: time.Hour})
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, DefaultRequestTimeout, time.Since(start))
	})
}

// stuckConn writes into a full pipe once stuck is set.
type stuckConn struct {
	net.Conn
	stuck *atomic.Bool
}

func (c *stuckConn) Write(b []byte) (int, error) {
	if !c.stuck.Load() {
		return c.Conn.Write(b)
	}
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	if err := near.SetWriteDeadline(time.Now().Add(DefaultRequestTimeout)); err != nil {
		return 0, err
	}
	return near.Write(b)
}

func TestDo_FailedWriteEndsTheConnectionEvenIfTheReaderHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		var broken atomic.Bool
		conn := dialFake(t, fake, func(c *Config) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				return &brokenConn{nc, &broken}, err
			}
		})
		broken.Store(true)
		start := time.Now()
		_, _, err := conn.Do(t.Context(), metadataFor("a"), CallOptions{})
		require.ErrorIs(t, err, errBrokenPipe)
		require.Equal(t, lastWords, time.Since(start))
	})
}

var errBrokenPipe = errors.New("broken pipe")

// brokenConn refuses to write once broken is set.
type brokenConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, errBrokenPipe
	}
	return c.Conn.Write(b)
}
