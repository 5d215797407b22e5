package acceptance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

type order struct {
	ID    int    `json:"id"`
	Buyer string `json:"buyer"`
}

func TestTyped_KeysAndValuesAreDecoded(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, []*kafkatest.Record{
			{Key: binary.BigEndian.AppendUint64(nil, 1<<40), Value: []byte(`{"id":7,"buyer":"ada"}`)},
			{Key: nil, Value: nil},
		})
		consumer := start(t, c, kafka.WithTopics(topic))
		typed := kafka.Typed(consumer, kafka.Int64, kafka.JSON[order]())
		m, err := typed.GetOne(within(t))
		require.NoError(t, err)
		require.EqualValues(t, 1<<40, m.Key)
		require.Equal(t, order{7, "ada"}, m.Value)
		require.Equal(t, `{"id":7,"buyer":"ada"}`, string(m.Message.Value), "the raw ones are there too")
		require.Len(t, m.Message.Key, 8)
		m, err = typed.GetOne(within(t))
		require.NoError(t, err)
		require.Zero(t, m.Key, "null")
		require.Zero(t, m.Value)
		require.Nil(t, m.Message.Value)

		texts := kafka.Typed(consumer, kafka.Bytes, kafka.String)
		require.NoError(t, consumer.Seek(tpOf(topic, 0), 1))
		got, err := texts.GetMany(within(t))
		require.NoError(t, err)
		require.Nil(t, got[tpOf(topic, 0)][0].Key)
		require.Equal(t, "", got[tpOf(topic, 0)][0].Value)
	})
}

func TestTyped_DeserializersSeeTopicHeadersAndNull(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, []*kafkatest.Record{kafkatest.WithHeaders(kafkatest.Tombstone("k"), "version", "3")})
		type mark struct{}
		consumer := start(t, c, kafka.WithTopics(topic))
		typed := kafka.Typed(consumer, kafka.String, func(ctx context.Context, topic string, headers []kafka.Header, data []byte) (string, error) {
			return fmt.Sprint(ctx.Value(mark{}), topic, headers[0].Key, string(headers[0].Value), data == nil), nil
		})
		m, err := typed.GetOne(context.WithValue(within(t), mark{}, "the caller's"))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("the caller's", topic, "version", "3", true), m.Value)
	})
}

// numbers reads "message <n>", and fails where poison says so.
func numbers(poison func(n int) bool) kafka.Deserializer[int] {
	return func(_ context.Context, _ string, _ []kafka.Header, data []byte) (n int, err error) {
		if _, err := fmt.Sscanf(string(data), "message %d", &n); err != nil {
			return 0, err
		}
		if poison(n) {
			return 0, fmt.Errorf("number %d is poison", n)
		}
		return n, nil
	}
}

// Weakness 6.4 of the original: it tells the error for ever and never gives the good messages before it. Here they come first, the
// error with the next call, once, and the position is past the message.
func TestWeakness_6_4_PoisonIsToldOnceAfterTheGoodOnes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 10)...)
		consumer := start(t, c, kafka.WithTopics(topic))
		typed := kafka.Typed(consumer, kafka.Bytes, numbers(func(n int) bool { return n == 3 || n == 4 }))
		buffered(t, consumer, tp)
		var got []int
		for len(got) < 3 {
			msgs, err := typed.GetMany(within(t))
			require.NoError(t, err)
			for _, m := range msgs[tp] {
				got = append(got, m.Value)
			}
		}
		require.Equal(t, []int{0, 1, 2}, got)
		require.EqualValues(t, 3, position(t, consumer, tp))
		for offset := int64(3); offset < 5; offset++ {
			_, err := typed.GetMany(within(t))
			var bad *kafka.DeserializationError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, kafka.ValueSide, bad.Side)
			require.Equal(t, offset, bad.Message.Offset)
			require.Equal(t, fmt.Sprint("message ", offset), string(bad.Message.Value), "with what could not be read")
			require.ErrorContains(t, err, fmt.Sprintf("number %d is poison", offset))
			require.NotEmpty(t, bad.Hint())
			require.Equal(t, offset+1, position(t, consumer, tp))
		}
		m, err := typed.GetOne(within(t))
		require.NoError(t, err)
		require.Equal(t, 5, m.Value)
		require.NoError(t, consumer.Seek(tp, 4))
		_, err = typed.GetOne(within(t))
		require.Error(t, err, "sought back, it is poison again")
	})
}

