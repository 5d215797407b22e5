package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// weighted is an assignor of a user's own: each member says how many partitions it wants, and gets about its share.
type weighted struct {
	weight      int
	cooperative bool

	mu    sync.Mutex
	asked []ownedAt             // calls of UserData
	led   [][]kafka.GroupMember // calls of Assign
	wrong func(shares map[string][]kafka.TopicPartition) error
	dumb  bool // UserData panics
}

type ownedAt struct {
	owned      []kafka.TopicPartition
	generation int32
}

func (w *weighted) Name() string      { return "weighted" }
func (w *weighted) Cooperative() bool { return w.cooperative }

func (w *weighted) UserData(owned []kafka.TopicPartition, generation int32) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dumb {
		panic("no data")
	}
	w.asked = append(w.asked, ownedAt{slices.Clone(owned), generation})
	return fmt.Append(nil, w.weight)
}

func (w *weighted) Assign(members []kafka.GroupMember, topics map[string][]kafka.PartitionInfo) (map[string][]kafka.TopicPartition, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.led = append(w.led, slices.Clone(members))
	sorted := slices.SortedFunc(slices.Values(members), func(a, b kafka.GroupMember) int { return strings.Compare(string(b.UserData), string(a.UserData)) })
	owner := make(map[kafka.TopicPartition]string)
	for _, m := range sorted {
		for _, tp := range m.Owned {
			owner[tp] = m.ID
		}
	}
	shares := make(map[string][]kafka.TopicPartition)
	for topic, partitions := range topics {
		at := 0
		for i, m := range sorted {
			weight, err := strconv.Atoi(string(m.UserData))
			if err != nil {
				return nil, err
			}
			if i == len(sorted)-1 {
				weight = len(partitions) // the rest
			}
			for ; weight > 0 && at < len(partitions); weight-- {
				tp := tpOf(topic, partitions[at].Partition)
				at++
				if had := owner[tp]; had == "" || had == m.ID {
					shares[m.ID] = append(shares[m.ID], tp)
				}
			}
		}
	}
	if w.wrong != nil {
		return shares, w.wrong(shares)
	}
	return shares, nil
}

// goWrong has Assign do that to what it gives; nil: nothing.
func (w *weighted) goWrong(how func(shares map[string][]kafka.TopicPartition) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = how
}

// joins gives what UserData was asked with.
func (w *weighted) joins() []ownedAt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// last gives the members of the last Assign here.
func (w *weighted) last() map[string]kafka.GroupMember {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]kafka.GroupMember)
	if n := len(w.led); n > 0 {
		for _, m := range w.led[n-1] {
			out[m.ID] = m
		}
	}
	return out
}

// Members share by an assignor of the user's own: what each says of itself comes to the leader, and what the leader
// decides, to each.
func TestGroupAssignor_OfTheUsersOwn(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, coop := range map[string]bool{"eager": false, "cooperative": true} {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 4, 5)
				three, one := &weighted{weight: 3, cooperative: coop}, &weighted{weight: 1, cooperative: coop}
				a, heardA := startMember(t, c, topic, []string{topic}, kafka.WithAssignors(three))
				require.Equal(t, tps, a.Assignment())
				first, _ := a.GroupMetadata()
				require.Equal(t, []ownedAt{{[]kafka.TopicPartition{}, -1}}, nonNil(three.joins()[:1]))
				joined := len(three.joins())

				b, heardB := startMember(t, c, topic, []string{topic}, kafka.WithAssignors(one))
				eventually(t, func() bool { return len(a.Assignment()) == 3 && len(b.Assignment()) == 1 }, "not shared by weight")
				require.Equal(t, tps[:3], a.Assignment())
				require.Equal(t, tps[3:], b.Assignment())
				require.Equal(t, ownedAt{tps, first.GenerationID}, three.joins()[joined], "what it has, or had before this join")
				for consumer, weight := range map[*kafka.Consumer]string{a: "3", b: "1"} {
					is, ok := consumer.GroupMetadata()
					require.True(t, ok)
					said, ok := three.last()[is.MemberID]
					require.True(t, ok, "the leader does not know %s", is.MemberID)
					require.Equal(t, weight, string(said.UserData))
					require.Equal(t, []string{topic}, said.Topics)
				}
				require.NotEmpty(t, readMany(t, a, 15))
				require.NotEmpty(t, readMany(t, b, 5))
				require.NoError(t, a.Stop(within(t)))
				shared(t, tps, b) // b leads now
				require.Len(t, one.last(), 1)
				heardA.inOrder(t)
				heardB.inOrder(t)
			})
		}
	})
}

