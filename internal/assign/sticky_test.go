package assign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// algorithms are all four; each must share out what there is, whatever the group.
var algorithms = map[string]func([]Member, map[string][]PartitionInfo) Assignment{
	"range": Range, "roundrobin": RoundRobin, "sticky": Sticky, "cooperative-sticky": CooperativeSticky,
}

// randomTopics makes up to n topics of up to size partitions.
func randomTopics(r *rand.Rand, n, size int) map[string][]PartitionInfo {
	topics := map[string][]PartitionInfo{}
	for t := range 1 + r.IntN(n) {
		topics[fmt.Sprintf("t%d", t)] = infos(1 + r.IntN(size))
	}
	return topics
}

func infos(n int) []PartitionInfo {
	partitions := make([]PartitionInfo, n)
	for p := range partitions {
		partitions[p].Partition = int32(p)
	}
	return partitions
}

// randomMembers makes members that own nothing; equal says whether they subscribe to the same topics.
func randomMembers(r *rand.Rand, n int, topics map[string][]PartitionInfo, equal bool) []Member {
	members := make([]Member, n)
	for m := range members {
		members[m] = randomMember(r, fmt.Sprintf("m%d", m), topics, equal)
	}
	return members
}

func randomMember(r *rand.Rand, id string, topics map[string][]PartitionInfo, equal bool) Member {
	m := Member{ID: id, Generation: -1}
	for t := range len(topics) {
		if equal || r.IntN(3) > 0 {
			m.Topics = append(m.Topics, fmt.Sprintf("t%d", t))
		}
	}
	return m
}

// own hands random partitions, disjoint, to subscribers, as of one generation.
func own(r *rand.Rand, members []Member, topics map[string][]PartitionInfo, generation int32) {
	for t := range len(topics) {
		name := fmt.Sprintf("t%d", t)
		for _, p := range topics[name] {
			m := &members[r.IntN(1+r.IntN(len(members)))] // the first have more
			m.Generation = generation
			if r.IntN(4) > 0 && slices.Contains(m.Topics, name) {
				m.Owned = append(m.Owned, Partition{name, p.Partition})
			}
		}
	}
}

// requireShared fails unless each partition somebody subscribes to is assigned once, to a subscriber; withheld ones may be missing.
func requireShared(t *testing.T, members []Member, topics map[string][]PartitionInfo, a Assignment, withheld map[Partition]bool) {
	t.Helper()
	require.Len(t, a, len(members))
	got := map[Partition]string{}
	wanted := map[Partition]bool{}
	for _, m := range members {
		require.Contains(t, a, m.ID)
		require.True(t, slices.IsSortedFunc(a[m.ID], comparePartitions))
		for _, p := range a[m.ID] {
			require.Contains(t, m.Topics, p.Topic, "%s does not subscribe", m.ID)
			require.Empty(t, got[p], "%v assigned to %s too", p, m.ID)
			got[p] = m.ID
		}
		for _, name := range m.Topics {
			for _, p := range topics[name] {
				wanted[Partition{name, p.Partition}] = true
			}
		}
	}
	for p := range wanted {
		require.True(t, (got[p] != "") != withheld[p], "%v: assigned to %q, withheld: %v", p, got[p], withheld[p])
	}
	require.Len(t, got, len(wanted)-len(withheld))
}

func TestAssign_GivesEveryPartitionOnceAndOnlyToSubscribers(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		topics := randomTopics(r, 5, 12)
		members := randomMembers(r, 1+r.IntN(8), topics, seed%2 == 0)
		members[0].Topics = append(members[0].Topics, "no such topic", "t0", "t0")
		for name, f := range algorithms {
			first := f(members, topics)
			requireShared(t, members, topics, first, nil)
			r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			require.Equal(t, first, f(members, topics), "%s, seed %d: depends on the order of members", name, seed)
		}
	}
}

func TestAssign_OfNothing(t *testing.T) {
	for name, f := range algorithms {
		require.Equal(t, Assignment{}, f(nil, map[string][]PartitionInfo{"t0": infos(3)}), name)
		require.Equal(t, Assignment{"a": nil}, f([]Member{{ID: "a", Topics: []string{"gone"}}}, nil), name)
		require.Equal(t, Assignment{"a": nil}, f([]Member{{ID: "a"}}, map[string][]PartitionInfo{"t0": infos(3)}), name)
		require.Equal(t, Assignment{"a": nil}, f([]Member{{ID: "a", Topics: []string{"t0"}}}, map[string][]PartitionInfo{"t0": nil}), name)
	}
}

// best is the least sum of squared loads, and the fewest partitions lost for that, over all assignments there are.
func best(g *group, owner []int) (leastSquares, fewestLost int) {
	load := make([]int, len(g.members))
	leastSquares = -1
	var try func(topic, partition, squares, lost int)
	try = func(topic, partition, squares, lost int) {
		if topic == len(g.topics) {
			if leastSquares < 0 || squares < leastSquares || squares == leastSquares && lost < fewestLost {
				leastSquares, fewestLost = squares, lost
			}
			return
		}
		t := g.topics[topic]
		if partition == len(t.partitions) {
			try(topic+1, 0, squares, lost)
			return
		}
		o := owner[t.first+partition]
		for _, m := range t.subscribers {
			load[m]++
			try(topic, partition+1, squares+2*load[m]-1, lost+boolInt(o != nobody && o != m))
			load[m]--
		}
	}
	try(0, 0, 0, 0)
	return leastSquares, fewestLost
}

