package assign

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// claimed says which members say they own a partition.
func claimed(members []Member) map[Partition][]string {
	by := map[Partition][]string{}
	for _, m := range members {
		for _, p := range m.Owned {
			by[p] = append(by[p], m.ID)
		}
	}
	return by
}

// moving is what balance moves away from somebody who owns it: what must be withheld.
func moving(members []Member, topics map[string][]PartitionInfo) map[Partition]bool {
	moves := map[Partition]bool{}
	owners := claimed(members)
	for id, partitions := range Sticky(members, topics) {
		for _, p := range partitions {
			if len(owners[p]) > 0 && owners[p][0] != id {
				moves[p] = true
			}
		}
	}
	return moves
}

func TestCooperativeSticky_ConvergesInTwoRoundsWhateverHappens(t *testing.T) {
	withheldInAll := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		equal := seed%2 == 0
		topics := randomTopics(r, 5, 12)
		members := randomMembers(r, 1+r.IntN(6), topics, equal)
		generation := int32(0)
		for change := range 6 {
			switch what := r.IntN(4); {
			case what == 0 && len(members) > 1:
				members = members[1:]
			case what == 1:
				members = append(members, randomMember(r, fmt.Sprintf("new%d", change), topics, equal))
			case what == 2:
				topics["t0"] = infos(len(topics["t0"]) + r.IntN(8))
			case what == 3 && !equal: // another subscription; what it drops is given up at once, before it rejoins
				m := &members[r.IntN(len(members))]
				*m = Member{ID: m.ID, Topics: randomMember(r, "", topics, false).Topics, Generation: m.Generation}
			}
			where := fmt.Sprintf("seed %d, change %d", seed, change)

			withheld := moving(members, topics)
			withheldInAll += len(withheld)
			first := CooperativeSticky(members, topics)
			requireShared(t, members, topics, first, withheld)
			for p, owners := range claimed(members) {
				for id, partitions := range first {
					if id != owners[0] {
						require.NotContains(t, partitions, p, "%s: %s still owns it", where, owners[0])
					}
				}
			}
			generation++
			settle(members, first, generation) // who lost something gives it up and rejoins

			require.Empty(t, moving(members, topics), where)
			second := CooperativeSticky(members, topics)
			requireShared(t, members, topics, second, nil)
			if equal {
				requireBalanced(t, second)
			}
			for id, partitions := range first {
				require.Subset(t, second[id], partitions, "%s: the second round moves nothing", where)
			}
			generation++
			settle(members, second, generation)
		}
	}
	require.Greater(t, withheldInAll, 500, "partitions that moved")
}

func TestCooperativeSticky_DecidesBetweenClaims(t *testing.T) {
	topics := map[string][]PartitionInfo{"t0": infos(2)}
	p0, p1 := Partition{"t0", 0}, Partition{"t0", 1}
	member := func(id string, generation int32, owned ...Partition) Member {
		return Member{ID: id, Topics: []string{"t0"}, Generation: generation, Owned: owned}
	}
	old := func(id string, generation int32, owned ...Partition) Member { // of subscription version 1
		m := member(id, -1, owned...)
		m.UserData = CooperativeUserData(generation)
		return m
	}
	for _, c := range []struct {
		name    string
		members []Member
		want    Assignment
	}{
		{"the newer generation counts, and keeps",
			[]Member{member("a", 3, p0, p1), member("b", 4, p1)},
			Assignment{"a": {p0}, "b": {p1}}},
		{"also where it comes first",
			[]Member{member("a", 4, p1), member("b", 3, p0, p1)},
			Assignment{"a": {p1}, "b": {p0}}},
		{"also where it is in the user data",
			[]Member{old("a", 3, p0, p1), old("b", 4, p1)},
			Assignment{"a": {p0}, "b": {p1}}},
		{"a generation counts more than none",
			[]Member{member("a", -1, p0, p1), member("b", 0, p1)},
			Assignment{"a": {p0}, "b": {p1}}},
		{"of the same generation the first, and nobody owns twice",
			[]Member{member("a", 3, p0), member("b", 3, p0)},
			Assignment{"a": {p0}, "b": {p1}}},
		{"an old claim that nobody disputes holds",
			[]Member{member("a", 3, p1), member("b", 4, p0)},
			Assignment{"a": {p1}, "b": {p0}}},
		{"what the owner must give up does not go to an old claim before it has",
			[]Member{member("a", 3, p1), member("b", 4, p0, p1), member("c", -1)},
			Assignment{"a": nil, "b": {p0}, "c": nil}},
		{"what is claimed but not subscribed to any more is withheld too",
			[]Member{{ID: "a", Topics: []string{"other"}, Generation: 4, Owned: []Partition{p0}}, member("b", 4, p1)},
			Assignment{"a": nil, "b": {p1}}},
		{"nor does an older claim to it count",
			[]Member{{ID: "a", Topics: []string{"other"}, Generation: 4, Owned: []Partition{p0}}, member("b", 3, p0, p1)},
			Assignment{"a": nil, "b": {p1}}},
		{"a partition that does not exist is nobody's",
			[]Member{member("a", 4, p0, Partition{"t0", 7}, Partition{"gone", 0}), member("b", 4, p1)},
			Assignment{"a": {p0}, "b": {p1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, CooperativeSticky(c.members, topics))
		})
	}
}