// nonNil makes no difference between no partitions and none.
func nonNil(calls []ownedAt) (out []ownedAt) {
	for _, call := range calls {
		out = append(out, ownedAt{append([]kafka.TopicPartition{}, call.owned...), call.generation})
	}
	return out
}

var errAssign = errors.New("no idea")

// assignorFailures are the ways in which an assignor may fail on the leader, and what the error says.
var assignorFailures = map[string]struct {
	how  func(shares map[string][]kafka.TopicPartition) error
	says string
}{
	"error": {func(map[string][]kafka.TopicPartition) error { return errAssign }, "no idea"},
	"panic": {func(map[string][]kafka.TopicPartition) error { panic("lost my head") }, "panic in Assign: lost my head"},
	"no partition": {func(shares map[string][]kafka.TopicPartition) error {
		for id, share := range shares {
			shares[id] = append(share, tpOf(share[0].Topic, 99))
		}
		return nil
	}, "no partition of the group's topics"},
	"no member": {func(shares map[string][]kafka.TopicPartition) error {
		shares["nobody"] = nil
		return nil
	}, "no member of the group"},
}

// What an assignor does wrong on the leader fails Start, which may be called again.
func TestGroupAssignor_FailureFailsStart(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, failure := range assignorFailures {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 2, 2)
				w := &weighted{weight: 1, wrong: failure.how}
				a := newConsumer(t, c, append(groupOptions(topic), kafka.WithTopics(topic), kafka.WithAssignors(w))...)
				began := time.Now()
				err := a.Start(within(t))
				require.ErrorContains(t, err, failure.says)
				require.ErrorContains(t, err, "weighted")
				require.Equal(t, name == "error", errors.Is(err, errAssign))
				require.Less(t, time.Since(began), soon)
				require.Empty(t, described(t, c, topic), "it has left the group")
				w.goWrong(nil)
				require.NoError(t, a.Start(within(t)))
				require.Equal(t, tps, a.Assignment())
				readMany(t, a, 4)
				require.NoError(t, a.Stop(within(t)))
			})
		}
		t.Run("panic in UserData", func(t *testing.T) {
			topic, _ := filled(t, c, 2, 2)
			a := newConsumer(t, c, append(groupOptions(topic), kafka.WithTopics(topic), kafka.WithAssignors(&weighted{dumb: true}))...)
			require.ErrorContains(t, a.Start(within(t)), "panic in UserData: no data")
		})
	})
}

// What it does wrong later is told by the Get calls of the leader, until a rebalance succeeds; that comes by itself, and
// nothing is lost or comes twice.
func TestGroupAssignor_FailureIsToldUntilARebalanceSucceeds(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, coop := range map[string]bool{"eager": false, "cooperative": true} {
			for how, failure := range assignorFailures {
				t.Run(name+", "+how, func(t *testing.T) {
					topic, tps := filled(t, c, 2, 3)
					w := &weighted{weight: 1, cooperative: coop}
					a, heard := startMember(t, c, topic, []string{topic}, kafka.WithAssignors(w), kafka.WithRetryBackoff(10*time.Millisecond, 50*time.Millisecond))
					readMany(t, a, 6)
					w.goWrong(failure.how)
					require.NoError(t, a.EnforceRebalance("for the test"))
					for range 3 {
						_, err := a.GetOne(within(t))
						require.ErrorContains(t, err, failure.says)
						_, err = a.GetMany(within(t))
						require.ErrorContains(t, err, "weighted")
					}
					w.goWrong(nil)
					produce(t, c, topic, 0, "after")
					require.Equal(t, []string{"after"}, texts(readThrough(t, a, "weighted")))
					eventually(t, func() bool { // a cooperative member has its messages meanwhile
						_, err := a.GetMany(within(t), kafka.WaitFor(short))
						return err == nil
					}, "no rebalance succeeds")
					require.Equal(t, tps, a.Assignment())
					nothing(t, a)
					b, _ := startMember(t, c, topic, []string{topic}, kafka.WithAssignors(&weighted{weight: 1, cooperative: coop}))
					shared(t, tps, a, b)
					nothing(t, a)
					nothing(t, b)
					heard.inOrder(t)
				})
			}
		}
	})
}

// readThrough takes one message, over errors that say something.
func readThrough(t *testing.T, consumer *kafka.Consumer, says string) []*kafka.Message {
	t.Helper()
	for ctx := within(t); ; {
		m, err := consumer.GetOne(ctx)
		if err == nil {
			return []*kafka.Message{m}
		}
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, says)
	}
}
