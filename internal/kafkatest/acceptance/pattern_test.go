package acceptance

import (
	"log/slog"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// family gives a prefix of topic names and the pattern for them all.
func family(t *testing.T) (prefix, pattern string) {
	t.Helper()
	prefix = kafkatest.TopicName(t)
	return prefix, regexp.QuoteMeta(prefix) + `-.*`
}

func TestPattern_MustMatchTheWholeName(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, _ := family(t)
		for _, name := range []string{prefix + "-a", prefix + "-ab", "x" + prefix + "-a", prefix + "-b"} {
			c.CreateTopic(t, name, kafkatest.Topic{})
			produce(t, c, name, 0, name)
		}
		quoted := regexp.QuoteMeta(prefix)
		for pattern, want := range map[string][]string{
			quoted + "-a":                      {prefix + "-a"},
			quoted + "-a|" + quoted + "-b":     {prefix + "-a", prefix + "-b"}, // the original anchors only the first
			"^" + quoted + "-a.?$":             {prefix + "-a", prefix + "-ab"},
			"(?i)" + "X?" + quoted + "-A":      {prefix + "-a", "x" + prefix + "-a"},
			quoted[:len(quoted)-1] + ".*-[^b]": {prefix + "-a"},
		} {
			consumer := start(t, c)
			require.NoError(t, consumer.SubscribePattern(pattern))
			eventually(t, func() bool { return len(consumer.Assignment()) == len(want) }, "%s: %v", pattern, consumer.Subscription())
			require.Equal(t, want, consumer.Subscription(), pattern)
			got := make(map[string]bool)
			for tp := range readMany(t, consumer, len(want)) {
				got[tp.Topic] = true
			}
			require.Len(t, got, len(want), pattern)
		}
	})
}

// In the original a topic that comes up later throws the positions of all others away (6.11), and under latest its first records are lost.
func TestPattern_NewTopicsAreReadFromTheirFirstRecord(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, pattern := family(t)
		one, two := prefix+"-1", prefix+"-2"
		c.CreateTopic(t, one, kafkatest.Topic{Partitions: 2})
		consumer := start(t, c, quick, kafka.WithPattern(pattern), kafka.WithAutoOffsetReset(kafka.ResetLatest))
		require.Equal(t, []string{one}, consumer.Subscription(), "Start returns with the first assignment")
		for p := range int32(2) {
			position(t, consumer, tpOf(one, p))
			produce(t, c, one, p, numbered(0, 10)...)
		}
		consecutive(t, 0, read(t, consumer, 4, kafka.FromPartitions(tpOf(one, 0))))
		require.NoError(t, consumer.Pause(tpOf(one, 1)))

		c.CreateTopic(t, two, kafkatest.Topic{})
		produce(t, c, two, 0, numbered(0, 5)...)
		got := readMany(t, consumer, 11)
		consecutive(t, 4, got[tpOf(one, 0)])
		require.Equal(t, numbered(0, 5), texts(got[tpOf(two, 0)]))
		require.Equal(t, []string{one, two}, consumer.Subscription())
		require.Equal(t, []kafka.TopicPartition{tpOf(one, 1)}, consumer.Paused())

		c.AddPartitions(t, two, 2)
		produce(t, c, two, 1, numbered(0, 5)...)
		require.Equal(t, numbered(0, 5), texts(read(t, consumer, 5)), "of a new partition too")
		require.NoError(t, consumer.Resume(tpOf(one, 1)))
		consecutive(t, 0, read(t, consumer, 10))
	})
}

func TestPattern_MatchingNothingWaitsAndCreatesNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, pattern := family(t)
		consumer := start(t, c, quick, kafka.WithPattern(pattern))
		require.Empty(t, consumer.Assignment())
		nothing(t, consumer)
		topics, err := c.Admin().ListTopics(within(t))
		require.NoError(t, err)
		for name := range topics {
			require.NotContains(t, name, prefix)
		}
		c.CreateTopic(t, prefix+"-1", kafkatest.Topic{})
		produce(t, c, prefix+"-1", 0, "first")
		require.Equal(t, []string{"first"}, texts(read(t, consumer, 1)))
	})
}

