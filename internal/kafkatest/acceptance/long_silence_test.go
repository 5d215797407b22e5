//go:build kafka && long

package acceptance

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A partition that nobody can read, beside another that flows, is logged every 30 s, and no more once it is read.
func TestLong_SilenceIsLogged(t *testing.T) {
	const within = 90 * time.Second
	c := longCluster(t, 6*time.Second)
	lines := func(book *logBook, n int, parts ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(book.matching(parts...)) >= n }, within, 100*time.Millisecond, "%d lines with %q", n, parts)
		t.Log(book.matching(parts...)[n-1])
	}

	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3, Replicas: 1})
	book := &logBook{}
	consumer := start(t, c, kafka.WithTopics(topic), kafka.WithLogger(book.logger(slog.LevelWarn)))
	for p := range int32(3) {
		produce(t, c, topic, p, "before")
	}
	readMany(t, consumer, 3)
	down := c.Node(t, c.Leader(t, topic, 0))
	flows := int32(1)
	if c.Leader(t, topic, flows) == down.ID {
		flows = 2
	}
	require.NotEqual(t, down.ID, c.Leader(t, topic, flows))
	down.Kill(t)
	for n := 1; n <= 2; n++ {
		lines(book, n, "kafka: a partition cannot be read", "topic="+topic, "partition=0", "LEADER_NOT_AVAILABLE")
	}
	produce(t, c, topic, flows, "meanwhile")
	require.Equal(t, []string{"meanwhile"}, texts(read(t, consumer, 1)))

	down.Start(t)
	c.AwaitLeader(t, topic, 0, func(leader int32) bool { return leader >= 0 })
	produce(t, c, topic, 0, "after")
	require.Equal(t, []string{"after"}, texts(read(t, consumer, 1)))
	told := len(book.matching("kafka: a partition cannot be read"))
	time.Sleep(45 * time.Second) // that nothing comes cannot be awaited
	require.Len(t, book.matching("kafka: a partition cannot be read"), told)
}
