package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Leader is the node that leads a partition; -1 when none does.
func (c *Cluster) Leader(t testing.TB, topic string, partition int32) int32 {
	t.Helper()
	var leader int32 = -1
	c.await(t, fmt.Sprintf("metadata of %s-%d", topic, partition), func(ctx context.Context) (bool, error) {
		detail, err := c.partition(ctx, topic, partition)
		leader = detail.Leader
		return err == nil || errors.Is(err, kerr.LeaderNotAvailable), err
	})
	return leader
}

// Replicas are the nodes that hold a partition, the preferred leader first.
func (c *Cluster) Replicas(t testing.TB, topic string, partition int32) []int32 {
	t.Helper()
	var replicas []int32
	c.await(t, fmt.Sprintf("replicas of %s-%d", topic, partition), func(ctx context.Context) (bool, error) {
		detail, err := c.partition(ctx, topic, partition)
		replicas = detail.Replicas
		return err == nil, err
	})
	return replicas
}

// AwaitLeader waits until a partition's leader satisfies a condition, and returns it.
func (c *Cluster) AwaitLeader(t testing.TB, topic string, partition int32, wanted func(leader int32) bool) int32 {
	t.Helper()
	var leader int32
	c.await(t, fmt.Sprintf("the wanted leader of %s-%d", topic, partition), func(ctx context.Context) (bool, error) {
		detail, err := c.partition(ctx, topic, partition)
		leader = detail.Leader
		return (err == nil || errors.Is(err, kerr.LeaderNotAvailable)) && wanted(leader), err
	})
	return leader
}

// AwaitNewLeader waits until a partition has a leader other than old, and returns it.
func (c *Cluster) AwaitNewLeader(t testing.TB, topic string, partition, old int32) int32 {
	t.Helper()
	return c.AwaitLeader(t, topic, partition, func(leader int32) bool { return leader >= 0 && leader != old })
}

// AwaitISR waits until exactly the given nodes are a partition's replicas in sync.
func (c *Cluster) AwaitISR(t testing.TB, topic string, partition int32, nodes ...int32) {
	t.Helper()
	slices.Sort(nodes)
	c.await(t, fmt.Sprintf("the replicas of %s-%d in sync to be %v", topic, partition, nodes), func(ctx context.Context) (bool, error) {
		detail, err := c.partition(ctx, topic, partition)
		return err == nil && slices.Equal(slices.Sorted(slices.Values(detail.ISR)), nodes), err
	})
}

// AwaitInSync waits until all replicas of a partition are in sync.
func (c *Cluster) AwaitInSync(t testing.TB, topic string, partition int32) {
	t.Helper()
	c.await(t, fmt.Sprintf("%s-%d to be in sync", topic, partition), func(ctx context.Context) (bool, error) {
		detail, err := c.partition(ctx, topic, partition)
		return err == nil && len(detail.ISR) == len(detail.Replicas), err
	})
}

// partitionState is one partition's metadata.
type partitionState = kmsg.MetadataResponseTopicPartition

// partition asks a node that serves for one partition's metadata.
func (c *Cluster) partition(ctx context.Context, topic string, partition int32) (partitionState, error) {
	return partitionFrom(ctx, c.anyBroker(), topic, partition)
}

// anyBroker is where to ask what any node knows. A client left to choose would choose a paused node, and wait.
func (c *Cluster) anyBroker() kmsg.Requestor {
	for _, n := range c.nodes {
		if n.serving() {
			return c.client.Broker(int(n.ID))
		}
	}
	return c.client
}

// partitionFrom asks a broker, or through a client any broker. Nothing is answered from a cache.
func partitionFrom(ctx context.Context, r kmsg.Requestor, topic string, partition int32) (partitionState, error) {
	none := partitionState{Leader: -1}
	answer, err := topicFrom(ctx, r, topic)
	if err != nil {
		return none, err
	}
	for _, found := range answer.Partitions {
		if found.Partition == partition {
			return found, kerr.ErrorForCode(found.ErrorCode)
		}
	}
	return none, fmt.Errorf("the answer lacks %s-%d", topic, partition)
}