func TestSticky_IsTheBestThereIs(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		topics := randomTopics(r, 4, 2)
		members := randomMembers(r, 1+r.IntN(4), topics, seed%4 == 0)
		own(r, members, topics, 3)
		g := newGroup(members, topics)
		owner := newOwnership(g, stickyClaims).owner

		a := Sticky(members, topics)

		requireShared(t, members, topics, a, nil)
		leastSquares, fewestLost := best(g, owner)
		require.Equal(t, leastSquares, squares(a), "seed %d: balance", seed)
		require.Equal(t, fewestLost, lost(g, owner, a), "seed %d: partitions lost", seed)
	}
}

// settle gives every member what it was assigned, in a new generation.
func settle(members []Member, a Assignment, generation int32) {
	for i := range members {
		members[i].Owned, members[i].Generation = a[members[i].ID], generation
	}
}

func requireBalanced(t *testing.T, a Assignment) {
	t.Helper()
	least, most := -1, 0
	for _, partitions := range a {
		if least < 0 || len(partitions) < least {
			least = len(partitions)
		}
		most = max(most, len(partitions))
	}
	require.LessOrEqual(t, most-least, 1)
}

func TestSticky_MovesOnlyWhatItMustWithEqualSubscriptions(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		topics := randomTopics(r, 4, 30)
		members := randomMembers(r, 2+r.IntN(8), topics, true)
		settle(members, Sticky(members, topics), 1)
		moved := func(members []Member) int {
			g := newGroup(members, topics)
			a := Sticky(members, topics)
			requireShared(t, members, topics, a, nil)
			requireBalanced(t, a)
			return lost(g, newOwnership(g, stickyClaims).owner, a)
		}

		require.Zero(t, moved(members), "seed %d: nothing changed", seed)

		gone := r.IntN(len(members))
		left := slices.Delete(slices.Clone(members), gone, gone+1)
		require.Zero(t, moved(left), "seed %d: a member left", seed)

		joined := append(slices.Clone(members), randomMember(r, "new", topics, true))
		size := newGroup(joined, topics).size
		require.Equal(t, size/len(joined), moved(joined), "seed %d: a member joined, who needs as many", seed)

		topics["t0"] = infos(len(topics["t0"]) + 1 + r.IntN(20))
		require.Zero(t, moved(members), "seed %d: a topic grew", seed)
	}
}

func TestSticky_GivesUpFromAllTopicsAlike(t *testing.T) {
	topics := map[string][]PartitionInfo{"t0": infos(4), "t1": infos(4)}
	members := []Member{{ID: "a", Topics: []string{"t0", "t1"}}}
	settle(members, Sticky(members, topics), 1)

	a := Sticky(append(members, Member{ID: "b", Topics: members[0].Topics, Generation: -1}), topics)

	require.Equal(t, Assignment{"a": {{"t0", 0}, {"t0", 1}, {"t1", 0}, {"t1", 1}}, "b": {{"t0", 2}, {"t0", 3}, {"t1", 2}, {"t1", 3}}}, a)
}

// large is a group with 10,000 partitions; skewed: one member owns them all.
func large(equal, skewed bool, topicCount int) ([]Member, map[string][]PartitionInfo) {
	r := rand.New(rand.NewPCG(1, 4))
	topics := map[string][]PartitionInfo{}
	for i := range topicCount {
		topics[fmt.Sprintf("t%d", i)] = infos(10_000 / topicCount)
	}
	members := randomMembers(r, 100, topics, equal)
	if skewed {
		members[7] = randomMember(r, "m7", topics, true)
		own(r, members[7:8], topics, 1)
	} else {
		own(r, members, topics, 1)
	}
	return members, topics
}

func TestSticky_TakesFarLessThanASecondForTenThousandPartitions(t *testing.T) {
	for _, equal := range []bool{true, false} {
		for _, skewed := range []bool{true, false} {
			members, topics := large(equal, skewed, 100)
			fastest := time.Hour
			for range 3 { // the machine may be busy
				start := time.Now()
				Sticky(members, topics)
				fastest = min(fastest, time.Since(start))
			}
			t.Logf("equal subscriptions %v, one member owns all %v: %v", equal, skewed, fastest)
			require.Less(t, fastest, time.Second)
		}
	}
}

func BenchmarkSticky(b *testing.B) {
	for _, equal := range []bool{true, false} {
		for _, skewed := range []bool{true, false} {
			for _, topicCount := range []int{100, 1000} {
				b.Run(fmt.Sprintf("equal=%v/skewed=%v/topics=%d", equal, skewed, topicCount), func(b *testing.B) {
					members, topics := large(equal, skewed, topicCount)
					for b.Loop() {
						Sticky(members, topics)
					}
				})
			}
		}
	}
}
