package kafkatest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestFake_InMemoryInsideSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.Fake(t, kafkatest.FakeOptions{Nodes: 3, InMemory: true})
		topic := c.NewTopic(t, kafkatest.Topic{})
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values("a", "b"))
		if got := values(consume(t, c, topic, 0, 2)); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("got %q", got)
		}
		leader := c.Leader(t, topic, 0)
		node := c.Node(t, leader)
		node.Kill(t)
		if _, err := c.Dial(t.Context(), "tcp", node.Addr); err == nil {
			t.Errorf("reached node %d after its death", leader)
		}
		c.AwaitNewLeader(t, topic, 0, leader)
		kafkatest.Produce(t, c, topic, 0, kafkatest.Values("c"))
		node.Start(t)
		c.MoveLeader(t, topic, 0, leader)
		if got := values(consume(t, c, topic, 0, 3)); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestFake_PauseInMemoryHoldsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.Fake(t, kafkatest.FakeOptions{InMemory: true})
		node := c.Nodes()[0]
		node.Pause(t)
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- c.Client().Ping(t.Context()) }()
		time.Sleep(time.Second) // the bubble's clock
		select {
		case err := <-done:
			t.Errorf("a paused node answered (%v)", err)
		default:
		}
		node.Continue(t)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited < time.Second {
			t.Errorf("answered after %v", waited)
		}
	})
}

func TestFake_OldVersionsAreWhatTheBrokerOffers(t *testing.T) {
	for _, version := range kafkatest.OldVersions {
		c := kafkatest.Fake(t, kafkatest.FakeOptions{Version: version})
		versions, err := c.Admin().ApiVersions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want, _ := kversion.FromString("v" + version).LookupMaxKeyVersion(int16(kmsg.Fetch))
		broker := versions[0]
		got, ok := broker.KeyMaxVersion(int16(kmsg.Fetch))
		if !ok || got != want {
			t.Errorf("as %s the fake offers Fetch up to %d, want %d", version, got, want)
		}
	}
}

func TestFake_FaultsOfTheFakeBrokerAreAtHand(t *testing.T) {
	c := kafkatest.Fake(t, kafkatest.FakeOptions{})
	fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "forbidden", Err: kerr.TopicAuthorizationFailed})
	_, err := c.Admin().CreateTopic(t.Context(), 1, 1, nil, "forbidden")
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || fault.Hits() != 1 {
		t.Errorf("got %v after %d hits", err, fault.Hits())
	}
}

func TestTopicName_IsValidAndNew(t *testing.T) {
	t.Run("a name/with everything: ü_x", func(t *testing.T) {
		a, b := kafkatest.TopicName(t), kafkatest.TopicName(t)
		if a == b {
			t.Errorf("the same name twice: %s", a)
		}
		for _, r := range a {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", r) {
				t.Errorf("%q in %s", r, a)
			}
		}
	})
}
