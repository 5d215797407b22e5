package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Fetch sessions (KIP-227): after the first fetch a broker is only told what changes.
func TestNetwork_FetchSessionsAreUsed(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	const partitions = 20
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
	var mu sync.Mutex
	var ids, epochs, named []int
	watchRequests(c, kmsg.Fetch, func(r kmsg.Request) {
		req := r.(*kmsg.FetchRequest)
		if req.SessionEpoch < 0 {
			return // beside the session
		}
		n := 0
		for _, rt := range req.Topics {
			n += len(rt.Partitions)
		}
		mu.Lock()
		defer mu.Unlock()
		ids, epochs, named = append(ids, int(req.SessionID)), append(epochs, int(req.SessionEpoch)), append(named, n)
	})
	consumer := start(t, c, kafka.WithTopics(topic), kafka.WithFetchMaxWait(20*time.Millisecond))
	for i := range 5 {
		produce(t, c, topic, int32(i), "a")
		read(t, consumer, 1)
	}
	idle := func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := len(named)
		return n > 10 && named[n-1] == 0 && named[n-2] == 0
	}
	eventually(t, idle, "a session at rest still names partitions")
	mu.Lock()
	defer mu.Unlock()
	opened, told := 0, 0
	for i := range ids {
		if epochs[i] == 0 {
			opened++
			continue
		}
		require.NotZero(t, ids[i])
		require.Equal(t, epochs[i-1]+1, epochs[i])
		told += named[i]
	}
	require.Equal(t, 1, opened, "one session for it all")
	require.Less(t, told, 2*partitions, "every partition once, and those that had messages")
}

// The same as it looks on the wire, also of a real broker: a fetch that changes nothing names none of its many partitions.
func TestNetwork_FetchesOfASessionAtRestAreTiny(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const partitions, bare = 120, 200 // a fetch that names nothing is its header and a few numbers
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: partitions})
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithTopics(topic), kafka.WithFetchMaxWait(50*time.Millisecond))
		producer := kafkatest.NewProducer(t, c)
		atRest := func() bool {
			sizes := w.sizesOf(kmsg.Fetch)
			return len(sizes) > 10 && slices.Max(sizes[len(sizes)-3:]) < bare
		}
		for p := range int32(partitions) {
			position(t, consumer, tpOf(topic, p)) // it is known, and with that the partition is fetched
		}
		eventually(t, atRest, "a session at rest still names partitions")
		before := len(w.sizesOf(kmsg.Fetch))
		for p := int32(0); p < partitions; p += 7 {
			producer.Produce(t, topic, p, kafkatest.Values("a")...)
			require.Equal(t, p, read(t, consumer, 1)[0].Partition)
		}
		eventually(t, atRest, "a session at rest again still names partitions")
		require.Less(t, slices.Max(w.sizesOf(kmsg.Fetch)[before:]), 2*bare, "only what has changed was named")
	})
}

// A leader named beside a refusal (KIP-951) is used at once, without metadata.
func TestNetwork_LeaderHintsAreUsedAtOnce(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		w := newWire(c)
		consumer := start(t, c, w.option(), kafka.WithTopics(topic))
		read(t, consumer, 1)
		producer := kafkatest.NewProducer(t, c)
		leader := c.Leader(t, topic, 0)
		c.MoveLeader(t, topic, 0, otherNode(t, c, leader).ID)
		producer.Produce(t, topic, 0, kafkatest.Values("b")...)
		read(t, consumer, 1)
		w.swallow(kmsg.Metadata)
		c.MoveLeader(t, topic, 0, leader)
		producer.Produce(t, topic, 0, kafkatest.Values("c")...)
		written := time.Now()
		require.Equal(t, []string{"c"}, texts(read(t, consumer, 1)))
		took := time.Since(written)
		t.Logf("the message came %v after it was written", took.Round(time.Millisecond))
		require.Less(t, took, soon)
	})
}

