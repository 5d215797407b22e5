package acceptance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

const (
	movedStay  = 31 // partitions that stay while one moves
	movedTimes = 3  // there and back
)

// A mover is a member of a group, of whichever client, whose application takes messages all the time.
type mover interface {
	taken(tp kafka.TopicPartition) int
	owns() int
	leave(t *testing.T)
}

// moverClients are the clients that are compared.
var moverClients = map[string]func(t *testing.T, c *kafkatest.Cluster, group string, dial kafkatest.DialFunc, topics ...string) mover{
	"ours":     joinOurs,
	"franz-go": joinFranz,
}

// One partition moves from a cooperative member with 32 in flow to another, and back: of the 31 that stay nothing is fetched again, no
// connection is opened or closed for them, and their fetch session goes on. What franz-go does there is told beside.
func TestGroupMove_ThePartitionsThatStayCostNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for _, name := range []string{"ours", "franz-go"} {
			t.Run(name, func(t *testing.T) {
				f := moveOne(t, c, moverClients[name])
				t.Logf("%d moves there and back, %d fetches of %d records: records sent again %d, partitions asked for below what was fetched %d, "+
					"connections of fetches opened %d, closed %d, other connections opened %d, sessions begun anew %d",
					movedTimes, f.requests, f.records, f.resent, f.below, f.opened, f.closed, f.dials-f.opened, f.sessions)
				require.Greater(t, f.records, int64(movedStay*movedTimes), "they were in flow")
				if name == "ours" {
					f.requests, f.records, f.dials = 0, 0, 0
					require.Zero(t, f)
				}
			})
		}
	})
}

// moveOne gives what is seen on the wire of a member while another one comes that wants only one of its topics, which is balance's to
// give, and leaves again.
func moveOne(t *testing.T, c *kafkatest.Cluster, join func(*testing.T, *kafkatest.Cluster, string, kafkatest.DialFunc, ...string) mover) tapFigure {
	t.Helper()
	stay, moves := c.NewTopic(t, kafkatest.Topic{Partitions: movedStay}), c.NewTopic(t, kafkatest.Topic{Partitions: 1})
	group, stays, one := kafkatest.TopicName(t), allOf(stay, movedStay), tpOf(moves, 0)
	f := startFeed(t, c, append(allOf(stay, movedStay), one))
	tap := newFetchTap(c, stay, topicID(t, c, stay))
	a := join(t, c, group, tap.dial, stay, moves)
	inFlow(t, a, append(stays, one)...)
	tap.take()
	for range movedTimes {
		b := join(t, c, group, c.Dial, moves)
		eventually(t, func() bool { return a.owns() == movedStay && b.owns() == 1 }, "the partition does not move")
		inFlow(t, b, one)
		inFlow(t, a, stays...)
		b.leave(t)
		eventually(t, func() bool { return a.owns() == movedStay+1 }, "the partition does not come back")
		inFlow(t, a, append(stays, one)...)
	}
	figure := tap.take()
	f.end(t)
	a.leave(t)
	return figure
}

// inFlow waits until more of each partition was taken: of several fetches.
func inFlow(t *testing.T, m mover, tps ...kafka.TopicPartition) {
	t.Helper()
	before := make(map[kafka.TopicPartition]int)
	for _, tp := range tps {
		before[tp] = m.taken(tp)
	}
	for _, tp := range tps {
		eventually(t, func() bool { return m.taken(tp) > before[tp]+20 }, "%v does not flow", tp)
	}
}

// ourMover is held to what a group promises while it is measured.
type ourMover struct{ *member }

func joinOurs(t *testing.T, c *kafkatest.Cluster, group string, dial kafkatest.DialFunc, topics ...string) mover {
	t.Helper()
	opts := append(groupOptions(group), cooperative, kafka.WithDialer(dial))
	return ourMover{newLedger().join(t, c, "member", topics, opts...)}
}

func (m ourMover) taken(tp kafka.TopicPartition) int {
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	return len(m.ledger.seen[tp])
}

func (m ourMover) owns() int { return m.ledger.owned(m.member) }

func (m ourMover) leave(t *testing.T) {
	t.Helper()
	m.member.leave(t)
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	require.Empty(t, m.ledger.wrong)
}

// franzMover is a member of franz-go.
type franzMover struct {
	client *kgo.Client
	done   <-chan result

	mu    sync.Mutex
	count map[kafka.TopicPartition]int
	owned int
}

func joinFranz(t *testing.T, c *kafkatest.Cluster, group string, dial kafkatest.DialFunc, topics ...string) mover {
	t.Helper()
	m := &franzMover{count: make(map[kafka.TopicPartition]int)}
	change := func(sign int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, ps := range parts {
				m.owned += sign * len(ps)
			}
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap()...), kgo.Dialer(dial), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.SessionTimeout(sessionTime), kgo.HeartbeatInterval(100*time.Millisecond), kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	m.client = client
	m.done = inBackground(func() error {
		for {
			fetches := client.PollRecords(context.Background(), 500)
			if fetches.IsClientClosed() {
				return nil
			}
			m.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { m.count[tpOf(r.Topic, r.Partition)]++ })
			m.mu.Unlock()
		}
	})
	return m
}

func (m *franzMover) taken(tp kafka.TopicPartition) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count[tp]
}

func (m *franzMover) owns() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned
}

func (m *franzMover) leave(t *testing.T) {
	t.Helper()
	m.client.Close()
	require.NoError(t, ended(t, m.done).err)
}
