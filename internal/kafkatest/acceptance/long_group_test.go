//go:build kafka && long

package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

const (
	crowdPartitions = 12
	crowdHang       = 15 * time.Second
	crowdEvery      = 5 * time.Second // between members that come and go

	// What cannot but be late, in percent: two members are killed, and the third of the partitions that each has is nobody's for a
	// session.
	crowdOrphaned = 100.0 * 2 * float64(crowdSession) / 3 / float64(8*crowdEvery)
)

// A groupFault is something that goes wrong while three members read 5,000 records a second.
type groupFault struct {
	name   string
	others string // the best and the worst that other clients showed
	target string
	opts   []kafka.ConsumerOption
	aside  bool // the coordinator leads nothing of the topic
	txns   bool // what is written is written in transactions
	// do brings the fault about and returns when it is over, with when the last partition had a leader again and the members that are left.
	do    func(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember)
	check func(t *testing.T, f crowdFigure)
}

// unmoved holds a fault to no rebalance and no duplicate.
func unmoved(t *testing.T, f crowdFigure) {
	assert.Zero(t, f.generations, "rebalances")
	assert.Zero(t, f.calls, "calls of listeners")
	assert.Zero(t, f.duplicates, "duplicates")
}

var groupFaults = []groupFault{
	{name: "coordinator killed -9", aside: true, do: killCoordinator,
		others: "aiokafka, Java: no rebalance, no duplicate, stall 0.4 s; franz-go up to 8,677 duplicates; kafka-go 7,000, 10 s",
		target: "no rebalance, no duplicate, stall ≤ 0.5 s",
		check: func(t *testing.T, f crowdFigure) {
			unmoved(t, f)
			assert.LessOrEqual(t, f.stall, 500*time.Millisecond)
		}},
	{name: "leader and coordinator hung 15 s", do: hangCoordinator,
		others: "Java keeps its membership; others 15,000 to 54,000 duplicates; all stall 7 to 12 s",
		target: "membership kept, no duplicate, ≤ 3 s from the election",
		check: func(t *testing.T, f crowdFigure) {
			unmoved(t, f)
			assert.LessOrEqual(t, f.resumed, 3*time.Second)
		}},
	{name: "rolling restart", do: rollAll, check: unmoved,
		others: "aiokafka, Java, franz-go: none; sarama, kafka-go 1 or 2 rebalances",
		target: "no rebalance, no duplicate"},
	{name: "members killed, leaving, joining", do: comeAndGo,
		others: "Java 7,000 to 19,000 duplicates of what was given up in good order; late: franz-go 5 %, eager clients 16 %",
		target: "no duplicate of what was given up in good order, ≤ 5 % late",
		check: func(t *testing.T, f crowdFigure) {
			assert.Zero(t, f.duplicates, "duplicates of what was given up in good order")
			assert.LessOrEqual(t, f.late-f.orphans, 5.0, "percent late, without what waited for a killed member's session to end")
			assert.LessOrEqual(t, f.late, crowdOrphaned+5.0, "percent late in all")
		}},
	{name: "12 → 16 partitions under latest", do: growTopic, opts: []kafka.ConsumerOption{kafka.WithAutoOffsetReset(kafka.ResetLatest)},
		others: "all five lose the first records of the new ones: 136 to 3,951",
		target: "none lost",
		check: func(t *testing.T, f crowdFigure) {
			assert.Zero(t, f.duplicates, "duplicates")
			assert.Positive(t, f.waiting, "new partitions that held records before a member had them")
		}},
	{name: "transactions, a leader killed", do: killTopicLeader, txns: true, opts: []kafka.ConsumerOption{kafka.WithIsolationLevel(kafka.ReadCommitted)},
		others: "kafka-go delivers every aborted record; others none",
		target: "all that were committed, none that was aborted",
		check: func(t *testing.T, f crowdFigure) {
			unmoved(t, f)
			assert.Zero(t, f.aborted, "records of aborted transactions")
			assert.Positive(t, f.undone, "records were aborted")
		}},
}

