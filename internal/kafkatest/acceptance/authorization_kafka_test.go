//go:build kafka

package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// everybody is who all are at a plaintext listener.
const everybody = "User:ANONYMOUS"

// guarded starts a cluster that asks its authorizer, and allows what no ACL is about.
func guarded(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	return kafkatest.StartCluster(t, launch.Options{Properties: map[string]string{
		"authorizer.class.name":              "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"allow.everyone.if.no.acl.found":     "true",
		"group.coordinator.append.linger.ms": "0",
	}})
}

// deny takes a right on topics or groups away, and leaves all others; what it gives brings it back.
func deny(t *testing.T, c *kafkatest.Cluster, operation kadm.ACLOperation, on func(*kadm.ACLBuilder) *kadm.ACLBuilder) (allow func()) {
	t.Helper()
	create := func(b *kadm.ACLBuilder) {
		results, err := c.Admin().CreateACLs(within(t), on(b).ResourcePatternType(kadm.ACLPatternLiteral))
		require.NoError(t, err)
		for _, r := range results {
			require.NoError(t, r.Err)
		}
	}
	create(kadm.NewACLs().Allow(everybody).AllowHosts("*").Operations(kadm.OpAll))
	create(kadm.NewACLs().Deny(everybody).DenyHosts("*").Operations(operation))
	return func() {
		t.Helper()
		results, err := c.Admin().DeleteACLs(within(t),
			on(kadm.NewACLs().Deny(everybody).DenyHosts("*").Operations(operation)).ResourcePatternType(kadm.ACLPatternLiteral))
		require.NoError(t, err)
		for _, r := range results {
			require.NoError(t, r.Err)
			require.Len(t, r.Deleted, 1)
		}
	}
}

func onTopic(topic string) func(*kadm.ACLBuilder) *kadm.ACLBuilder {
	return func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.Topics(topic) }
}

func onGroup(group string) func(*kadm.ACLBuilder) *kadm.ACLBuilder {
	return func(b *kadm.ACLBuilder) *kadm.ACLBuilder { return b.Groups(group) }
}

// awaitDenied waits until a refusal is told, while no message comes.
func awaitDenied(t *testing.T, consumer *kafka.Consumer, resource, name string) {
	t.Helper()
	eventually(t, func() bool {
		got, err := consumer.GetMany(within(t), kafka.WaitFor(short))
		require.Empty(t, got)
		if err != nil {
			isDenied(t, err, resource, name)
		}
		return err != nil
	}, "it is not told that %s %s is refused", resource, name)
}

func isDenied(t *testing.T, err error, resource, name string) {
	t.Helper()
	var denied *kafka.AuthorizationError
	require.ErrorAs(t, err, &denied)
	require.Equal(t, resource, denied.Resource)
	require.Equal(t, name, denied.Name)
}

// awaitMessage takes messages past refusals until one comes.
func awaitMessage(t *testing.T, consumer *kafka.Consumer, resource, name string) (m *kafka.Message) {
	t.Helper()
	eventually(t, func() (ok bool) {
		var err error
		if m, err = consumer.GetOne(within(t)); err != nil {
			isDenied(t, err, resource, name)
		}
		return err == nil
	}, "no message comes")
	return m
}

