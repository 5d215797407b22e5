package acceptance

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// What the original gets wrong, and has no better place beside its subject. The numbers are those of the study of its behaviour.

// Weakness 6.3: an answer that the background task does not expect kills it, and the consumer hangs without a word.
func TestWeakness_6_3_UnexpectedAnswersNeverStopTheFetching(t *testing.T) {
	for name, fault := range map[string]kfake.Fault{
		"error 43 in a reset":            {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnsupportedForMessageFormat},
		"an unknown server error":        {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnknownServerError},
		"a code that Fetch cannot have":  {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.GroupIDNotFound},
		"a fetch refused as a whole":     {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError, TopLevel: true},
		"a session that is gone":         {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.FetchSessionIDNotFound, TopLevel: true},
		"a session epoch that is wrong":  {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.InvalidFetchSessionEpoch, TopLevel: true},
		"storage that fails":             {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError},
		"a leader epoch that is too new": {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownLeaderEpoch},
		"a topic id nobody knows":        {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownTopicID},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Fake(t, kafkatest.FakeOptions{})
			topic := c.NewTopic(t, kafkatest.Topic{})
			produce(t, c, topic, 0, numbered(0, 3)...)
			fault.Count = 3
			injected := c.Fake().Fault(fault)
			consumer := start(t, c, kafka.WithTopics(topic), kafka.WithRetryBackoff(time.Millisecond, 20*time.Millisecond))
			var got []*kafka.Message
			for len(got) < 3 { // an error may be told; the loop goes on
				if m, err := consumer.GetOne(within(t)); err == nil {
					got = append(got, m)
				} else {
					require.NotErrorIs(t, err, context.DeadlineExceeded)
				}
			}
			require.Equal(t, numbered(0, 3), texts(got))
			require.NotZero(t, injected.Hits())
		})
	}
}

// What lasts is told, by every call, and not faster than the backoff's max.
func TestWeakness_6_3_LastingErrorsAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		key  kmsg.Key
		code *kerr.Error
	}{
		"ListOffsets": {kmsg.ListOffsets, kerr.TopicAuthorizationFailed},
		"Fetch":       {kmsg.Fetch, kerr.TopicAuthorizationFailed},
		"Metadata":    {kmsg.Metadata, kerr.TopicAuthorizationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Fake(t, kafkatest.FakeOptions{})
			topic, other := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
			produce(t, c, topic, 0, "a")
			refused := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, Topic: topic, TopicID: c.Fake().TopicInfo(topic).TopicID, Err: tc.code, Count: -1},
				kfake.Fault{Keys: []kmsg.Key{tc.key}, Topic: topic, Err: tc.code, Count: -1})
			consumer := start(t, c, quick, kafka.WithTopics(topic, other), kafka.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond))
			var denied *kafka.AuthorizationError
			began := time.Now()
			for range 3 {
				_, err := consumer.GetOne(within(t))
				require.ErrorAs(t, err, &denied)
				require.Equal(t, "topic", denied.Resource)
				require.Equal(t, topic, denied.Name)
			}
			require.GreaterOrEqual(t, time.Since(began), 190*time.Millisecond, "a loop that goes on does not spin")
			produce(t, c, other, 0, "elsewhere")
			eventually(t, func() bool {
				m, err := consumer.GetOne(within(t))
				return err == nil && string(m.Value) == "elsewhere"
			}, "it holds other topics up")
			refused.Remove()
			eventually(t, func() bool {
				m, err := consumer.GetOne(within(t))
				return err == nil && string(m.Value) == "a"
			}, "it does not recover when the right is there")
		})
	}
}