// Three members go through faults of brokers and of one another: nothing is lost whatever happens, and what each fault costs is told
// beside what it may cost.
func TestLong_GroupFaults(t *testing.T) {
	c := longCluster(t, 3*time.Second)
	var table strings.Builder
	for _, fault := range groupFaults {
		t.Run(fault.name, func(t *testing.T) {
			f := fault.measure(t, c)
			fmt.Fprintf(&table, "%s\n    ours: gen +%d, calls %d | dup %d (of killed %d) | lost %d of %d | aborted and read %d of %d | late %.1f %% (of killed %.1f %%) | stall %v, %v from the election, %v while the broker starts | gap %v | %s\n    wanted: %s\n    others: %s\n",
				fault.name, f.generations, f.calls, f.duplicates, f.redone, f.lost, f.records, f.aborted, f.undone, f.late, f.orphans,
				ms(f.stall), ms(f.resumed), ms(f.starting), ms(f.gap), f.note, fault.target, fault.others)
			assert.Zero(t, f.lost, "records lost")
			fault.check(t, f)
		})
	}
	t.Run("SIGTERM with every broker hung", func(t *testing.T) {
		t.Log("others: nobody stops within 5 s: kafka-go 9.9 s, Java 30 s, others longer")
		cr := newCrowd(c, c.NewTopic(t, kafkatest.Topic{Partitions: crowdPartitions}), "")
		feed := cr.write(t, 0, crowdPartitions, crowdRate)
		termWithEveryBrokerHung(t, c, cr.topic, 3)
		feed.end(t)
	})
	t.Logf("dup: read twice; late: read over %v after its acknowledgement; stall: longest from acknowledgement to reading; gap: longest without a record of a partition, the producer's way to the next leader included\n%s",
		crowdLate, table.String())
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// measure brings a group under load, lets the fault come over it, and counts when all is read.
func (fault groupFault) measure(t *testing.T, c *kafkatest.Cluster) crowdFigure {
	t.Helper()
	cr := fault.crowd(t, c)
	f := fault.over(t, cr)
	for _, m := range cr.all {
		m.inOrder(t)
	}
	cr.check(t)
	return f
}

func (fault groupFault) crowd(t *testing.T, c *kafkatest.Cluster) *crowd {
	t.Helper()
	group := "group-" + kafkatest.TopicName(t)
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: crowdPartitions, Replicas: 3})
	cr := newCrowd(c, topic, group, fault.opts...)
	cr.gaps = fault.txns
	return cr
}

// over lets the fault come over a crowd under load, and says what it did, whatever that was.
func (fault groupFault) over(t *testing.T, cr *crowd) crowdFigure {
	t.Helper()
	if fault.aside {
		cr.keepFrom(t, cr.coordinator(t))
	}
	members := []*crowdMember{cr.join(t), cr.join(t), cr.join(t)}
	cr.settled(t, crowdPartitions, members...)
	feed := fault.write(t, cr)
	cr.awaitRead(t, 3*crowdRate)
	generation := cr.generation(t, members)
	for _, m := range members {
		m.forget()
	}

	began := time.Now()
	elected, left := fault.do(t, cr, members)
	t.Logf("the fault came at %s and took %v, its elections %v", began.Format(time.TimeOnly+".000"), ms(time.Since(began)), ms(elected.Sub(began)))
	acked, unread := cr.counts()
	cr.awaitRead(t, acked-unread+3*crowdRate)
	feed.end(t)
	cr.drained(t)

	f := cr.figure(began, elected)
	f.generations = cr.generation(t, left) - generation
	for _, m := range cr.all {
		f.calls += len(m.so())
	}
	for _, m := range left {
		cr.leave(t, m)
	}
	return f
}

func (fault groupFault) write(t *testing.T, cr *crowd) *crowdFeed {
	t.Helper()
	if fault.txns {
		return cr.writeTxns(t, crowdPartitions, crowdRate)
	}
	return cr.write(t, 0, crowdPartitions, crowdRate)
}

// awaitRead waits until so many records have been read.
func (cr *crowd) awaitRead(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		acked, unread := cr.counts()
		return acked-unread >= n
	}, testTime, 50*time.Millisecond, "%d records are not read", n)
}

