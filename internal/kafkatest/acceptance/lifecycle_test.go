package acceptance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// remoteCalls are the calls that need a running consumer, for tp.
func remoteCalls(consumer *kafka.Consumer, tp kafka.TopicPartition) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"GetOne":           func(ctx context.Context) error { _, err := consumer.GetOne(ctx); return err },
		"GetOne, filtered": func(ctx context.Context) error { _, err := consumer.GetOne(ctx, kafka.FromPartitions(tp)); return err },
		"GetMany":          func(ctx context.Context) error { _, err := consumer.GetMany(ctx); return err },
		"GetMany, waiting for nothing": func(ctx context.Context) error {
			_, err := consumer.GetMany(ctx, kafka.WaitFor(0))
			return err
		},
		"Position":         func(ctx context.Context) error { _, err := consumer.Position(ctx, tp); return err },
		"Seek":             func(context.Context) error { return consumer.Seek(tp, 0) },
		"SeekToBeginning":  func(ctx context.Context) error { return consumer.SeekToBeginning(ctx, tp) },
		"SeekToEnd":        func(ctx context.Context) error { return consumer.SeekToEnd(ctx) },
		"BeginningOffsets": func(ctx context.Context) error { _, err := consumer.BeginningOffsets(ctx, tp); return err },
		"EndOffsets":       func(ctx context.Context) error { _, err := consumer.EndOffsets(ctx, tp); return err },
		"Pause":            func(context.Context) error { return consumer.Pause(tp) },
		"Resume":           func(context.Context) error { return consumer.Resume(tp) },
	}
}

// zeroValues sees that the methods without an error have nothing to tell.
func zeroValues(t *testing.T, consumer *kafka.Consumer, tp kafka.TopicPartition) {
	t.Helper()
	_, ok := consumer.Highwater(tp)
	require.False(t, ok)
	_, ok = consumer.LastStableOffset(tp)
	require.False(t, ok)
	_, ok = consumer.Lag(tp)
	require.False(t, ok)
	at, ok := consumer.LastPollTimestamp(tp)
	require.False(t, ok)
	require.True(t, at.IsZero())
	require.Empty(t, consumer.Paused())
}

func TestLifecycle_CallsBeforeStartAreNotStarted(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		leavesNothing(t)
		tp := tpOf("some-topic", 0)
		consumer := newConsumer(t, c)
		require.NoError(t, consumer.Assign(tp), "Assign may come before Start")
		for name, call := range remoteCalls(consumer, tp) {
			require.ErrorIs(t, call(within(t)), kafka.ErrNotStarted, name)
		}
		n := 0
		for m, err := range consumer.All(within(t)) {
			require.Nil(t, m)
			require.ErrorIs(t, err, kafka.ErrNotStarted)
			n++
		}
		require.Equal(t, 1, n, "All ends after telling it once")
		for range consumer.Messages() {
			require.Fail(t, "a message before Start")
		}
		require.ErrorIs(t, consumer.Err(), kafka.ErrNotStarted)
		zeroValues(t, consumer, tp)
		require.Equal(t, []kafka.TopicPartition{tp}, consumer.Assignment())
		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.Empty(t, consumer.Assignment())
		require.NoError(t, consumer.Subscribe([]string{"b", "a"}))
		require.Equal(t, []string{"a", "b"}, consumer.Subscription())
		require.NoError(t, consumer.Stop(within(t)))
	})
}

func TestLifecycle_CallsAfterStopAreStopped(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, "a", "b")
		consumer := start(t, c, kafka.WithTopics(topic))
		read(t, consumer, 1)
		require.NoError(t, consumer.Stop(within(t)))
		for name, call := range remoteCalls(consumer, tp) {
			require.ErrorIs(t, call(within(t)), kafka.ErrConsumerStopped, name)
		}
		require.ErrorIs(t, consumer.Start(within(t)), kafka.ErrConsumerStopped)
		require.ErrorIs(t, consumer.Subscribe([]string{topic}), kafka.ErrConsumerStopped)
		require.ErrorIs(t, consumer.Assign(tp), kafka.ErrConsumerStopped)
		require.ErrorIs(t, consumer.Unsubscribe(within(t)), kafka.ErrConsumerStopped)
		for range consumer.All(within(t)) {
			require.Fail(t, "All goes on after Stop")
		}
		for range consumer.Messages() {
			require.Fail(t, "Messages goes on after Stop")
		}
		require.NoError(t, consumer.Err(), "Stop is no error of the loop")
		zeroValues(t, consumer, tp)
	})
}

