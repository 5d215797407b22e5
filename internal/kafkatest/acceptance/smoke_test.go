package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestMessages_DeliversEveryRecordInOrder(t *testing.T) {
	kafkatest.EachVersion(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		for p := range int32(2) {
			kafkatest.Produce(t, c, topic, p, kafkatest.Values(numbered(0, 100)...))
		}
		consumer := start(t, c, kafka.WithTopics(topic))
		got := make(map[int32][]string)
		n := 0
		for m := range consumer.Messages() {
			require.EqualValues(t, len(got[m.Partition]), m.Offset)
			got[m.Partition] = append(got[m.Partition], string(m.Value))
			if n++; n == 200 {
				break
			}
		}
		require.NoError(t, consumer.Err())
		for p := range int32(2) {
			require.Equal(t, numbered(0, 100), got[p])
		}
	})
}
