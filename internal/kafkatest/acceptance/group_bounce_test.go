package acceptance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

const (
	bouncedMembers = 5
	bouncedGrace   = 100 * time.Millisecond // for what is in hand when partitions go
)

// Five members are bounced in turn, and then all brokers, while records flow: nothing is lost, what comes twice is only what a slow
// member had in hand, unsettled, when it gave a partition up, and at no time is more committed than was handed out.
func TestGroupBounce_MembersAndBrokers(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2 * bouncedMembers})
		tps, l, joined := allOf(topic, 2*bouncedMembers), newLedger(), 0
		var bouncing atomic.Bool // so that the slow member catches up later
		bouncing.Store(true)
		join := func(slow bool) *member {
			joined++
			opts := append(groupOptions(topic), cooperative, kafka.WithSessionTimeout(10*time.Second), kafka.WithRevokeGrace(bouncedGrace))
			var work func()
			if slow {
				work = func() {
					if bouncing.Load() {
						<-time.After(4 * bouncedGrace) // the application's own time
					}
				}
			}
			return l.joinWorking(t, c, fmt.Sprint("member-", joined), []string{topic}, work, opts...)
		}
		f := startFeed(t, c, tps)
		var members []*member
		for i := range bouncedMembers {
			members = append(members, join(i == 0))
		}
		sharedBy(t, tps, members)
		watch := l.watchCommits(c, topic)

		for i := range bouncedMembers {
			members[0].leave(t)
			sharedBy(t, tps, members[1:])
			members = append(members[1:], join(i == 0))
			sharedBy(t, tps, members)
		}
		bouncing.Store(false)
		for _, m := range members {
			m.forget()
		}
		for _, n := range c.Nodes() {
			n.Restart(t)
			for _, tp := range tps {
				c.AwaitInSync(t, tp.Topic, tp.Partition)
			}
		}
		l.complete(t, f.end(t))
		for _, m := range members {
			require.Empty(t, m.so(), "%s heard of a rebalance while brokers were bounced", m.name)
		}
		looks := watch()
		inOrderInTheLog(t, c, topic)
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Logf("commits and positions were compared %d times; %d records came again, unsettled before", looks, l.redone)
		require.Empty(t, l.wrong)
		require.Zero(t, l.duplicates, "of what was settled")
		require.Greater(t, looks, 100)
	})
}

func sharedBy(t *testing.T, tps []kafka.TopicPartition, members []*member) {
	t.Helper()
	var consumers []*kafka.Consumer
	for _, m := range members {
		consumers = append(consumers, m.Consumer)
	}
	shared(t, tps, consumers...)
	members[0].ledger.sharedBy(t, len(tps), members...) // an assignment shows before its listener is called
}

// watchCommits compares all the time what is committed, as the brokers have it, with what was handed out and with the owners'
// positions, until it is told to end; then it gives how many partitions it has looked at. A position that is asked for after the
// commit can only be behind it if that went too far.
func (l *ledger) watchCommits(c *kafkatest.Cluster, group string) (end func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	looks, last := 0, make(map[kafka.TopicPartition]int64)
	done := inBackground(func() error {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for ; ctx.Err() == nil; <-pace.C {
			offsets, err := c.Admin().FetchOffsets(ctx, group)
			if err != nil {
				continue // a broker is away
			}
			for _, byPartition := range offsets {
				for _, o := range byPartition {
					if tp := tpOf(o.Topic, o.Partition); o.Err == nil && o.At >= 0 {
						l.notBehind(ctx, tp, o.At, last[tp])
						looks++
						if c.Fake() != nil { // a real broker may not know yet that it coordinates no more, and answer from memory
							last[tp] = o.At
						}
					}
				}
			}
		}
		return nil
	})
	return func() int {
		cancel()
		<-done
		return looks
	}
}

// notBehind sees that a commit is not behind the one before it, nor before what was handed out, nor before its owner's position.
func (l *ledger) notBehind(ctx context.Context, tp kafka.TopicPartition, committed, before int64) {
	l.mu.Lock()
	owner := l.owners[tp]
	var consumer *kafka.Consumer
	if owner != nil {
		consumer = owner.self
	}
	l.mu.Unlock()
	var at int64
	err := errors.New("nobody owns it")
	if consumer != nil {
		bounded, cancel := context.WithTimeout(ctx, soon)
		at, err = consumer.Position(bounded, tp)
		cancel()
	}
	// What a call has just given, and a leaving member has committed, is noted in a moment.
	handedOut := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return committed == 0 || l.seen[tp][committed-1] > 0
	}
	for began := time.Now(); !handedOut() && time.Since(began) < soon; {
		<-time.After(time.Millisecond)
	}
	seen := handedOut()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case committed < before:
		l.fault("%v: committed is %d after %d", tp, committed, before)
	case !seen:
		l.fault("%v: committed is %d, and offset %d was not handed out", tp, committed, committed-1)
	case err == nil && at < committed && l.owners[tp] == owner:
		l.fault("%v: committed is %d, and the position of %s is %d", tp, committed, owner.name, at)
	}
}

// inOrderInTheLog sees that no commit of a group went back, as real brokers keep them.
func inOrderInTheLog(t *testing.T, c *kafkatest.Cluster, group string) {
	t.Helper()
	if c.Fake() != nil {
		return
	}
	ends, err := c.Admin().ListEndOffsets(within(t), offsetsTopic)
	require.NoError(t, err)
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	client, err := kgo.NewClient(c.ClientOptions(kgo.ConsumeTopics(offsetsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())...)
	require.NoError(t, err)
	defer client.Close()
	last, commits := make(map[kafka.TopicPartition]int64), 0
	for len(left) > 0 {
		client.PollFetches(within(t)).EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			key, value := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
			if key.ReadFrom(r.Key) != nil || key.Version > 1 || key.Group != group || value.ReadFrom(r.Value) != nil {
				return // of a member, of another group, or a deletion
			}
			tp := tpOf(key.Topic, key.Partition)
			require.GreaterOrEqual(t, value.Offset, last[tp], "commit %d of %v", r.Offset, tp)
			last[tp] = value.Offset
			commits++
		})
	}
	require.Greater(t, commits, 100)
	t.Logf("%d commits of %d partitions are in order in the log", commits, len(last))
}
