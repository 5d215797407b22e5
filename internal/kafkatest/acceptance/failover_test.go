package acceptance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A backlogReader reads a backlog, one message every few milliseconds and with little buffered, so that a fault stops it soon after
// the broker does; it sees that every message comes once, in order, without an error.
type backlogReader struct {
	mu       sync.Mutex
	received []time.Time // by offset, over all partitions
	done     <-chan result
}

const (
	backlogRecords = 600
	backlogPace    = 2 * time.Millisecond
	backlogFetch   = 10 << 10
)

// readBacklog begins to read a topic that backlog has filled.
func readBacklog(t *testing.T, consumer *kafka.Consumer, n int) *backlogReader {
	t.Helper()
	r := &backlogReader{}
	next := make(map[kafka.TopicPartition]int64)
	ctx := within(t)
	r.done = inBackground(func() error {
		pace := time.NewTicker(backlogPace)
		defer pace.Stop()
		for range n {
			<-pace.C
			m, err := consumer.GetOne(ctx)
			if err != nil {
				return err
			}
			tp := m.TopicPartition()
			if m.Offset != next[tp] {
				return fmt.Errorf("%v: offset %d after %d", tp, m.Offset, next[tp]-1)
			}
			next[tp]++
			r.mu.Lock()
			r.received = append(r.received, time.Now())
			r.mu.Unlock()
		}
		return nil
	})
	return r
}

func (r *backlogReader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.received)
}

// gap waits for the reader to end and gives how long it stood still at most after the fault, counted from the election where
// that came later.
func (r *backlogReader) gap(t *testing.T, fault, elected time.Time) time.Duration {
	t.Helper()
	require.NoError(t, ended(t, r.done).err)
	longest, resumed, last := time.Duration(0), elected, fault
	for _, at := range r.received {
		if at.Before(fault) {
			continue
		}
		if pause := at.Sub(last); pause > longest {
			longest, resumed = pause, at
		}
		last = at
	}
	return min(longest, max(0, resumed.Sub(elected)))
}

// backlog makes a topic with a backlog in its one partition.
func backlog(t *testing.T, c *kafkatest.Cluster) string {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{})
	kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(backlogRecords, 1000), kafkatest.PerBatch(1))
	return topic
}

func startOnBacklog(t *testing.T, c *kafkatest.Cluster, topic string) *kafka.Consumer {
	return start(t, c, kafka.WithTopics(topic), kafka.WithMaxPartitionFetchBytes(backlogFetch))
}

// Messages go on within 0.6 s of the new leader's election. It is the best of three kills at most that is held to that: the brokers,
// which take over as fast as they get a processor, share the machine with the consumer and with whatever else runs there. What
// the consumer adds by itself is exact in TestTiming_MessagesGoOnAfterALeaderIsKilled.
func TestFailover_LeaderKilled(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		var gaps []time.Duration
		var topic string
		var consumer *kafka.Consumer
		var killed int32
		for len(gaps) == 0 || len(gaps) < 3 && slices.Min(gaps) > 600*time.Millisecond {
			topic = backlog(t, c)
			consumer = startOnBacklog(t, c, topic)
			var gap time.Duration
			killed, gap = killLeader(t, c, consumer, topic)
			gaps = append(gaps, gap.Round(time.Millisecond))
			require.EqualValues(t, backlogRecords, position(t, consumer, tpOf(topic, 0)))
			c.Node(t, killed).Start(t)
		}
		t.Logf("messages went on %v after the new leader's election", gaps)
		require.LessOrEqual(t, slices.Min(gaps), 600*time.Millisecond)
		require.Less(t, slices.Max(gaps), soon)

		// And back: the node that was killed takes its part again.
		c.AwaitInSync(t, topic, 0)
		c.MoveLeader(t, topic, 0, killed)
		produce(t, c, topic, 0, "after it all")
		require.Equal(t, []string{"after it all"}, texts(read(t, consumer, 1)))
	})
}

// killLeader kills the leader under a consumer that reads, and gives how long messages stood still from the election of the next on.
func killLeader(t *testing.T, c *kafkatest.Cluster, consumer *kafka.Consumer, topic string) (killed int32, gap time.Duration) {
	t.Helper()
	reader := readBacklog(t, consumer, backlogRecords)
	eventually(t, func() bool { return reader.count() > 50 }, "it does not begin")
	killed = c.Leader(t, topic, 0)
	fault := time.Now()
	c.Node(t, killed).Kill(t)
	c.AwaitNewLeader(t, topic, 0, killed)
	return killed, reader.gap(t, fault, time.Now())
}

