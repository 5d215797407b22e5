package acceptance

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// often is an autocommit interval at which a test sees many.
const often = 30 * time.Millisecond

// autocommits turns autocommit on, at short intervals.
var autocommits = func(group string) []kafka.ConsumerOption {
	return []kafka.ConsumerOption{kafka.WithGroupID(group), kafka.WithAutoCommitInterval(often)}
}

// byHand sets a group without autocommit.
func byHand(group string) []kafka.ConsumerOption {
	return []kafka.ConsumerOption{kafka.WithGroupID(group), kafka.WithAutoCommit(false)}
}

// startOn starts a consumer of partitions assigned by hand.
func startOn(t *testing.T, c *kafkatest.Cluster, opts []kafka.ConsumerOption, tps ...kafka.TopicPartition) *kafka.Consumer {
	t.Helper()
	consumer := start(t, c, opts...)
	require.NoError(t, consumer.Assign(tps...))
	return consumer
}

// stored gives what a group has committed, as another client sees it.
func stored(t *testing.T, c *kafkatest.Cluster, group string) map[kafka.TopicPartition]kafka.OffsetAndMetadata {
	t.Helper()
	ctx := within(t)
	offsets, err := c.Admin().FetchOffsets(ctx, group)
	for errors.Is(err, io.EOF) && ctx.Err() == nil { // a connection of the test's own that ended with its broker
		offsets, err = c.Admin().FetchOffsets(ctx, group)
	}
	if !errors.Is(err, kerr.GroupIDNotFound) {
		require.NoError(t, err)
	}
	out := make(map[kafka.TopicPartition]kafka.OffsetAndMetadata)
	for topic, partitions := range offsets {
		for p, o := range partitions {
			require.NoError(t, o.Err)
			out[tpOf(topic, p)] = kafka.OffsetAndMetadata{Offset: o.At, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata}
		}
	}
	return out
}

// storedAt gives the offset that a group has committed for a partition; -1 for none.
func storedAt(t *testing.T, c *kafkatest.Cluster, group string, tp kafka.TopicPartition) int64 {
	t.Helper()
	o, ok := stored(t, c, group)[tp]
	if !ok {
		return -1
	}
	return o.Offset
}

// store commits an offset of a group as another client.
func store(t *testing.T, c *kafkatest.Cluster, group string, tp kafka.TopicPartition, offset int64) {
	t.Helper()
	consumer := startOn(t, c, byHand(group), tp)
	require.NoError(t, consumer.CommitOffsets(within(t), map[kafka.TopicPartition]kafka.OffsetAndMetadata{tp: {Offset: offset}}))
}

// awaitStored waits until a group has committed an offset.
func awaitStored(t *testing.T, c *kafkatest.Cluster, group string, tp kafka.TopicPartition, offset int64) {
	t.Helper()
	var last int64
	require.Eventually(t, func() bool { last = storedAt(t, c, group, tp); return last == offset }, 20*time.Second, 10*time.Millisecond,
		"%v is not committed at %d", tp, offset)
}

// staysStored watches over many autocommits that nothing else is committed.
func staysStored(t *testing.T, c *kafkatest.Cluster, group string, tp kafka.TopicPartition, offset int64) {
	t.Helper()
	for end := time.Now().Add(5 * often); time.Now().Before(end); <-time.After(often) {
		require.Equal(t, offset, storedAt(t, c, group, tp), "of %v", tp)
	}
}

// crash ends a consumer without its last commit, as the end of its process would; it says so where there would have been one.
func crash(t *testing.T, consumer *kafka.Consumer) {
	t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := consumer.Stop(ended); err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// fault makes a fake cluster answer requests of a group with an error; count below 0: until removed.
func fault(c *kafkatest.Cluster, key kmsg.Key, group string, err *kerr.Error, count int) *kfake.FaultHandle {
	return c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Group: group, Err: err, Count: count})
}

// eachFake runs a test that injects what only a fake can, on fakes of several releases.
func eachFake(t *testing.T, test func(t *testing.T, c *kafkatest.Cluster)) {
	t.Helper()
	for _, version := range append([]string{""}, kafkatest.OldVersions...) {
		t.Run("kfake"+version, func(t *testing.T) { test(t, kafkatest.Fake(t, kafkatest.FakeOptions{Version: version})) })
	}
}

// refuseMetadata makes a fake cluster refuse what a real one would: too much metadata of the partitions.
func refuseMetadata(c *kafkatest.Cluster, topic string, partitions ...int32) {
	if c.Fake() != nil {
		c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: topic, Partitions: partitions, Err: kerr.OffsetMetadataTooLarge, Count: -1})
	}
}

// errorAs is errors.As as a plain question.
func errorAs[E error](err error, target *E) bool { return errors.As(err, target) }

// coordinatorOf gives the node that keeps a group's offsets.
func coordinatorOf(t *testing.T, c *kafkatest.Cluster, group string) int32 {
	t.Helper()
	coordinators := c.Admin().FindGroupCoordinators(within(t), group)
	require.NoError(t, coordinators[group].Err)
	return coordinators[group].NodeID
}
