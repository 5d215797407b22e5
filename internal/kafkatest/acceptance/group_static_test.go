package acceptance

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// eagerAndCooperative are the two ways of giving partitions up.
var eagerAndCooperative = map[string]kafka.ConsumerOption{"eager": assignorLists["default"], "cooperative": cooperative}

// callsUntilShared are those of a first member's listener until it shares with a second one.
var callsUntilShared = map[string]int{"eager": 3, "cooperative": 2}

// generationOf gives the generation that a consumer is a member in.
func generationOf(t *testing.T, consumer *kafka.Consumer) int32 {
	t.Helper()
	is, ok := consumer.GroupMetadata()
	require.True(t, ok)
	return is.GenerationID
}

// awaitMember waits until a consumer has partitions, and is a member in a generation of at least that number.
func awaitMember(t *testing.T, consumer *kafka.Consumer, generation int32, tps ...kafka.TopicPartition) {
	t.Helper()
	eventually(t, func() bool {
		is, ok := consumer.GroupMetadata()
		return ok && is.GenerationID >= generation && slices.Equal(consumer.Assignment(), tps)
	}, "it does not have %v in generation %d", tps, generation)
}

// A static member that unsubscribes and subscribes, or restarts, within its session timeout keeps its place: nobody hears of it, and
// it has the same partitions. After the timeout they move (KIP-345).
func TestGroupStatic_KeepsItsPlaceForTheSessionTimeout(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range eagerAndCooperative {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 4, 5)
				static := func(id string) (*kafka.Consumer, *recorder) {
					return startMember(t, c, topic, []string{topic}, assignors, kafka.WithGroupInstanceID(id), kafka.WithSessionTimeout(3*time.Second))
				}
				a, heardA := static("a")
				b, heardB := static("b")
				shared(t, tps, a, b)
				kept, had := a.Assignment(), b.Assignment()
				readMany(t, b, 10)
				awaitSame(t, a, b)
				was := generationOf(t, a)
				heardA.await(t, callsUntilShared[name])
				heardA.forget()
				heardB.forget()

				require.NoError(t, b.Unsubscribe(within(t)))
				require.Empty(t, b.Assignment())
				require.Len(t, described(t, c, topic), 2, "it does not leave")
				require.NoError(t, b.Subscribe([]string{topic}, kafka.WithListener(heardB)))
				awaitMember(t, b, was, had...)
				heardB.await(t, 2)
				nothing(t, b) // what was read is committed
				require.NoError(t, b.Stop(within(t)))
				require.Equal(t, []told{revoked(had...), assigned(had...), revoked(had...)}, heardB.so())
				b, heardB = static("b")
				require.Equal(t, had, b.Assignment())
				require.Equal(t, []told{assigned(had...)}, heardB.so())
				nothing(t, b)
				if c.Fake() == nil || name == "eager" { // kfake rebalances where what the member says of itself has changed
					require.Equal(t, was, generationOf(t, b))
					require.Equal(t, was, generationOf(t, a), "there was no rebalance")
				}
				require.Empty(t, heardA.so())

				began := time.Now()
				require.NoError(t, b.Stop(within(t)))
				shared(t, tps, a)
				t.Logf("the partitions of a static member that has stopped move after %v", time.Since(began).Round(time.Millisecond))
				require.Greater(t, time.Since(began), 2*time.Second)
				require.Len(t, described(t, c, topic), 1)
				if name == "eager" {
					heardA.hears(t, revoked(kept...), assigned(tps...))
				} else {
					heardA.hears(t, assigned(had...))
				}
				b, _ = static("b")
				shared(t, tps, a, b)
			})
		}
	})
}

// A dynamic member leaves when it unsubscribes or stops, and joins as another one: each is a rebalance, which the others hear of once.
func TestGroupStatic_DynamicMemberCausesARebalanceEachTime(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, assignors := range eagerAndCooperative {
			t.Run(name, func(t *testing.T) {
				topic, tps := filled(t, c, 4, 5)
				join := func() (*kafka.Consumer, *recorder) { return startMember(t, c, topic, []string{topic}, assignors) }
				a, heardA := join()
				b, heardB := join()
				shared(t, tps, a, b)
				awaitSame(t, a, b)
				heardA.await(t, callsUntilShared[name])
				heardB.await(t, 1)
				// goes and comes hold a to what it hears when b does so: exactly this.
				goes := func(leave func() error) {
					t.Helper()
					before, kept, had := generationOf(t, a), a.Assignment(), b.Assignment()
					heardA.forget()
					heardB.forget()
					require.NoError(t, leave())
					awaitMember(t, a, before+1, tps...)
					require.Equal(t, before+1, generationOf(t, a))
					require.Equal(t, []told{revoked(had...)}, heardB.so())
					if name == "eager" {
						heardA.hears(t, revoked(kept...), assigned(tps...))
					} else {
						heardA.hears(t, assigned(had...))
					}
				}
				comes := func(join func() error) {
					t.Helper()
					before := generationOf(t, a)
					heardA.forget()
					heardB.forget()
					require.NoError(t, join())
					shared(t, tps, a, b)
					awaitSame(t, a, b)
					kept, moved := a.Assignment(), b.Assignment()
					heardB.hears(t, assigned(moved...))
					if name == "eager" {
						heardA.await(t, 2)
						require.Equal(t, before+1, generationOf(t, a))
						require.Equal(t, []told{revoked(tps...), assigned(kept...)}, heardA.so())
					} else {
						require.Equal(t, before+2, generationOf(t, a), "one to give up, one to take")
						heardA.hears(t, revoked(moved...))
					}
				}
				goes(func() error { return b.Unsubscribe(within(t)) })
				comes(func() error { return b.Subscribe([]string{topic}, kafka.WithListener(heardB)) })
				goes(func() error { return b.Stop(within(t)) })
				comes(func() error { b, heardB = join(); return nil })
			})
		}
	})
}

// awaitSame waits until members agree on the generation.
func awaitSame(t *testing.T, a, b *kafka.Consumer) {
	t.Helper()
	eventually(t, func() bool {
		one, ok := a.GroupMetadata()
		two, also := b.GroupMetadata()
		return ok && also && one.GenerationID == two.GenerationID
	}, "they are not in the same generation")
}
