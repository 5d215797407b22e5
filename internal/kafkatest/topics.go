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

// Topic describes a topic to create. The zero value has one partition and as many replicas as the cluster has nodes, at most 3.
type Topic struct {
	Partitions int
	Replicas   int
	Configs    map[string]string // topic configuration, such as "cleanup.policy"
}

// NewTopic creates a topic with a name of its own and returns the name. It returns once every partition has a leader.
func (c *Cluster) NewTopic(t testing.TB, topic Topic) string {
	t.Helper()
	name := TopicName(t)
	c.CreateTopic(t, name, topic)
	return name
}

// CreateTopic creates a topic and returns once every partition has a leader. On a cluster that outlives the test, the topic goes with the test.
func (c *Cluster) CreateTopic(t testing.TB, name string, topic Topic) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	configs := make(map[string]*string, len(topic.Configs))
	for key, value := range topic.Configs {
		configs[key] = &value
	}
	partitions, replicas := max(topic.Partitions, 1), topic.Replicas
	if replicas <= 0 {
		replicas = min(max(len(c.nodes), 1), 3)
	}
	create := func(ctx context.Context) error {
		_, err := c.admin.CreateTopic(ctx, int32(partitions), int16(replicas), configs, name)
		return err
	}
	// A topic of the same name may still be on its way out, and a controller on its way in.
	if err := retry(ctx, create, kerr.TopicAlreadyExists, kerr.NotController, kerr.InvalidReplicationFactor, kerr.RequestTimedOut); err != nil {
		t.Fatalf("create topic %s on %s: %v", name, c.name, err)
	}
	if c.shared {
		t.Cleanup(func() {
			ctx, cancel := opContext()
			defer cancel()
			if _, err := c.admin.DeleteTopics(ctx, name); err != nil {
				t.Logf("delete topic %s: %v", name, err)
			}
		})
	}
	c.awaitLeaders(t, name, partitions)
}

// awaitLeaders waits until every node knows a leader of each partition.
func (c *Cluster) awaitLeaders(t testing.TB, name string, partitions int) {
	t.Helper()
	c.await(t, fmt.Sprintf("leaders of the %d partitions of %s", partitions, name), func(ctx context.Context) (bool, error) {
		return c.everywhere(ctx, func(ctx context.Context, r kmsg.Requestor) (bool, error) {
			topic, err := topicFrom(ctx, r, name)
			return err == nil && len(topic.Partitions) == partitions &&
				!slices.ContainsFunc(topic.Partitions, func(p partitionState) bool { return p.Leader < 0 || p.ErrorCode != 0 }), err
		})
	})
}

// DeleteTopic deletes a topic and returns when the cluster no longer shows it.
func (c *Cluster) DeleteTopic(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	response, err := c.admin.DeleteTopic(ctx, name)
	if err = errors.Join(err, response.Err); err != nil {
		t.Fatalf("delete topic %s: %v", name, err)
	}
	c.await(t, fmt.Sprintf("topic %s to be gone", name), func(ctx context.Context) (bool, error) {
		return c.everywhere(ctx, func(ctx context.Context, r kmsg.Requestor) (bool, error) {
			_, err := topicFrom(ctx, r, name)
			return errors.Is(err, kerr.UnknownTopicOrPartition), err
		})
	})
}

// AddPartitions grows a topic to a total number of partitions and waits for the leaders of the new ones.
func (c *Cluster) AddPartitions(t testing.TB, name string, total int) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	responses, err := c.admin.UpdatePartitions(ctx, total, name)
	if err = errors.Join(err, responses.Error()); err != nil {
		t.Fatalf("grow topic %s to %d partitions: %v", name, total, err)
	}
	c.awaitLeaders(t, name, total)
}

// DeleteRecords moves the start of a partition's log up to an offset.
func (c *Cluster) DeleteRecords(t testing.TB, topic string, partition int32, before int64) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	offsets := make(kadm.Offsets)
	offsets.AddOffset(topic, partition, before, -1)
	err := retry(ctx, func(ctx context.Context) error { // the client may remember an older topic of the name, or another leader
		responses, err := c.admin.DeleteRecords(ctx, offsets)
		return errors.Join(err, responses.Error())
	}, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition)
	if err != nil {
		t.Fatalf("delete records of %s-%d before %d: %v", topic, partition, before, err)
	}
}

// SetTopicConfig changes one setting of a topic.
func (c *Cluster) SetTopicConfig(t testing.TB, topic, key, value string) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	responses, err := c.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	if err == nil {
		_, err = responses.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		t.Fatalf("set %s=%s on topic %s: %v", key, value, topic, err)
	}
}

// StartOffset is the first offset of a partition's log.
func (c *Cluster) StartOffset(t testing.TB, topic string, partition int32) int64 {
	t.Helper()
	return c.offset(t, topic, partition, -2, 0)
}

// EndOffset is the high watermark: the offset after the last record that all replicas have.
func (c *Cluster) EndOffset(t testing.TB, topic string, partition int32) int64 {
	t.Helper()
	return c.offset(t, topic, partition, -1, 0)
}

// LastStableOffset is where a reader of committed records ends.
func (c *Cluster) LastStableOffset(t testing.TB, topic string, partition int32) int64 {
	t.Helper()
	return c.offset(t, topic, partition, -1, 1)
}

// offset asks a partition's leader for the offset of a timestamp that stands for something (ListOffsets: -1 the end, -2 the start).
func (c *Cluster) offset(t testing.TB, topic string, partition int32, timestamp int64, isolation int8) int64 {
	t.Helper()
	var offset int64
	c.await(t, fmt.Sprintf("an offset of %s-%d", topic, partition), func(ctx context.Context) (bool, error) {
		state, err := c.partition(ctx, topic, partition)
		if err != nil {
			return false, err
		}
		request := kmsg.NewPtrListOffsetsRequest()
		request.ReplicaID, request.IsolationLevel = -1, isolation
		asked := kmsg.NewListOffsetsRequestTopicPartition()
		asked.Partition, asked.Timestamp = partition, timestamp
		request.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{asked}}}
		response, err := request.RequestWith(ctx, c.client.Broker(int(state.Leader)))
		if err != nil {
			return false, err
		}
		if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
			return false, errors.New("the answer to ListOffsets lacks the partition")
		}
		answer := response.Topics[0].Partitions[0]
		offset = answer.Offset
		return answer.ErrorCode == 0, kerr.ErrorForCode(answer.ErrorCode)
	})
	return offset
}

// opContext bounds one operation of the harness. It does not end with the test, because cleanups run after that.
func opContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), opTimeout)
}

// retry repeats an operation while it fails with one of the given errors.
func retry(ctx context.Context, operation func(context.Context) error, while ...error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := operation(ctx)
		if err == nil || !slices.ContainsFunc(while, func(e error) bool { return errors.Is(err, e) }) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// await polls a condition of the cluster until it holds; failing to within the operation's bound fails the test.
func (c *Cluster) await(t testing.TB, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := opContext()
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		ok, err := condition(ctx)
		if ok {
			return
		}
		if err != nil {
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: waited %v for %s (last error: %v)", c.name, opTimeout, what, last)
		case <-tick.C:
		}
	}
}
