package acceptance

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// termEnv tells the test binary that it is a process to be sent SIGTERM: "bootstrap,… topic group".
const termEnv = "KAFKA_TEST_TERM_CHILD"

// supervised is how long a process has from SIGTERM to its end.
const supervised = 5 * time.Second

// Processes whose handler of SIGTERM closes the consumer end in time while no broker answers, and are heard of no more.
func TestGroupTerm_EndsInTimeWithEveryBrokerHung(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 6})
		f := startFeed(t, c, allOf(topic, 6))
		termWithEveryBrokerHung(t, c, topic, 3)
		f.end(t)
	})
}

// termWithEveryBrokerHung starts processes that read a topic, hangs the brokers, and sends SIGTERM.
func termWithEveryBrokerHung(t *testing.T, c *kafkatest.Cluster, topic string, n int) {
	t.Helper()
	group := kafkatest.TopicName(t)
	var members []*termChild
	for range n {
		members = append(members, startTermChild(t, c, topic, group))
	}
	for _, m := range members {
		m.await(t, "reading")
	}
	for _, node := range c.Nodes() {
		node.Pause(t)
	}
	defer func() {
		for _, node := range c.Nodes() {
			node.Continue(t)
		}
	}()
	for _, m := range members {
		m.told = time.Now()
		require.NoError(t, m.cmd.Process.Signal(syscall.SIGTERM))
	}
	for i, m := range members {
		said := m.await(t, "closed")
		require.NoError(t, m.cmd.Wait())
		took := time.Since(m.told)
		t.Logf("process %d ended %v after SIGTERM: %s", i, took.Round(time.Millisecond), said)
		require.LessOrEqual(t, took, supervised)
	}
}

type termChild struct {
	cmd   *exec.Cmd
	lines chan string
	told  time.Time // when it was sent SIGTERM
}

func startTermChild(t *testing.T, c *kafkatest.Cluster, topic, group string) *termChild {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	m := &termChild{cmd: exec.Command(self, "-test.run=^TestGroupTerm_Child$"), lines: make(chan string, 100)}
	// The race detector would sleep for a second at the end.
	m.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", termEnv+"="+strings.Join([]string{strings.Join(c.Bootstrap(), ","), topic, group}, " "))
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, m.cmd.Start())
	t.Cleanup(func() { _ = m.cmd.Process.Kill() })
	go func() { // ends with the process
		defer close(m.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			m.lines <- s.Text()
		}
	}()
	return m
}

// await gives the line that begins with a word.
func (m *termChild) await(t *testing.T, word string) string {
	t.Helper()
	for late := time.After(testTime); ; {
		select {
		case line, ok := <-m.lines:
			require.True(t, ok, "the process has ended, and never was %s", word)
			if strings.HasPrefix(line, word) {
				return line
			}
		case <-late:
			require.Fail(t, "the process says nothing", "it should be %s", word)
		}
	}
}

// TestGroupTerm_Child is such a process, no test of its own.
func TestGroupTerm_Child(t *testing.T) {
	args := strings.Fields(os.Getenv(termEnv))
	if len(args) != 3 {
		return // it is started by termWithEveryBrokerHung
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers(strings.Split(args[0], ",")...), kafka.WithTopics(args[1]), kafka.WithGroupID(args[2]),
		cooperative, kafka.WithAutoOffsetReset(kafka.ResetEarliest), kafka.WithAutoCommitInterval(time.Second), kafka.WithSessionTimeout(10*time.Second),
		kafka.WithHeartbeatInterval(time.Second), kafka.WithLogger(nil))
	require.NoError(t, err)
	require.NoError(t, consumer.Start(context.Background()))
	closed := make(chan error, 1)
	go func() {
		<-term
		closed <- consumer.Close()
	}()
	for first := true; ; first = false {
		if _, err = consumer.GetMany(context.Background()); err != nil {
			break
		}
		if first {
			_, _ = fmt.Println("reading")
		}
	}
	require.ErrorIs(t, err, kafka.ErrConsumerStopped)
	_, _ = fmt.Println("closed", strings.ReplaceAll(fmt.Sprint(<-closed), "\n", "; "))
}
