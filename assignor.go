package kafka

import (
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/assign"
)

// An Assignor shares the partitions of a group's topics out among its members (classic group protocol). The members offer
// theirs by name, in order of preference; the broker picks one that all have, and the member it makes the leader runs it.
// So every member of a group must have an assignor of the same name, and whichever leads should come to the same result.
//
// An implementation of one's own must be safe for use by several consumers at once; Assign must not keep or change what it is given.
type Assignor interface {
	// Name is sent in JoinGroup, and names the same algorithm in every client: "range", "roundrobin", "sticky" and
	// "cooperative-sticky" are taken.
	Name() string

	// Cooperative says that members may keep their partitions while they rejoin (KIP-429): Assign never gives a partition to one
	// member while another still owns it, but leaves it out, and the owner, who sees it gone, gives it up and rejoins. One
	// assignor that is not cooperative in its list makes a member eager: it gives everything up before it joins.
	Cooperative() bool

	// UserData is added to what the member says of itself when it joins; nil for none. It is asked for at each join. owned is what the
	// member holds, or held before it gave it up for this join; generation is the one in which it was given that, -1 before the first.
	UserData(owned []TopicPartition, generation int32) []byte

	// Assign runs on the leader. members are all of the group, in no particular order; topics has the partitions of every topic they
	// subscribe to that exists, by number. The result is by member id: who is missing in it gets nothing. An error fails this
	// rebalance; it is told by Start, or the Get calls. So does a panic, here or in UserData, and a result that gives a partition
	// to two members, to none of the group, to one that does not subscribe to its topic, or that does not exist.
	Assign(members []GroupMember, topics map[string][]PartitionInfo) (map[string][]TopicPartition, error)
}

// GroupMember is what a member said of itself when it joined the group.
type GroupMember struct {
	ID         string           // given by the coordinator; another one after each restart
	InstanceID string           // of a static member (KIP-345), "" for others
	RackID     string           // "" where it told none (KIP-881)
	Topics     []string         // what it subscribes to
	Owned      []TopicPartition // what it holds while it joins; empty for eager members (KIP-429)
	Generation int32            // in which it was given those; -1 where it told none (KIP-792)
	UserData   []byte           // from its own [Assignor] of this name, nil for none
}

// PartitionInfo is what an [Assignor] is told of a partition.
type PartitionInfo struct {
	Partition int32
	Racks     []string // of the brokers that hold a replica, where they have one
}

var (
	// RangeAssignor gives each member a run of neighbouring partitions of each topic, so that topics partitioned alike keep
	// equal keys together on one member. With many topics the first members get more in all. Members that tell their rack get
	// partitions with a replica there first (KIP-881). Eager; the same results as the Java client's.
	RangeAssignor Assignor = &ownAssignor{name: "range", assign: assign.Range}

	// RoundRobinAssignor deals all partitions out in turn. Every change of the group may move any partition. Eager; the same
	// results as the Java client's.
	RoundRobinAssignor Assignor = &ownAssignor{name: "roundrobin", assign: assign.RoundRobin}

	// StickyAssignor balances all partitions over the members, and moves as few as that allows (KIP-54). Eager: members still give
	// everything up while they rejoin, but get most of it back.
	StickyAssignor Assignor = &ownAssignor{name: "sticky", assign: assign.Sticky,
		userData: assign.StickyUserData}

	// CooperativeStickyAssignor balances like [StickyAssignor], and members keep what does not move, without a pause (KIP-429). A
	// partition that moves takes a second, short rebalance. The best choice for groups whose members all have it.
	CooperativeStickyAssignor Assignor = &ownAssignor{name: "cooperative-sticky", cooperative: true, assign: assign.CooperativeSticky,
		userData: func(_ []assign.Partition, generation int32) []byte { return assign.CooperativeUserData(generation) }}
)

// ownAssignor is an algorithm of package assign as an Assignor. It is used by pointer, so that Assignors can be compared.
type ownAssignor struct {
	name        string
	cooperative bool
	userData    func(owned []assign.Partition, generation int32) []byte // nil: none
	assign      func([]assign.Member, map[string][]assign.PartitionInfo) assign.Assignment
}

func (a *ownAssignor) Name() string      { return a.name }
func (a *ownAssignor) Cooperative() bool { return a.cooperative }
func (a *ownAssignor) String() string    { return a.name }

func (a *ownAssignor) UserData(owned []TopicPartition, generation int32) []byte {
	if a.userData == nil {
		return nil
	}
	return a.userData(mapSlice(owned, toAssign), generation)
}

func (a *ownAssignor) Assign(members []GroupMember, topics map[string][]PartitionInfo) (map[string][]TopicPartition, error) {
	seen := make(map[string]bool, len(members))
	in := make([]assign.Member, len(members))
	for i, m := range members {
		if seen[m.ID] {
			return nil, fmt.Errorf("assignor %s: two members of the group have the id %q", a.name, m.ID)
		}
		seen[m.ID] = true
		in[i] = assign.Member{ID: m.ID, InstanceID: m.InstanceID, RackID: m.RackID, Topics: m.Topics,
			Owned: mapSlice(m.Owned, toAssign), Generation: m.Generation, UserData: m.UserData}
	}
	infos := make(map[string][]assign.PartitionInfo, len(topics))
	for topic, partitions := range topics {
		infos[topic] = mapSlice(partitions, func(p PartitionInfo) assign.PartitionInfo { return assign.PartitionInfo(p) })
	}
	out := make(map[string][]TopicPartition, len(members))
	for id, partitions := range a.assign(in, infos) {
		out[id] = mapSlice(partitions, func(p assign.Partition) TopicPartition { return TopicPartition(p) })
	}
	return out, nil
}

func toAssign(tp TopicPartition) assign.Partition { return assign.Partition(tp) }

func mapSlice[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