// A topic that may no longer be read is told, holds nothing else up, and goes on where it was when the right is back.
func TestAuthorization_TopicRefusedAndBack(t *testing.T) {
	c := guarded(t)
	refused, other := c.NewTopic(t, kafkatest.Topic{}), c.NewTopic(t, kafkatest.Topic{})
	opts := []kafka.ConsumerOption{quick, kafka.WithTopics(refused, other), kafka.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond)}
	produce(t, c, refused, 0, numbered(0, 3)...)
	running := start(t, c, opts...)
	consecutive(t, 0, read(t, running, 3))
	for name, operation := range map[string]kadm.ACLOperation{"read": kadm.OpRead, "describe": kadm.OpDescribe} {
		t.Run(name, func(t *testing.T) {
			at := position(t, running, tpOf(refused, 0))
			allow := deny(t, c, operation, onTopic(refused))
			awaitDenied(t, running, "topic", refused)
			_, err := running.GetOne(within(t))
			require.ErrorIs(t, err, protocol.TopicAuthorizationFailed, "told again")
			late := start(t, c, append(opts, kafka.WithAutoOffsetReset(kafka.ResetLatest))...) // it begins while it is refused
			for _, consumer := range []*kafka.Consumer{running, late} {
				awaitDenied(t, consumer, "topic", refused)
			}
			if operation == kadm.OpRead {
				produce(t, c, refused, 0, "meanwhile") // needs no right to read
			}
			produce(t, c, other, 0, "elsewhere")
			for _, consumer := range []*kafka.Consumer{running, late} {
				if m := awaitMessage(t, consumer, "topic", refused); consumer == running {
					require.Equal(t, "elsewhere", string(m.Value))
				}
			}
			require.Equal(t, at, position(t, running, tpOf(refused, 0)))
			allow()
			eventually(t, func() bool { _, err := c.Admin().ListEndOffsets(within(t), refused); return err == nil }, "the right does not come back")
			if operation != kadm.OpRead {
				produce(t, c, refused, 0, "meanwhile")
			}
			m := awaitMessage(t, running, "topic", refused)
			require.Equal(t, "meanwhile", string(m.Value))
			require.Equal(t, at, m.Offset)
			eventually(t, func() bool {
				_, err := running.GetMany(within(t), kafka.WaitFor(short))
				return err == nil
			}, "it is told after it has passed")
			require.NoError(t, late.Close())
		})
	}
}

// A group that may no longer be used refuses commits at once, and members are told; both go on when the right is back.
func TestAuthorization_GroupRefusedAndBack(t *testing.T) {
	c := guarded(t)
	retries := kafka.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond)
	t.Run("commits", func(t *testing.T) {
		tp, group := committedAt5(t, c)
		consumer := startOn(t, c, append(byHand(group), retries), tp)
		consecutive(t, 5, read(t, consumer, 2))
		allow := deny(t, c, kadm.OpRead, onGroup(group))
		eventually(t, func() bool { return consumer.Commit(within(t)) != nil }, "commits are not refused")
		isDenied(t, consumer.Commit(within(t)), "group", group)
		require.Equal(t, "message 7", string(read(t, consumer, 1)[0].Value), "messages need no group")
		allow()
		eventually(t, func() bool { return consumer.Commit(within(t)) == nil }, "commits stay refused")
		require.EqualValues(t, 8, storedAt(t, c, group, tp))
	})
	t.Run("lookups", func(t *testing.T) { // weakness 6.1: a refusal is not "nothing committed"
		tp, group := committedAt5(t, c)
		allow := deny(t, c, kadm.OpDescribe, onGroup(group))
		consumer := startOn(t, c, append(byHand(group), retries, kafka.WithAutoOffsetReset(kafka.ResetLatest)), tp)
		awaitDenied(t, consumer, "group", group)
		_, err := consumer.Committed(within(t))
		isDenied(t, err, "group", group)
		allow()
		require.EqualValues(t, 5, awaitMessage(t, consumer, "group", group).Offset)
	})
	t.Run("members", func(t *testing.T) {
		topic, group := c.NewTopic(t, kafkatest.Topic{Partitions: 2}), kafkatest.TopicName(t)
		produce(t, c, topic, 0, numbered(0, 3)...)
		member := start(t, c, append(groupOptions(group), retries, kafka.WithTopics(topic))...)
		consecutive(t, 0, read(t, member, 3))
		allow := deny(t, c, kadm.OpRead, onGroup(group))
		eventually(t, func() bool {
			_, err := member.GetMany(within(t), kafka.WaitFor(short))
			if err != nil {
				isDenied(t, err, "group", group)
			}
			return err != nil
		}, "a member is not told")
		produce(t, c, topic, 1, "after")
		allow()
		m := awaitMessage(t, member, "group", group)
		for m.TopicPartition() == tpOf(topic, 0) { // what was not committed may come again
			m = awaitMessage(t, member, "group", group)
		}
		require.Equal(t, "after", string(m.Value))
		awaitStored(t, c, group, tpOf(topic, 0), 3)
	})
}
