package kafka

import (
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// leastFetch is the least room that a fetch is sent with, unless a partition may have even less.
const leastFetch = 64 << 10

// A fetchPlan is one fetch to send.
type fetchPlan struct {
	node       int32
	lane       int
	request    *protocol.FetchRequest
	wait       time.Duration
	overdue    int
	maxVersion int16
	setLimit   int   // the largest record set that is not a single batch
	left       int64 // reserved in the budget, and not used up by record sets
	side       []*partition
	awaited    bool // when it landed, somebody waited for room
	visitor    fetchVisitor
}

// keptParts is how many partitions a plan may have that is kept for the next one: large ones are seldom, such as the first.
const keptParts = 128

// emptied gives the plan for the next one to be made in its memory; nil where that is too much to keep.
func (pl *fetchPlan) emptied() *fetchPlan {
	partitions := 0
	for i := range pl.request.Topics {
		partitions += cap(pl.request.Topics[i].Partitions)
	}
	if partitions > keptParts || len(pl.request.Topics) > keptParts {
		return nil
	}
	request, topics, side, parts := pl.request, pl.request.Topics, pl.side, pl.visitor.parts
	clear(side)
	clear(parts) // of an answer that has ended within a record set
	*request = *protocol.NewFetchRequest()
	request.Topics = topics[:0]
	*pl = fetchPlan{request: request, side: side[:0], visitor: fetchVisitor{parts: parts[:0]}}
	return pl
}

// newPlan gives an empty plan.
func (n *fetchNode) newPlan(lane int) *fetchPlan {
	pl := n.spare[lane]
	if n.spare[lane] = nil; pl == nil {
		pl = &fetchPlan{request: protocol.NewFetchRequest()}
	}
	return pl
}

// A verdict says whether a partition can be fetched now.
type verdict int8

const (
	fetchNot   verdict = iota // not until something changes
	fetchLater                // at retryAt
	fetchNow
)

// fetchable decides about one partition; limit is how many buffered bytes it may have and still be fetched. However large a
// batch is, the next one comes while it is decoded.
func (p *partition) fetchable(now time.Time, limit int) verdict {
	switch {
	case p.gone, p.paused, !p.known, p.source() < 0:
		return fetchNot
	case p.buf.bytes >= limit && len(p.buf.segments) > 1, p.buf.broken(), p.fetch.held, p.fetch.validate, p.fetch.lost, p.refused:
		return fetchNot
	case now.Before(p.fetch.retryAt):
		return fetchLater
	}
	return fetchNow
}

// planLane decides what to ask broker n on a lane that is free. nil: nothing.
func (f *fetcher) planLane(n *fetchNode, lane int, now time.Time) (*fetchPlan, time.Time) {
	reuse := f.sub.budget.reusing()
	picked, again := f.candidates(n, lane, reuse, now)
	if len(picked) == 0 && (lane == sideLane || len(n.session.members) == 0) {
		return nil, again
	}
	if until := f.restUntil(n, lane, picked); now.Before(until) {
		f.putBack(picked)
		return nil, sooner(again, until)
	}
	if !f.pressing(n, lane, reuse, picked) {
		f.putBack(picked)
		return nil, again // when one of them runs low, all of them are asked for together
	}
	room := f.reserveRoom(n, lane, picked, now)
	if room == 0 {
		f.putBack(picked)
		return nil, again // whoever gives memory back wakes the planner
	}
	pl := n.newPlan(lane)
	pl.node, pl.lane, pl.left, pl.overdue, pl.wait = n.id, lane, room, n.overdue, f.cfg.fetchMaxWait
	req := pl.request
	req.MinBytes = int32(min(int64(f.cfg.fetchMinBytes), room))
	req.MaxBytes = int32(n.askedOf(room))
	req.IsolationLevel = int8(f.cfg.isolation)
	req.RackID = f.cfg.rackID
	partitionBytes := int32(min(int64(f.cfg.maxPartitionBytes), room))
	pl.setLimit = int(partitionBytes)
	if lane == mainLane {
		f.planMain(n, pl, picked, partitionBytes)
	} else {
		f.planSide(n, pl, picked, partitionBytes)
	}
	req.MaxWaitMs = int32(pl.wait.Milliseconds())
	return pl, again
}

// restUntil says until when there is no fetch on the side lane for partitions that were all at the end of their logs a moment ago: while others
// bring records there, a poll that waits would be in their way, and the next fetch for those asks for these as well.
func (f *fetcher) restUntil(n *fetchNode, lane int, picked []*partition) time.Time {
	if lane == mainLane || n.sideBrought.IsZero() {
		return time.Time{}
	}
	for _, p := range picked {
		if !p.inVain(n) || !p.fetchedAll(f.cfg.isolation) {
			return time.Time{}
		}
	}
	return n.sideBrought.Add(sideWait)
}

// pressing says whether a fetch is to be sent now: a partition runs low, or others are waiting for what is written next.
// Partitions that are merely not full wait for company, so that requests are few and answers large.
func (f *fetcher) pressing(n *fetchNode, lane int, reuse bool, picked []*partition) bool {
	waiting := 0
	if lane == mainLane {
		waiting = len(n.session.members)
	}
	for _, p := range picked {
		if p.buf.bytes < n.reach.ahead(p, f.cfg.maxPartitionBytes, reuse)/2 || len(p.buf.segments) < 2 || p.fetch.need > 0 {
			return true
		}
		if p.fetch.session.on && p.fetch.session.node == n.id {
			waiting--
		}
	}
	return waiting > 0
}

// candidates takes from the dirty partitions of n those that this lane can fetch; the others stay dirty as long as
// there is a reason to look at them again.
func (f *fetcher) candidates(n *fetchNode, lane int, reuse bool, now time.Time) (picked []*partition, again time.Time) {
	picked = n.picked[:0]
	for range n.dirty.len() {
		p := n.dirty.pop()
		if p.fetch.dirty != n {
			continue // it has been queued elsewhere since
		}
		p.fetch.dirty = nil
		if p.gone {
			continue
		}
		switch v := p.fetchable(now, n.reach.ahead(p, f.cfg.maxPartitionBytes, reuse)); {
		case v == fetchNow && !p.inFlight(lane, n):
			picked = append(picked, p)
		case v == fetchNow:
			f.markDirty(p)
		default:
			if v == fetchLater {
				again = sooner(again, p.fetch.retryAt)
				f.markDirty(p)
			}
			if lane == mainLane && p.fetch.session.on {
				n.session.forget(p)
			} else if p.fetch.session.on {
				f.markDirty(p) // to be forgotten when the main lane is free
			}
		}
	}
	n.picked = picked
	return picked, again
}

// inFlight says whether a fetch that is out on the other lane brings what p needs.
func (p *partition) inFlight(lane int, n *fetchNode) bool {
	if lane == mainLane {
		fl := p.fetch.flight
		return fl.on && fl.node == n && fl.epoch == p.epoch && !fl.repeat
	}
	// With an offset behind the session's, its answer is being read right now: the next fetch of the session is near.
	e := p.fetch.session
	return n.busy[mainLane] && e.on && e.epoch == p.epoch && e.offset <= p.fetch.offset
}

// reserveRoom takes memory for an answer: a share of what there is, so that fetches to several brokers do not starve one
// another. A partition whose next batch is larger than that goes first: nobody else takes what it waits for.
func (f *fetcher) reserveRoom(n *fetchNode, lane int, picked []*partition, now time.Time) int64 {
	b := f.sub.budget
	least := min(int64(f.cfg.maxPartitionBytes), leastFetch, b.general()/2)
	share := max(b.general()/int64(4*max(1, len(f.nodes))), int64(f.cfg.maxPartitionBytes))
	forDecoding := f.sub.decodeRoom()
	for _, p := range picked {
		if int64(p.fetch.need) > least {
			least, forDecoding = int64(p.fetch.need), 0
			f.needy = p
		}
	}
	spare := int64(0)
	if p := f.needy; p != nil && !slices.Contains(picked, p) {
		if p.fetch.need > 0 && p.buf.bytes == 0 && p.fetchable(now, 1) == fetchNow {
			spare = int64(p.fetch.need)
		} else {
			f.needy = nil
		}
	}
	high := max(least, min(int64(f.cfg.fetchMaxBytes), share, n.reach.most(picked, len(n.session.members))))
	room := b.takeRawUpTo(least, high, max(spare, forDecoding))
	if room == 0 && f.keepsWaiting(n, lane, picked) {
		f.sub.makeRoom(least + spare)
		room = b.takeRawUpTo(least, high, spare)
	}
	return room
}

// keepsWaiting says whether a Get call waits for a partition that this fetch would be for and that has nothing: one of
// those picked, or one that the session knows already.
func (f *fetcher) keepsWaiting(n *fetchNode, lane int, picked []*partition) bool {
	empty := func(p *partition) bool { return len(p.buf.segments) == 0 && f.sub.wanted(p) }
	if slices.ContainsFunc(picked, empty) {
		return true
	}
	if lane == mainLane {
		for p := range n.session.members {
			if empty(p) {
				return true
			}
		}
	}
	return false
}

func (f *fetcher) putBack(picked []*partition) {
	for _, p := range picked {
		f.markDirty(p)
	}
}

// planMain fills in the session's request: what is new or changed, and what is to be forgotten; or everything.
func (f *fetcher) planMain(n *fetchNode, pl *fetchPlan, picked []*partition, partitionBytes int32) {
	s := &n.session
	req := pl.request
	add := requestTopics{topics: req.Topics}
	changed := picked[:0]
	for _, p := range picked {
		e := p.entry(n.id, partitionBytes)
		if e != p.fetch.session {
			s.put(p, e)
			changed = append(changed, p)
		}
	}
	req.SessionID, req.SessionEpoch = s.next()
	if s.full() {
		s.forgotten = nil
		add.counts = make(map[string]int)
		for p := range s.members {
			add.counts[p.tp.Topic]++
		}
		for p := range s.members {
			add.partition(p, p.fetch.session)
		}
	} else {
		for _, p := range changed {
			add.partition(p, p.fetch.session)
		}
		byName := s.version <= lastVersionByName || s.unnamed > 0
		for _, fp := range s.forgotten {
			// Brokers take out what is forgotten after they have put in what is asked for. By name, a topic made again is the one before.
			q := f.sub.partitions[fp.tp]
			if q == nil || !q.fetch.session.on || q.fetch.session.node != n.id || q.fetch.session.topicID != fp.topicID && !byName {
				add.forget(fp)
			}
		}
		s.forgotten = nil
	}
	req.Topics, req.ForgottenTopicsData = add.topics, add.forgotten
	if s.unnamed > 0 {
		pl.maxVersion = lastVersionByName
	}
}

// lastVersionByName is the last version of Fetch that names topics by name; versions from 13 on need ids (KIP-516).
const lastVersionByName = 12

// planSide fills in a request without a session.
func (f *fetcher) planSide(n *fetchNode, pl *fetchPlan, picked []*partition, partitionBytes int32) {
	add := requestTopics{topics: pl.request.Topics}
	pl.wait = 0
	fresh := false
	// Those that an answer had no room for go first: brokers fill it in the order of the request.
	slices.SortStableFunc(picked, func(a, b *partition) int {
		switch vain := a.inVain(n); {
		case vain == b.inVain(n):
			return 0
		case vain:
			return -1
		}
		return 1
	})
	for _, p := range picked {
		// What is at the end of its log goes back to the main lane, should that be free first. Where there is more, it found no room in
		// an answer with others; asked for on both lanes it would come twice.
		inVain := p.inVain(n)
		repeat := inVain && (n.sideBrought.IsZero() || p.fetchedAll(f.cfg.isolation))
		p.fetch.flight = flight{on: true, node: n, epoch: p.epoch, offset: p.fetch.offset, repeat: repeat}
		if repeat {
			f.markDirty(p)
		}
		fresh = fresh || !inVain
		if p.fetch.session.on {
			n.session.forget(p) // else the session would bring again and again what the side lane has brought
		}
		if add.partition(p, p.entry(pl.node, partitionBytes)) {
			pl.maxVersion = lastVersionByName
		}
	}
	if !fresh {
		pl.wait = min(sideWait, f.cfg.fetchMaxWait)
	}
	pl.side = append(pl.side, picked...)
	pl.request.SessionID, pl.request.SessionEpoch = 0, -1
	pl.request.Topics = add.topics
}

// inVain says whether what is asked for next was asked for on the side lane before, and did not come.
func (p *partition) inVain(n *fetchNode) bool {
	fl := &p.fetch.flight
	return fl.node == n && fl.epoch == p.epoch && fl.offset == p.fetch.offset
}

// fetchedAll says whether p was at the end of what can be read when the broker last told where that is.
func (p *partition) fetchedAll(isolation IsolationLevel) bool {
	return p.fetch.offset >= p.readable(isolation)
}

// entry is what a session is to be told about p.
func (p *partition) entry(node, maxBytes int32) sessionEntry {
	return sessionEntry{
		on: true, node: node, epoch: p.epoch, offset: p.fetch.offset,
		leaderEpoch: p.fetch.leaderEpoch, maxBytes: maxBytes, topicID: p.fetch.topicID,
	}
}

// requestTopics groups partitions by topic, as requests have them.
type requestTopics struct {
	topics    []protocol.FetchRequestTopic
	forgotten []protocol.FetchRequestForgottenTopic
	at        map[string]int
	counts    map[string]int // partitions of each topic, where there may be many
	forgetAt  map[forgottenPartition]int
}

// partition adds one; it reports whether its topic's id is not known.
func (r *requestTopics) partition(p *partition, e sessionEntry) (noID bool) {
	i := r.topic(p.tp.Topic, e.topicID)
	part := protocol.NewFetchRequestPartition()
	part.Partition = p.tp.Partition
	part.CurrentLeaderEpoch = e.leaderEpoch
	part.FetchOffset = e.offset
	part.PartitionMaxBytes = e.maxBytes
	r.topics[i].Partitions = append(r.topics[i].Partitions, part)
	return e.topicID == (protocol.UUID{})
}

// topic gives the index of a topic, in the memory of an earlier request if there is some.
func (r *requestTopics) topic(name string, id protocol.UUID) int {
	last := len(r.topics) - 1
	if last >= 0 && r.topics[last].Topic == name {
		return last
	}
	if i, ok := r.at[name]; ok {
		return i
	}
	if last >= 0 { // with one there is no need to look up anything
		if r.at == nil {
			r.at = map[string]int{r.topics[0].Topic: 0}
		}
		r.at[name] = last + 1
	}
	var parts []protocol.FetchRequestPartition
	if n := len(r.topics); n < cap(r.topics) {
		parts = r.topics[:n+1][n].Partitions[:0]
	}
	if n := r.counts[name]; n > cap(parts) {
		parts = make([]protocol.FetchRequestPartition, 0, n)
	}
	r.topics = append(r.topics, protocol.FetchRequestTopic{Topic: name, TopicID: id, Partitions: parts})
	return last + 1
}

func (r *requestTopics) forget(fp forgottenPartition) {
	if r.forgetAt == nil {
		r.forgetAt = make(map[forgottenPartition]int)
	}
	key := forgottenPartition{topicID: fp.topicID, tp: TopicPartition{Topic: fp.tp.Topic}}
	i, ok := r.forgetAt[key]
	if !ok {
		i = len(r.forgotten)
		r.forgetAt[key] = i
		r.forgotten = append(r.forgotten, protocol.FetchRequestForgottenTopic{Topic: fp.tp.Topic, TopicID: fp.topicID})
	}
	r.forgotten[i].Partitions = append(r.forgotten[i].Partitions, fp.tp.Partition)
}
