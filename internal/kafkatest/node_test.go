package kafkatest_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestNode_KilledLeaderIsReplacedAndComesBackWithItsData(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values("before"), acksAll)
		leader := c.Leader(t, topic, 0)
		c.Node(t, leader).Kill(t)
		began := time.Now()
		if conn, err := net.Dial("tcp", c.Node(t, leader).Addr); err == nil {
			conn.Close()
			t.Errorf("node %d still accepts connections after its death", leader)
		}
		next := c.AwaitNewLeader(t, topic, 0, leader)
		t.Logf("%s: leader %d after %d, %v after the kill", c.Name(), next, leader, time.Since(began).Round(time.Millisecond))
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values("after"), acksAll)

		began = time.Now()
		c.Node(t, leader).Start(t)
		t.Logf("%s: node %d back after %v", c.Name(), leader, time.Since(began).Round(time.Millisecond))
		c.AwaitInSync(t, topic, 0)
		c.MoveLeader(t, topic, 0, leader)
		if got := values(consume(t, c, topic, 0, 2)); !slices.Equal(got, []string{"before", "after"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestNode_PausedNodeKeepsConnectionsAndSaysNothing(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		leader := c.Leader(t, topic, 0)
		node := c.Node(t, leader)
		client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr), kgo.RequestRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ping := func(ctx context.Context) error {
			_, err := client.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
			return err
		}
		if err := ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		node.Pause(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := ping(ctx); ctx.Err() == nil {
			t.Errorf("a paused node answered, or dropped the connection: %v", err)
		}
		c.AwaitNewLeader(t, topic, 0, leader)
		node.Continue(t)
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := ping(ctx); err != nil {
			t.Errorf("after it went on: %v", err)
		}
	})
}

func TestNode_GracefulRestart(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values("kept"), acksAll)
		leader := c.Leader(t, topic, 0)
		began := time.Now()
		c.Node(t, leader).Restart(t)
		t.Logf("%s: restarted in %v", c.Name(), time.Since(began).Round(time.Millisecond))
		c.AwaitNewLeader(t, topic, 0, leader)
		if got := values(consume(t, c, topic, 0, 1)); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestTopics_GrowTruncateDeleteAndMove(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 1, Replicas: 3})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(10, 10))
		c.DeleteRecords(t, topic, 0, 4)
		if start, end := c.StartOffset(t, topic, 0), c.EndOffset(t, topic, 0); start != 4 || end != 10 {
			t.Errorf("log is %d…%d, want 4…10", start, end)
		}
		c.AddPartitions(t, topic, 3)
		kafkatest.Produce(t, c, topic, 2, kafkatest.Values("new"))

		for _, n := range c.Nodes() {
			c.MoveLeader(t, topic, 0, n.ID)
			if leader := c.Leader(t, topic, 0); leader != n.ID {
				t.Errorf("leader is %d after moving it to %d", leader, n.ID)
			}
		}
		c.SetTopicConfig(t, topic, "retention.ms", "12345")
		c.DeleteTopic(t, topic)
		c.CreateTopic(t, topic, kafkatest.Topic{Replicas: 3})
		if end := c.EndOffset(t, topic, 0); end != 0 {
			t.Errorf("the topic made again ends at %d", end)
		}
	})
}

// acksAll waits for all replicas in sync, so that a kill right after loses nothing.
var acksAll = kafkatest.With(kgo.RequiredAcks(kgo.AllISRAcks()))
