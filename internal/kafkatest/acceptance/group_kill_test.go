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
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		const records, kills = 2000, 3
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		for p := range int32(2) {
			kafkatest.Produce(t, c, topic, p, kafkatest.Numbered(records/2, 100), kafkatest.PerBatch(20))
		}
		done, begun, again := make(map[string]bool), make(map[string]bool), 0
		for round := range kills + 1 {
			child := startChild(t, c.Bootstrap()[0], topic)
			left := 50 + rand.IntN(300)
			began := time.Now()
			for first := true; len(done) < records; first = false {
				what, message, _ := strings.Cut(child.line(t), " ")
				if first {
					t.Logf("round %d: the first message after %v", round, time.Since(began).Round(time.Millisecond))
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
					break
				}
			}
			child.kill(t)
			// What it wrote before its end counts: it was done.
			for message := range child.rest() {
				done[message] = true
			}
			if round < kills {
				require.Less(t, len(done), records)
			}
		}
		for message := range begun {
			require.True(t, done[message], "%s was begun, and never done", message)
		}
		require.Len(t, done, records)
		t.Logf("%d processes were killed; %d messages came again", kills, again)
	})
}

// TestGroupKill_Child is the process to be killed, no test of its own: it says when it begins and ends each message.
func TestGroupKill_Child(t *testing.T) {
	bootstrap, topic, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		t.Skip("it is started by TestGroupKill_MessageInHandIsNeverLost")
	}
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(bootstrap), kafka.WithTopics(topic), kafka.WithGroupID(topic), kafka.WithGroupInstanceID("child"),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest), kafka.WithAutoCommitInterval(2*time.Millisecond), kafka.WithLogger(nil))
	require.NoError(t, err)
	require.NoError(t, consumer.Start(context.Background()))
	for m := range consumer.Messages() {
		_, _ = fmt.Fprintf(os.Stdout, "begin %d-%d\n", m.Partition, m.Offset)
		<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
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

// rest gives the messages that were done before the end, and not heard of before.
func (c *child) rest() map[string]bool {
	done := make(map[string]bool)
	for line := range c.lines {
		if message, ok := strings.CutPrefix(line, "done "); ok {
			done[message] = true
		}
	}
	_ = c.cmd.Wait()
	return done
}
