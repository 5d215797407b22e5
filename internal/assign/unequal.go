package assign

import (
	"cmp"
	"slices"
)

// counts is an assignment of a group with unequal subscriptions, in numbers: which partition of a topic it is does not
// matter for balance, and for stickiness only how many a member keeps.
//
// The best assignment is a flow of least cost: partitions flow from topics through members to one sink. The n-th partition
// of a member costs 2n-1 (in units no number of moves outweighs), so that the sum of squares of the loads is least, and one
// more for each owned partition that it does not get. An assignment is the best if and only if no cycle of changes (a
// topic gives one partition less to this member and one more to that, a member holds one more in all, another one
// less) makes it cheaper; improve looks for such cycles until there is none.
type counts struct {
	g    *group
	held [][]int // by topic and subscriber (index in the topic): how many it holds
	own  [][]int // … how many it owned
	load []int   // by member: how many it holds in all
}

// balanceUnequal finds how many of each topic each member should hold, then which.
func balanceUnequal(g *group, owner []int) []int {
	c := newCounts(g, owner)
	c.level()
	c.improve()
	return c.holders(owner)
}

// newCounts starts with everything at its owner, and gives what has none to the least loaded subscribers, topics with few
// subscribers first.
func newCounts(g *group, owner []int) *counts {
	c := &counts{g: g, held: make([][]int, len(g.topics)), own: make([][]int, len(g.topics)), load: make([]int, len(g.members))}
	unowned := make([]int, len(g.topics))
	order := make([]int, len(g.topics))
	for t := range g.topics {
		topic := &g.topics[t]
		order[t] = t
		c.own[t] = make([]int, len(topic.subscribers))
		for p := topic.first; p < topic.first+len(topic.partitions); p++ {
			if owner[p] == nobody {
				unowned[t]++
				continue
			}
			s, _ := slices.BinarySearch(topic.subscribers, owner[p])
			c.own[t][s]++
			c.load[owner[p]]++
		}
		c.held[t] = slices.Clone(c.own[t])
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(g.topics[a].subscribers), len(g.topics[b].subscribers)) })
	for _, t := range order {
		for range unowned[t] {
			least := 0
			for s, m := range g.topics[t].subscribers {
				if c.load[m] < c.load[g.topics[t].subscribers[least]] {
					least = s
				}
			}
			c.add(t, least, 1)
		}
	}
	return c
}

// add changes how many partitions of a topic a subscriber holds.
func (c *counts) add(topic, subscriber, n int) {
	c.held[topic][subscriber] += n
	c.load[c.g.topics[topic].subscribers[subscriber]] += n
}

// level moves partitions from loaded members directly to less loaded ones until no single move helps: what takes most of
// the way where much is out of balance, before improve goes the rest with care.
func (c *counts) level() {
	for moved := true; moved; {
		moved = false
		for t := range c.g.topics {
			for c.levelTopic(t) {
				moved = true
			}
		}
	}
}

// levelTopic moves one partition of a topic, from the holder with the highest load to the subscriber with the lowest, if they differ by more than one.
func (c *counts) levelTopic(t int) bool {
	from, to := -1, 0
	subscribers := c.g.topics[t].subscribers
	for s, m := range subscribers {
		if c.held[t][s] > 0 && (from < 0 || c.load[m] > c.load[subscribers[from]]) {
			from = s
		}
		if c.load[m] < c.load[subscribers[to]] {
			to = s
		}
	}
	if c.load[subscribers[from]]-c.load[subscribers[to]] < 2 {
		return false
	}
	c.add(t, from, -1)
	c.add(t, to, 1)
	return true
}

// holders picks the partitions: each member keeps of its own what its number allows, lowest first, and the others go to
// those that are short.
func (c *counts) holders(owner []int) []int {
	holder := c.g.unheld()
	for t, topic := range c.g.topics {
		left := slices.Clone(c.held[t])
		end := topic.first + len(topic.partitions)
		for p := topic.first; p < end; p++ {
			if owner[p] == nobody {
				continue
			}
			if s, _ := slices.BinarySearch(topic.subscribers, owner[p]); left[s] > 0 {
				left[s]--
				holder[p] = owner[p]
			}
		}
		s := 0
		for p := topic.first; p < end; p++ {
			if holder[p] != nobody {
				continue
			}
			for left[s] == 0 {
				s++
			}
			left[s]--
			holder[p] = topic.subscribers[s]
		}
	}
	return holder
}
