package acceptance

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// assignorLists are the ways in which members may share: the default list is eager, as Java's is.
var assignorLists = map[string]kafka.ConsumerOption{
	"default":            kafka.WithClientID("of the default assignors"),
	"cooperative-sticky": cooperative,
	"sticky":             kafka.WithAssignors(kafka.StickyAssignor),
	"roundrobin":         kafka.WithAssignors(kafka.RoundRobinAssignor),
}

// Members come, leave and crash while records flow: all are consumed, in order, each partition by one member at a time,
// and what was given up in good order comes only once.
func TestGroup_MembersComeLeaveAndCrash(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range assignorLists {
			t.Run(name, func(t *testing.T) {
				topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 6}), kafkatest.TopicName(t)
				tps, l := allOf(topic, 6), newLedger()
				join := func(name string) *member {
					return l.join(t, c, name, []string{topic}, append(groupOptions(group), assignors)...)
				}
				f := startFeed(t, c, tps)
				a := join("a")
				shared(t, tps, a.Consumer)
				b := join("b")
				shared(t, tps, a.Consumer, b.Consumer)
				d := join("d")
				shared(t, tps, a.Consumer, b.Consumer, d.Consumer)
				b.leave(t)
				shared(t, tps, a.Consumer, d.Consumer)
				l.mu.Lock()
				require.Zero(t, l.duplicates, "of what was given up in good order")
				l.mu.Unlock()
				began := time.Now()
				d.crash(t)
				shared(t, tps, a.Consumer)
				t.Logf("the partitions of a member that crashed move after %v; the session timeout is %v", time.Since(began).Round(time.Millisecond), sessionTime)
				require.Less(t, time.Since(began), sessionTime+soon)
				l.complete(t, f.end(t))
				l.mu.Lock()
				t.Logf("%d records came twice; the latest came after %v", l.duplicates, l.late.Round(time.Millisecond))
				l.mu.Unlock()
				a.leave(t)
			})
		}
	})
}

// A cooperative rebalance names to listeners only what goes and what comes; the rest keeps its position, pause and
// buffer, and is not fetched again.
func TestGroup_CooperativeKeepsWhatStays(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 4}), kafkatest.TopicName(t)
		tps := allOf(topic, 4)
		for _, tp := range tps {
			produce(t, c, topic, tp.Partition, numbered(0, 20)...)
		}
		first := &recorder{}
		a := start(t, c, append(groupOptions(group), cooperative, kafka.WithTopics(topic), kafka.WithRebalanceListener(first), kafka.WithAutoCommit(false))...)
		first.hears(t, assigned(tps...))
		for _, tp := range tps {
			read(t, a, 3, kafka.FromPartitions(tp))
		}
		buffered(t, a, tps...)
		require.NoError(t, a.Pause(tps...))
		require.NoError(t, a.Commit(within(t)))
		var fetched [4]atomic.Int64 // by partition; the broker counts
		if c.Fake() != nil {
			watchRequests(c, kmsg.Fetch, func(r kmsg.Request) {
				for _, part := range r.(*kmsg.FetchRequest).Topics {
					for _, p := range part.Partitions {
						if p.FetchOffset < 20 {
							fetched[p.Partition].Add(1)
						}
					}
				}
			})
		}
		first.forget()
		second := &recorder{}
		b := start(t, c, append(groupOptions(group), cooperative, kafka.WithTopics(topic), kafka.WithRebalanceListener(second), kafka.WithAutoCommit(false))...)
		shared(t, tps, a, b)
		keeps, moved := a.Assignment(), b.Assignment()
		first.hears(t, revoked(moved...))
		second.hears(t, assigned(moved...))
		require.Equal(t, keeps, a.Paused())
		for _, tp := range keeps {
			require.EqualValues(t, 3, position(t, a, tp))
		}
		require.NoError(t, a.Resume(keeps...))
		for tp, msgs := range readMany(t, a, 34) {
			require.Contains(t, keeps, tp)
			consecutive(t, 3, msgs)
		}
		for _, msgs := range readMany(t, b, 34) {
			consecutive(t, 3, msgs)
		}
		require.NoError(t, b.Stop(within(t)))
		shared(t, tps, a)
		first.hears(t, revoked(moved...), assigned(moved...))
		if c.Fake() != nil {
			for _, tp := range keeps {
				require.Zero(t, fetched[tp.Partition].Load(), "%v stayed, and was fetched again", tp)
			}
		}
		first.inOrder(t)
		second.inOrder(t)
	})
}