// A caller that gives up abandons its own wait only: the call beside it, for the same of the same broker, is answered.
func TestNetwork_CancelledCallHarmsNoOther(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic))
		read(t, consumer, 1)
		_, err := consumer.EndOffsets(within(t))
		require.NoError(t, err)
		for _, n := range c.Nodes() {
			n.Proxy.Silence(kafkatest.BothWays)
		}
		ctx, cancel := context.WithCancel(within(t))
		given := inBackground(func() error { _, err := consumer.EndOffsets(ctx); return err })
		kept := inBackground(func() error {
			ends, err := consumer.EndOffsets(within(t))
			if err == nil && ends[tpOf(topic, 0)] != 1 {
				err = fmt.Errorf("got %v", ends)
			}
			return err
		})
		blocked(t, given)
		blocked(t, kept)
		cancelled := time.Now()
		cancel()
		require.ErrorIs(t, ended(t, given).err, context.Canceled)
		require.Less(t, time.Since(cancelled), soon)
		for _, n := range c.Nodes() {
			n.Proxy.Heal()
		}
		require.NoError(t, ended(t, kept).err)
	})
}

// When all brokers that are known have gone, the bootstrap servers are asked again (KIP-899, KIP-1102). Here another cluster stands
// behind the address by then.
func TestWeakness_6_16_BootstrapServersAreAskedAgainWhenAllBrokersAreGone(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, old *kafkatest.Cluster) {
		var moved *kafkatest.Cluster
		if old.Fake() != nil {
			moved = kafkatest.Fake(t, kafkatest.FakeOptions{})
		} else {
			moved = kafkatest.Shared(t)
		}
		topic := kafkatest.TopicName(t)
		for _, c := range []*kafkatest.Cluster{old, moved} {
			c.CreateTopic(t, topic, kafkatest.Topic{})
			produce(t, c, topic, 0, "on "+strconv.Itoa(len(c.Nodes()))+" nodes")
		}
		seed := kafkatest.NewProxy(t, old.Nodes()[0].Proxy.Addr())
		consumer := start(t, old, kafka.WithBootstrapServers(seed.Addr()), kafka.WithTopics(topic))
		require.Equal(t, []string{"on 3 nodes"}, texts(read(t, consumer, 1)))
		seed.SetTarget(moved.Bootstrap()[0])
		for _, n := range old.Nodes() {
			n.Proxy.Refuse(true)
			n.Proxy.Drop()
		}
		gone := time.Now()
		seed.Drop()
		require.Equal(t, []string{"on 1 nodes"}, texts(read(t, consumer, 1)))
		t.Logf("found the brokers again after %v", time.Since(gone).Round(time.Millisecond))
	})
}

// Weakness 6.16, too: one lock for all connection attempts lets a broker that swallows packets hold up those to all others.
func TestWeakness_6_16_ABrokerThatCannotBeReachedHoldsUpNoOther(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 9})
		dead := c.Node(t, c.Leader(t, topic, 0))
		flows := 0
		for p := range int32(9) {
			if c.Leader(t, topic, p) != dead.ID {
				produce(t, c, topic, p, "a")
				flows++
			}
		}
		require.NotZero(t, flows)
		var bootstrap []string
		for _, n := range c.Nodes() {
			if n != dead {
				bootstrap = append(bootstrap, n.Addr)
			}
		}
		w := newWire(c)
		w.hold(dead.Addr)
		w.hold(dead.Proxy.Addr())
		began := time.Now()
		consumer := start(t, c, w.option(), kafka.WithBootstrapServers(bootstrap...), kafka.WithTopics(topic))
		readMany(t, consumer, flows)
		require.Less(t, time.Since(began), soon)
	})
}

func TestNetwork_IdleConnectionsAreClosed(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic), kafka.WithConnectionsMaxIdle(300*time.Millisecond))
		read(t, consumer, 1)
		conns := func() (n int) {
			for _, node := range c.Nodes() {
				n += node.Proxy.Conns()
			}
			return n
		}
		eventually(t, func() bool { return conns() == 1 }, "more stay open than the one that fetches")
		produce(t, c, topic, 0, "b")
		require.Equal(t, []string{"b"}, texts(read(t, consumer, 1)))
		_, err := consumer.EndOffsets(within(t))
		require.NoError(t, err, "a connection that is needed is opened again")
	})
}

func TestNetwork_SlowBrokersAreNotGivenUp(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(300, 1000), kafkatest.PerBatch(10))
		for _, n := range c.Nodes() {
			n.Proxy.Delay(20 * time.Millisecond)
		}
		consumer := start(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic))
		consecutive(t, 0, read(t, consumer, 300))
	})
}