func TestTyped_LoopThatGoesOnSkipsPoison(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		for p := range int32(3) {
			kafkatest.Produce(t, c, topic, p, kafkatest.Values(numbered(0, 30)...), kafkatest.PerBatch(7))
		}
		consumer := start(t, c, kafka.WithTopics(topic))
		poison := func(n int) bool { return n%4 == 0 || n == 29 }
		typed := kafka.Typed(consumer, kafka.Bytes, numbers(poison))
		next := make(map[int32]int64)
		seen := func(m *kafka.Message, bad bool) {
			require.Equal(t, next[m.Partition], m.Offset, "of partition %d", m.Partition)
			require.Equal(t, poison(int(m.Offset)), bad)
			next[m.Partition]++
		}
		done := 0
		ctx, end := context.WithCancel(within(t))
		defer end()
		for m, err := range typed.All(ctx) { // half by the iterator
			var bad *kafka.DeserializationError
			switch {
			case errors.As(err, &bad):
				seen(bad.Message, true)
			case err == nil:
				seen(m.Message, false)
			default:
				require.NoError(t, err)
			}
			if done++; done == 45 {
				break
			}
		}
		for done < 90 {
			msgs, err := typed.GetMany(within(t), kafka.UpTo(11))
			var bad *kafka.DeserializationError
			if errors.As(err, &bad) {
				seen(bad.Message, true)
				done++
				continue
			}
			require.NoError(t, err)
			for _, part := range msgs {
				for _, m := range part {
					seen(m.Message, false)
					done++
				}
			}
		}
		got, err := typed.GetMany(within(t), kafka.WaitFor(short))
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func TestTyped_PanicIsAnErrorOfItsMessage(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, []*kafkatest.Record{kafkatest.Keyed("bad", "a"), kafkatest.Keyed("good", "b")})
		consumer := start(t, c, kafka.WithTopics(topic))
		typed := kafka.Typed(consumer, func(_ context.Context, _ string, _ []kafka.Header, data []byte) (string, error) {
			if string(data) == "bad" {
				panic("cannot cope")
			}
			return strings.ToUpper(string(data)), nil
		}, kafka.String)
		for range typed.Messages() {
			require.Fail(t, "the first message is bad")
		}
		var bad *kafka.DeserializationError
		require.ErrorAs(t, typed.Err(), &bad)
		require.Equal(t, kafka.KeySide, bad.Side)
		require.ErrorContains(t, bad, "cannot cope")
		require.NoError(t, consumer.Err(), "each has an Err of its own")
		for m := range typed.Messages() {
			require.Equal(t, "GOOD", m.Key)
			break
		}
		require.NoError(t, typed.Err())
	})
}

// A deserializer runs without a lock: what it takes long for is decided when it is done. A message that was sought away from, paused or
// given up meanwhile is not handed out.
func TestTyped_WhatChangesWhileDecodingHolds(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, change := range map[string]func(*kafka.Consumer, kafka.TopicPartition) error{
			"seek":        func(consumer *kafka.Consumer, tp kafka.TopicPartition) error { return consumer.Seek(tp, 6) },
			"pause":       func(consumer *kafka.Consumer, tp kafka.TopicPartition) error { return consumer.Pause(tp) },
			"unsubscribe": func(consumer *kafka.Consumer, _ kafka.TopicPartition) error { return consumer.Unsubscribe(within(t)) },
		} {
			t.Run(name, func(t *testing.T) {
				topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
				slow, other := tpOf(topic, 0), tpOf(topic, 1)
				produce(t, c, topic, 0, numbered(0, 10)...)
				produce(t, c, topic, 1, numbered(0, 10)...)
				consumer := start(t, c, kafka.WithTopics(topic))
				decoding, release := make(chan struct{}, 100), make(chan struct{})
				typed := kafka.Typed(consumer, kafka.Bytes, func(_ context.Context, _ string, _ []kafka.Header, data []byte) (string, error) {
					decoding <- struct{}{}
					<-release
					return string(data), nil
				})
				var first string
				getting := inBackground(func() error {
					m, err := typed.GetOne(until(t, 2*time.Second), kafka.FromPartitions(slow))
					if err == nil {
						first = m.Value
					}
					return err
				})
				<-decoding
				read(t, consumer, 1, kafka.FromPartitions(other)) // nobody else waits
				require.NoError(t, change(consumer, slow))
				close(release)
				err := ended(t, getting).err
				switch name {
				case "seek":
					require.NoError(t, err)
					require.Equal(t, "message 6", first)
				case "pause":
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.EqualValues(t, 0, position(t, consumer, slow))
				default:
					require.ErrorIs(t, err, kafka.ErrIllegalState, "lost while the call waited")
				}
			})
		}
	})
}

