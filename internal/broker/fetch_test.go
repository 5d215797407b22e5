package broker

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// recorder is a visitor that keeps what it is told; its hooks may be nil.
type recorder struct {
	head       *protocol.FetchResponse
	partitions []protocol.FetchedPartition
	ended      bool
	onRecords  func(size int) []byte
	onHead     func() error
}

func (r *recorder) Response(h *protocol.FetchResponse) error {
	r.head = h
	if r.onHead != nil {
		return r.onHead()
	}
	return nil
}

func (r *recorder) Aborted(_ *protocol.FetchedPartition, n int) []protocol.FetchResponseAbortedTransaction {
	return make([]protocol.FetchResponseAbortedTransaction, n)
}

func (r *recorder) Records(_ *protocol.FetchedPartition, _, size int) []byte {
	if r.onRecords != nil {
		return r.onRecords(size)
	}
	return make([]byte, size)
}

func (r *recorder) Partition(p *protocol.FetchedPartition) error {
	r.partitions = append(r.partitions, *p)
	return nil
}

func (r *recorder) End([]protocol.FetchResponseNodeEndpoint) error {
	r.ended = true
	return nil
}

// fetchOf asks for a partition from its beginning.
func fetchOf(id protocol.UUID, topic string) *protocol.FetchRequest {
	req := protocol.NewFetchRequest()
	p := protocol.NewFetchRequestPartition()
	p.PartitionMaxBytes = 10 << 20
	req.MaxWaitMs, req.MinBytes = 500, 1
	req.Topics = []protocol.FetchRequestTopic{{Topic: topic, TopicID: id, Partitions: []protocol.FetchRequestPartition{p}}}
	return req
}

func TestFetch_StreamsRecordsIntoTheVisitorsMemory(t *testing.T) {
	for _, version := range []int16{0, 11} { // newest and one by name, without tagged fields
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		big := bytes.Repeat([]byte("kafka"), 100_000)
		fake.Append("t", 0, protocol.RecordData{Value: big}, protocol.RecordData{Value: []byte("small")})
		conn := dialFake(t, fake, nil)
		memory := []byte{}
		r := &recorder{onRecords: func(size int) []byte { memory = make([]byte, size); return memory }}

		_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{MaxVersion: version}, r)

		require.NoError(t, err)
		require.True(t, r.ended)
		require.Len(t, r.partitions, 1)
		require.Equal(t, int64(2), r.partitions[0].Partition.HighWatermark)
		require.Same(t, &memory[0], &r.partitions[0].Partition.Records[0])
		require.True(t, bytes.Contains(memory, big))
	}
}

func TestFetch_AnswersMayBeLargerThanOthers(t *testing.T) {
	fake := inMemory(t)
	id := fake.CreateTopic("t", 1)
	fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 1<<20)})
	conn := dialFake(t, fake, func(cfg *Config) { cfg.MaxResponseBytes = 64 << 10 })

	taken := &recorder{}
	_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, taken)
	require.NoError(t, err)
	require.Greater(t, len(taken.partitions[0].Partition.Records), 1<<20)
	_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, &recorder{onRecords: func(int) []byte { return nil }})
	require.NoError(t, err)

	fake.Handle(protocol.KeyMetadata, func(k *fakebroker.Call) fakebroker.Reply {
		return fakebroker.Reply{Raw: frame(64<<10+1, uint32(k.Correlation), "")}
	})
	_, _, err = conn.Do(t.Context(), metadataFor("t"), CallOptions{})
	require.ErrorAs(t, err, new(*FrameError))
}

func TestFetch_VisitorsErrorIsTheCallsAlone(t *testing.T) {
	fake := inMemory(t)
	id := fake.CreateTopic("t", 1)
	fake.AppendValues("t", 0, "a", "b")
	conn := dialFake(t, fake, nil)
	full := errors.New("no room")

	_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, &recorder{onHead: func() error { return full }})
	require.ErrorIs(t, err, full)

	drained := &recorder{onRecords: func(int) []byte { return nil }}
	_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, drained)
	require.NoError(t, err, "the connection lives on")
	require.Nil(t, drained.partitions[0].Partition.Records)
	require.Positive(t, drained.partitions[0].RecordsSize)
}

func TestFetch_OverdueIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		conn := dialFake(t, fake, nil)
		start := time.Now()
		_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{FirstByteTimeout: 1500 * time.Millisecond}, &recorder{})
		require.NoError(t, err, "an empty long poll is no error")
		require.Equal(t, 500*time.Millisecond, time.Since(start))

		fake.HangNode(1)
		start = time.Now()
		_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{FirstByteTimeout: 1500 * time.Millisecond}, &recorder{})
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, 1500*time.Millisecond, time.Since(start))
	})
}

