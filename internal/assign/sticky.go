package assign

import "slices"

// Sticky balances all partitions over the members: where subscriptions are equal, no member gets more than one more than
// another; else nothing can be moved, also not over other members, so that the numbers come closer. Of the assignments as
// balanced as that it takes one that takes the fewest partitions from their owners (KIP-54).
//
// Owners are who says so in the subscription or the user data; see newOwnership. Racks are not looked at.
func Sticky(members []Member, topics map[string][]PartitionInfo) Assignment {
	g := newGroup(members, topics)
	return g.assignment(balance(g, newOwnership(g, stickyClaims).owner))
}

// CooperativeSticky balances as [Sticky] does, then leaves out every partition that moves while somebody still owns it: it is
// in nobody's assignment, so its owner gives it up and rejoins, and the rebalance that follows gives it to whom it was meant for (KIP-429).
func CooperativeSticky(members []Member, topics map[string][]PartitionInfo) Assignment {
	g := newGroup(members, topics)
	owned := newOwnership(g, cooperativeClaims)
	holder := balance(g, owned.owner)
	withhold(holder, owned)
	return g.assignment(holder)
}

// withhold takes the partitions out that another than their new holder claims. A claim against one whose own claim counts is
// of a generation gone by, or of one in dispute: that holder keeps what it has, and the other sees that it is not his.
func withhold(holder []int, owned *ownership) {
	for m, claims := range owned.claims {
		for _, p := range claims {
			if holder[p] != m && holder[p] != owned.owner[p] {
				holder[p] = nobody
			}
		}
	}
}

// balance gives the holder of each partition from its owner.
func balance(g *group, owner []int) []int {
	if len(g.topics) == 0 {
		return nil
	}
	if g.equalSubscriptions() {
		return balanceEqual(g, owner)
	}
	return balanceUnequal(g, owner)
}

// equalSubscriptions says whether every member subscribes to every topic.
func (g *group) equalSubscriptions() bool {
	return !slices.ContainsFunc(g.topics, func(t topic) bool { return len(t.subscribers) != len(g.members) })
}

// balanceEqual lets every member keep what fits its share, and deals the rest out in turn to those below theirs. Nothing moves
// that need not: every partition beyond the shares must, and no other does.
func balanceEqual(g *group, owner []int) []int {
	share, extra := g.size/len(g.members), g.size%len(g.members)
	holder := g.unheld()
	load := make([]int, len(g.members))
	for m, owned := range ownedSpread(g, owner) {
		keep := min(len(owned), share)
		if len(owned) > share && extra > 0 {
			keep++
			extra--
		}
		for _, p := range owned[:keep] {
			holder[p] = m
		}
		load[m] = keep
	}
	missing := 0
	for _, l := range load {
		missing += max(0, share-l)
	}
	next := 0
	for p := range holder {
		if holder[p] != nobody {
			continue
		}
		most := share // the shares first, then the extra ones, each to another member
		if missing == 0 {
			most++
		}
		for load[next] >= most {
			next = (next + 1) % len(load)
		}
		if load[next] < share {
			missing--
		}
		holder[p] = next
		load[next]++
		next = (next + 1) % len(load)
	}
	return holder
}

// ownedSpread lists what each member owns so that any part from the front is of as many topics as can be: what it has to
// give up is then from the topics it has most of.
func ownedSpread(g *group, owner []int) [][]int {
	type ranked struct{ rank, partition int }
	lists := make([][]ranked, len(g.members))
	for _, t := range g.topics {
		rank := make(map[int]int)
		for p := t.first; p < t.first+len(t.partitions); p++ {
			if m := owner[p]; m != nobody {
				lists[m] = append(lists[m], ranked{rank[m], p})
				rank[m]++
			}
		}
	}
	owned := make([][]int, len(lists))
	for m, list := range lists {
		slices.SortStableFunc(list, func(a, b ranked) int { return a.rank - b.rank })
		for _, r := range list {
			owned[m] = append(owned[m], r.partition)
		}
	}
	return owned
}