func (cr *crowd) coordinator(t *testing.T) int32 {
	t.Helper()
	var node int32
	eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		found := cr.cluster.Admin().FindGroupCoordinators(ctx, cr.group)[cr.group]
		node = found.NodeID
		return found.Err == nil
	}, "no coordinator of %s", cr.group)
	return node
}

// keepFrom moves the topic's replicas off a node.
func (cr *crowd) keepFrom(t *testing.T, node int32) {
	t.Helper()
	var others []int32
	for _, n := range cr.cluster.Nodes() {
		if n.ID != node {
			others = append(others, n.ID)
		}
	}
	for p := range int32(crowdPartitions) {
		cr.cluster.Reassign(t, cr.topic, p, others...)
		cr.cluster.ElectPreferred(t, cr.topic, p)
		slices.Reverse(others)
	}
}

// generation is the group's, as its members know it.
func (cr *crowd) generation(t *testing.T, members []*crowdMember) int {
	t.Helper()
	newest := 0
	for _, m := range members {
		generation, ok := m.generation()
		assert.True(t, ok, "%s is not a member", m.name)
		newest = max(newest, generation)
	}
	return newest
}

// reelected waits until no partition is led by a node, and tells since when.
func (cr *crowd) reelected(t *testing.T, node int32) time.Time {
	t.Helper()
	for p := range int32(crowdPartitions) {
		cr.cluster.AwaitNewLeader(t, cr.topic, p, node)
	}
	return time.Now()
}

func (cr *crowd) inSync(t *testing.T) {
	t.Helper()
	for p := range int32(crowdPartitions) {
		cr.cluster.AwaitInSync(t, cr.topic, p)
	}
}

func killCoordinator(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember) {
	return cr.killNode(t, cr.coordinator(t)), members
}

func killTopicLeader(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember) {
	return cr.killNode(t, cr.cluster.Leader(t, cr.topic, 0)), members
}

// killNode kills a node, brings it back after a while, and gives when all it led had new leaders.
func (cr *crowd) killNode(t *testing.T, node int32) time.Time {
	t.Helper()
	cr.cluster.Node(t, node).Kill(t)
	elected := cr.reelected(t, node)
	acked, unread := cr.counts()
	cr.awaitRead(t, acked-unread+2*crowdRate*int(crowdSession/time.Second)) // longer than members may be silent
	cr.back = time.Now()
	cr.cluster.Node(t, node).Start(t)
	cr.inSync(t)
	return elected
}

func hangCoordinator(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember) {
	node := cr.coordinator(t) // it leads its third of the topic, too
	hang := time.NewTimer(crowdHang)
	defer hang.Stop()
	cr.cluster.Node(t, node).Pause(t)
	elected := cr.reelected(t, node)
	<-hang.C
	cr.cluster.Node(t, node).Continue(t)
	cr.inSync(t)
	return elected, members
}

func rollAll(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember) {
	began := time.Now()
	for _, n := range cr.cluster.Nodes() {
		n.Restart(t)
		cr.inSync(t)
		t.Logf("node %d is back after %v", n.ID, ms(time.Since(began)))
	}
	return began, members
}

func comeAndGo(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember) {
	began := time.Now()
	every := time.NewTicker(crowdEvery)
	defer every.Stop()
	for i := range 8 {
		switch i % 4 {
		case 0:
			cr.kill(t, members[0])
			members = members[1:]
		case 2:
			cr.leave(t, members[0])
			members = members[1:]
		default:
			members = append(members, cr.join(t))
		}
		<-every.C
	}
	return began, members
}

// growTopic adds partitions, which are written to from the moment they exist.
func growTopic(t *testing.T, cr *crowd, members []*crowdMember) (time.Time, []*crowdMember) {
	const more = 4
	began := time.Now()
	cr.cluster.AddPartitions(t, cr.topic, crowdPartitions+more)
	feed := cr.write(t, crowdPartitions, crowdPartitions+more, crowdRate*more/crowdPartitions)
	cr.settled(t, crowdPartitions+more, members...)
	feed.end(t)
	return began, members
}