func TestLifecycle_StartTwiceIsIllegal(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, kafka.WithTopics(topic))
		require.ErrorIs(t, consumer.Start(within(t)), kafka.ErrIllegalState)
		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)), "the consumer runs on")
	})
}

func TestLifecycle_StopIsIdempotentAndConcurrent(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		leavesNothing(t)
		fresh := newConsumer(t, c)
		require.NoError(t, fresh.Stop(within(t)), "before Start")
		require.NoError(t, fresh.Close())
		require.ErrorIs(t, fresh.Start(within(t)), kafka.ErrConsumerStopped)

		topic := c.NewTopic(t, kafkatest.Topic{})
		consumer := newConsumer(t, c, kafka.WithTopics(topic))
		require.NoError(t, consumer.Start(within(t)))
		var stops sync.WaitGroup
		for range 8 {
			stops.Go(func() {
				if err := consumer.Stop(context.Background()); err != nil {
					t.Errorf("Stop: %v", err)
				}
			})
		}
		stops.Wait()
		require.NoError(t, consumer.Stop(within(t)))
		require.NoError(t, consumer.Close())
	})
}

func TestLifecycle_StopWakesBlockedCalls(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		missing := tpOf(topic, 7)
		consumer := start(t, c)
		require.NoError(t, consumer.Assign(tpOf(topic, 0), missing))
		none := context.Background()
		calls := map[string]<-chan result{
			"GetOne":           inBackground(func() error { _, err := consumer.GetOne(none); return err }),
			"GetOne, filtered": inBackground(func() error { _, err := consumer.GetOne(none, kafka.FromPartitions(missing)); return err }),
			"GetMany":          inBackground(func() error { _, err := consumer.GetMany(none); return err }),
			"GetMany, bounded": inBackground(func() error { _, err := consumer.GetMany(none, kafka.WaitFor(time.Hour)); return err }),
			"Position":         inBackground(func() error { _, err := consumer.Position(none, missing); return err }),
		}
		loops := map[string]<-chan result{
			"Messages": inBackground(func() error {
				for range consumer.Messages() {
					return errors.New("a message")
				}
				return consumer.Err()
			}),
			"All": inBackground(func() error {
				for _, err := range consumer.All(none) {
					return errors.Join(errors.New("it yielded"), err)
				}
				return nil
			}),
		}
		for _, done := range calls {
			blocked(t, done)
		}
		for _, done := range loops {
			blocked(t, done)
		}
		require.NoError(t, consumer.Stop(within(t)))
		for name, done := range calls {
			require.ErrorIs(t, ended(t, done).err, kafka.ErrConsumerStopped, name)
		}
		for name, done := range loops {
			require.NoError(t, ended(t, done).err, name)
		}
	})
}

// The original never wakes a call that waits for a first assignment, and its Stop hangs while brokers do.
func TestLifecycle_StopWakesCallsThatWaitForASubscription(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer := start(t, c)
		one := inBackground(func() error { _, err := consumer.GetOne(context.Background()); return err })
		blocked(t, one)
		require.NoError(t, consumer.Stop(within(t)))
		require.ErrorIs(t, ended(t, one).err, kafka.ErrConsumerStopped)
	})
}

func TestLifecycle_StopReturnsWhileBrokersHang(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic))
		read(t, consumer, 1)
		for _, n := range c.Nodes() {
			n.Proxy.Silence(kafkatest.BothWays)
		}
		one := inBackground(func() error { _, err := consumer.GetOne(context.Background()); return err })
		ends := inBackground(func() error { _, err := consumer.EndOffsets(context.Background()); return err })
		blocked(t, ends)
		began := time.Now()
		require.NoError(t, consumer.Stop(until(t, 10*time.Second)))
		require.Less(t, time.Since(began), soon, "nothing has to be waited for")
		require.ErrorIs(t, ended(t, one).err, kafka.ErrConsumerStopped)
		require.ErrorIs(t, ended(t, ends).err, kafka.ErrConsumerStopped)
	})
}

func TestLifecycle_StopWithAnEndedContextStillClosesEverything(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, kafka.WithTopics(topic))
		read(t, consumer, 1)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, consumer.Stop(over), "nothing had to be skipped, and what is ours ends by itself")
		_, err := consumer.GetOne(within(t))
		require.ErrorIs(t, err, kafka.ErrConsumerStopped)
	})
}

func TestLifecycle_ManyConsumersComeAndGo(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		leavesNothing(t)
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		produce(t, c, topic, 0, "a")
		for range 10 {
			consumer := newConsumer(t, c, kafka.WithTopics(topic))
			require.NoError(t, consumer.Start(within(t)))
			require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
			require.NoError(t, consumer.Close())
		}
	})
}
