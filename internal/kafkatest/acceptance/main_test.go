// Package acceptance tests the consumer from outside, as its users have it, on the embedded broker and on real ones.
package acceptance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// testTime bounds what a test waits for in all.
const testTime = 60 * time.Second

// newConsumer makes a consumer of the cluster, not started, that logs to the test and leaves nothing behind.
func newConsumer(t *testing.T, c *kafkatest.Cluster, opts ...kafka.ConsumerOption) *kafka.Consumer {
	t.Helper()
	leavesNothing(t)
	all := append([]kafka.ConsumerOption{
		kafka.WithBootstrapServers(c.Bootstrap()...),
		kafka.WithDialer(c.Dial),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithLogger(testLogger()),
	}, opts...)
	consumer, err := kafka.NewConsumer(all...)
	require.NoError(t, err)
	return consumer
}

// watched are the names of the tests at whose end leaks are looked for: when all their consumers have been stopped.
var watched sync.Map

// leavesNothing has to be called before the test's first consumer is made; newConsumer does. Within a test that has consumers of its
// own, which live on, it is that one's end that counts.
func leavesNothing(t *testing.T) {
	t.Helper()
	for name := t.Name(); name != "."; name = path.Dir(name) {
		if _, already := watched.Load(name); already {
			return
		}
	}
	watched.Store(t.Name(), true)
	t.Cleanup(func() { watched.Delete(t.Name()) })
	kafkatest.NoLeaks(t)
}

// start is newConsumer and Start; the consumer is stopped with the test.
func start(t *testing.T, c *kafkatest.Cluster, opts ...kafka.ConsumerOption) *kafka.Consumer {
	t.Helper()
	consumer := newConsumer(t, c, opts...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, consumer.Stop(ctx))
	})
	require.NoError(t, consumer.Start(within(t)))
	return consumer
}

// within gives the time a test has.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	t.Cleanup(cancel)
	return ctx
}

func testLogger() *slog.Logger {
	if os.Getenv("KAFKA_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// read takes n messages with GetOne.
func read(t *testing.T, consumer *kafka.Consumer, n int, opts ...kafka.GetOption) []*kafka.Message {
	t.Helper()
	return readIn(within(t), t, consumer, n, opts...)
}

func readIn(ctx context.Context, t *testing.T, consumer *kafka.Consumer, n int, opts ...kafka.GetOption) []*kafka.Message {
	t.Helper()
	var out []*kafka.Message
	for len(out) < n {
		m, err := consumer.GetOne(ctx, opts...)
		require.NoError(t, err, "after %d of %d messages", len(out), n)
		out = append(out, m)
	}
	return out
}

func texts(msgs []*kafka.Message) []string {
	var out []string
	for _, m := range msgs {
		out = append(out, string(m.Value))
	}
	return out
}

func numbered(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint("message ", i))
	}
	return out
}