// An eager member gives everything up before it joins again, and begins anew where it is committed, unpaused.
func TestGroup_EagerGivesEverythingUp(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		tps := allOf(topic, 2)
		for _, tp := range tps {
			produce(t, c, topic, tp.Partition, numbered(0, 20)...)
		}
		first, second := &recorder{}, &recorder{}
		a := start(t, c, append(groupOptions(group), kafka.WithTopics(topic), kafka.WithRebalanceListener(first), kafka.WithAutoCommit(false))...)
		read(t, a, 5, kafka.FromPartitions(tps[0]))
		require.NoError(t, a.Commit(within(t)))
		read(t, a, 5, kafka.FromPartitions(tps[0]))
		require.NoError(t, a.Pause(tps...))
		b := start(t, c, append(groupOptions(group), kafka.WithTopics(topic), kafka.WithRebalanceListener(second), kafka.WithAutoCommit(false))...)
		shared(t, tps, a, b)
		first.hears(t, assigned(tps...), revoked(tps...), assigned(a.Assignment()...))
		second.hears(t, assigned(b.Assignment()...))
		require.Empty(t, a.Paused())
		owner := a
		if slices.Contains(b.Assignment(), tps[0]) {
			owner = b
		}
		require.EqualValues(t, 5, position(t, owner, tps[0]), "also when it comes straight back: at what is committed")
	})
}

// A member that is cut off for longer than its session timeout loses its partitions, and comes back by itself.
func TestGroup_MemberCutOffLosesItsPartitionsAndComesBack(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 4}), kafkatest.TopicName(t)
		tps, l, cable := allOf(topic, 4), newLedger(), &cable{}
		f := startFeed(t, c, tps)
		opts := append(groupOptions(group), cooperative, kafka.WithRequestTimeout(2*time.Second))
		a := l.join(t, c, "a", []string{topic}, opts...)
		b := l.join(t, c, "b", []string{topic}, append(opts, kafka.WithDialer(cable.dial))...)
		shared(t, tps, a.Consumer, b.Consumer)
		held := b.Assignment()
		cable.cut(true)
		l.gone(b) // what it believes to own meanwhile is nobody's concern
		began := time.Now()
		shared(t, tps, a.Consumer)
		t.Logf("the partitions of a member cut off move after %v; the session timeout is %v", time.Since(began).Round(time.Millisecond), sessionTime)
		b.forget()
		cable.cut(false)
		shared(t, tps, a.Consumer, b.Consumer)
		b.await(t, 2)
		require.Equal(t, lost(held...), b.so()[0])
		l.complete(t, f.end(t))
	})
}

// Connections that break are no reason for a rebalance.
func TestGroup_BrokenConnectionsAreNoRebalance(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 4}), kafkatest.TopicName(t)
		tps, l, cable := allOf(topic, 4), newLedger(), &cable{}
		f := startFeed(t, c, tps)
		a := l.join(t, c, "a", []string{topic}, groupOptions(group)...)
		b := l.join(t, c, "b", []string{topic}, append(groupOptions(group), kafka.WithDialer(cable.dial))...)
		shared(t, tps, a.Consumer, b.Consumer)
		eventually(t, func() bool { return l.owned(a) == 2 && l.owned(b) == 2 }, "the listeners are not told")
		a.forget()
		b.forget()
		for range 5 {
			cable.cut(true)
			cable.cut(false)
			<-time.After(100 * time.Millisecond)
		}
		l.complete(t, f.end(t))
		require.Empty(t, a.so())
		require.Empty(t, b.so())
		require.Zero(t, l.duplicates)
	})
}
