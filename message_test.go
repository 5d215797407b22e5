package kafka

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMessage_CloneSharesNothing(t *testing.T) {
	memory := []byte("keyvalueheader")
	m := &Message{
		Topic: "t", Partition: 3, Offset: 9, LeaderEpoch: 2, Timestamp: time.UnixMilli(5).UTC(), TimestampType: LogAppendTime,
		Key: memory[0:3:3], Value: memory[3:8:8],
		Headers: []Header{{"a", memory[8:14:14]}, {"b", nil}, {"c", []byte{}}},
	}
	c := m.Clone()
	require.Equal(t, m, c)
	clear(memory)
	m.Headers[0].Key = "changed"
	require.Equal(t, "key", string(c.Key))
	require.Equal(t, "value", string(c.Value))
	require.Equal(t, []Header{{"a", []byte("header")}, {"b", nil}, {"c", []byte{}}}, c.Headers)
	_ = append(c.Key, 'x')
	require.Equal(t, "value", string(c.Value), "appending to one copies it")
	require.NotNil(t, c.Headers[2].Value)

	none := (&Message{Key: nil, Value: []byte{}}).Clone()
	require.Nil(t, none.Key)
	require.NotNil(t, none.Value)
	require.Nil(t, none.Headers)
}

func TestMessage_Names(t *testing.T) {
	m := Message{Topic: "orders", Partition: 3}
	require.Equal(t, TopicPartition{"orders", 3}, m.TopicPartition())
	require.Equal(t, "orders-3", m.TopicPartition().String())
	require.Equal(t, []string{"NoTimestampType", "CreateTime", "LogAppendTime", "TimestampType(9)"},
		[]string{NoTimestamp.String(), CreateTime.String(), LogAppendTime.String(), TimestampType(9).String()})
	require.Equal(t, []string{"read_uncommitted", "read_committed", "invalid"}, []string{ReadUncommitted.String(), ReadCommitted.String(), IsolationLevel(9).String()})
}

func TestQueue_KeepsItsOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var q queue[int]
	var model []int
	for i := range 10_000 {
		if random.IntN(5) < 3 {
			q.push(i)
			model = append(model, i)
		} else if len(model) > 0 {
			require.Equal(t, model[0], q.front())
			require.Equal(t, model[0], q.pop())
			model = model[1:]
		}
		require.Equal(t, len(model), q.len())
		if random.IntN(100) == 0 {
			drop := random.IntN(10)
			q.keep(func(v int) bool { return v%10 != drop })
			model = slices.DeleteFunc(model, func(v int) bool { return v%10 == drop })
			require.Equal(t, len(model), q.len())
		}
		if random.IntN(1000) == 0 {
			for len(model) > 0 {
				require.Equal(t, model[0], q.pop())
				model = model[1:]
			}
		}
	}
	require.True(t, slices.IsSorted(model))
}
