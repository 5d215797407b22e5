package kafka

import (
	"fmt"
	"strings"
)

// state says what each partition and broker waits for, for tests that come to a halt.
func state(c *Consumer) string {
	s := c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	now, decoded, _ := s.budget.buffered()
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	fmt.Fprintf(&b, "charged %d (decoded %d) of %d, reserve held %d taken %v, refused %v\n", now, decoded, s.budget.limit, s.budget.held, s.budget.taken, s.budget.refused)
	for tp, p := range s.partitions {
		f := &p.fetch
		fmt.Fprintf(&b, "%v: position %d known %v paused %v fetch %d leader %d need %d held %v validate %v lost %v retry %v dirty %v session %v@%d flight %v buffered %d undecoded %v\n",
			tp, p.position, p.known, p.paused, f.offset, f.leader, f.need, f.held, f.validate, f.lost, f.retryAt, f.dirty != nil, f.session.on, f.session.offset, f.flight.on, p.buf.bytes, p.undecoded)
		for _, seg := range p.buf.segments {
			fmt.Fprintf(&b, "  segment to %d: %d bytes, %d chunks, parsed %v busy %v starved %v first %v reserve %v err %v\n", seg.next, seg.size, len(seg.chunks), seg.parsed, seg.busy, seg.starved, seg.first, seg.hasReserve, seg.err)
		}
	}
	for id, n := range c.fetcher.nodes {
		fmt.Fprintf(&b, "broker %d: busy %v members %d dirty %d retry %v failed %d\n", id, n.busy, len(n.session.members), n.dirty.len(), n.retryAt, n.failed)
	}
	return b.String()
}
