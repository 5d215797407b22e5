package cluster

import (
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
)

// Kind is what a connection is for. A broker serves one request per connection at a time, so what may take long
// has its own.
type Kind int

const (
	// KindGeneral carries metadata, offsets, commits: what is answered at once.
	KindGeneral Kind = iota
	// KindFetch carries the long polls.
	KindFetch
	// KindFetchSide carries a fetch that must not wait behind a long poll.
	KindFetchSide
	// KindGroup carries joins and syncs. Heartbeats are general: they must not wait behind those.
	KindGroup

	kinds
)

func (k Kind) String() string { return [...]string{"general", "fetch", "fetch side", "group"}[k] }

// node is one broker at one address. It is guarded by Client.mu, except for its id and address, which never change, and what is
// inside its connections.
type node struct {
	Broker
	slots [kinds]slot
	gone  bool // replaced or removed: connections that come up late are closed

	failures int       // failed dials, or connections that never answered, in a row
	failedAt time.Time // first of them
	retryAt  time.Time // not to be dialed before
	lastErr  error
	warned   bool
	suspect  bool // hung, or slow enough to be asked last; cleared by its next answer
}

// slot is a node's connection of one kind, or the dial that will bring it.
type slot struct {
	conn *broker.Conn
	// proven is true once a request on conn has been answered.
	proven bool
	dial   *dial
}

// dial is an attempt to connect; everybody who needs the connection waits for the same one.
type dial struct {
	addr string
	done chan struct{} // closed with the fields below set
	conn *broker.Conn
	err  error
}

// connected reports whether a connection of any kind stands.
func (n *node) connected() bool {
	for i := range n.slots {
		if c := n.slots[i].conn; c != nil && c.Err() == nil {
			return true
		}
	}
	return false
}

// succeeded notes that the node has answered; true if that ends an outage that was warned of.
func (n *node) succeeded() bool {
	back := n.warned
	n.failures, n.lastErr, n.warned, n.suspect = 0, nil, false, false
	n.retryAt, n.failedAt = time.Time{}, time.Time{}
	return back
}

// failed notes a failure to connect; true if the outage has become worth a warning. Dials of several kinds that
// fail together count once.
func (n *node) failed(err error, b Backoff, now time.Time) (warn bool) {
	n.lastErr = err
	if now.Before(n.retryAt) {
		return false
	}
	if n.failures == 0 {
		n.failedAt = now
	}
	n.failures++
	n.retryAt = now.Add(b.After(n.failures))
	if n.warned || now.Sub(n.failedAt) < brokerWarnAfter {
		return false
	}
	n.warned = true
	return true
}

// takeConns gives the node's connections up, to be closed by the caller outside the lock.
func (n *node) takeConns() []*broker.Conn {
	var conns []*broker.Conn
	for i := range n.slots {
		if c := n.slots[i].conn; c != nil {
			conns = append(conns, c)
			n.slots[i].conn = nil
		}
	}
	return conns
}

// candidate is what the choice of a broker to ask depends on.
type candidate struct {
	id        int32
	connected bool
	refused   bool // it has said just now that it cannot answer this question
	suspect   bool
	retryAt   time.Time
}

// order gives the brokers to put a question to that any of them can answer, best first: those that answer and are
// connected, those that answer, one that has refused, and suspects last. Brokers in backoff are left out. Within a class
// the order is random, so that clients spread.
func order(cs []candidate, now time.Time, random func() float64) []int32 {
	var classes [5][]int32
	for _, c := range cs {
		class := 0
		if !c.connected {
			if now.Before(c.retryAt) {
				continue
			}
			class = 1
		}
		switch {
		case c.suspect:
			class += 3
		case c.refused:
			class = 2
		}
		classes[class] = append(classes[class], c.id)
	}
	var out []int32
	for _, ids := range classes {
		shuffle(ids, random)
		out = append(out, ids...)
	}
	return out
}

// shuffle puts s in random order (Fisher-Yates).
func shuffle[T any](s []T, random func() float64) {
	for i := len(s) - 1; i > 0; i-- {
		j := min(int(random()*float64(i+1)), i)
		s[i], s[j] = s[j], s[i]
	}
}
