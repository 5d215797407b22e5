package acceptance

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// franzListener has what a franz-go client tells of its partitions told. A listener of one's own replaces the client's, which would
// commit what is given up, so this one has to.
func franzListener(tell func(context.Context, told)) []kgo.Opt {
	on := func(callback string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, client *kgo.Client, topics map[string][]int32) {
			var tps []kafka.TopicPartition
			for topic, partitions := range topics {
				for _, p := range partitions {
					tps = append(tps, tpOf(topic, p))
				}
			}
			slices.SortFunc(tps, compareTPs)
			if callback == "OnPartitionsRevoked" {
				_ = client.CommitUncommittedOffsets(ctx) // what fails shows as duplicates
			}
			tell(ctx, told{callback, tps})
		}
	}
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(on("OnPartitionsAssigned")), kgo.OnPartitionsRevoked(on("OnPartitionsRevoked")), kgo.OnPartitionsLost(on("OnPartitionsLost")),
	}
}

// joinFranz has a franz-go client join the group, held to the same ledger. It leaves with the function returned.
func (l *ledger) joinFranz(t *testing.T, c *kafkatest.Cluster, name, group, topic string, balancer kgo.GroupBalancer) (m *member, leave func()) {
	t.Helper()
	m = &member{name: name, ledger: l, next: make(map[kafka.TopicPartition]int64)}
	client, err := kgo.NewClient(c.ClientOptions(append(franzListener(func(_ context.Context, call told) { l.listener(m, call) }),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer), kgo.ClientID(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.SessionTimeout(sessionTime), kgo.HeartbeatInterval(100*time.Millisecond), kgo.RebalanceTimeout(8*time.Second), kgo.AutoCommitInterval(100*time.Millisecond),
	)...)...)
	require.NoError(t, err)
	m.ended = inBackground(func() error {
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return nil
			}
			fetches.EachRecord(func(r *kgo.Record) { l.handedOut(m, tpOf(r.Topic, r.Partition), r.Offset, r.Timestamp) })
		}
	})
	var once sync.Once
	leave = func() { once.Do(client.Close) }
	t.Cleanup(leave)
	return m, leave
}

// sharedBy waits until the members' listeners have been given all partitions, each about as many as the others.
func (l *ledger) sharedBy(t *testing.T, partitions int, members ...*member) {
	t.Helper()
	eventually(t, func() bool {
		all := 0
		for _, m := range members {
			n := l.owned(m)
			if n < partitions/len(members) {
				return false
			}
			all += n
		}
		return all == partitions
	}, "%d partitions are not shared by %d members", partitions, len(members))
}

// Members of franz-go come and go beside ours, whoever leads: each partition has one owner at any time, and all records are
// consumed.
func TestGroupMixed_WithFranzGo(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, as := range map[string]struct {
			ours   kafka.ConsumerOption
			theirs kgo.GroupBalancer
		}{
			"range":              {assignorLists["default"], kgo.RangeBalancer()},
			"roundrobin":         {assignorLists["roundrobin"], kgo.RoundRobinBalancer()},
			"sticky":             {assignorLists["sticky"], kgo.StickyBalancer()},
			"cooperative-sticky": {cooperative, kgo.CooperativeStickyBalancer()},
		} {
			t.Run(name, func(t *testing.T) {
				topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 6}), kafkatest.TopicName(t)
				l, f := newLedger(), startFeed(t, c, allOf(topic, 6))
				join := func(name string) *member {
					return l.join(t, c, name, []string{topic}, append(groupOptions(group), as.ours)...)
				}
				a := join("a")
				one, oneLeaves := l.joinFranz(t, c, "one", group, topic, as.theirs)
				l.sharedBy(t, 6, a, one)
				b := join("b")
				l.sharedBy(t, 6, a, one, b)
				a.leave(t)
				l.sharedBy(t, 6, one, b)
				two, twoLeaves := l.joinFranz(t, c, "two", group, topic, as.theirs)
				l.sharedBy(t, 6, one, b, two)
				b.leave(t)
				l.sharedBy(t, 6, one, two)
				d := join("d") // led by franz-go
				l.sharedBy(t, 6, one, two, d)
				oneLeaves()
				l.sharedBy(t, 6, two, d)
				twoLeaves()
				l.sharedBy(t, 6, d)
				l.complete(t, f.end(t))
				l.mu.Lock()
				t.Logf("%d records came twice, the latest came after %v", l.duplicates, l.late.Round(time.Millisecond))
				require.Zero(t, l.ours, "of partitions that our members gave up")
				l.mu.Unlock()
				d.leave(t)
			})
		}
	})
}

