//go:build kafka && long

package acceptance

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

const (
	soakPartitions = 12
	soakBuffer     = 16 << 20
	soakPatience   = 90 * time.Second // how long the reader may stand still before the test gives up
)

// soakRecords is how many records the soak is about: 10 million, or KAFKA_TEST_RECORDS.
func soakRecords(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("KAFKA_TEST_RECORDS")
	if text == "" {
		return 10_000_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, "KAFKA_TEST_RECORDS")
	return n
}

// longCluster is three nodes that a busy machine does not make miss one another.
func longCluster(t *testing.T, session time.Duration) *kafkatest.Cluster {
	t.Helper()
	return kafkatest.StartCluster(t, launch.Options{
		Nodes: 3, Racks: []string{"a", "b", "c"}, HeapMB: 512, SessionTimeout: session,
	})
}

// Every record of a long stream comes once, in order within its partition, while a leader is killed and comes back, twice. The
// application hears of nothing, and what is fetched ahead while it takes nothing stays within the bound.
func TestLong_SoakTenMillion(t *testing.T) {
	total := soakRecords(t)
	c := longCluster(t, 6*time.Second)
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: soakPartitions, Replicas: 3, Configs: map[string]string{"min.insync.replicas": "2"}})
	w := newWire(c)
	consumer := start(t, c, w.option(), kafka.WithMaxBufferedBytes(soakBuffer), kafka.WithMaxBatchBytes(soakBuffer/4))
	require.NoError(t, consumer.Subscribe([]string{topic}))

	// The first fault comes at a fifth; a third of the records is held back until the second has begun.
	s := &soak{topic: topic, total: total, rest: total / 10, holdAt: total * 2 / 3, goOn: make(chan struct{}), began: time.Now()}
	written, read := s.produce(t, c), s.read(consumer, w)
	s.await(t, total/5)
	first := s.fault(t, c, 0)
	first.bringBack(t)
	s.await(t, total/2)
	second := s.fault(t, c, 1)
	close(s.goOn)
	second.bringBack(t)
	s.await(t, total)
	require.NoError(t, ended(t, written).err)
	require.NoError(t, ended(t, read).err)

	for p := range int32(soakPartitions) {
		require.Equal(t, s.acked[p].Load(), c.EndOffset(t, topic, p), "partition %d holds what was acknowledged, and nothing else", p)
		require.Equal(t, s.acked[p].Load(), s.next[p], "partition %d was read to its end", p)
		require.Equal(t, s.next[p], position(t, consumer, tpOf(topic, p)))
	}
	first.report(t)
	second.report(t)
	s.report(t)
	require.LessOrEqual(t, s.ahead, int64(soakBuffer+1<<20), "the bound, and what connections buffer")
	require.Greater(t, s.ahead, int64(soakBuffer/8), "it does fetch ahead: the bound is for what messages take in memory, over twice what they take on the wire")
}

// bringBack starts the node that was killed and gives it its leaders back.
func (f *soakFault) bringBack(t *testing.T) {
	t.Helper()
	began := time.Now()
	f.cluster.Node(t, f.node).Start(t)
	for p := range int32(soakPartitions) {
		f.cluster.AwaitInSync(t, f.soak.topic, p)
		f.cluster.ElectPreferred(t, f.soak.topic, p)
	}
	f.back = time.Since(began)
}

func (f *soakFault) report(t *testing.T) {
	t.Helper()
	t.Logf("node %d killed at %v: new leaders of its %d partitions after %v; back and leading after %v",
		f.node, f.at.Sub(f.soak.began).Round(time.Millisecond), f.partitions, f.elected.Round(time.Millisecond), f.back.Round(time.Millisecond))
	f.soak.mu.Lock()
	defer f.soak.mu.Unlock()
	t.Logf("    the producer's first acknowledgement by a new leader at most %v after the election; read at most %v after that (%d partitions)",
		f.resumed.Round(time.Millisecond), f.behind.Round(time.Millisecond), f.noted)
	require.Equal(t, f.partitions, f.noted, "partitions that went on after the fault")
	require.Less(t, f.behind, 2*time.Second, "0.6 s are wanted; a machine this busy may take more")
}

func (s *soak) report(t *testing.T) {
	t.Helper()
	rate := func(d time.Duration) string { return fmt.Sprintf("%.0f/s", float64(s.total)/d.Seconds()) }
	t.Logf("%d records written in %v (%s), read in %v (%s)", s.total,
		s.wrote.Round(time.Millisecond), rate(s.wrote), s.took.Round(time.Millisecond), rate(s.took))
	t.Logf("while the application took nothing for %v, %d KiB came, of a bound of %d KiB", s.rested.Round(time.Millisecond), s.ahead>>10, soakBuffer>>10)
	for _, stall := range s.stalls {
		t.Logf("stood still for %v from %v on, at %d records", stall.length.Round(time.Millisecond), stall.from.Round(time.Millisecond), stall.records)
	}
}
