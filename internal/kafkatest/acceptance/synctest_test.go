package acceptance

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// These tests run in bubbles with a clock of their own, over an in-memory network: time passes only when everybody waits, so that
// waits are exact and cost nothing.

func bubble(t *testing.T, o kafkatest.FakeOptions, test func(t *testing.T, c *kafkatest.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.InMemory = true
		test(t, kafkatest.Fake(t, o))
	})
}

func TestTiming_WaitForAndContextsAreExact(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, kafka.WithTopics(topic))
		for _, d := range []time.Duration{0, time.Millisecond, 700 * time.Millisecond, time.Hour} {
			began := time.Now()
			got, err := consumer.GetMany(context.Background(), kafka.WaitFor(d))
			require.NoError(t, err)
			require.Empty(t, got)
			require.Equal(t, d, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		defer cancel()
		began := time.Now()
		_, err := consumer.GetOne(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 90*time.Second, time.Since(began))
	})
}

// A message that is written while a long poll is out is handed out at once; so is what a partition has that is sought or resumed
// while it is.
func TestTiming_NothingWaitsBehindALongPoll(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		produce(t, c, topic, 0, numbered(0, 3)...)
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithFetchMaxWait(time.Minute))
		read(t, consumer, 3)
		at := func(what string, most time.Duration, do func()) {
			t.Helper()
			time.Sleep(5 * time.Second) // the long poll is out
			do()
			began := time.Now() // the producer may have lingered
			read(t, consumer, 1)
			require.LessOrEqual(t, time.Since(began), most, what)
		}
		at("a record is written", 0, func() { produce(t, c, topic, 1, "x") })
		at("a seek", 100*time.Millisecond, func() { require.NoError(t, consumer.Seek(tpOf(topic, 0), 2)) })
		require.NoError(t, consumer.Pause(tpOf(topic, 0)))
		require.NoError(t, consumer.Seek(tpOf(topic, 0), 2))
		at("a resume", 100*time.Millisecond, func() { require.NoError(t, consumer.Resume(tpOf(topic, 0))) })
		other := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, other, 0, "y")
		at("a subscription", 600*time.Millisecond, func() { require.NoError(t, consumer.Subscribe([]string{topic, other})) })
	})
}

// Metadata is asked for again when it is WithMetadataMaxAge old, give or take a tenth, and not before.
func TestTiming_MetadataAge(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithTopics(topic), kafka.WithMetadataMaxAge(10*time.Minute))
		nothing(t, consumer)
		before := w.of(kmsg.Metadata)
		time.Sleep(8 * time.Minute)
		require.Equal(t, before, w.of(kmsg.Metadata))
		time.Sleep(4 * time.Minute)
		require.Equal(t, before+1, w.of(kmsg.Metadata))
		time.Sleep(100 * time.Minute)
		require.InDelta(t, before+11, w.of(kmsg.Metadata), 1)
	})
}

// A consumer at rest sends a fetch per WithFetchMaxWait and broker, and hardly anything else.
func TestTiming_ConsumerAtRestIsQuiet(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 30})
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithTopics(topic), kafka.WithFetchMaxWait(time.Second))
		nothing(t, consumer)
		time.Sleep(time.Minute)
		fetches, others := w.of(kmsg.Fetch), w.sum()-w.of(kmsg.Fetch)
		time.Sleep(time.Minute)
		require.InDelta(t, fetches+3*60, w.of(kmsg.Fetch), 6)
		require.Equal(t, fetches+others, w.sum()-(w.of(kmsg.Fetch)-fetches), "nothing else")
	})
}

// Weakness 6.12 of the original: errors without a backoff are a hot loop. Whatever is wrong, requests keep their distance; and when
// it is right again, messages come soon.
func TestWeakness_6_12_NoErrorMakesAHotLoop(t *testing.T) {
	most := map[*kerr.Error]int{kerr.TopicAuthorizationFailed: 1, kerr.UnsupportedForMessageFormat: 3} // one of the topic, of each partition; else none
	for name, fault := range map[string]kfake.Fault{
		"not the leader":         {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
		"unknown topic":          {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownTopicOrPartition},
		"unknown topic id":       {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownTopicID},
		"fenced epoch":           {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.FencedLeaderEpoch},
		"server error":           {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError},
		"whole fetch refused":    {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError, TopLevel: true},
		"session always unknown": {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.FetchSessionIDNotFound, TopLevel: true},
		"session epoch wrong":    {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.InvalidFetchSessionEpoch, TopLevel: true},
		"session topic id wrong": {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.FetchSessionTopicIDError, TopLevel: true},
		"out of range":           {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.OffsetOutOfRange},
		"no right to read":       {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed},
		"lookup refused":         {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition},
		"lookup impossible":      {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnsupportedForMessageFormat},
		"leader not available":   {Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.LeaderNotAvailable},
		"topic missing":          {Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.UnknownTopicOrPartition},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
				topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
				produce(t, c, topic, 0, "a")
				fault.Count = -1
				injected := c.Fake().Fault(fault)
				w := newWire(c)
				consumer := start(t, c, w.option())
				require.NoError(t, consumer.Subscribe([]string{topic}))
				told := 0
				for _, err := range consumer.All(until(t, 30*time.Second)) {
					require.Error(t, err)
					if !errors.Is(err, context.DeadlineExceeded) { // the end of the time
						told++
					}
				}
				require.NotZero(t, injected.Hits())
				require.Less(t, w.sum(), 30*12, "requests in 30 s")
				require.LessOrEqual(t, told, most[fault.Err]*31, "errors in 30 s, with a pause of 1 s")
				injected.Remove()
				began := time.Now()
				eventuallyReads(t, consumer, "a")
				require.LessOrEqual(t, time.Since(began), 3*time.Second)
			})
		})
	}
}

