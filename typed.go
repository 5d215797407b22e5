package kafka

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"sync"
)

// A Deserializer makes a value of a key's or a value's bytes; data is nil for Kafka's null. It is called by the goroutine
// that takes messages, without a lock held. It must leave data as it is: where a seek, a pause or a rebalance comes between, the message is
// not handed out, and the same bytes are decoded again when it is.
type Deserializer[T any] func(ctx context.Context, topic string, headers []Header, data []byte) (T, error)

// Bytes gives the bytes as they are; they share the batch's memory (see [Message]).
func Bytes(_ context.Context, _ string, _ []Header, data []byte) ([]byte, error) { return data, nil }

// String gives the bytes as a string, "" for null.
func String(_ context.Context, _ string, _ []Header, data []byte) (string, error) {
	return string(data), nil
}

// Int64 reads 8 bytes, big-endian, as Kafka's LongSerializer writes them; 0 for null.
func Int64(_ context.Context, _ string, _ []Header, data []byte) (int64, error) {
	if data == nil {
		return 0, nil
	}
	if len(data) != 8 {
		return 0, fmt.Errorf("an int64 has 8 bytes, not %d", len(data))
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}

// JSON reads a JSON document; the zero value for null.
func JSON[T any]() Deserializer[T] {
	return func(_ context.Context, _ string, _ []Header, data []byte) (T, error) {
		var v T
		if data == nil {
			return v, nil
		}
		err := json.Unmarshal(data, &v)
		return v, err
	}
}

// A TypedMessage is a message with its key and value decoded; the raw ones are Message.Key and Message.Value.
type TypedMessage[K, V any] struct {
	*Message
	Key   K
	Value V
}

// DeserializationSide says which part of a message could not be decoded.
type DeserializationSide int8

// The sides of a message.
const (
	KeySide DeserializationSide = iota
	ValueSide
)

// String gives "key" or "value".
func (s DeserializationSide) String() string {
	if s == KeySide {
		return "key"
	}
	return "value"
}

// A TypedConsumer hands out the messages of a [Consumer] decoded. A failure, or a panic, of a deserializer is a
// [*DeserializationError]; the position is already past the message, so that a loop that logs it and goes on skips it. It
// has no buffer of its own: what stands behind such a message stays in the Consumer's, and is decoded by a later call.
type TypedConsumer[K, V any] struct {
	c     *Consumer
	key   Deserializer[K]
	value Deserializer[V]

	mu      sync.Mutex
	loopErr error
	owed    []TopicPartition // partitions whose next message could not be decoded, and it was not told yet
}

// Typed gives a consumer's messages decoded. It panics where key or value is nil; Bytes and String suit what needs no decoding.
func Typed[K, V any](c *Consumer, key Deserializer[K], value Deserializer[V]) *TypedConsumer[K, V] {
	switch {
	case key == nil:
		panic("kafka: Typed: the key's deserializer is nil; Bytes gives the bytes as they are")
	case value == nil:
		panic("kafka: Typed: the value's deserializer is nil; Bytes gives the bytes as they are")
	}
	return &TypedConsumer[K, V]{c: c, key: key, value: value}
}

// deserialize calls user code; a panic becomes an error.
func deserialize[T any](ctx context.Context, d Deserializer[T], m *Message, side DeserializationSide, data []byte) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
		if err != nil {
			err = &DeserializationError{Message: m, Side: side, Err: err}
		}
	}()
	return d(ctx, m.Topic, m.Headers, data)
}

// Messages is Consumer.Messages, decoded; Err tells why it ended.
func (t *TypedConsumer[K, V]) Messages() iter.Seq[*TypedMessage[K, V]] {
	return func(yield func(*TypedMessage[K, V]) bool) {
		t.setErr(nil)
		for m, err := range t.all(context.Background()) {
			if err != nil {
				t.setErr(err)
				return
			}
			if !yield(m) {
				return
			}
		}
	}
}

// Err is why the last Messages loop of this TypedConsumer ended: nil if that was Stop, or the loop itself.
func (t *TypedConsumer[K, V]) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loopErr
}

func (t *TypedConsumer[K, V]) setErr(err error) {
	t.mu.Lock()
	t.loopErr = err
	t.mu.Unlock()
}
