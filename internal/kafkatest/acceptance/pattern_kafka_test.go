//go:build kafka

package acceptance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// The fake has no internal topics.
func TestPattern_InternalTopicsOnlyWhereAsked(t *testing.T) {
	c := kafkatest.Shared(t)
	const internal = "__consumer_offsets"
	prefix, pattern := family(t)
	c.CreateTopic(t, prefix+"-1", kafkatest.Topic{})
	store(t, c, kafkatest.TopicName(t), tpOf(prefix+"-1", 0), 0) // makes it
	both := internal + "|" + pattern
	without := start(t, c, quick, kafka.WithPattern(both))
	require.Equal(t, []string{prefix + "-1"}, without.Subscription())
	with := start(t, c, quick, kafka.WithPattern(both), kafka.WithExcludeInternalTopics(false))
	require.ElementsMatch(t, []string{internal, prefix + "-1"}, with.Subscription())
	c.CreateTopic(t, prefix+"-2", kafkatest.Topic{}) // metadata comes again
	for _, consumer := range []*kafka.Consumer{with, without} {
		eventually(t, func() bool { return slices.Contains(consumer.Subscription(), prefix+"-2") }, "the new topic")
	}
	require.ElementsMatch(t, []string{internal, prefix + "-1", prefix + "-2"}, with.Subscription())
	require.Equal(t, []string{prefix + "-1", prefix + "-2"}, without.Subscription())
	named := start(t, c, kafka.WithTopics(internal))
	require.NotEmpty(t, named.Assignment(), "the rule is for patterns")
}
