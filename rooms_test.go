package kafka

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// rooms is a consumer without a network: fetches are planned, answered and decoded by hand, one step at a time.
type rooms struct {
	*Consumer
	t   testing.TB
	env *decodeEnv // the worker's
}

// newRooms gives a running consumer that knows no cluster.
func newRooms(t testing.TB, opts ...ConsumerOption) *rooms {
	t.Helper()
	c, err := NewConsumer(append([]ConsumerOption{WithLogger(nil), WithBootstrapServers("none.invalid:9092")}, opts...)...)
	require.NoError(t, err)
	c.state.Store(stateRunning)
	c.fetcher.flow.end() // no fetcher runs that would give the headroom back
	return &rooms{Consumer: c, t: t, env: &decodeEnv{names: &nameCache{}}}
}

// assign gives the consumer partitions of topic "t", led by broker 1, at offset 0.
func (r *rooms) assign(n int) []*partition {
	r.t.Helper()
	var tps []TopicPartition
	for i := range n {
		tps = append(tps, TopicPartition{Topic: "t", Partition: int32(i)})
	}
	require.NoError(r.t, r.Assign(tps...))
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	parts := make([]*partition, n)
	for i, tp := range tps {
		p := r.sub.partitions[tp]
		parts[i] = p
		if p.fetch.leader < 0 {
			p.fetch.leader, p.fetch.leaderEpoch = 1, 0
			p.fetch.topicID = testTopicID
			r.sub.seek(p, 0, -1)
		}
	}
	return parts
}

// testTopicID is the id of topic "t".
var testTopicID = protocol.UUID{1: 't'}

// plan plans fetches as the planner does; at most one for each lane of the only broker.
func (r *rooms) plan() (main, side *fetchPlan) {
	r.sub.mu.Lock()
	defer r.sub.mu.Unlock()
	plans, _ := r.fetcher.plan(time.Now())
	for _, pl := range plans {
		if pl.lane == mainLane {
			main = pl
		} else {
			side = pl
		}
	}
	return main, side
}

// part is one partition of an answer.
type part struct {
	index   int32
	set     []byte
	code    protocol.ErrorCode
	high    int64
	aborted []protocol.FetchResponseAbortedTransaction
	size    int   // of the set, where it is not given
	replica int32 // that is preferred; 0: none

	noStable bool // the answer has no last stable offset
}

// answer ends a fetch with these partitions.
func (r *rooms) answer(pl *fetchPlan, parts ...part) {
	r.t.Helper()
	r.visit(pl, parts...)
	r.fetcher.landed(pl, nil, false)
}

// visit lets the plan's visitor see an answer.
func (r *rooms) visit(pl *fetchPlan, parts ...part) {
	r.t.Helper()
	r.read(pl, answerOf(r.t, parts...))
}

// read reads the bytes of an answer, as the connection does.
func (r *rooms) read(pl *fetchPlan, body []byte) {
	r.t.Helper()
	require.NoError(r.t, protocol.ReadFetchResponse(bytes.NewReader(body), len(body), lastVersionByName, r.visitor(pl)))
}

// visitor gives the plan's visitor, as for a fetch that has been sent.
func (r *rooms) visitor(pl *fetchPlan) *fetchVisitor {
	pl.visitor = fetchVisitor{f: r.fetcher, plan: pl}
	return &pl.visitor
}

// answerOf gives the bytes of an answer.
func answerOf(t testing.TB, parts ...part) []byte {
	t.Helper()
	topic := protocol.FetchResponseTopic{Topic: "t"}
	for _, p := range parts {
		fp := protocol.NewFetchResponsePartition()
		fp.PartitionIndex, fp.ErrorCode = p.index, p.code
		fp.HighWatermark, fp.LastStableOffset, fp.AbortedTransactions = p.high, p.high, p.aborted
		if p.replica > 0 {
			fp.PreferredReadReplica = p.replica
		}
		if p.noStable {
			fp.LastStableOffset = -1
		}
		fp.Records = slices.Concat(p.set, make([]byte, max(0, p.size-len(p.set))))
		topic.Partitions = append(topic.Partitions, fp)
	}
	frame, err := protocol.AppendResponse(nil, 0, lastVersionByName, &protocol.FetchResponse{SessionID: 7, Responses: []protocol.FetchResponseTopic{topic}})
	require.NoError(t, err)
	_, body, err := protocol.SplitResponse(frame[4:], protocol.ResponseHeaderVersion(protocol.KeyFetch, lastVersionByName))
	require.NoError(t, err)
	return body
}

// fetched plans a fetch on the main lane and answers it.
func (r *rooms) fetched(parts ...part) {
	r.t.Helper()
	pl, _ := r.plan()
	require.NotNil(r.t, pl, "nothing to fetch")
	r.answer(pl, parts...)
}