// Members of the Java client, with its default assignors and with the cooperative one, come and go beside ours. It needs a JDK.
func TestGroupMixed_WithJava(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		if c.Real() == nil {
			t.Skip("it needs the Java client of a real broker's install")
		}
		for name, as := range map[string]struct {
			ours   kafka.ConsumerOption
			theirs []string
		}{
			"default":            {assignorLists["default"], nil},
			"cooperative-sticky": {cooperative, []string{"org.apache.kafka.clients.consumer.CooperativeStickyAssignor"}},
		} {
			t.Run(name, func(t *testing.T) {
				topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 6}), kafkatest.TopicName(t)
				l, f := newLedger(), startFeed(t, c, allOf(topic, 6))
				join := func(name string) *member {
					return l.join(t, c, name, []string{topic}, append(groupOptions(group), as.ours)...)
				}
				a := join("a")
				one, oneLeaves := l.joinJava(t, c, group, topic, as.theirs...)
				l.sharedBy(t, 6, a, one)
				b := join("b")
				l.sharedBy(t, 6, a, one, b)
				a.leave(t)
				l.sharedBy(t, 6, one, b)
				two, twoLeaves := l.joinJava(t, c, group, topic, as.theirs...)
				l.sharedBy(t, 6, one, b, two)
				b.leave(t)
				l.sharedBy(t, 6, one, two)
				d := join("d") // led by Java
				l.sharedBy(t, 6, one, two, d)
				oneLeaves()
				l.sharedBy(t, 6, two, d)
				twoLeaves()
				l.sharedBy(t, 6, d)
				l.complete(t, f.end(t))
				l.mu.Lock()
				t.Logf("%d records came twice", l.duplicates)
				require.Zero(t, l.ours, "of partitions that our members gave up")
				l.mu.Unlock()
				d.leave(t)
			})
		}
	})
}

// Members of aiokafka come and go beside ours. It needs a python3 with venv and pip.
func TestGroupMixed_WithAiokafka(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		if c.Fake() != nil {
			return // it is about what real brokers make of both
		}
		for name, ours := range map[string]kafka.ConsumerOption{"range": assignorLists["default"], "roundrobin": assignorLists["roundrobin"]} {
			t.Run(name, func(t *testing.T) {
				topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 6}), kafkatest.TopicName(t)
				l, f := newLedger(), startFeed(t, c, allOf(topic, 6))
				join := func(name string) *member {
					return l.join(t, c, name, []string{topic}, append(groupOptions(group), ours)...)
				}
				one, oneLeaves := l.joinAiokafka(t, c, group, topic, name)
				l.sharedBy(t, 6, one)
				a := join("a") // led by aiokafka
				l.sharedBy(t, 6, one, a)
				two, twoLeaves := l.joinAiokafka(t, c, group, topic, name)
				l.sharedBy(t, 6, one, a, two)
				b := join("b")
				l.sharedBy(t, 6, one, a, two, b)
				oneLeaves()
				l.sharedBy(t, 6, a, two, b)
				a.leave(t)
				l.sharedBy(t, 6, two, b)
				three, threeLeaves := l.joinAiokafka(t, c, group, topic, name)
				l.sharedBy(t, 6, two, b, three)
				twoLeaves()
				threeLeaves()
				l.sharedBy(t, 6, b)
				l.complete(t, f.end(t))
				l.mu.Lock()
				t.Logf("%d records came twice", l.duplicates)
				require.Zero(t, l.ours, "of partitions that our members gave up")
				l.mu.Unlock()
				b.leave(t)
			})
		}
	})
}

// joinAiokafka has an aiokafka client join the group, held to the same ledger. It leaves with the function returned.
func (l *ledger) joinAiokafka(t *testing.T, c *kafkatest.Cluster, group, topic, assignor string) (m *member, leave func()) {
	t.Helper()
	python, err := launch.Aiokafka(within(t))
	require.NoError(t, err)
	return l.joinProcess(t, "aiokafka", topic, exec.Command(python, "testdata/group_member.py", c.Bootstrap()[0], group, topic, assignor))
}

// joinJava has the Java client join the group, held to the same ledger. It leaves with the function returned.
func (l *ledger) joinJava(t *testing.T, c *kafkatest.Cluster, group, topic string, assignors ...string) (m *member, leave func()) {
	t.Helper()
	install, err := launch.Resolve(within(t), c.Real().Version)
	require.NoError(t, err)
	return l.joinProcess(t, "java", topic, exec.Command(install.Java, append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", install.Classpath, "testdata/group_Member.java", c.Bootstrap()[0], group, topic}, assignors...)...))
}

// joinProcess starts a member that is a process of its own and says what it is given. It leaves with the function returned.
func (l *ledger) joinProcess(t *testing.T, name, topic string, cmd *exec.Cmd) (m *member, leave func()) {
	t.Helper()
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	m = &member{name: fmt.Sprint(name, " ", cmd.Process.Pid), ledger: l, next: make(map[kafka.TopicPartition]int64)}
	m.ended = inBackground(func() error {
		for s := bufio.NewScanner(out); s.Scan(); {
			m.says(topic, s.Text())
		}
		return cmd.Wait()
	})
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return m, func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		ended(t, m.ended)
	}
}

// says takes in a line of a member that is a process of its own.
func (m *member) says(topic, line string) {
	what, rest, _ := strings.Cut(line, " ")
	var numbers []int64
	for _, field := range strings.Fields(rest) {
		n, _ := strconv.ParseInt(field, 10, 64)
		numbers = append(numbers, n)
	}
	if what == "record" {
		m.ledger.handedOut(m, tpOf(topic, int32(numbers[0])), numbers[1], time.Now())
		return
	}
	callback := map[string]string{"assigned": "OnPartitionsAssigned", "revoked": "OnPartitionsRevoked", "lost": "OnPartitionsLost"}[what]
	var tps []kafka.TopicPartition
	for _, n := range numbers {
		tps = append(tps, tpOf(topic, int32(n)))
	}
	m.ledger.listener(m, told{callback, tps})
}