// Weakness 6.6: GetMany with a time limit waits for ever where nothing is assigned yet.
func TestWeakness_6_6_WaitForBoundsTheCallAlways(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer := start(t, c)
		bounded := func(what string, opts ...kafka.GetOption) {
			t.Helper()
			began := time.Now()
			got, err := consumer.GetMany(context.Background(), append(opts, kafka.WaitFor(short))...)
			require.NoError(t, err, what)
			require.Empty(t, got, what)
			require.Less(t, time.Since(began), soon, what)
			_, err = consumer.GetOne(until(t, short), opts...)
			require.ErrorIs(t, err, context.DeadlineExceeded, what)
		}
		bounded("nothing is subscribed")
		missing := kafkatest.TopicName(t)
		bounded("nothing is subscribed, and a partition named", kafka.FromPartitions(tpOf(missing, 0)))
		require.NoError(t, consumer.Assign(tpOf(missing, 0)))
		bounded("the partition does not exist", kafka.FromPartitions(tpOf(missing, 0)))
		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.NoError(t, consumer.Subscribe([]string{missing}))
		bounded("the topic does not exist")
	})
}

// Weakness 6.8: retries without end. Here a call without a deadline is bounded by twice WithRequestTimeout, and says why it failed.
func TestWeakness_6_8_EveryRemoteCallIsBounded(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		const timeout = 300 * time.Millisecond
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic), kafka.WithRequestTimeout(timeout))
		read(t, consumer, 1)
		for _, n := range c.Nodes() {
			n.Proxy.Silence(kafkatest.BothWays)
		}
		none, missing := context.Background(), tpOf(topic, 9)
		require.NoError(t, consumer.Unsubscribe(none))
		require.NoError(t, consumer.Assign(tpOf(topic, 0), missing))
		calls := make(map[string]<-chan result)
		for name, call := range map[string]func() error{
			"EndOffsets":       func() error { _, err := consumer.EndOffsets(none); return err },
			"BeginningOffsets": func() error { _, err := consumer.BeginningOffsets(none, missing); return err },
			"SeekToEnd":        func() error { return consumer.SeekToEnd(none, tpOf(topic, 0)) },
			"SeekToBeginning":  func() error { return consumer.SeekToBeginning(none) },
			"Position":         func() error { _, err := consumer.Position(none, missing); return err },
		} {
			calls[name] = inBackground(call)
		}
		for name, done := range calls {
			r := ended(t, done)
			require.ErrorIs(t, r.err, context.DeadlineExceeded, name)
			require.ErrorContains(t, r.err, name)
			require.Less(t, r.took, 2*timeout+soon, name)
			require.GreaterOrEqual(t, r.took, timeout, name)
		}
	})
}

// Weakness 6.12: hot loops. Brokers that are all down are tried again at a distance.
func TestWeakness_6_12_BrokersDownMakeNoHotLoop(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic))
		produce(t, c, topic, 0, "a")
		read(t, consumer, 1)
		for _, n := range c.Nodes() {
			n.Proxy.Refuse(true)
			n.Proxy.Drop()
		}
		_, err := consumer.GetOne(until(t, 300*time.Millisecond)) // while the first attempts fail
		require.ErrorIs(t, err, context.DeadlineExceeded, "brokers that are away are no error")
		before := w.dials.Load()
		const watch = 2 * time.Second
		_, err = consumer.GetOne(until(t, watch))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		tried := w.dials.Load() - before
		t.Logf("%d connection attempts in %v", tried, watch)
		require.Less(t, tried, int64(60))
		require.Greater(t, tried, int64(1), "it goes on trying")
		for _, n := range c.Nodes() {
			n.Proxy.Heal()
		}
		produce(t, c, topic, 1, "b")
		require.Equal(t, []string{"b"}, texts(read(t, consumer, 1)))
	})
}

// Weakness 6.17: Stop during the backoff of a fetch raises an error and leaves connections behind.
func TestWeakness_6_17_StopDuringABackoff(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic), kafka.WithRetryBackoff(time.Minute, time.Minute))
		produce(t, c, topic, 0, "a")
		read(t, consumer, 1)
		for _, n := range c.Nodes() {
			n.Proxy.Refuse(true)
			n.Proxy.Drop()
		}
		nothing(t, consumer)
		began := time.Now()
		require.NoError(t, consumer.Stop(within(t)))
		require.Less(t, time.Since(began), soon)
	})
}

