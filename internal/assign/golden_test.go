package assign

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goldenGroup is a line of testdata/groups.jsonl, which internal/kafkatest/golden/assign writes with the Java client.
type goldenGroup struct {
	Topics  map[string][][]string // per partition the racks of its replicas
	Members []struct {
		ID, Instance, Rack          string
		Topics                      []string
		Owned                       map[string][]int32
		Generation                  int32
		StickyData, CooperativeData string
	}
	Range, RoundRobin, Sticky map[string]map[string][]int32
}

func goldenGroups(t *testing.T) []goldenGroup {
	f, err := os.Open("testdata/groups.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var groups []goldenGroup
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var g goldenGroup
		require.NoError(t, json.Unmarshal(lines.Bytes(), &g))
		groups = append(groups, g)
	}
	require.NoError(t, lines.Err())
	require.Len(t, groups, 400)
	return groups
}

func (g *goldenGroup) members(t *testing.T) []Member {
	var members []Member
	for _, m := range g.Members {
		data, err := hex.DecodeString(m.StickyData)
		require.NoError(t, err)
		members = append(members, Member{ID: m.ID, InstanceID: m.Instance, RackID: m.Rack, Topics: m.Topics, Generation: m.Generation, UserData: data})
	}
	return members
}

func (g *goldenGroup) topics() map[string][]PartitionInfo {
	topics := map[string][]PartitionInfo{}
	for name, partitions := range g.Topics {
		for i, racks := range partitions {
			topics[name] = append(topics[name], PartitionInfo{Partition: int32(i), Racks: racks})
		}
		slices.Reverse(topics[name]) // the order they come in means nothing
	}
	return topics
}

// flat is a golden assignment in our form.
func flat(golden map[string]map[string][]int32) Assignment {
	a := Assignment{}
	for id, topics := range golden {
		a[id] = nil
		for topic, numbers := range topics {
			for _, n := range numbers {
				a[id] = append(a[id], Partition{topic, n})
			}
		}
		slices.SortFunc(a[id], comparePartitions)
	}
	return a
}

func comparePartitions(a, b Partition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition - b.Partition)
}

func TestRangeAndRoundRobin_AssignWhatTheJavaClientDoes(t *testing.T) {
	for i, g := range goldenGroups(t) {
		require.Equal(t, flat(g.Range), Range(g.members(t), g.topics()), "range, line %d", i+1)
		require.Equal(t, flat(g.RoundRobin), RoundRobin(g.members(t), g.topics()), "roundrobin, line %d", i+1)
	}
}

func TestGoldenGroups_HaveGroupsInWhichRacksMatter(t *testing.T) {
	differ := 0
	for _, g := range goldenGroups(t) {
		members := g.members(t)
		with := Range(members, g.topics())
		for i := range members {
			members[i].RackID = ""
		}
		if without := Range(members, g.topics()); !equalAssignments(with, without) {
			differ++
		}
	}
	require.Greater(t, differ, 30, "groups whose range differs by rack")
}

func equalAssignments(a, b Assignment) bool {
	for id := range a {
		if !slices.Equal(a[id], b[id]) {
			return false
		}
	}
	return len(a) == len(b)
}

// The Java client moves more than it must where subscriptions differ, or racks; ours must never be less balanced, nor move
// more for the same balance.
func TestSticky_IsNeverLessBalancedNorMovesMoreThanTheJavaClient(t *testing.T) {
	compared, better := 0, 0
	for i, g := range goldenGroups(t) {
		members := g.members(t)
		if slices.ContainsFunc(members, func(m Member) bool { return len(m.Topics) == 0 }) {
			continue // to such a member the Java client may assign what it does not subscribe to
		}
		compared++
		owned := newOwnership(newGroup(members, g.topics()), stickyClaims)
		grp := newGroup(members, g.topics())
		ours, theirs := Sticky(members, g.topics()), flat(g.Sticky)
		require.LessOrEqual(t, squares(ours), squares(theirs), "line %d", i+1)
		if squares(ours) < squares(theirs) {
			better++
			continue
		}
		require.LessOrEqual(t, lost(grp, owned.owner, ours), lost(grp, owned.owner, theirs), "line %d", i+1)
	}
	require.Greater(t, compared, 300)
	t.Logf("of %d groups %d are better balanced than the Java client's", compared, better)
}

func squares(a Assignment) (sum int) {
	for _, partitions := range a {
		sum += len(partitions) * len(partitions)
	}
	return sum
}

// lost counts the partitions that their owner does not have any more.
func lost(g *group, owner []int, a Assignment) (n int) {
	for _, t := range g.topics {
		for i, p := range t.partitions {
			m := owner[t.first+i]
			if m != nobody && !slices.Contains(a[g.members[m].ID], Partition{t.name, p.Partition}) {
				n++
			}
		}
	}
	return n
}

func TestUserData_IsTheJavaClients(t *testing.T) {
	for i, g := range goldenGroups(t) {
		for _, m := range g.Members {
			data, err := hex.DecodeString(m.StickyData)
			require.NoError(t, err)
			owned, generation, err := ParseStickyUserData(data)
			require.NoError(t, err, "line %d, member %s", i+1, m.ID)
			require.Equal(t, m.Generation, generation)
			// Java's order of topics is that of a hash map; ours is that of the partitions given.
			require.Equal(t, m.StickyData, hex.EncodeToString(StickyUserData(owned, generation)), "line %d, member %s", i+1, m.ID)
			slices.SortFunc(owned, comparePartitions)
			require.Equal(t, flat(map[string]map[string][]int32{"": m.Owned})[""], owned)

			data, err = hex.DecodeString(m.CooperativeData)
			require.NoError(t, err)
			generation, err = ParseCooperativeUserData(data)
			require.NoError(t, err)
			require.Equal(t, m.Generation, generation)
			require.Equal(t, data, CooperativeUserData(generation))
		}
	}
}