// eventuallyReads takes messages until one has the value; errors that are told meanwhile are passed over.
func eventuallyReads(t *testing.T, consumer *kafka.Consumer, value string) {
	t.Helper()
	for m, err := range consumer.All(within(t)) {
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		if err == nil {
			require.Equal(t, value, string(m.Value))
			return
		}
	}
}

// A state that lasts is told at once, and again after WithRetryBackoff's max; a call with less time just ends.
func TestTiming_LastingErrorsAreToldAtAPace(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produceBatch(t, c, topic, 0, unreadable(2))
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithRetryBackoff(100*time.Millisecond, 5*time.Second))
		var corrupt *kafka.CorruptRecordError
		_, err := consumer.GetOne(context.Background())
		require.ErrorAs(t, err, &corrupt)
		for range 3 {
			began := time.Now()
			got, err := consumer.GetMany(context.Background(), kafka.WaitFor(time.Second))
			require.NoError(t, err)
			require.Empty(t, got)
			_, err = consumer.GetMany(context.Background(), kafka.WaitFor(10*time.Second))
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, 5*time.Second, time.Since(began))
		}
	})
}

// A broker that hangs is given up when its fetch is overdue by a second; one that is merely down is dialed at growing distances.
func TestTiming_DialsToADeadBrokerKeepTheirDistance(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		var dials atomic.Int64
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return c.Dial(ctx, network, addr)
		}))
		read(t, consumer, 1)
		node := c.Nodes()[0]
		node.Kill(t)
		before := dials.Load()
		nothing(t, consumer)
		time.Sleep(10 * time.Minute)
		tried := dials.Load() - before
		require.Less(t, tried, int64(4*600), "in 600 s, with a backoff of at most 1 s, for a broker and its bootstrap address")
		require.Greater(t, tried, int64(300))
		node.Start(t)
		produce(t, c, topic, 0, "b")
		began := time.Now()
		require.Equal(t, []string{"b"}, texts(read(t, consumer, 1)))
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
	})
}

// Start goes on until its ctx ends, to the moment, and warns once, within the first second.
func TestTiming_StartEndsWithItsContext(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		leavesNothing(t)
		refused := errors.New("nobody there")
		var book logBook
		consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers("one", "two:1234"), kafka.WithLogger(book.logger(slog.LevelInfo)),
			kafka.WithDialer(func(context.Context, string, string) (net.Conn, error) { return nil, refused }))
		require.NoError(t, err)
		began := time.Now()
		warned := make(chan []string, 1)
		time.AfterFunc(time.Second, func() { warned <- book.matching("") })
		err = consumer.Start(until(t, 40*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, refused)
		require.ErrorContains(t, err, "one:9092")
		require.ErrorContains(t, err, "two:1234")
		require.Equal(t, 40*time.Second, time.Since(began))
		require.Len(t, <-warned, 1, "within a second")
		require.Len(t, book.matching("WARN", "one:9092", "two:1234"), 1)
		require.Len(t, book.matching(""), 1)
		require.NoError(t, consumer.Close())
	})
}

// A call without a deadline ends after twice WithRequestTimeout.
func TestTiming_CallsWithoutADeadlineAreBounded(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithRequestTimeout(20*time.Second))
		nothing(t, consumer)
		c.Nodes()[0].Pause(t)
		began := time.Now()
		_, err := consumer.EndOffsets(context.Background())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 40*time.Second, time.Since(began))
		require.ErrorContains(t, err, "the last try", "the broker's part is told, too")
		began = time.Now()
		require.NoError(t, consumer.Stop(until(t, time.Second)))
		require.Zero(t, time.Since(began))
	})
}
