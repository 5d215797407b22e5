// Package assign shares the partitions of a classic consumer group's topics out among its members: range and round robin
// with the very results of the Java client, so that it does not matter whose member leads a group, and sticky and
// cooperative sticky (KIP-54, KIP-429), which are optimal in balance and in what they move. All are plain functions of
// their arguments; equal arguments, in any order, give equal results.
package assign

import (
	"cmp"
	"slices"
	"strings"
)

// A Partition is one partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

// A Member is what a member of the group said of itself when it joined (ConsumerProtocolSubscription).
type Member struct {
	ID         string
	InstanceID string // group.instance.id of a static member (KIP-345); "": dynamic
	RackID     string // "": none
	Topics     []string
	Owned      []Partition // what it holds while it rejoins (KIP-429)
	Generation int32       // in which it came to hold that (KIP-792); negative: not told
	UserData   []byte      // what the assignor added to the subscription
}

// PartitionInfo is what an assignor needs to know of a partition.
type PartitionInfo struct {
	Partition int32
	Racks     []string // of the brokers that hold a replica
}

// An Assignment says which partitions each member gets, by member id, in order. Every member is in it.
type Assignment map[string][]Partition

// group is the input of an assignor in a form that does not depend on the order it came in.
type group struct {
	members []Member // as compareMembers orders them
	topics  []topic  // that exist and have a subscriber, by name
	size    int      // partitions in all topics
}

// topic is a topic with at least one partition and one subscriber. Partitions of the whole group are numbered through:
// those of this topic start at first.
type topic struct {
	name        string
	partitions  []PartitionInfo // by number
	subscribers []int           // indices into group.members, ascending
	first       int
}

func newGroup(members []Member, topics map[string][]PartitionInfo) *group {
	g := &group{members: slices.Clone(members)}
	slices.SortFunc(g.members, compareMembers)
	subscribers := make(map[string][]int, len(topics))
	for i := range g.members {
		for _, name := range g.members[i].Topics {
			if s := subscribers[name]; len(s) == 0 || s[len(s)-1] != i { // a topic that is named twice counts once
				subscribers[name] = append(s, i)
			}
		}
	}
	for name, s := range subscribers {
		if len(topics[name]) == 0 {
			continue
		}
		partitions := slices.Clone(topics[name])
		slices.SortStableFunc(partitions, func(a, b PartitionInfo) int { return cmp.Compare(a.Partition, b.Partition) })
		partitions = slices.CompactFunc(partitions, func(a, b PartitionInfo) bool { return a.Partition == b.Partition })
		g.topics = append(g.topics, topic{name: name, partitions: partitions, subscribers: s})
	}
	slices.SortFunc(g.topics, func(a, b topic) int { return compareJava(a.name, b.name) })
	for i := range g.topics {
		g.topics[i].first = g.size
		g.size += len(g.topics[i].partitions)
	}
	return g
}

// assignment turns the holder of each partition, by its number in the group, into lists; a negative holder is nobody.
func (g *group) assignment(holder []int) Assignment {
	lists := make([][]Partition, len(g.members))
	for _, t := range g.topics {
		for i, p := range t.partitions {
			if m := holder[t.first+i]; m >= 0 {
				lists[m] = append(lists[m], Partition{Topic: t.name, Partition: p.Partition})
			}
		}
	}
	result := make(Assignment, len(g.members))
	for m := range g.members {
		result[g.members[m].ID] = lists[m]
	}
	return result
}

// unheld is a holder for each partition of the group: nobody.
func (g *group) unheld() []int {
	holder := make([]int, g.size)
	for i := range holder {
		holder[i] = nobody
	}
	return holder
}

// nobody is the holder of a partition that is not assigned.
const nobody = -1

// compareMembers is the order of the Java client (AbstractPartitionAssignor.MemberInfo): static members first, by instance
// id, so that a restart under a new member id changes nothing, then dynamic ones by member id.
func compareMembers(a, b Member) int {
	switch {
	case a.InstanceID != "" && b.InstanceID != "":
		return cmp.Or(compareJava(a.InstanceID, b.InstanceID), compareJava(a.ID, b.ID))
	case a.InstanceID != "":
		return -1
	case b.InstanceID != "":
		return 1
	}
	return compareJava(a.ID, b.ID)
}

// compareJava orders strings as Java does: by UTF-16 code units. That is the order of Go's strings but for characters
// beyond U+FFFF, whose surrogates come before U+E000.
func compareJava(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 0 && i < len(a) && a[i]&0xC0 == 0x80 || i > 0 && i < len(b) && b[i]&0xC0 == 0x80 { // back to the start of the character
		i--
	}
	x, y := firstRune(a[i:]), firstRune(b[i:])
	return cmp.Or(cmp.Compare(firstUnit(x), firstUnit(y)), cmp.Compare(x, y), strings.Compare(a, b))
}

// firstRune is the first character, -1 for none.
func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return -1
}

// firstUnit is the first UTF-16 code unit of a character.
func firstUnit(r rune) rune {
	if r > 0xFFFF {
		return 0xD800 + (r-0x10000)>>10
	}
	return r
}