// A topic that is deleted leaves the subscription; the others go on, and made again it is a new one.
func TestPattern_DeletedTopicLeavesAndComesBackNew(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, pattern := family(t)
		goes, stays := prefix+"-goes", prefix+"-stays"
		for _, topic := range []string{goes, stays} {
			c.CreateTopic(t, topic, kafkatest.Topic{})
			produce(t, c, topic, 0, numbered(0, 4)...)
		}
		var book logBook
		consumer := start(t, c, quick, kafka.WithPattern(pattern), kafka.WithLogger(book.logger(slog.LevelWarn)))
		readMany(t, consumer, 6, kafka.UpTo(6))
		consumed := position(t, consumer, tpOf(stays, 0))
		c.DeleteTopic(t, goes)
		eventually(t, func() bool { return len(consumer.Assignment()) == 1 }, "it does not leave")
		require.Equal(t, []string{stays}, consumer.Subscription())
		require.Equal(t, consumed, position(t, consumer, tpOf(stays, 0)))
		consecutive(t, consumed, read(t, consumer, int(4-consumed)))
		book.has(t, 1, "WARN", goes)
		c.CreateTopic(t, goes, kafkatest.Topic{})
		produce(t, c, goes, 0, numbered(10, 12)...)
		require.Equal(t, numbered(10, 12), texts(read(t, consumer, 2)))
	})
}

func TestPattern_BadOnesAreErrorsAndChangeNothing(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, pattern := family(t)
		c.CreateTopic(t, prefix+"-1", kafkatest.Topic{})
		consumer := start(t, c, kafka.WithPattern(pattern))
		for _, bad := range []string{"", "(", "a)|(b", "[", `\`, `(?=lookahead)`} {
			require.ErrorIs(t, consumer.SubscribePattern(bad), kafka.ErrIllegalState, "%q", bad)
			_, err := kafka.NewConsumer(kafka.WithPattern(bad))
			var config *kafka.ConfigError
			require.ErrorAs(t, err, &config, "%q", bad)
			require.Equal(t, "WithPattern", config.Option)
		}
		require.ErrorIs(t, consumer.Subscribe([]string{prefix + "-1"}), kafka.ErrIllegalState, "a pattern is subscribed")
		require.ErrorIs(t, consumer.Assign(tpOf(prefix+"-1", 0)), kafka.ErrIllegalState)
		require.Equal(t, []string{prefix + "-1"}, consumer.Subscription())
		_, err := kafka.NewConsumer(kafka.WithPattern(pattern), kafka.WithTopics("t"))
		var config *kafka.ConfigError
		require.ErrorAs(t, err, &config)
		require.NoError(t, consumer.Unsubscribe(within(t)))
		require.Empty(t, consumer.Subscription())
		require.NoError(t, consumer.Subscribe([]string{prefix + "-1"}))
		require.ErrorIs(t, consumer.SubscribePattern(pattern), kafka.ErrIllegalState, "topics are subscribed")
	})
}

// Replacing a pattern leaves what both match alone.
func TestPattern_ReplacedKeepsWhatStays(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, _ := family(t)
		quoted := regexp.QuoteMeta(prefix)
		for _, name := range []string{"-a", "-b", "-c"} {
			c.CreateTopic(t, prefix+name, kafkatest.Topic{})
			produce(t, c, prefix+name, 0, numbered(0, 10)...)
		}
		a, b := tpOf(prefix+"-a", 0), tpOf(prefix+"-b", 0)
		consumer := start(t, c, kafka.WithPattern(quoted+"-[ab]"))
		read(t, consumer, 3, kafka.FromPartitions(a))
		read(t, consumer, 3, kafka.FromPartitions(b))
		require.NoError(t, consumer.Pause(b))
		require.NoError(t, consumer.SubscribePattern(quoted+"-[bc]"))
		require.NotContains(t, consumer.Assignment(), a, "gone at once")
		consecutive(t, 0, read(t, consumer, 10))
		require.Equal(t, []kafka.TopicPartition{b}, consumer.Paused())
		require.NoError(t, consumer.Resume(b))
		consecutive(t, 3, read(t, consumer, 7))
		require.Equal(t, []string{prefix + "-b", prefix + "-c"}, consumer.Subscription())
	})
}

func TestPattern_UnsubscribedAtOnceHurtsNobody(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		prefix, pattern := family(t)
		c.CreateTopic(t, prefix+"-1", kafkatest.Topic{})
		produce(t, c, prefix+"-1", 0, "a")
		consumer := start(t, c, quick)
		for range 10 {
			require.NoError(t, consumer.SubscribePattern(pattern))
			require.NoError(t, consumer.Unsubscribe(within(t)))
			require.NoError(t, consumer.Subscribe([]string{prefix + "-1"}))
			require.NoError(t, consumer.Unsubscribe(within(t)))
		}
		nothing(t, consumer)
		require.NoError(t, consumer.SubscribePattern(pattern))
		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
	})
}
