package acceptance

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// soon is what a local decision may take on a busy machine: a bound, not an expectation.
const soon = 3 * time.Second

// short is how long a test watches that nothing happens.
const short = 150 * time.Millisecond

func tpOf(topic string, partition int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: topic, Partition: partition}
}

// until gives a ctx that ends after d.
func until(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// produce writes values to a partition.
func produce(t *testing.T, c *kafkatest.Cluster, topic string, partition int32, values ...string) {
	t.Helper()
	kafkatest.Produce(t, c, topic, partition, kafkatest.Values(values...))
}

// eventually polls until a condition holds.
func eventually(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, fmt.Sprintf(what, args...))
}

// nothing sees that no message comes for a moment.
func nothing(t *testing.T, consumer *kafka.Consumer, opts ...kafka.GetOption) {
	t.Helper()
	got, err := consumer.GetMany(within(t), append(opts, kafka.WaitFor(short))...)
	require.NoError(t, err)
	require.Empty(t, got)
}

// readMany takes n messages with GetMany, and gives them by partition.
func readMany(t *testing.T, consumer *kafka.Consumer, n int, opts ...kafka.GetOption) map[kafka.TopicPartition][]*kafka.Message {
	t.Helper()
	ctx := within(t)
	out := make(map[kafka.TopicPartition][]*kafka.Message)
	for got := 0; got < n; {
		batch, err := consumer.GetMany(ctx, opts...)
		require.NoError(t, err, "after %d of %d messages", got, n)
		for tp, msgs := range batch {
			require.NotEmpty(t, msgs)
			out[tp] = append(out[tp], msgs...)
			got += len(msgs)
		}
	}
	return out
}

func count(batch map[kafka.TopicPartition][]*kafka.Message) (n int) {
	for _, msgs := range batch {
		n += len(msgs)
	}
	return n
}

// consecutive sees that offsets follow one another from the given one.
func consecutive(t *testing.T, from int64, msgs []*kafka.Message) {
	t.Helper()
	for i, m := range msgs {
		require.Equal(t, from+int64(i), m.Offset, "of %v", m.TopicPartition())
	}
}

func position(t *testing.T, consumer *kafka.Consumer, tp kafka.TopicPartition) int64 {
	t.Helper()
	at, err := consumer.Position(within(t), tp)
	require.NoError(t, err)
	return at
}

// buffered waits until the partitions have messages to hand out, without taking any: until an answer to a fetch has
// brought them, and a moment for decoding.
func buffered(t *testing.T, consumer *kafka.Consumer, tps ...kafka.TopicPartition) {
	t.Helper()
	for _, tp := range tps {
		eventually(t, func() bool {
			end, ok := consumer.Highwater(tp)
			return ok && end > 0
		}, "%v was not fetched", tp)
	}
}

// A result is how a call that ran in the background ended.
type result struct {
	err  error
	took time.Duration
}

// inBackground runs a call that blocks.
func inBackground(call func() error) <-chan result {
	done := make(chan result, 1)
	began := time.Now()
	go func() {
		err := call()
		done <- result{err, time.Since(began)}
	}()
	return done
}

// blocked sees that a call does not return.
func blocked(t *testing.T, done <-chan result) {
	t.Helper()
	select {
	case r := <-done:
		require.Fail(t, "the call returned", "%v", r.err)
	case <-time.After(short):
	}
}

// ended waits for a call to return.
func ended(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(testTime):
		require.Fail(t, "the call does not return")
		return result{}
	}
}

// A logBook keeps what is logged.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

// logger gives a logger that writes to the book lines of a level and above, as "LEVEL message key=value …".
func (b *logBook) logger(level slog.Level) *slog.Logger { return slog.New(bookHandler{b, level, ""}) }

// matching gives the lines that contain all the parts.
func (b *logBook) matching(parts ...string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			found = append(found, line)
		}
	}
	return found
}

// has waits for n lines that contain all the parts, and sees that there are no more: what is logged of a change may come a
// moment after it shows.
func (b *logBook) has(t *testing.T, n int, parts ...string) {
	t.Helper()
	eventually(t, func() bool { return len(b.matching(parts...)) >= n }, "%d lines with %q are not logged", n, parts)
	require.Len(t, b.matching(parts...), n)
}

// hasSome waits for a line that contains all the parts.
func (b *logBook) hasSome(t *testing.T, parts ...string) {
	t.Helper()
	eventually(t, func() bool { return len(b.matching(parts...)) > 0 }, "no line with %q is logged", parts)
}

type bookHandler struct {
	book  *logBook
	level slog.Level
	attrs string
}

func (h bookHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h bookHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message + h.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.book.lines = append(h.book.lines, line)
	return nil
}

func (h bookHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += " " + a.String()
	}
	return h
}

func (h bookHandler) WithGroup(string) slog.Handler { return h }

// sortedKeys gives the partitions of a batch.
func sortedKeys(batch map[kafka.TopicPartition][]*kafka.Message) []kafka.TopicPartition {
	return slices.SortedFunc(maps.Keys(batch), func(a, b kafka.TopicPartition) int { return strings.Compare(a.String(), b.String()) })
}

// otherNode gives a node other than the one named.
func otherNode(t *testing.T, c *kafkatest.Cluster, id int32) *kafkatest.Node {
	t.Helper()
	for _, n := range c.Nodes() {
		if n.ID != id {
			return n
		}
	}
	require.Fail(t, "there is only one node")
	return nil
}