// Weakness 6.22: options are hardly checked, and late. Here all that is wrong is told at once, before the network is touched.
func TestWeakness_6_22_OptionsAreCheckedAtOnce(t *testing.T) {
	_, err := kafka.NewConsumer(
		kafka.WithBootstrapServers("host:port"),
		kafka.WithTopics("a topic"),
		kafka.WithFetchMinBytes(0),
		kafka.WithMaxPollRecords(-1),
		kafka.WithRetryBackoff(2*time.Second, time.Second),
		kafka.WithMaxBatchBytes(32<<20), kafka.WithMaxBufferedBytes(64<<20),
		kafka.WithIsolationLevel(7),
		kafka.WithRequestTimeout(-time.Second),
	)
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // its form is what is looked at
	require.True(t, ok, "%v", err)
	told := make(map[string]bool)
	for _, one := range joined.Unwrap() {
		var bad *kafka.ConfigError
		require.ErrorAs(t, one, &bad)
		require.NotEmpty(t, bad.Reason)
		require.ErrorContains(t, err, bad.Option)
		told[bad.Option] = true
	}
	for _, option := range []string{
		"WithBootstrapServers", "WithTopics", "WithFetchMinBytes", "WithMaxPollRecords", "WithRetryBackoff",
		"WithMaxBufferedBytes", "WithIsolationLevel", "WithRequestTimeout",
	} {
		require.True(t, told[option], "%s is not told: %v", option, err)
	}
	consumer, err := kafka.NewConsumer(kafka.WithMaxPollRecords(-1), kafka.WithMaxPollRecords(0))
	require.NoError(t, err, "the last of a repeated option wins")
	require.NoError(t, consumer.Close())
}

// Weakness 6.25: highwater and last stable offset are forgotten at every change of the assignment, and there is no lag.
func TestWeakness_6_25_WhatIsKnownOfAPartitionStaysKnown(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer := start(t, c)
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		produce(t, c, topic, 0, numbered(0, 10)...)
		tp := tpOf(topic, 0)
		require.NoError(t, consumer.Assign(tp))
		read(t, consumer, 4)
		require.NoError(t, consumer.Assign(tp, tpOf(topic, 1)))
		end, ok := consumer.Highwater(tp)
		require.True(t, ok)
		require.EqualValues(t, 10, end)
		lag, ok := consumer.Lag(tp)
		require.True(t, ok)
		require.EqualValues(t, 6, lag)
	})
}

// Weakness 6.28: routine is logged as errors. Here nothing is an error, and a life without trouble is silent at WARN.
func TestWeakness_6_28_RoutineIsNotLoggedAsTrouble(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		var book logBook
		consumer := start(t, c, quick, kafka.WithTopics(topic), kafka.WithLogger(book.logger(slog.LevelDebug)))
		producer := kafkatest.NewProducer(t, c)
		for i := range 10 {
			producer.Produce(t, topic, int32(i%2), kafkatest.Values("a")...)
			read(t, consumer, 1)
		}
		c.MoveLeader(t, topic, 0, otherNode(t, c, c.Leader(t, topic, 0)).ID)
		produce(t, c, topic, 0, "b")
		read(t, consumer, 1)
		c.AddPartitions(t, topic, 3)
		produce(t, c, topic, 2, "c")
		read(t, consumer, 1)
		require.NoError(t, consumer.Seek(tpOf(topic, 0), 0))
		read(t, consumer, 1)
		require.NoError(t, consumer.Stop(within(t)))
		require.Empty(t, book.matching("WARN"))
		require.Empty(t, book.matching("ERROR"))
	})
}

// And an error says what was done, to what, why it failed, and what to do next.
func TestWeakness_6_28_ErrorsSayWhatWhereAndWhatNext(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer := start(t, c)
		tp := tpOf(kafkatest.TopicName(t), 4)
		_, err := consumer.EndOffsets(within(t), tp)
		require.ErrorContains(t, err, tp.String())
		require.ErrorContains(t, err, "UNKNOWN_TOPIC_OR_PARTITION")
		var hint interface{ Hint() string }
		require.True(t, errors.As(err, &hint))
		require.NotEmpty(t, hint.Hint())
		require.ErrorContains(t, err, hint.Hint())
	})
}
