//go:build kafka

package kafkatest_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// An unclean election is how a log loses its end: what consumers must notice as a truncation (KIP-320).
func TestElectUnclean_LogLosesWhatOnlyTheOldLeaderHad(t *testing.T) {
	c := kafkatest.Shared3(t)
	topic := c.NewTopic(t, kafkatest.Topic{Replicas: 2})
	kafkatest.Produce(t, c, topic, 0, kafkatest.Values("both"), acksAll)
	leader := c.Leader(t, topic, 0)
	replicas := c.Replicas(t, topic, 0)
	follower := replicas[0]
	if follower == leader {
		follower = replicas[1]
	}
	c.Node(t, follower).Kill(t)
	c.AwaitISR(t, topic, 0, leader)
	kafkatest.Produce(t, c, topic, 0, kafkatest.Values("lost"), kafkatest.With(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()))
	c.Node(t, leader).Kill(t)
	c.Node(t, follower).Start(t)
	if elected := c.ElectUnclean(t, topic, 0); elected != follower {
		t.Fatalf("node %d was elected, not %d", elected, follower)
	}
	kafkatest.Produce(t, c, topic, 0, kafkatest.Values("instead"))
	if got := values(consume(t, c, topic, 0, 2)); !slices.Equal(got, []string{"both", "instead"}) {
		t.Errorf("the log is %q", got)
	}
}
