package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// reuse is a visitor with one buffer.
type reuse struct{ buf []byte }

func (r *reuse) Response(*protocol.FetchResponse) error { return nil }
func (r *reuse) Aborted(*protocol.FetchedPartition, int) []protocol.FetchResponseAbortedTransaction {
	return nil
}
func (r *reuse) Records(_ *protocol.FetchedPartition, _, n int) []byte {
	if n > len(r.buf) {
		r.buf = make([]byte, n)
	}
	return r.buf[:n]
}
func (r *reuse) Partition(*protocol.FetchedPartition) error     { return nil }
func (r *reuse) End([]protocol.FetchResponseNodeEndpoint) error { return nil }

// BenchmarkFetch reads a response of one partition with 1 MiB of records over loopback, the broker's side prepared.
func BenchmarkFetch(b *testing.B) {
	fake := fakebroker.Start(b, fakebroker.Options{})
	id := fake.CreateTopic("t", 1)
	fake.Append("t", 0, protocol.RecordData{Value: make([]byte, 1<<20)})
	var ready []byte
	fake.Handle(protocol.KeyFetch, func(k *fakebroker.Call) fakebroker.Reply {
		if ready == nil {
			var err error
			ready, err = protocol.AppendResponse(nil, k.Correlation, k.Version, k.Default())
			require.NoError(b, err)
		}
		// The correlation id is all that differs.
		ready[4], ready[5], ready[6], ready[7] = byte(k.Correlation>>24), byte(k.Correlation>>16), byte(k.Correlation>>8), byte(k.Correlation)
		return fakebroker.Reply{Raw: ready}
	})
	conn, err := Dial(b.Context(), Config{}, fake.Addr(1))
	require.NoError(b, err)
	req, v := fetchOf(id, "t"), &reuse{}
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Fetch(b.Context(), req, CallOptions{}, v); err != nil {
			b.Fatal(err)
		}
	}
	conn.Close(nil)
	conn.Wait()
}