func topicFrom(ctx context.Context, r kmsg.Requestor, topic string) (kmsg.MetadataResponseTopic, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	response, err := request.RequestWith(ctx, r)
	if err != nil {
		return kmsg.MetadataResponseTopic{}, err
	}
	if len(response.Topics) != 1 {
		return kmsg.MetadataResponseTopic{}, fmt.Errorf("the answer has %d topics", len(response.Topics))
	}
	return response.Topics[0], kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

// everywhere tells whether a condition holds at each node that serves, for nodes learn of changes one after the other.
func (c *Cluster) everywhere(ctx context.Context, condition func(context.Context, kmsg.Requestor) (bool, error)) (bool, error) {
	if len(c.nodes) == 0 {
		return condition(ctx, c.client)
	}
	for _, n := range c.nodes {
		if !n.serving() {
			continue
		}
		if ok, err := condition(ctx, c.client.Broker(int(n.ID))); !ok {
			return false, err
		}
	}
	return true, nil
}

// MoveLeader makes a node the leader of a partition, giving it a replica first where it has none, and returns when it leads.
func (c *Cluster) MoveLeader(t testing.TB, topic string, partition, to int32) {
	t.Helper()
	if c.fake != nil {
		if err := c.epochs.move(topic, partition, to); err != nil {
			t.Fatalf("move leader of %s-%d to node %d: %v", topic, partition, to, err)
		}
		return
	}
	replicas := c.Replicas(t, topic, partition)
	wanted := append([]int32{to}, slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return id == to })...)
	if len(wanted) > len(replicas) { // to was not among them: it takes the last one's place
		wanted = wanted[:len(replicas)]
	}
	c.Reassign(t, topic, partition, wanted...)
	c.ElectPreferred(t, topic, partition)
	c.AwaitLeader(t, topic, partition, func(leader int32) bool { return leader == to })
}

// AwaitNewCoordinator waits until a group has a coordinator other than old, and returns it. A fake elects none: it is made to here, which
// moves other groups, too.
func (c *Cluster) AwaitNewCoordinator(t testing.TB, group string, old int32) int32 {
	t.Helper()
	coordinator := int32(-1)
	c.await(t, "another coordinator of "+group, func(ctx context.Context) (bool, error) {
		if c.fake != nil {
			c.fake.RehashCoordinators()
			coordinator = c.fake.CoordinatorFor(group)
			return coordinator != old && c.Node(t, coordinator).serving(), nil
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second) // it may ask one that hangs
		defer cancel()
		found := c.admin.FindGroupCoordinators(ctx, group)[group]
		coordinator = found.NodeID
		return found.Err == nil && coordinator != old, found.Err
	})
	return coordinator
}

// Reassign gives a partition other replicas, the preferred leader first, and returns when they are all in sync. It is for real clusters.
func (c *Cluster) Reassign(t testing.TB, topic string, partition int32, replicas ...int32) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	var request kadm.AlterPartitionAssignmentsReq
	request.Assign(topic, partition, replicas)
	responses, err := c.admin.AlterPartitionAssignments(ctx, request)
	if err = errors.Join(err, responses.Error()); err != nil {
		t.Fatalf("reassign %s-%d to %v: %v", topic, partition, replicas, err)
	}
	c.await(t, fmt.Sprintf("%s-%d on nodes %v", topic, partition, replicas), func(ctx context.Context) (bool, error) {
		detail, err := c.partition(ctx, topic, partition)
		return err == nil && slices.Equal(detail.Replicas, replicas) && len(detail.ISR) == len(replicas), err
	})
}

// ElectPreferred makes the first replica the leader, where it is alive and in sync.
func (c *Cluster) ElectPreferred(t testing.TB, topic string, partition int32) {
	t.Helper()
	c.elect(t, kadm.ElectPreferredReplica, topic, partition)
}

// ElectUnclean waits until a partition has lost its leader, makes any living replica the leader, in sync or not, and returns it:
// records that only the others had are lost.
func (c *Cluster) ElectUnclean(t testing.TB, topic string, partition int32) int32 {
	t.Helper()
	c.AwaitLeader(t, topic, partition, func(leader int32) bool { return leader < 0 })
	c.elect(t, kadm.ElectLiveReplica, topic, partition)
	return c.AwaitLeader(t, topic, partition, func(leader int32) bool { return leader >= 0 })
}

func (c *Cluster) elect(t testing.TB, how kadm.ElectLeadersHow, topic string, partition int32) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	partitions := make(kadm.TopicsSet)
	partitions.Add(topic, partition)
	err := retry(ctx, func(ctx context.Context) error {
		results, err := c.admin.ElectLeaders(ctx, how, partitions)
		if err == nil {
			err = results[topic][partition].Err
		}
		if errors.Is(err, kerr.ElectionNotNeeded) {
			err = nil
		}
		return err
	}, kerr.PreferredLeaderNotAvailable, kerr.NotController)
	if err != nil {
		t.Fatalf("elect a leader of %s-%d: %v", topic, partition, err)
	}
}
