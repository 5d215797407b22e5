package acceptance

import (
	"context"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// soonKnown lets a consumer look for new topics and partitions often.
var soonKnown = kafka.WithMetadataMaxAge(200 * time.Millisecond)

// A topic that begins to match joins the group, from its first record whatever the reset policy; one that is deleted goes.
func TestGroupTopics_Pattern(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix := kafkatest.TopicName(t)
		c.CreateTopic(t, prefix+".one", kafkatest.Topic{Partitions: 2})
		produce(t, c, prefix+".one", 0, "before")
		join := func() (*kafka.Consumer, *recorder) {
			r := &recorder{}
			// The grace is well below the session timeout: kfake, other than Kafka, expires members that wait for a join to
			// be answered.
			opts := append(groupOptions(prefix), soonKnown, cooperative, kafka.WithAutoOffsetReset(kafka.ResetLatest),
				kafka.WithRevokeGrace(500*time.Millisecond), kafka.WithPattern(regexp.QuoteMeta(prefix)+`\..*`), kafka.WithRebalanceListener(r))
			return start(t, c, opts...), r
		}
		a, heardA := join()
		require.Equal(t, []string{prefix + ".one"}, a.Subscription())
		b, heardB := join()
		shared(t, allOf(prefix+".one", 2), a, b)
		for _, tp := range a.Assignment() {
			position(t, a, tp)
		}
		heardA.forget()
		heardB.forget()
		all, names := allOf(prefix+".one", 2), []string{prefix + ".one"}
		for _, name := range []string{prefix + ".two", prefix + ".zwei"} {
			c.CreateTopic(t, name, kafkatest.Topic{Partitions: 2})
			for p := range int32(2) {
				produce(t, c, name, p, "first", "second")
			}
			all, names = append(all, allOf(name, 2)...), append(names, name)
			// a may have both old ones, and b the new ones, before a knows of those
			eventually(t, func() bool { return slices.Equal(a.Subscription(), names) && slices.Equal(b.Subscription(), names) }, "%s is not seen", name)
			shared(t, all, a, b)
			for _, consumer := range []*kafka.Consumer{a, b} {
				for _, tp := range consumer.Assignment() {
					if tp.Topic == name {
						require.Equal(t, []string{"first", "second"}, texts(read(t, consumer, 2, kafka.FromPartitions(tp))), "of %v", tp)
					} else {
						nothing(t, consumer, kafka.FromPartitions(tp))
					}
				}
				nothing(t, consumer) // and what was read last is settled, should its partition move with the next topic
			}
		}
		heardA.inOrder(t)
		c.DeleteTopic(t, prefix+".one")
		shared(t, all[2:], a, b)
		eventually(t, func() bool { return slices.Equal(names[1:], a.Subscription()) }, "the topic that is gone stays in the subscription")
	})
}

// Topics that a pattern finds when a running consumer subscribes to it are not new: the reset policy is for them. The group is
// joined once, when it is known what matches.
func TestGroupTopics_PatternOnARunningConsumerFindsOldTopics(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix := kafkatest.TopicName(t)
		one, two := prefix+".one", prefix+".two"
		for _, name := range []string{one, two} {
			c.CreateTopic(t, name, kafkatest.Topic{})
			produce(t, c, name, 0, numbered(0, 5)...)
		}
		a := start(t, c, append(groupOptions(prefix), soonKnown, noAutoCommit, kafka.WithAutoOffsetReset(kafka.ResetLatest))...)
		require.NoError(t, a.SubscribePattern(regexp.QuoteMeta(prefix)+`\.(one|three)`))
		eventually(t, func() bool { return len(a.Assignment()) == 1 }, "no assignment")
		require.EqualValues(t, 5, position(t, a, tpOf(one, 0)))
		first, _ := a.GroupMetadata()
		require.EqualValues(t, 1, first.GenerationID)
		require.NoError(t, a.SubscribePattern(regexp.QuoteMeta(prefix)+`\..*`))
		eventually(t, func() bool { return len(a.Assignment()) == 2 }, "the second pattern finds nothing")
		require.EqualValues(t, 5, position(t, a, tpOf(two, 0)))
		nothing(t, a)
		c.CreateTopic(t, prefix+".three", kafkatest.Topic{})
		produce(t, c, prefix+".three", 0, "first")
		require.Equal(t, []string{"first"}, texts(read(t, a, 1)), "of one that is new")
		require.NoError(t, a.Unsubscribe(within(t)))
		require.NoError(t, a.SubscribePattern(regexp.QuoteMeta(prefix)+`\.one`))
		eventually(t, func() bool { return len(a.Assignment()) == 1 }, "no assignment")
		require.EqualValues(t, 5, position(t, a, tpOf(one, 0)))
	})
}

