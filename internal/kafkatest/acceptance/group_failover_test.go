package acceptance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A troubled is a group of three members on three nodes, with records that flow, before something happens to the nodes.
type troubled struct {
	c       *kafkatest.Cluster
	group   string
	tps     []kafka.TopicPartition
	ledger  *ledger
	feed    *feed
	members []*member
}

// beforeTrouble starts it.
func beforeTrouble(t *testing.T, c *kafkatest.Cluster, opts ...kafka.ConsumerOption) *troubled {
	t.Helper()
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 6})
	g := &troubled{c: c, group: topic, tps: allOf(topic, 6), ledger: newLedger()}
	g.feed = startFeed(t, c, g.tps)
	var consumers []*kafka.Consumer
	for i := range 3 {
		all := append(groupOptions(g.group), kafka.WithSessionTimeout(10*time.Second), kafka.WithHeartbeatInterval(time.Second), kafka.WithAutoCommitInterval(500*time.Millisecond))
		m := g.ledger.join(t, c, fmt.Sprint("member-", i), []string{topic}, append(all, opts...)...)
		g.members, consumers = append(g.members, m), append(consumers, m.Consumer)
	}
	shared(t, g.tps, consumers...)
	for _, tp := range g.tps {
		g.flows(t, tp)
	}
	if c.Fake() == nil {
		// A coordinator can go on elsewhere only where its partition has replicas in sync, also after what other tests did.
		meta, err := c.Admin().Metadata(within(t), offsetsTopic)
		require.NoError(t, err)
		for p := range meta.Topics[offsetsTopic].Partitions {
			c.AwaitInSync(t, offsetsTopic, p)
		}
	}
	for _, m := range g.members {
		m.forget()
	}
	g.ledger.mu.Lock()
	g.ledger.late = 0
	g.ledger.mu.Unlock()
	return g
}

func (g *troubled) count(tp kafka.TopicPartition) int {
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	return len(g.ledger.seen[tp])
}

// committed gives what is committed, as the first member sees it.
func (g *troubled) committed(t *testing.T, tp kafka.TopicPartition) int64 {
	t.Helper()
	found, err := g.members[0].Committed(until(t, 20*time.Second), tp)
	require.NoError(t, err)
	return found[tp].Offset
}

// offsetsTopic is where the brokers keep groups and their offsets; who leads a group's partition of it coordinates the group.
const offsetsTopic = "__consumer_offsets"

// flows waits until more records of a partition are handed out, and committed.
func (g *troubled) flows(t *testing.T, tp kafka.TopicPartition) {
	t.Helper()
	before, committed := g.count(tp), g.committed(t, tp)
	eventually(t, func() bool { return g.count(tp) > before+20 }, "%v does not flow", tp)
	eventually(t, func() bool { return g.committed(t, tp) > committed }, "%v is not committed", tp)
}

// unharmed sees that everything flows again, that nobody heard of a rebalance, and that nothing came twice. It gives how long a record
// took at most from its acknowledgement.
func (g *troubled) unharmed(t *testing.T) time.Duration {
	t.Helper()
	for _, tp := range g.tps {
		g.flows(t, tp)
	}
	g.ledger.complete(t, g.feed.end(t))
	for _, m := range g.members {
		require.Empty(t, m.so(), "%s heard of a rebalance", m.name)
	}
	stalled := g.ledger.stalled(g.feed)
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	t.Logf("the latest record came %v after it was acknowledged, and %v after it was produced, which takes the producer an election",
		stalled.Round(time.Millisecond), g.ledger.late.Round(time.Millisecond))
	require.Zero(t, g.ledger.duplicates)
	return stalled
}

// The coordinator ends as by kill -9: the members stay members, commits go on with the next one.
func TestGroupFailover_CoordinatorKilled(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		g := beforeTrouble(t, c)
		old := coordinatorOf(t, c, g.group)
		began := time.Now()
		c.Node(t, old).Kill(t)
		c.AwaitNewCoordinator(t, g.group, old)
		elected := time.Now()
		before := g.committed(t, g.tps[0])
		eventually(t, func() bool { return g.committed(t, g.tps[0]) > before }, "no commits")
		t.Logf("another coordinator after %v, a commit %v later", elected.Sub(began).Round(time.Millisecond), time.Since(elected).Round(time.Millisecond))
		// What was acknowledged just before the kill is read when there is a leader again.
		require.Less(t, g.unharmed(t), elected.Sub(began)+soon)
		c.Node(t, old).Start(t)
	})
}

// All brokers are restarted one after the other.
func TestGroupFailover_RollingRestart(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		g := beforeTrouble(t, c)
		for _, n := range c.Nodes() {
			coordinates := coordinatorOf(t, c, g.group) == n.ID
			n.Stop(t)
			if coordinates {
				c.AwaitNewCoordinator(t, g.group, n.ID)
			}
			n.Start(t)
			for _, tp := range g.tps {
				c.AwaitInSync(t, tp.Topic, tp.Partition)
			}
		}
		g.unharmed(t)
	})
}

// A coordinator that hangs for a while keeps nobody out of the group; and Stop ends in time while it hangs.
func TestGroupFailover_CoordinatorHangs(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		g := beforeTrouble(t, c)
		old := c.Node(t, coordinatorOf(t, c, g.group))
		hung := time.Now()
		old.Pause(t)
		c.AwaitNewCoordinator(t, g.group, old.ID)
		began := time.Now()
		for _, tp := range g.tps {
			g.flows(t, tp)
		}
		t.Logf("records and commits flow %v after there was another coordinator", time.Since(began).Round(time.Millisecond))
		old.Continue(t)
		require.Less(t, g.unharmed(t), began.Sub(hung)+soon)
	})
}

func TestGroupFailover_StopWithAHungCoordinator(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		g := beforeTrouble(t, c)
		for _, n := range c.Nodes() {
			n.Pause(t)
		}
		// Members that are cut off for longer than their session do not hear in time who owns what.
		g.ledger.deafen()
		began := time.Now()
		err := g.members[0].Close()
		took := time.Since(began)
		require.Error(t, err)
		require.LessOrEqual(t, took, 5*time.Second+200*time.Millisecond)
		for _, n := range c.Nodes() {
			n.Continue(t)
		}
		hung := c.Node(t, coordinatorOf(t, c, g.group))
		hung.Pause(t)
		began = time.Now()
		err = g.members[1].Close()
		t.Logf("Stop took %v with every node hung, and %v with the coordinator hung: %v", took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), err)
		require.LessOrEqual(t, time.Since(began), 5*time.Second+200*time.Millisecond)
		hung.Continue(t)
		g.ledger.complete(t, g.feed.end(t))
	})
}

// With every broker hung, Stop ends in its time, and so that the listener is called: the commit does not take all of it.
func TestGroupFailover_StopWithEveryBrokerHungTellsTheListener(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, tps := filled(t, c, 1, 5)
		a, calls := startMember(t, c, topic, []string{topic}, kafka.WithAutoCommitInterval(time.Hour))
		readMany(t, a, 5)
		calls.forget()
		for _, n := range c.Nodes() {
			n.Pause(t)
		}
		began := time.Now()
		err := a.Stop(until(t, 3*time.Second))
		took := time.Since(began)
		for _, n := range c.Nodes() {
			n.Continue(t)
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "committing what was settled")
		require.Less(t, took, 3*time.Second+soon/3)
		require.Equal(t, []told{revoked(tps...)}, calls.so())
	})
}