// A broker that throttles answers first and then does not read (KIP-219): the answer is there at once, the connection stays, and the
// next request is written, and its clock begins, when the silence is over.
func TestFetch_HonoursThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		fake.AppendValues("t", 0, "a")
		fake.HandleN(protocol.KeyFetch, 1, func(k *fakebroker.Call) fakebroker.Reply {
			r := k.Default().(*protocol.FetchResponse)
			r.ThrottleTimeMs = 5000
			return fakebroker.Reply{Response: r}
		})
		conn := dialFake(t, fake, nil)
		start := time.Now()
		r := &recorder{}
		overdue := CallOptions{FirstByteTimeout: 1500 * time.Millisecond}
		_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), overdue, r)
		require.NoError(t, err)
		require.Zero(t, time.Since(start))
		require.Len(t, r.partitions, 1)

		_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), overdue, &recorder{})
		require.NoError(t, err, "longer than a fetch may take, and not its fault")
		require.Equal(t, 5*time.Second, time.Since(start))
		require.NoError(t, conn.Err())
	})
}

// trickle sends a fetch response a piece at a time.
func trickle(t *testing.T, k *fakebroker.Call, piece int, pause time.Duration) fakebroker.Reply {
	raw, err := protocol.AppendResponse(nil, k.Correlation, k.Version, k.Default())
	require.NoError(t, err)
	for len(raw) > piece {
		if _, err := k.Conn.Write(raw[:piece]); err != nil {
			return fakebroker.Reply{Drop: true}
		}
		raw = raw[piece:]
		time.Sleep(pause) // the bubble's clock
	}
	return fakebroker.Reply{Raw: raw}
}

func TestFetch_BoundedByProgressOnceItHasBegun(t *testing.T) {
	t.Run("a slow link is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fake := inMemory(t)
			id := fake.CreateTopic("t", 1)
			fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 1<<20)})
			fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
				return trickle(t, k, 32<<10, 10*time.Second)
			})
			conn := dialFake(t, fake, nil)
			start := time.Now()
			r := &recorder{}
			_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{FirstByteTimeout: time.Second}, r)
			require.NoError(t, err)
			require.Greater(t, time.Since(start), 5*time.Minute)
			require.Len(t, r.partitions, 1)
		})
	})
	t.Run("a byte a second is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fake := inMemory(t)
			id := fake.CreateTopic("t", 1)
			fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 1<<20)})
			fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
				return trickle(t, k, 1, time.Second)
			})
			conn := dialFake(t, fake, nil)
			start := time.Now()
			_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{FirstByteTimeout: 10 * time.Second}, &recorder{})
			require.ErrorIs(t, err, ErrTimeout)
			require.Less(t, time.Since(start), time.Minute)
		})
	})
}

func TestFetch_RequestsBehindASlowResponseAreNotOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 1<<20)})
		fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
			return trickle(t, k, 64<<10, 10*time.Second)
		})
		conn := dialFake(t, fake, nil)
		fetched := make(chan error, 1)
		go func() {
			_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, &recorder{})
			fetched <- err
		}()
		synctest.Wait()
		_, _, err := conn.Do(t.Context(), metadataFor("t"), CallOptions{Timeout: 2 * time.Second})
		require.NoError(t, err)
		require.NoError(t, <-fetched)
	})
}

func TestFetch_CancelledWhileWaitingReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		conn := dialFake(t, fake, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		r := &recorder{}
		_, err := conn.Fetch(ctx, fetchOf(id, "t"), CallOptions{}, r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(start))

		again := &recorder{}
		_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, again)
		require.NoError(t, err)
		require.Nil(t, r.head, "the response nobody waited for was not shown")
		require.NotNil(t, again.head)
	})
}

func TestFetch_CancelledWhileStreamingLetsGoOfTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 1<<20)})
		fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
			return trickle(t, k, 64<<10, time.Second)
		})
		conn := dialFake(t, fake, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		start := time.Now()
		r := &recorder{}
		_, err := conn.Fetch(ctx, fetchOf(id, "t"), CallOptions{}, r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3500*time.Millisecond+releaseGrace, time.Since(start))
		require.Empty(t, r.partitions)
		require.ErrorIs(t, conn.Err(), ErrClosed, "the only way to have the memory back in time")
	})
}

func TestFetch_CancelledWhileStreamingKeepsTheConnectionIfItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 256<<10)})
		fake.HandleN(protocol.KeyFetch, 1, func(k *fakebroker.Call) fakebroker.Reply {
			return trickle(t, k, 64<<10, 100*time.Millisecond)
		})
		conn := dialFake(t, fake, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		r := &recorder{}
		_, err := conn.Fetch(ctx, fetchOf(id, "t"), CallOptions{}, r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, r.partitions, "the visitor is not called once the wait is over")
		require.NoError(t, conn.Err())
		_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, r)
		require.NoError(t, err)
		require.Len(t, r.partitions, 1)
	})
}

func TestCloseIfIdle_NotWhileAResponseIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := inMemory(t)
		id := fake.CreateTopic("t", 1)
		fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 256<<10)})
		fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
			return trickle(t, k, 64<<10, time.Second)
		})
		conn := dialFake(t, fake, nil)
		done := make(chan error, 1)
		go func() {
			_, err := conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, &recorder{})
			done <- err
		}()
		time.Sleep(1500 * time.Millisecond)
		require.False(t, conn.CloseIfIdle(time.Now()))
		require.Equal(t, 1, conn.InFlight())
		require.NoError(t, <-done)
	})
}
