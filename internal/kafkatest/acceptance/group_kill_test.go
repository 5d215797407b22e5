package acceptance

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// childEnv tells the test binary that it is the process to be killed: "bootstrap topic".
const childEnv = "KAFKA_TEST_GROUP_CHILD"

// A process killed with SIGKILL in the middle of a message never loses it: the message comes again, to the same static
// member, at once.
func TestGroupKill_MessageInHandIsNeverLost(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) { killInTheMiddle(t, c, 5) })
}

// killInTheMiddle kills a process that reads, over and over, each time at a random moment, and sees that what it had begun is done
// in the end.
func killInTheMiddle(t *testing.T, c *kafkatest.Cluster, kills int) {
	const most = 350 // messages that a process begins before it is killed
	records := (kills + 1) * most
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
	for p := range int32(2) {
		kafkatest.Produce(t, c, topic, p, kafkatest.Numbered(records/2, 100), kafkatest.PerBatch(20))
	}
	done, begun, inHand, again := make(map[string]bool), make(map[string]bool), 0, 0
	for round := range kills + 1 {
		child, left := startChild(t, c.Bootstrap()[0], topic), 50+rand.IntN(most-50)
		began := time.Now()
		for first := true; len(done) < records; first = false {
			what, message, _ := strings.Cut(child.line(t), " ")
			if first {
				t.Logf("round %d: the first message after %v", round, time.Since(began).Round(time.Millisecond))
				require.Less(t, time.Since(began), childSession/2, "it does not come back at once")
			}
			if what == "done" {
				done[message] = true
				continue
			}
			if begun[message] {
				again++
			}
			begun[message] = true
			if left--; left <= 0 && round < kills {
				<-time.After(time.Duration(rand.IntN(int(childWork)))) // any moment, as a crash
				break
			}
		}
		child.kill(t)
		// What it wrote before its end counts: it was begun, or done.
		rest := child.rest()
		for _, line := range rest {
			switch what, message, _ := strings.Cut(line, " "); what {
			case "begin":
				begun[message] = true
			case "done":
				done[message] = true
			}
		}
		for message := range begun {
			if !done[message] {
				inHand++
			}
		}
	}
	for message := range begun {
		require.True(t, done[message], "%s was begun, and never done", message)
	}
	require.Len(t, done, records)
	require.Positive(t, inHand, "kills in the middle of a message")
	t.Logf("%d processes were killed, with %d messages in hand; %d messages came again", kills, inHand, again)
}

const (
	childWork    = 2 * time.Millisecond // a message takes at most
	childSession = 45 * time.Second
)

// TestGroupKill_Child is the process to be killed, no test of its own: it says when it begins and ends each message.
func TestGroupKill_Child(t *testing.T) {
	bootstrap, topic, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		t.Skip("it is started by TestGroupKill_MessageInHandIsNeverLost")
	}
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(bootstrap), kafka.WithTopics(topic), kafka.WithGroupID(topic), kafka.WithGroupInstanceID("child"), kafka.WithSessionTimeout(childSession),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest), kafka.WithAutoCommitInterval(2*time.Millisecond), kafka.WithLogger(nil))
	require.NoError(t, err)
	require.NoError(t, consumer.Start(context.Background()))
	for m := range consumer.Messages() {
		_, _ = fmt.Fprintf(os.Stdout, "begin %d-%d\n", m.Partition, m.Offset)
		<-time.After(time.Duration(rand.IntN(int(childWork))))
		_, _ = fmt.Fprintf(os.Stdout, "done %d-%d\n", m.Partition, m.Offset)
	}
	require.NoError(t, consumer.Err())
}

type child struct {
	cmd   *exec.Cmd
	lines chan string // closed when the process has ended
}

func startChild(t *testing.T, bootstrap, topic string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestGroupKill_Child$")
	cmd.Env = append(os.Environ(), childEnv+"="+bootstrap+" "+topic)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{cmd: cmd, lines: make(chan string, 10_000)}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go func() { // ends with the process
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	return c
}

func (c *child) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-c.lines:
		require.True(t, ok, "the process has ended by itself")
		return line
	case <-time.After(testTime):
		require.Fail(t, "the process says nothing")
		return ""
	}
}

// kill ends the process as kill -9 does.
func (c *child) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
}

// rest gives what it wrote before its end, and was not heard of before.
func (c *child) rest() (lines []string) {
	for line := range c.lines {
		lines = append(lines, line)
	}
	_ = c.cmd.Wait()
	return lines
}
