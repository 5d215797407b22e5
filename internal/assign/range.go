package assign

import (
	"fmt"
	"slices"
)

// Range gives each subscriber of a topic a run of neighbouring partitions, the first ones one more where it does not
// divide, so that members hold the same numbers of topics partitioned alike. Where members and brokers tell their racks and
// it makes a difference, a member is first given partitions with a replica in its rack, as far as its share allows
// (KIP-881); topics with the same subscribers and number of partitions are then matched together, by number, so that they
// stay alike. The results are those of Java's RangeAssignor.
func Range(members []Member, topics map[string][]PartitionInfo) Assignment {
	g := newGroup(members, topics)
	holder := g.unheld()
	shares := make([]*topicShares, len(g.topics))
	matched := false
	for i := range g.topics {
		shares[i] = newTopicShares(g, &g.topics[i], holder)
		matched = matched || shares[i].rackAware
	}
	if matched {
		for _, alike := range copartitioned(shares) {
			if len(alike) > 1 {
				matchTogether(alike)
			} else if alike[0].rackAware {
				alike[0].assign(alike[0].rackMatches)
			}
		}
	}
	for _, s := range shares {
		s.assign(func(subscriber, partition int) bool { return true })
	}
	return g.assignment(holder)
}

// topicShares is the state of one topic while its partitions are assigned. Subscribers and partitions go by their index in the topic.
type topicShares struct {
	*topic
	racks     []string // of the subscribers; "": none
	holder    []int    // the topic's part of the group's holders
	got       []int    // by subscriber
	share     int      // what each subscriber gets at least
	extra     int      // how many may still get one more
	rackAware bool     // the racks make a difference
}

func newTopicShares(g *group, t *topic, holder []int) *topicShares {
	s := &topicShares{
		topic:  t,
		racks:  make([]string, len(t.subscribers)),
		holder: holder[t.first : t.first+len(t.partitions)],
		got:    make([]int, len(t.subscribers)),
		share:  len(t.partitions) / len(t.subscribers),
		extra:  len(t.partitions) % len(t.subscribers),
	}
	for i, m := range t.subscribers {
		s.racks[i] = g.members[m].RackID
	}
	s.rackAware = racksMatter(s.racks, t.partitions)
	return s
}

// racksMatter says whether matching racks can gain anything: a rack has both a subscriber and a replica, and not every
// partition is in all racks that the topic is in.
func racksMatter(subscribers []string, partitions []PartitionInfo) bool {
	all := map[string]bool{}
	for _, p := range partitions {
		for _, r := range p.Racks {
			all[r] = true
		}
	}
	delete(all, "")
	if !slices.ContainsFunc(subscribers, func(r string) bool { return all[r] }) {
		return false
	}
	return slices.ContainsFunc(partitions, func(p PartitionInfo) bool {
		in := map[string]bool{}
		for _, r := range p.Racks {
			in[r] = true
		}
		delete(in, "")
		return len(in) != len(all)
	})
}

// room is how many more partitions a subscriber may get.
func (s *topicShares) room(subscriber int) int {
	most := s.share
	if s.extra > 0 {
		most++
	}
	return max(0, most-s.got[subscriber])
}

func (s *topicShares) give(subscriber, partition int) {
	s.holder[partition] = s.subscribers[subscriber]
	s.got[subscriber]++
	if s.got[subscriber] > s.share {
		s.extra--
	}
}

// assign gives the subscribers in turn what they have room for of the unassigned partitions they may have, lowest numbers first.
func (s *topicShares) assign(may func(subscriber, partition int) bool) {
	for subscriber := range s.subscribers {
		room := s.room(subscriber)
		for p := 0; p < len(s.partitions) && room > 0; p++ {
			if s.holder[p] == nobody && may(subscriber, p) {
				s.give(subscriber, p)
				room--
			}
		}
	}
}

// rackMatches says whether a partition has a replica in the subscriber's rack; a subscriber without a rack takes any.
func (s *topicShares) rackMatches(subscriber, partition int) bool {
	rack := s.racks[subscriber]
	return rack == "" || slices.Contains(s.partitions[partition].Racks, rack)
}

// copartitioned groups the topics that have the same subscribers and number of partitions.
func copartitioned(shares []*topicShares) [][]*topicShares {
	index := map[string]int{}
	var groups [][]*topicShares
	for _, s := range shares {
		key := fmt.Sprint(len(s.partitions), s.subscribers)
		i, ok := index[key]
		if !ok {
			i = len(groups)
			index[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], s)
	}
	return groups
}

// matchTogether gives partitions of the same number of all these topics to the first subscriber that is in a rack of each
// and has room in each. Numbers for which there is none are left.
func matchTogether(alike []*topicShares) {
	for p := range alike[0].partitions {
		for subscriber := range alike[0].subscribers {
			fits := func(s *topicShares) bool { return s.room(subscriber) > 0 && s.rackMatches(subscriber, p) }
			if slices.ContainsFunc(alike, func(s *topicShares) bool { return !fits(s) }) {
				continue
			}
			for _, s := range alike {
				s.give(subscriber, p)
			}
			break
		}
	}
}