// What an iterator was left on is not settled, be it a message or the error about one.
func TestTyped_PoisonInHandIsNotSettled(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp, group := autocommitted(t, c, 10, kafka.WithAutoCommitInterval(time.Hour))
		for _, err := range kafka.Typed(consumer, kafka.Bytes, numbers(func(n int) bool { return n == 3 })).All(within(t)) {
			if err != nil {
				break // in the middle of putting it aside
			}
		}
		require.EqualValues(t, 4, position(t, consumer, tp))
		require.NoError(t, consumer.Close())
		require.EqualValues(t, 3, storedAt(t, c, group, tp))
	})
}

// It keeps no messages of its own: what is taken raw and what is taken typed are one sequence.
func TestTyped_SharesItsConsumersPosition(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 30, 4)
		one := kafka.Typed(consumer, kafka.Bytes, kafka.String)
		two := kafka.Typed(consumer, kafka.Bytes, numbers(func(int) bool { return false }))
		for offset := int64(0); offset < 30; offset += 3 {
			require.Equal(t, offset, read(t, consumer, 1)[0].Offset)
			m, err := one.GetOne(within(t))
			require.NoError(t, err)
			require.Equal(t, offset+1, m.Offset)
			got, err := two.GetMany(within(t), kafka.UpTo(1))
			require.NoError(t, err)
			require.EqualValues(t, offset+2, got[tp][0].Value)
			require.Equal(t, offset+3, position(t, consumer, tp))
		}
	})
}

// WaitFor is for the call as a whole, however often it has to begin anew.
func TestTyped_WaitForBoundsTheWholeCall(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 10, 10)
		decoded := 0
		typed := kafka.Typed(consumer, kafka.Bytes, func(context.Context, string, []kafka.Header, []byte) (int, error) {
			decoded++
			time.Sleep(20 * time.Millisecond) // a slow one
			return 0, consumer.Seek(tp, 9)    // voids what is being decoded
		})
		began := time.Now()
		got, err := typed.GetMany(within(t), kafka.WaitFor(time.Second))
		require.NoError(t, err)
		require.Empty(t, got)
		require.Less(t, time.Since(began), time.Second+soon)
		require.Greater(t, decoded, 1)
	})
}

func TestTyped_CallsAreBoundedAndEndAsThoseOfTheConsumer(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 10, 10)
		typed := kafka.Typed(consumer, kafka.Bytes, kafka.String)
		_, err := typed.GetOne(within(t), kafka.UpTo(3))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		_, err = typed.GetMany(within(t), kafka.UpTo(0))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		_, err = typed.GetMany(within(t), kafka.FromPartitions(tpOf(tp.Topic, 9)))
		require.ErrorIs(t, err, kafka.ErrIllegalState)
		for n := 0; n < 10; {
			got, err := typed.GetMany(within(t), kafka.UpTo(4), kafka.FromPartitions(tp))
			require.NoError(t, err)
			require.LessOrEqual(t, len(got[tp]), 4)
			n += len(got[tp])
		}
		got, err := typed.GetMany(within(t), kafka.WaitFor(short))
		require.NoError(t, err)
		require.NotNil(t, got)
		require.Empty(t, got)
		_, err = typed.GetOne(until(t, short))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		last := error(nil)
		for _, last = range typed.All(until(t, short)) {
		}
		require.ErrorIs(t, last, context.DeadlineExceeded, "yielded last")

		waiting := inBackground(func() error {
			for range typed.Messages() {
			}
			return typed.Err()
		})
		blocked(t, waiting)
		require.NoError(t, consumer.Close())
		require.NoError(t, ended(t, waiting).err, "Stop is no error")
		_, err = typed.GetOne(within(t))
		require.ErrorIs(t, err, kafka.ErrConsumerStopped)
	})
}

// Messages of an interrupted call are not lost: a ctx that ends while a deserializer works leaves them where they were.
func TestTyped_DeserializerThatMindsItsContext(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		consumer, tp := onePartition(t, c, 3, 3)
		typed := kafka.Typed(consumer, kafka.Bytes, func(ctx context.Context, _ string, _ []kafka.Header, data []byte) (string, error) {
			if _, bounded := ctx.Deadline(); bounded {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return string(data), nil
		})
		buffered(t, consumer, tp)
		_, err := typed.GetOne(until(t, short))
		require.Equal(t, context.DeadlineExceeded, err, "not the message's fault")
		require.EqualValues(t, 0, position(t, consumer, tp))
		m, err := typed.GetOne(context.Background())
		require.NoError(t, err)
		require.EqualValues(t, 0, m.Offset)
	})
}
