package assign

// improveWork bounds the steps of one improve: about half a second, which a group that waits for its assignment can
// bear. Only groups of very many members and topics with unequal subscriptions reach it, and keep what level came to.
const improveWork = 1 << 27

// change is one edge of the graph that improve searches: the node it leads to gets one partition more, the node it comes from one less.
type change struct {
	from, to          int
	topic, subscriber int // whose number changes by n; topic -1: a load is counted anew, nothing moves
	n                 int
}

// search looks for cycles of negative cost (Bellman-Ford, all nodes at once). Nodes are the members, then the topics, then the sink.
type search struct {
	*counts
	unit int      // what a partition more or less on a load weighs: more than all moves
	dist []int    // cheapest way found to each node
	via  []change // its last step
	left int      // steps until improve gives up
}

// improve makes the assignment the best there is, unless that takes too long.
func (c *counts) improve() {
	nodes := len(c.g.members) + len(c.g.topics) + 1
	s := &search{counts: c, unit: c.g.size + 1, dist: make([]int, nodes), via: make([]change, nodes), left: improveWork}
	for {
		cycles := s.cycles()
		if len(cycles) == 0 {
			return
		}
		for _, cycle := range cycles { // they share no node, so each is as good after the others
			for _, step := range cycle {
				if step.topic >= 0 {
					c.add(step.topic, step.subscriber, step.n)
				}
			}
		}
	}
}

// cycles gives some cycles of negative cost that share no node, none where there is none (or no time).
func (s *search) cycles() [][]change {
	clear(s.dist)
	for i := range s.via {
		s.via[i].from = nobody
	}
	for s.left > 0 && s.relax() {
		if found := s.closed(); len(found) > 0 {
			return found
		}
	}
	return nil
}

// relax tries every change once; false: no way became cheaper.
func (s *search) relax() bool {
	members, sink := len(s.g.members), len(s.dist)-1
	shorter := false
	try := func(cost int, step change) {
		if d := s.dist[step.from] + cost; d < s.dist[step.to] {
			s.dist[step.to], s.via[step.to], shorter = d, step, true
		}
	}
	for t := range s.g.topics {
		for i, m := range s.g.topics[t].subscribers {
			held, own := s.held[t][i], s.own[t][i]
			if held > 0 { // the member gives one back to the topic
				try(boolInt(held <= own), change{m, members + t, t, i, -1})
			}
			try(-boolInt(held < own), change{members + t, m, t, i, 1}) // it gets one from the topic
		}
		s.left -= 2 * len(s.g.topics[t].subscribers)
	}
	s.left -= 2*members + 2*len(s.dist) // these, and closed
	for m, load := range s.load {
		try(s.unit*(2*load+1), change{m, sink, -1, 0, 0}) // the member keeps one more
		if load > 0 {
			try(-s.unit*(2*load-1), change{sink, m, -1, 0, 0}) // it keeps one less
		}
	}
	return shorter
}

// closed finds the cycles among the last steps. In these a cycle always has negative cost.
func (s *search) closed() [][]change {
	var found [][]change
	seen := make([]int, len(s.via)) // in which walk, from 1
	for start := range s.via {
		n := start
		for n != nobody && seen[n] == 0 {
			seen[n] = start + 1
			n = s.via[n].from
		}
		if n == nobody || seen[n] != start+1 {
			continue
		}
		var cycle []change
		for at := n; len(cycle) == 0 || at != n; at = s.via[at].from {
			cycle = append(cycle, s.via[at])
		}
		found = append(found, cycle)
	}
	return found
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