// A broker that hangs: the fetch is given up when it is overdue, and messages go on within 3 s of the new leader's election.
func TestFailover_LeaderHangs(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := backlog(t, c)
		consumer := startOnBacklog(t, c, topic)
		reader := readBacklog(t, consumer, backlogRecords)
		eventually(t, func() bool { return reader.count() > 50 }, "it does not begin")
		old := c.Leader(t, topic, 0)
		fault := time.Now()
		c.Node(t, old).Pause(t)
		c.AwaitNewLeader(t, topic, 0, old)
		elected := time.Now()
		gap := reader.gap(t, fault, elected)
		t.Logf("messages went on %v after the new leader's election", gap.Round(time.Millisecond))
		require.LessOrEqual(t, gap, 3*time.Second)
		c.Node(t, old).Continue(t)
		produce(t, c, topic, 0, "after it all")
		require.Equal(t, []string{"after it all"}, texts(read(t, consumer, 1)))
	})
}

func TestFailover_LeaderMoves(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := backlog(t, c)
		consumer := startOnBacklog(t, c, topic)
		reader := readBacklog(t, consumer, backlogRecords)
		eventually(t, func() bool { return reader.count() > 50 }, "it does not begin")
		fault := time.Now()
		for range 3 {
			c.MoveLeader(t, topic, 0, otherNode(t, c, c.Leader(t, topic, 0)).ID)
		}
		gap := reader.gap(t, fault, fault)
		t.Logf("it stood still for %v at most", gap.Round(time.Millisecond))
		require.Less(t, gap, 1200*time.Millisecond)
	})
}

// The application sees nothing of brokers that go and come one after the other, connections that break, and answers that come in pieces.
func TestFailover_ConnectionsBreak(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := backlog(t, c)
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic), kafka.WithMaxPartitionFetchBytes(backlogFetch))
		for _, n := range c.Nodes() {
			n.Proxy.Split(700)
		}
		reader := readBacklog(t, consumer, backlogRecords)
		for i := range 8 {
			eventually(t, func() bool { return reader.count() > 50*(i+1) }, "it stands still at %d", 50*i)
			for _, n := range c.Nodes() {
				n.Proxy.Drop()
			}
		}
		require.NoError(t, ended(t, reader.done).err)
	})
}

func TestFailover_BrokerRestarts(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := backlog(t, c)
		consumer := startOnBacklog(t, c, topic)
		reader := readBacklog(t, consumer, backlogRecords)
		eventually(t, func() bool { return reader.count() > 50 }, "it does not begin")
		leader := c.Node(t, c.Leader(t, topic, 0))
		leader.Restart(t)
		require.NoError(t, ended(t, reader.done).err)
		c.AwaitLeader(t, topic, 0, func(leader int32) bool { return leader >= 0 })
		produce(t, c, topic, 0, "after it all")
		require.Equal(t, []string{"after it all"}, texts(read(t, consumer, 1)))
	})
}

// A partition whose only replica is gone is waited for; it is no error, and holds nobody up.
func TestFailover_PartitionWithoutALeaderBesideOthers(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3, Replicas: 1})
		consumer := start(t, c, kafka.WithTopics(topic))
		for p := range int32(3) {
			produce(t, c, topic, p, "before")
		}
		readMany(t, consumer, 3)
		down := c.Node(t, c.Leader(t, topic, 0))
		const flows = int32(1)
		if c.Leader(t, topic, flows) == down.ID {
			c.MoveLeader(t, topic, flows, otherNode(t, c, down.ID).ID)
		}
		producer := kafkatest.NewProducer(t, c)
		producer.Produce(t, topic, flows, kafkatest.Values("right before")...)
		read(t, consumer, 1)
		down.Kill(t)
		for i := range 20 {
			producer.Produce(t, topic, flows, kafkatest.Values(numbered(i, i+1)...)...)
			require.Equal(t, numbered(i, i+1), texts(read(t, consumer, 1)))
		}
		_, err := consumer.GetOne(until(t, short), kafka.FromPartitions(tpOf(topic, 0)))
		require.ErrorIs(t, err, context.DeadlineExceeded, "no error of it")
		down.Start(t)
		c.AwaitLeader(t, topic, 0, func(leader int32) bool { return leader >= 0 })
		produce(t, c, topic, 0, "after")
		require.Equal(t, []string{"after"}, texts(read(t, consumer, 1, kafka.FromPartitions(tpOf(topic, 0)))))
	})
}
