package main

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/examples/internal/exampletest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestEmbedded_AGroupReadsEverythingOnceWhileMembersComeAndGo(t *testing.T) {
	var out strings.Builder
	require.NoError(t, demo(t.Context(), &out, options{produceFor: 3 * time.Second}))
	text := out.String()
	t.Log(text)
	require.Contains(t, text, `{"order":0,"item":"tea","quantity":1}`)
	require.Equal(t, 1, strings.Count(text, `"order":7,`), "each order once")
	rebalanced := `[\s\S]*rebalanced: `
	story := `anna joins the group` + rebalanced + `anna has orders-0, 1, 2, 3, 4, 5\n` +
		rebalanced + `anna has .*; ben has .*; cleo has .*\n` +
		`[\s\S]*ben leaves the group\n[\s\S]*ben gives up orders-\d, \d\n` + rebalanced + `anna has orders.*; cleo has orders-\d, \d, \d\n` +
		`[\s\S]*dora joins the group\n[\s\S]*dora gets orders-\d at \d+.*\n` + rebalanced + `anna has .*; cleo has .*; dora has .*\n`
	require.Regexp(t, story, text)
	require.Regexp(t, `\n\d+ messages with \d+ bytes .*; nothing is left to read\.\n`, text)
	require.Regexp(t, `\n(\d+) orders were written, and every one of them was read exactly once\.\n$`, text)
}

func TestRealCluster_ReadsAsAMemberOfAGroup(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "payments", kafkatest.Topic{})
	kafkatest.Produce(t, c, "payments", 0, kafkatest.Numbered(3, 10))
	o := options{bootstrap: c.Bootstrap()[0], topic: "payments", group: "billing", quietFor: 500 * time.Millisecond}
	var first, second strings.Builder
	require.NoError(t, demo(t.Context(), &first, o))
	require.Contains(t, first.String(), "this member gets payments-0 at 0\n")
	require.Contains(t, first.String(), "3 messages")
	require.NoError(t, demo(t.Context(), &second, o))
	require.Contains(t, second.String(), "this member gets payments-0 at 3\n", "from where the group is")
	require.Contains(t, second.String(), "0 messages")
}

func TestRealCluster_ReadsTheTopicAndEndsWhenNothingIsNew(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "payments", kafkatest.Topic{})
	kafkatest.Produce(t, c, "payments", 0, []*kafkatest.Record{kafkatest.Keyed("ada", "ten\x00"), kafkatest.Tombstone("grace")})
	var out strings.Builder
	require.NoError(t, demo(t.Context(), &out, options{bootstrap: c.Bootstrap()[0], topic: "payments", quietFor: time.Second}))
	text := out.String()
	require.Regexp(t, `payments-0 +0  ada +ten\\x00 +1 +2 +1 ▪\n`, text)
	require.Regexp(t, `payments-0 +1  grace +null +2 +2 +0`, text)
	require.Contains(t, text, "2 messages")
}

func TestRealCluster_PrintsNoMoreLinesThanCanBeRead(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "payments", kafkatest.Topic{})
	kafkatest.Produce(t, c, "payments", 0, kafkatest.Numbered(5000, 10))
	var out strings.Builder
	require.NoError(t, demo(t.Context(), &out, options{bootstrap: c.Bootstrap()[0], topic: "payments", quietFor: time.Second}))
	require.Less(t, strings.Count(out.String(), "\n"), 1000)
	require.Contains(t, out.String(), "more\n")
	require.Contains(t, out.String(), "5000 messages")
}

func TestRealCluster_ListsItsTopicsWhereNoneIsNamed(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	c.CreateTopic(t, "payments", kafkatest.Topic{})
	c.CreateTopic(t, "orders", kafkatest.Topic{})
	var out strings.Builder
	require.NoError(t, demo(t.Context(), &out, options{bootstrap: c.Bootstrap()[0]}))
	require.Contains(t, out.String(), "TOPIC=name make demo")
	require.Contains(t, out.String(), "\n  orders\n  payments\n")
}

func TestRealCluster_SaysThatATopicIsNotThere(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	var out strings.Builder
	require.NoError(t, demo(t.Context(), &out, options{bootstrap: c.Bootstrap()[0], topic: "payments", quietFor: 100 * time.Millisecond}))
	require.Contains(t, out.String(), "the topic does not exist")
}

func TestRealCluster_SaysThatItIsOutOfReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())                                         // nobody listens there now
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // between two rounds of tries
	defer cancel()
	err = demo(ctx, new(strings.Builder), options{bootstrap: addr, topic: "payments"})
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "Is a Kafka broker listening at "+addr)
}

func TestCtrlC_StillGivesTheSummary(t *testing.T) {
	p := exampletest.Start(t, embeddedForAMinute)
	for !strings.Contains(p.Line(), `"order":3,`) {
	}
	rest := strings.Join(p.Stop(), "\n")
	require.Regexp(t, `\n\d+ messages with \d+ bytes of keys and values in`, rest)
}

func embeddedForAMinute(ctx context.Context, out io.Writer) error {
	return demo(ctx, out, options{produceFor: time.Minute})
}
