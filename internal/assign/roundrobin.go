package assign

// RoundRobin deals all partitions, by topic and number, to the members in turn; who does not subscribe to the topic is
// passed over. Like Java's RoundRobinAssignor it goes on where the last topic ended.
func RoundRobin(members []Member, topics map[string][]PartitionInfo) Assignment {
	g := newGroup(members, topics)
	holder := g.unheld()
	next := 0
	subscribed := make([]bool, len(g.members))
	for _, t := range g.topics {
		clear(subscribed)
		for _, m := range t.subscribers {
			subscribed[m] = true
		}
		for i := range t.partitions {
			for !subscribed[next] {
				next = (next + 1) % len(g.members)
			}
			holder[t.first+i] = next
			next = (next + 1) % len(g.members)
		}
	}
	return g.assignment(holder)
}
