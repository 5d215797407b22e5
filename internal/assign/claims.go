package assign

// ownership is who holds which partition while the group rebalances.
type ownership struct {
	owner  []int   // by partition of the group: the member whose claim counts, or nobody
	claims [][]int // by member: all partitions it claims, rightly or not
}

// claimsOf reads what a member claims to own, and since which generation (negative: not told).
type claimsOf func(*Member) (owned []Partition, generation int32)

// stickyClaims takes them from the subscription, else from the user data: eager members have given all up before they join.
// User data that cannot be read claims nothing.
func stickyClaims(m *Member) ([]Partition, int32) {
	if len(m.Owned) > 0 {
		return m.Owned, m.Generation
	}
	owned, generation, err := ParseStickyUserData(m.UserData)
	if err != nil {
		return nil, -1
	}
	return owned, generation
}

// cooperativeClaims takes them from the subscription; the generation, where that is too old to have it (version 1), from
// the user data.
func cooperativeClaims(m *Member) ([]Partition, int32) {
	if m.Generation >= 0 {
		return m.Owned, m.Generation
	}
	generation, err := ParseCooperativeUserData(m.UserData)
	if err != nil {
		generation = -1
	}
	return m.Owned, generation
}

// newOwnership decides between claims: that of the newest generation counts (KIP-341), of equal ones that of the first
// member. An older one that nobody disputes counts too: it is of a member that missed the last rebalance, whose partitions
// were not given away. A claim to what the member no longer subscribes to ends every older one, but is not kept.
func newOwnership(g *group, claims claimsOf) *ownership {
	o := &ownership{owner: g.unheld(), claims: make([][]int, len(g.members))}
	number := make(map[Partition]int, g.size)
	for _, t := range g.topics {
		for i, p := range t.partitions {
			number[Partition{t.name, p.Partition}] = t.first + i
		}
	}
	since := make([]int32, g.size)
	for m := range g.members {
		owned, generation := claims(&g.members[m])
		generation = max(generation, -1)
		for _, p := range owned {
			n, exists := number[p]
			if !exists {
				continue
			}
			o.claims[m] = append(o.claims[m], n)
			if o.owner[n] == nobody || generation > since[n] {
				o.owner[n], since[n] = m, generation
			}
		}
	}
	subscribed := make([]bool, len(g.members))
	for _, t := range g.topics {
		clear(subscribed)
		for _, m := range t.subscribers {
			subscribed[m] = true
		}
		for n := t.first; n < t.first+len(t.partitions); n++ {
			if m := o.owner[n]; m != nobody && !subscribed[m] {
				o.owner[n] = nobody
			}
		}
	}
	return o
}
