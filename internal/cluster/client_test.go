package cluster

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// logBuffer keeps log lines; safe for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// newClient makes a client of the fake cluster, closed with the test. Closing must leave nothing behind: in a bubble
// the test would not end otherwise.
func newClient(t testing.TB, fake *fakebroker.Cluster, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{Bootstrap: fake.Addrs(), Broker: broker.Config{ClientID: "test", Dial: fake.Dial}}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, c.Close(ctx))
	})
	return c
}

// started is newClient, connected, with topics tracked.
func started(t testing.TB, fake *fakebroker.Cluster, topics []string, change func(*Config)) *Client {
	t.Helper()
	c := newClient(t, fake, change)
	c.SetTopics(topics)
	require.NoError(t, c.Start(t.Context()))
	return c
}

func nodes(t testing.TB, n int) *fakebroker.Cluster {
	t.Helper()
	return fakebroker.Start(t, fakebroker.Options{InMemory: true, Nodes: n})
}

// awaitView waits for a view that cond likes.
func awaitView(t testing.TB, c *Client, cond func(*Metadata) bool) {
	t.Helper()
	for {
		changed := c.Changed()
		if cond(c.Metadata()) {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the view never came")
		}
	}
}

func leads(topic string, partition, leader int32) func(*Metadata) bool {
	return func(m *Metadata) bool {
		p, ok := m.Partition(topic, partition)
		return ok && p.Leader == leader
	}
}

func TestStart_KnowsTheClusterAndItsTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		id := fake.CreateTopic("t", 4)
		c := started(t, fake, []string{"t", "missing"}, nil)
		m := c.Metadata()
		require.Len(t, m.Brokers, 3)
		require.Equal(t, id, m.Topics["t"].ID)
		require.Len(t, m.Topics["t"].Partitions, 4)
		require.Equal(t, protocol.UnknownTopicOrPartition, m.Topics["missing"].Err)
		require.Error(t, c.Start(t.Context()), "it runs already")

		for _, k := range fake.Calls(protocol.KeyMetadata) {
			require.False(t, k.Request.(*protocol.MetadataRequest).AllowAutoTopicCreation)
		}
	})
}

func TestStart_AdoptsTheBootstrapConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		c := started(t, fake, nil, nil)
		require.NoError(t, c.WaitRefresh(t.Context()))
		require.Equal(t, 1, fake.Connections(1))
	})
}

func TestStart_OneDeadSeedAmongThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.StopNode(1)
		fake.HangNode(2)
		begun := time.Now()
		c := started(t, fake, nil, nil)
		require.Zero(t, time.Since(begun), "neither holds it up")
		require.Len(t, c.Metadata().Brokers, 2)
	})
}

func TestStart_TriesInRoundsAndWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		fake.StopNode(1)
		fake.HangNode(2)
		var log logBuffer
		c := newClient(t, fake, func(cfg *Config) { cfg.Logger = log.logger() })
		done := make(chan error, 1)
		go func() { done <- c.Start(t.Context()) }()

		time.Sleep(time.Second)
		require.Contains(t, log.String(), "level=WARN")
		require.Contains(t, log.String(), fake.Addr(1)+": connection refused")
		require.Contains(t, log.String(), "unanswered=["+fake.Addr(2)+"]", "the silent one is named too")
		time.Sleep(time.Minute)
		require.Equal(t, 1, bytes.Count([]byte(log.String()), []byte("level=WARN")))

		require.NoError(t, fake.StartNode(1))
		require.NoError(t, <-done)
	})
}

func TestStart_EndsWithItsContextAndMayBeCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		fake.StopNode(1)
		fake.HangNode(2)
		c := newClient(t, fake, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		err := c.Start(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		b, ok := errors.AsType[*BootstrapError](err)
		require.True(t, ok)
		require.Len(t, b.Attempts, 2)
		require.False(t, b.Permanent)
		require.ErrorContains(t, err, fake.Addr(1)+": connection refused")
		require.ErrorContains(t, err, fake.Addr(2))
		require.NoError(t, fake.Await(t.Context(), func() bool { return fake.Connections(2) == 0 }), "nothing is left behind")
		_, err = c.FetchMetadata(t.Context(), nil)
		require.ErrorIs(t, err, ErrNotStarted)

		fake.ResumeNode(2)
		require.NoError(t, c.Start(t.Context()))
	})
}

