package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestGroup_OneMemberReadsEverythingAndResumes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		for p := range int32(2) {
			kafkatest.Produce(t, c, topic, p, kafkatest.Values(numbered(0, 10)...))
		}
		first := newConsumer(t, c, kafka.WithGroupID(topic), kafka.WithTopics(topic))
		require.NoError(t, first.Start(within(t)))
		require.Len(t, first.Assignment(), 2)
		read(t, first, 12)
		require.NoError(t, first.Stop(within(t)))

		second := start(t, c, kafka.WithGroupID(topic), kafka.WithTopics(topic))
		read(t, second, 8)
		got, err := second.GetMany(within(t), kafka.WaitFor(300*time.Millisecond))
		require.NoError(t, err)
		require.Empty(t, got)
	})
}
