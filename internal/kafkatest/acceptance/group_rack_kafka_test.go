//go:build kafka

package acceptance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Members that tell their racks get partitions with a replica there (KIP-881), whoever leads and in whatever order they come;
// when replicas move to other racks, so do the partitions.
func TestGroupRack_PartitionsGoToMembersInTheirReplicasRack(t *testing.T) {
	c := kafkatest.Shared3(t)
	racks := map[string]int32{"a": c.Nodes()[0].ID, "b": c.Nodes()[1].ID, "c": c.Nodes()[2].ID}
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 6, Replicas: 1})
	inRack := func(rack string, partitions ...int32) (tps []kafka.TopicPartition) {
		for _, p := range partitions {
			c.Reassign(t, topic, p, racks[rack])
			tps = append(tps, tpOf(topic, p))
		}
		return tps
	}
	want := map[string][]kafka.TopicPartition{"a": inRack("a", 1, 4), "b": inRack("b", 0, 5), "c": inRack("c", 2, 3)}
	members := make(map[string]*kafka.Consumer)
	var all []*kafka.Consumer
	for _, rack := range []string{"c", "a", "b"} {
		members[rack], _ = startMember(t, c, topic, []string{topic}, kafka.WithRackID(rack), kafka.WithAssignors(kafka.RangeAssignor), soonKnown)
		all = append(all, members[rack])
	}
	shared(t, allOf(topic, 6), all...)
	for rack, tps := range want {
		require.Equal(t, tps, members[rack].Assignment(), "in rack %s", rack)
	}

	want["a"], want["b"] = inRack("a", 0, 5), inRack("b", 1, 4)
	eventually(t, func() bool {
		return !slices.ContainsFunc([]string{"a", "b", "c"}, func(rack string) bool { return !slices.Equal(want[rack], members[rack].Assignment()) })
	}, "the partitions do not follow their replicas")
}
