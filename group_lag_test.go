package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A broker that lags answers what the leader asks with less than others have told before: that is not forgotten, and the group is not
// made to rebalance again and again until that broker has caught up.
func TestGroup_ALaggingBrokerCausesNoStormOfRebalances(t *testing.T) {
	for name, lag := range map[string]func(topic *protocol.MetadataResponseTopic){
		"fewer partitions": func(topic *protocol.MetadataResponseTopic) { topic.Partitions = topic.Partitions[:1] },
		"no topic": func(topic *protocol.MetadataResponseTopic) {
			topic.ErrorCode, topic.TopicID, topic.Partitions = protocol.UnknownTopicOrPartition, protocol.UUID{}, nil
		},
		"no ids": func(topic *protocol.MetadataResponseTopic) {
			topic.TopicID, topic.Partitions = protocol.UUID{}, topic.Partitions[:1]
		},
		"the topic before": func(topic *protocol.MetadataResponseTopic) {
			topic.TopicID, topic.Partitions = protocol.UUID{7}, topic.Partitions[:1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("orders", 1)
				groupOfOne(k)
				c := startGroup(t, groupConsumer(t, k, WithTopics("orders")))
				before := k.Count(protocol.KeyJoinGroup)
				joins := func() int { return k.Count(protocol.KeyJoinGroup) - before }
				k.GrowTopic("orders", 2)
				told := false
				k.Handle(protocol.KeyMetadata, func(call *fakebroker.Call) fakebroker.Reply {
					resp := call.Default().(*protocol.MetadataResponse)
					if told && joins() < 100 { // with a bound, for the bubble's clock stands still in a storm
						for i := range resp.Topics {
							lag(&resp.Topics[i])
						}
					}
					told = true
					return fakebroker.Reply{Response: resp}
				})
				c.cluster.Refresh("a test")
				time.Sleep(10 * time.Second)
				require.LessOrEqual(t, joins(), 3)
				if name == "fewer partitions" || name == "no topic" {
					require.Len(t, c.Assignment(), 2)
				}
				k.Handle(protocol.KeyMetadata, nil)
				require.NoError(t, c.Stop(t.Context()))
			})
		})
	}
}
