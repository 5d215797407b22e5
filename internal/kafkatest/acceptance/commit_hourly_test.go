package acceptance

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Offsets of a group without members expire (offsets.retention.minutes). Those of partitions assigned by hand are committed again once
// an hour, moved or not, and otherwise only when they have moved.
func TestAutoCommit_UnchangedOffsetsAreCommittedAgainOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.Fake(t, kafkatest.FakeOptions{InMemory: true})
		topic, group := c.NewTopic(t, kafkatest.Topic{}), "hourly"
		tp := tpOf(topic, 0)
		produce(t, c, topic, 0, numbered(0, 3)...)
		consumer := newConsumer(t, c, kafka.WithGroupID(group))
		t.Cleanup(func() { require.NoError(t, consumer.Close()) })
		require.NoError(t, consumer.Assign(tp))
		require.NoError(t, consumer.Start(context.Background()))
		commits := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Count: -1, Observe: true})
		read(t, consumer, 3)
		time.Sleep(20 * time.Minute)
		require.Equal(t, 1, commits.Hits(), "unchanged offsets are not committed every 5 s")
		require.EqualValues(t, 2, storedAt(t, c, group, tp), "the third message is in hand")
		nothing(t, consumer) // settles
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, commits.Hits())
		require.EqualValues(t, 3, storedAt(t, c, group, tp))
		time.Sleep(49 * time.Minute)
		require.Equal(t, 2, commits.Hits())
		time.Sleep(2 * time.Minute)
		require.Equal(t, 3, commits.Hits())
		time.Sleep(time.Hour)
		require.Equal(t, 4, commits.Hits())
		require.EqualValues(t, 3, storedAt(t, c, group, tp))
	})
}