func TestStart_FailsAtOnceWhenEveryAddressFailsForGood(t *testing.T) {
	for _, tt := range []struct {
		name   string
		second string
		once   bool
	}{
		{"both", "HTTP/1.1 400 Bad Request\r\n", true},
		{"one only closes: that may pass", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := map[string]string{"a:1": "\x15\x03\x03\x00\x02\x02\x46", "b:1": tt.second}
				dial := func(_ context.Context, _, addr string) (net.Conn, error) {
					near, far := net.Pipe()
					go func() {
						defer far.Close()
						_, _ = far.Read(make([]byte, 1024))
						_, _ = far.Write([]byte(answers[addr]))
					}()
					return near, nil
				}
				c := New(Config{Bootstrap: []string{"a:1", "b:1"}, Broker: broker.Config{Dial: dial}})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				begun := time.Now()
				err := c.Start(ctx)
				b, ok := errors.AsType[*BootstrapError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, tt.once, b.Permanent)
				require.Equal(t, tt.once, time.Since(begun) == 0)
				require.ErrorContains(t, err, "TLS")
				require.NoError(t, c.Close(t.Context()))
			})
		})
	}
}

func TestStart_BoundedParallelDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			now--
			mu.Unlock()
			return nil, ctx.Err()
		}
		seeds := make([]string, 20)
		for i := range seeds {
			seeds[i] = "seed:" + string(rune('a'+i))
		}
		c := New(Config{Bootstrap: seeds, Broker: broker.Config{Dial: dial}})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		require.Error(t, c.Start(ctx))
		require.Equal(t, bootstrapParallel, most)
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestClose_DuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 1)
		fake.HangNode(1)
		c := newClient(t, fake, nil)
		done := make(chan error, 1)
		go func() { done <- c.Start(t.Context()) }()
		synctest.Wait()
		require.NoError(t, c.Close(t.Context()))
		require.ErrorIs(t, <-done, ErrClosed)
	})
}

func TestClose_FailsEverythingAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 3)
		fake.CreateTopic("t", 3)
		c := started(t, fake, []string{"t"}, nil)
		fake.Handle(protocol.KeyListOffsets, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
		failed := make(chan error, 4)
		for id := int32(1); id <= 3; id++ {
			go func() {
				_, _, err := c.Do(t.Context(), id, KindGeneral, &protocol.ListOffsetsRequest{}, broker.CallOptions{})
				failed <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, c.Close(t.Context()))
		for range 3 {
			require.ErrorIs(t, <-failed, broker.ErrClosed)
		}
		_, _, err := c.Do(t.Context(), 1, KindGeneral, &protocol.ListOffsetsRequest{}, broker.CallOptions{})
		require.ErrorIs(t, err, ErrClosed)
		_, err = c.FetchMetadata(t.Context(), nil)
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, c.Start(t.Context()), ErrClosed)
		require.NoError(t, c.Close(t.Context()), "again")
		for id := int32(1); id <= 3; id++ {
			require.NoError(t, fake.Await(t.Context(), func() bool { return fake.Connections(id) == 0 }))
		}
	})
}

func TestClose_NamesADialerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := nodes(t, 2)
		fake.CreateTopic("t", 2)
		release := make(chan struct{})
		var hang sync.Map
		c := New(Config{Bootstrap: []string{fake.Addr(1)}, Broker: broker.Config{
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if _, yes := hang.Load(addr); yes {
					<-release
				}
				return fake.Dial(ctx, network, addr)
			},
		}})
		require.NoError(t, c.Start(t.Context()))
		hang.Store(fake.Addr(2), true)
		go func() {
			_, _, _ = c.Do(t.Context(), 2, KindFetch, &protocol.ListOffsetsRequest{}, broker.CallOptions{})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := c.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, fake.Addr(2))
		close(release)
		synctest.Wait()
		require.Zero(t, fake.Connections(2), "what the dialer brings late is closed")
	})
}
