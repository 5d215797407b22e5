package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The text of a panic is one line that says what and where; the stack is there for who asks for it.
func TestPanic_OfUserCodeIsOneLineAndKeepsItsStack(t *testing.T) {
	var nothing *Message
	panics := map[string]func(){
		"panic: oh no second line, in ": func() { panic("oh no\nsecond line") },
		"panic: out of order, in ":      func() { panic(errors.New("out of order")) },
		"panic: runtime error: invalid memory address or nil pointer dereference, in ": func() { _ = nothing.Offset },
	}
	for says, panics := range panics {
		r := newRooms(t)
		listener := RebalanceFuncs{Assigned: func(context.Context, *Consumer, []TopicPartition) error {
			panics()
			return nil
		}}
		call := &listenerCall{listener: listener, callback: onAssigned}
		inListener := &ListenerError{Callback: onAssigned, Err: r.guarded(t.Context(), call)}
		bad := func(context.Context, string, []Header, []byte) (string, error) {
			panics()
			return "", nil
		}
		_, inDeserializer := deserialize(t.Context(), bad, &Message{Topic: "t"}, ValueSide, nil)
		for _, err := range []error{inListener, inDeserializer} {
			require.ErrorContains(t, err, says)
			require.Regexp(t, `TestPanic_.*\(panic_test\.go:\d+\) \(.*\)$`, err.Error(), "where, and the hint last")
			require.NotContains(t, err.Error(), "\n")
			require.Contains(t, fmt.Sprintf("%+v", errors.Unwrap(err)), "goroutine ")
			require.NotContains(t, fmt.Sprintf("%v %s", errors.Unwrap(err), errors.Unwrap(err)), "goroutine ")
		}
	}
}

// Without a deserializer no message could be decoded: that is told at once, where it is a mistake in the program.
func TestTyped_ANilDeserializerPanicsAtOnce(t *testing.T) {
	c, err := NewConsumer()
	require.NoError(t, err)
	require.PanicsWithValue(t, "kafka: Typed: the key's deserializer is nil; Bytes gives the bytes as they are", func() { Typed[[]byte](c, nil, String) })
	require.PanicsWithValue(t, "kafka: Typed: the value's deserializer is nil; Bytes gives the bytes as they are", func() { Typed[[]byte, time.Time](c, Bytes, nil) })
	require.NoError(t, c.Close())
}