// Partitions are added while records flow, under ResetLatest: every record of the new ones is consumed, whichever member
// gets them.
func TestGroupTopics_GrowthLosesNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 3}), kafkatest.TopicName(t)
		l := newLedger()
		opts := append(groupOptions(group), soonKnown, cooperative, kafka.WithAutoOffsetReset(kafka.ResetLatest))
		a := l.join(t, c, "a", []string{topic}, opts...)
		b := l.join(t, c, "b", []string{topic}, opts...)
		shared(t, allOf(topic, 3), a.Consumer, b.Consumer)
		c.AddPartitions(t, topic, 6)
		f := startFeed(t, c, allOf(topic, 6)[3:])
		began := time.Now()
		shared(t, allOf(topic, 6), a.Consumer, b.Consumer)
		t.Logf("new partitions are shared after %v", time.Since(began).Round(time.Millisecond))
		d := l.join(t, c, "d", []string{topic}, opts...)
		shared(t, allOf(topic, 6), a.Consumer, b.Consumer, d.Consumer)
		l.complete(t, f.end(t))
		require.Zero(t, l.duplicates)
	})
}

// A position that the reset policy found is kept through a rebalance that comes before its first message: nothing written
// since is skipped, with autocommit or without.
func TestGroupTopics_ResetPositionSurvivesARebalance(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, commit := range map[string]kafka.ConsumerOption{"autocommit": kafka.WithAutoCommit(true), "by hand": noAutoCommit} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 5)
				a, heard := startMember(t, c, topic, []string{topic}, commit, kafka.WithAutoOffsetReset(kafka.ResetLatest))
				for _, tp := range tps {
					require.EqualValues(t, 5, position(t, a, tp))
				}
				heard.on(inCallback("OnPartitionsRevoked", writes(t, c, "in between")))
				require.NoError(t, a.EnforceRebalance("for the test"))
				heard.await(t, 3)
				heard.on(nil)
				for _, tp := range tps {
					require.Equal(t, []string{"in between"}, texts(read(t, a, 1, kafka.FromPartitions(tp))))
				}
			})
		}
	})
}

// writes gives a listener that writes to the partitions it is told of.
func writes(t *testing.T, c *kafkatest.Cluster, value string) func(context.Context, *kafka.Consumer, []kafka.TopicPartition) error {
	return func(_ context.Context, _ *kafka.Consumer, tps []kafka.TopicPartition) error {
		for _, tp := range tps {
			produce(t, c, tp.Topic, tp.Partition, value)
		}
		return nil
	}
}

// A topic that does not exist is waited for, and read from its first record; the group shares it when it comes.
func TestGroupTopics_TopicThatAppearsLater(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := kafkatest.TopicName(t)
		opts := []kafka.ConsumerOption{soonKnown, cooperative, kafka.WithAutoOffsetReset(kafka.ResetLatest)}
		a, heard := startMember(t, c, topic, []string{topic}, opts...)
		b, _ := startMember(t, c, topic, []string{topic}, opts...)
		require.Empty(t, a.Assignment())
		nothing(t, a)
		require.Empty(t, heard.so())
		c.CreateTopic(t, topic, kafkatest.Topic{Partitions: 2})
		for _, tp := range allOf(topic, 2) {
			produce(t, c, topic, tp.Partition, "first")
		}
		shared(t, allOf(topic, 2), a, b)
		for _, consumer := range []*kafka.Consumer{a, b} {
			require.Equal(t, []string{"first"}, texts(read(t, consumer, 1)))
		}
	})
}

// Members that subscribe to different topics get only what is theirs.
func TestGroupTopics_MembersWithDifferentTopics(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range assignorLists {
			t.Run(name, func(t *testing.T) {
				one, first := filled(t, c, 2, 1)
				two, second := filled(t, c, 2, 1)
				a, _ := startMember(t, c, one, []string{one}, assignors)
				b, _ := startMember(t, c, one, []string{two}, assignors)
				eventually(t, func() bool { return len(a.Assignment()) == 2 && len(b.Assignment()) == 2 }, "no agreement")
				require.Equal(t, first, a.Assignment())
				require.Equal(t, second, b.Assignment())
				require.NoError(t, b.Subscribe([]string{one, two}))
				require.NoError(t, a.Stop(within(t)))
				eventually(t, func() bool { return len(b.Assignment()) == 4 }, "it does not get the rest")
			})
		}
	})
}
