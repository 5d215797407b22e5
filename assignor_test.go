package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAssignors_SpeakUnderTheNamesOfEveryClient(t *testing.T) {
	for name, a := range map[string]Assignor{
		"range": RangeAssignor, "roundrobin": RoundRobinAssignor, "sticky": StickyAssignor, "cooperative-sticky": CooperativeStickyAssignor,
	} {
		require.Equal(t, name, a.Name())
		require.Equal(t, name == "cooperative-sticky", a.Cooperative())
		require.True(t, map[Assignor]bool{a: true}[a], "%s can be compared", name)
	}
}

func TestAssignors_UserData(t *testing.T) {
	owned := []TopicPartition{{Topic: "t", Partition: 3}}
	require.Nil(t, RangeAssignor.UserData(owned, 7))
	require.Nil(t, RoundRobinAssignor.UserData(owned, 7))
	require.Nil(t, StickyAssignor.UserData(nil, -1))
	require.Equal(t, []byte{0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 7}, StickyAssignor.UserData(owned, 7))
	require.Equal(t, []byte{0, 0, 0, 7}, CooperativeStickyAssignor.UserData(owned, 7))
}

// Each field of a member must reach the algorithm.
func TestAssignors_LookAtAllOfAMember(t *testing.T) {
	two := map[string][]PartitionInfo{"t": {{Partition: 0, Racks: []string{"x"}}, {Partition: 1, Racks: []string{"y"}}}}
	subscribed := []string{"t"}
	first, second := []TopicPartition{{Topic: "t", Partition: 0}}, []TopicPartition{{Topic: "t", Partition: 1}}
	for _, c := range []struct {
		name     string
		assignor Assignor
		a, b     GroupMember
	}{
		{"static members come first", RangeAssignor, GroupMember{InstanceID: ""}, GroupMember{InstanceID: "i"}},
		{"racks", RangeAssignor, GroupMember{RackID: "y"}, GroupMember{RackID: "x"}},
		{"owned", CooperativeStickyAssignor, GroupMember{Owned: second, Generation: 1}, GroupMember{Owned: first, Generation: 1}},
		{"generation", CooperativeStickyAssignor, GroupMember{Owned: []TopicPartition{first[0], second[0]}, Generation: 1}, GroupMember{Owned: first, Generation: 2}},
		{"user data", StickyAssignor, GroupMember{UserData: StickyAssignor.UserData(second, 1)}, GroupMember{UserData: StickyAssignor.UserData(first, 1)}},
	} {
		c.a.ID, c.b.ID = "a", "b"
		c.a.Topics, c.b.Topics = subscribed, subscribed
		got, err := c.assignor.Assign([]GroupMember{c.a, c.b}, two)
		require.NoError(t, err, c.name)
		require.Equal(t, map[string][]TopicPartition{"a": second, "b": first}, got, c.name)
	}
}

func TestAssignors_RefuseTwoMembersOfOneID(t *testing.T) {
	_, err := StickyAssignor.Assign([]GroupMember{{ID: "a"}, {ID: "a"}}, nil)
	require.ErrorContains(t, err, `"a"`)
}
