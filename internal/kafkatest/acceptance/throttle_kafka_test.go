//go:build kafka

package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A client quota makes the broker answer emptily, and then be silent for a while: everything comes, in order and at the pace that the
// quota allows, on the connections there are.
func TestThrottle_EverythingComesUnderAQuota(t *testing.T) {
	c := kafkatest.Shared(t)
	const rate, size, n = 50_000, 1000, 680
	topic := c.NewTopic(t, kafkatest.Topic{})
	kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(n, size), kafkatest.PerBatch(10))
	limitClient(t, c, topic, rate)
	w := newWire(c)
	consumer := start(t, c, w.option(), kafka.WithClientID(topic), kafka.WithTopics(topic), kafka.WithMaxPartitionFetchBytes(64<<10))
	read(t, consumer, 1)
	closed := w.closed.Load()
	for pass, throttled := 0, false; !throttled; pass++ { // a broker learns of the quota some time after it was set
		require.Less(t, pass, 20, "it is not throttled")
		<-time.After(100 * time.Millisecond)
		require.NoError(t, consumer.Seek(tpOf(topic, 0), 1))
		began := time.Now()
		consecutive(t, 1, readIn(until(t, 2*time.Minute), t, consumer, n-1)) // what the passes before have read counts, too
		took := time.Since(began)
		t.Logf("%d bytes at %d a second took %v", n*size, rate, took.Round(time.Millisecond))
		// A broker looks at the last eleven seconds, in which little was read before.
		throttled = took > (n*size/rate-11)*time.Second/2
	}
	require.Equal(t, closed, w.closed.Load(), "connections given up")
}

// limitClient gives a client id a quota for what it reads, in bytes a second, until the test ends.
func limitClient(t *testing.T, c *kafkatest.Cluster, id string, rate float64) {
	t.Helper()
	alter := func(op kadm.AlterClientQuotaOp) {
		entry := kadm.AlterClientQuotaEntry{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &id}},
			Ops:    []kadm.AlterClientQuotaOp{op},
		}
		altered, err := c.Admin().AlterClientQuotas(within(t), []kadm.AlterClientQuotaEntry{entry})
		require.NoError(t, err)
		for _, a := range altered {
			require.NoError(t, a.Err, a.ErrMessage)
		}
	}
	alter(kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Value: rate})
	t.Cleanup(func() { alter(kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Remove: true}) })
}
