//go:build kafka

package acceptance

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// A meter counts what a consumer is sent by each node.
type meter struct {
	c     *kafkatest.Cluster
	mu    sync.Mutex
	bytes map[string]*atomic.Int64
}

func newMeter(c *kafkatest.Cluster) *meter {
	return &meter{c: c, bytes: make(map[string]*atomic.Int64)}
}

func (m *meter) of(addr string) *atomic.Int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes[addr] == nil {
		m.bytes[addr] = new(atomic.Int64)
	}
	return m.bytes[addr]
}

func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := m.c.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &meteredConn{conn, m.of(addr)}, nil
}

type meteredConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

// during gives what each node sent while f ran.
func (m *meter) during(f func()) map[int32]int64 {
	before := make(map[int32]int64)
	for _, n := range m.c.Nodes() {
		before[n.ID] = m.of(n.Addr).Load()
	}
	f()
	for _, n := range m.c.Nodes() {
		before[n.ID] = m.of(n.Addr).Load() - before[n.ID]
	}
	return before
}

// rackAware starts a cluster whose leaders send consumers to the replica in their rack.
func rackAware(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	return kafkatest.StartCluster(t, launch.Options{Nodes: 3, Racks: []string{"a", "b", "c"}, Properties: map[string]string{
		"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
	}})
}

// KIP-392: with WithRackID, what is read comes from the replica in the same rack, and from the leader again when that is gone.
func TestClosest_FetchesGoToTheReplicaInTheRack(t *testing.T) {
	c := rackAware(t)
	topic := c.NewTopic(t, kafkatest.Topic{Replicas: 3})
	tp := tpOf(topic, 0)
	leader := c.Leader(t, topic, 0)
	follower := otherNode(t, c, leader)
	rack := string(rune('a' + follower.ID - 1))
	const n, size = 200, 10_000
	kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(n, size))

	far := newMeter(c)
	sent := far.during(func() { read(t, start(t, c, kafka.WithTopics(topic), kafka.WithDialer(far.dial)), n) })
	require.Greater(t, sent[leader], int64(n*size), "without a rack, from the leader")
	require.Less(t, sent[follower.ID], int64(size))

	near := newMeter(c)
	var consumer *kafka.Consumer
	first := near.during(func() {
		consumer = start(t, c, kafka.WithTopics(topic), kafka.WithRackID(rack), kafka.WithDialer(near.dial),
			kafka.WithMaxPartitionFetchBytes(100_000))
		consecutive(t, 0, read(t, consumer, n))
	})
	require.Greater(t, first[follower.ID], int64(n*size/2), "most of it from the follower, once the leader has named it")
	require.Less(t, first[leader], int64(n*size/2))
	more := func() { kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(n, size)) }
	second := near.during(func() { more(); consecutive(t, n, read(t, consumer, n)) })
	require.Greater(t, second[follower.ID], int64(n*size*9/10), "and it stays there")

	ends, err := consumer.EndOffsets(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 2*n, ends[tp], "offsets are asked of the leader")

	follower.Kill(t)
	third := near.during(func() { more(); consecutive(t, 2*n, read(t, consumer, n)) })
	require.Greater(t, third[leader], int64(n*size*9/10), "from the leader when the follower is gone")

	follower.Start(t)
	c.AwaitInSync(t, topic, 0)
	more()
	consecutive(t, 3*n, read(t, consumer, n))
	eventually(t, func() bool {
		return near.during(func() {
			kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(10, size))
			read(t, consumer, 10)
		})[follower.ID] > 10*size*9/10
	}, "it does not go back to the follower")

	c.MoveLeader(t, topic, 0, follower.ID)
	sent = near.during(func() { more(); read(t, consumer, n) })
	require.Greater(t, sent[follower.ID], int64(n*size*9/10), "which leads now")
}

// A replica that is in reach and no longer serves sends the partition back to its leader at once: nothing is lost, no position reset. One
// that only this consumer cannot reach is named again by the leader, which goes by what it knows: tried at a distance, and used when it is
// back.
func TestClosest_ReplicaThatNoLongerServes(t *testing.T) {
	c := rackAware(t)
	topic := c.NewTopic(t, kafkatest.Topic{Replicas: 3})
	leader := c.Leader(t, topic, 0)
	follower := otherNode(t, c, leader)
	third := int32(1 + 2 + 3 - leader - follower.ID)
	const n, size = 50, 2000
	total := int64(0)
	var book logBook
	m := newMeter(c)
	sent := m.of(follower.Proxy.Addr())
	consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithDialer(m.dial), kafka.WithTopics(topic), kafka.WithRackID(string(rune('a'+follower.ID-1))),
		kafka.WithLogger(book.logger(slog.LevelWarn)), kafka.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond), quick)
	write := func() { kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(n, size)) }
	flows := func() {
		t.Helper()
		write()
		consecutive(t, total, read(t, consumer, n))
		total += n
	}
	flows()
	for range 2 {
		eventually(t, func() bool { before := sent.Load(); flows(); return sent.Load()-before > n*size*9/10 }, "the follower is not asked")
		c.Reassign(t, topic, 0, leader, third)
		flows()
		flows()
		c.Reassign(t, topic, 0, leader, third, follower.ID)
		flows()
	}
	c.MoveLeader(t, topic, 0, leader)
	flows()

	follower.Proxy.Refuse(true)
	follower.Proxy.Drop()
	write()
	<-time.After(short)
	follower.Proxy.Refuse(false)
	consecutive(t, total, read(t, consumer, n))
	total += n
	flows()
	require.Empty(t, book.matching("reset"))
}
