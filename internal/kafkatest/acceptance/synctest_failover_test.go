package acceptance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// elections are how long after a leader is lost the next one is elected: at once, as in a shutdown, to the longest session timeouts.
var elections = []time.Duration{0, 100 * time.Millisecond, time.Second, 3 * time.Second, 9 * time.Second, 30 * time.Second}

// lose runs a consumer whose long poll is out when something happens to the leader, and gives the time from the election of the next
// one to the message written to it.
func lose(t *testing.T, c *kafkatest.Cluster, election time.Duration, harm func(leader *kafkatest.Node), opts ...kafka.ConsumerOption) time.Duration {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{})
	consumer := start(t, c, append(opts, kafka.WithTopics(topic))...)
	produce(t, c, topic, 0, "a")
	read(t, consumer, 1)
	time.Sleep(5*time.Second + 123*time.Millisecond) // the long poll is out
	leader, id := c.Node(t, c.Leader(t, topic, 0)), topicID(t, c, topic)
	c.HoldElections()
	harm(leader)
	time.Sleep(election)
	next := otherNode(t, c, leader.ID)
	c.MoveLeader(t, topic, 0, next.ID)
	elected := time.Now()
	produceTo(t, c, next.ID, topic, id, 0, batchOf(t, 0, 0, "b"))
	require.Zero(t, time.Since(elected), "it is the consumer alone that is timed")
	require.Equal(t, []string{"b"}, texts(read(t, consumer, 1)))
	took := time.Since(elected)
	t.Logf("the message came %v after the election", took)
	return took
}

// A leader that is killed closes its connections, and with them the long poll; the next one is fetched from within 0.6 s of its election.
func TestTiming_MessagesGoOnAfterALeaderIsKilled(t *testing.T) {
	for _, election := range elections {
		for _, wait := range []time.Duration{500 * time.Millisecond, time.Minute} {
			t.Run(fmt.Sprintf("elected after %v, polls of %v", election, wait), func(t *testing.T) {
				bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
					kill := func(leader *kafkatest.Node) { leader.Kill(t) }
					took := lose(t, c, election, kill, kafka.WithFetchMaxWait(wait))
					require.LessOrEqual(t, took, 600*time.Millisecond)
				})
			})
		}
	}
}

// A leader that hangs is found out when the long poll is overdue by a second, however long its connection would stay; the next one is
// fetched from within 3 s of its election.
func TestTiming_MessagesGoOnAfterALeaderHangs(t *testing.T) {
	for _, election := range elections {
		t.Run(fmt.Sprintf("elected after %v", election), func(t *testing.T) {
			bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
				hang := func(leader *kafkatest.Node) { leader.Pause(t) }
				took := lose(t, c, election, hang)
				require.LessOrEqual(t, took, 3*time.Second)
			})
		})
	}
}

// The same for one that is not being fetched from when it hangs.
func TestTiming_HungLeaderIsLeftWithinThreeSeconds(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		tp := tpOf(topic, 0)
		consumer := start(t, c, kafka.WithTopics(topic))
		produce(t, c, topic, 0, "a")
		read(t, consumer, 1)
		require.NoError(t, consumer.Pause(tp))
		nothing(t, consumer)
		produce(t, c, topic, 0, "b")
		c.Node(t, c.Leader(t, topic, 0)).Pause(t)
		began := time.Now()
		require.NoError(t, consumer.Resume(tp))
		require.Equal(t, []string{"b"}, texts(read(t, consumer, 1)))
		require.LessOrEqual(t, time.Since(began), 3*time.Second)
	})
}