// decodeStep lets one worker decode one segment, or up to its limit; false: there is nothing to do.
func (r *rooms) decodeStep() bool {
	s := r.sub
	s.mu.Lock()
	seg := s.pick()
	if seg == nil {
		s.mu.Unlock()
		return false
	}
	r.prepare(r.env, seg)
	s.mu.Unlock()
	for more := true; more; {
		ch, err := seg.decoder.next(seg, r.env)
		s.mu.Lock()
		more = s.decoded(seg, ch, err)
		s.mu.Unlock()
	}
	return true
}

// decode lets a worker do all there is to do; it fails the test when that has no end.
func (r *rooms) decode() {
	r.t.Helper()
	r.sub.mu.Lock()
	r.sub.retryStarved()
	r.sub.mu.Unlock()
	for range 10_000 {
		if !r.decodeStep() {
			return
		}
	}
	require.Fail(r.t, "decoding does not come to an end")
}

// take hands out what is decoded, and tells no errors.
func (r *rooms) take(tps ...TopicPartition) []*Message {
	r.t.Helper()
	s := r.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	var only []*partition
	for _, tp := range tps {
		only = append(only, s.partitions[tp])
	}
	got := make(map[TopicPartition][]*Message)
	s.beginTurn()
	s.takeMany(only, 1<<20, got)
	var out []*Message
	for _, msgs := range got {
		out = append(out, msgs...)
	}
	return out
}

// drain fetches nothing more, but decodes and takes until nothing is left.
func (r *rooms) drain() []*Message {
	r.t.Helper()
	var out []*Message
	for {
		r.decode()
		got := r.take()
		if len(got) == 0 {
			return out
		}
		out = append(out, got...)
	}
}

// requireAllFree asserts that every charge was given back, once.
func (r *rooms) requireAllFree() {
	r.t.Helper()
	b := r.sub.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(r.t, []int64{0, 0, 0}, []int64{b.used, b.held, b.decoded}, "used, held, decoded")
	require.False(r.t, b.taken, "the reserve is taken")
	require.LessOrEqual(r.t, b.peak, b.limit, "peak")
}

// values gives the messages' values.
func values(msgs []*Message) []string {
	out := make([]string, len(msgs))
	for i, m := range msgs {
		out[i] = string(m.Value)
	}
	return out
}

// offsetsOf gives the messages' offsets.
func offsetsOf(msgs []*Message) []int64 {
	out := make([]int64, len(msgs))
	for i, m := range msgs {
		out[i] = m.Offset
	}
	return out
}

// batchOf is a batch of n records, with values v0, v1, … named by their offsets.
func batchOf(base int64, n int, change ...func(*protocol.BatchHeader)) []byte {
	return valuesBatch(base, numbered(base, n), change...)
}

func numbered(base int64, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("v%d", base+int64(i))
	}
	return out
}

func valuesBatch(base int64, values []string, change ...func(*protocol.BatchHeader)) []byte {
	records := make([]protocol.RecordData, len(values))
	for i, v := range values {
		records[i] = protocol.RecordData{OffsetDelta: int32(i), Value: []byte(v)}
	}
	return recordsBatch(base, records, change...)
}

func recordsBatch(base int64, records []protocol.RecordData, change ...func(*protocol.BatchHeader)) []byte {
	h := protocol.NewBatchHeader(base)
	for _, f := range change {
		f(&h)
	}
	var pack protocol.Compressor
	if codec := compress.Codec(h.Codec()); codec != compress.None {
		pack = func(dst, src []byte) ([]byte, error) { return compress.Encode(codec, dst, src) }
	}
	b, err := protocol.AppendBatch(nil, h, pack, records...)
	if err != nil {
		panic(err)
	}
	return b
}

// With these a batch is not the plain one.
func withCodec(c compress.Codec) func(*protocol.BatchHeader) {
	return func(h *protocol.BatchHeader) { h.Attributes |= int16(c) }
}

func inEpoch(epoch int32) func(*protocol.BatchHeader) {
	return func(h *protocol.BatchHeader) { h.PartitionLeaderEpoch = epoch }
}

func byProducer(id int64) func(*protocol.BatchHeader) {
	return func(h *protocol.BatchHeader) {
		h.ProducerID, h.ProducerEpoch, h.BaseSequence = id, 0, 0
		h.Attributes |= protocol.AttributeTransactional
	}
}

// marker is the control batch that ends a producer's transaction.
func marker(offset, producer int64, kind protocol.ControlType, change ...func(*protocol.BatchHeader)) []byte {
	h := protocol.NewBatchHeader(offset)
	h.ProducerID, h.ProducerEpoch = producer, 0
	for _, f := range change {
		f(&h)
	}
	return protocol.AppendControlBatch(nil, h, kind, 0)
}

// joined puts batches behind each other.
func joined(batches ...[]byte) []byte {
	var out []byte
	for _, b := range batches {
		out = append(out, b...)
	}
	return out
}
