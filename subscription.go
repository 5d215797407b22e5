package kafka

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// subscriptionKind says how partitions come to be assigned; the kinds exclude one another.
type subscriptionKind int8

const (
	subscribedNothing subscriptionKind = iota
	subscribedTopics
	subscribedPattern
	assignedByHand
)

// A subscription is the one owner of what is subscribed and assigned, and of each partition's state. Its mutex guards
// all of it, buffers and fetch plans included, so that a message is handed out, its position moved and its epoch
// checked in one step; a run of messages is handed out in one such step, too (run). It is held for short, never across I/O, a
// channel operation that may block, or user code.
type subscription struct {
	mu     subscriptionMutex
	notice // of what a waiting Position, Start or commit may care for

	kind       subscriptionKind
	topics     []string // sorted; those that match, for a pattern
	pattern    *regexp.Regexp
	matched    bool // the pattern was held to a complete view of the cluster: what matches from now on is new
	listener   RebalanceListener
	listening  int                    // listener calls queued or running: nothing is handed out meanwhile
	seen       map[string]*topicWatch // what was seen of each of topics; forgotten with it
	partitions map[TopicPartition]*partition
	assigned   bool   // a first assignment has been made
	drops      uint64 // counts the calls that may drop partitions
	pausedNow  int    // partitions that are paused

	firstStart map[TopicPartition]firstStart // where this consumer first started on a partition for want of a committed offset
	failures   []*failure

	// Of the group.
	had            map[TopicPartition]*loss // lost in a rebalance or by eviction, and why, where that is known
	missed         map[TopicPartition]missedPart
	givenUp        map[TopicPartition]heldPart // given up in the rebalance that is under way, which may bring them back
	joinedAt       uint64                      // what drops was when the group was last told of the topics
	lastOwned      []TopicPartition            // the last assignment the group gave, and its generation
	lastGeneration int32
	groupTopics    []string // for the group's leader: the topics of all members
	parked         bool     // the membership ended for want of Get calls

	// Of Get calls.
	ring          queue[*partition] // those with messages, in turn
	waiters       []*waiter
	idle          *waiter // left by a call that has ended; nil: none
	polled        *waiter // the last Get call, if it found nothing and did not wait: what it wanted is wanted until the next
	turn          uint64  // counts the Get calls that have begun
	awaitTurn     bool    // somebody waits for what is in hand to settle
	byIterator    bool    // the last message was handed out by an iterator
	calls         int     // Get calls that wait
	warnedOverlap bool

	// Of the fetcher and the decoding workers.
	held      []*partition      // those not fetched because they gave up batches and are not wanted
	undecoded queue[*partition] // those with segments that may be decoded, in turn
	starved   []*partition      // those with segments that found no room
	retry     bool              // starved ones are to be tried again
	retriedAt int64             // budget.freed when they last were

	// Set once, before anything runs.
	budget     *budget
	settles    bool // autocommit is on: overlapping calls are worth a warning
	parallel   int  // segments of one partition that may be decoded at a time
	batchLimit int  // bytes

	// To tell the others, set once, too. They never block.
	wakeFetcher   func() // there may be something to fetch, or to stop fetching
	wakeDecoder   func() // there may be something to decode
	wakePositions func() // there may be a position to look up
	wakeTopics    func() // topics to watch have changed
	dirty         func(p *partition)
	backOff       func(p *partition)
}

// A firstStart is where this consumer first started on a partition, and in which topic of that name.
type firstStart struct {
	offset  int64
	topicID [16]byte // zero where brokers give none
}

// A waiter is a Get call that waits.
type waiter struct {
	ch    chan struct{} // cap 1
	only  []*partition  // nil: all
	until time.Time     // when the call gives up; zero: never
	woken bool          // it is to look again, and has not yet
}

func newSubscription() *subscription {
	return &subscription{
		turn: 1, had: make(map[TopicPartition]*loss), missed: make(map[TopicPartition]missedPart), givenUp: make(map[TopicPartition]heldPart), firstStart: make(map[TopicPartition]firstStart),
		seen: make(map[string]*topicWatch), partitions: make(map[TopicPartition]*partition),
	}
}

// wake lets the Get calls look again that are interested in p; nil is everybody's concern.
func (s *subscription) wake(p *partition) {
	for _, w := range s.waiters {
		if p == nil || w.wants(p) {
			w.woken = true
			kick(w.ch)
		}
	}
	if s.polled != nil && (p == nil || s.polled.wants(p)) {
		s.polled.woken = true
	}
}

// wants says whether the call is for p, too.
func (w *waiter) wants(p *partition) bool { return w.only == nil || slices.Contains(w.only, p) }

// wanted says whether a waiting Get call would take messages of p, or the last one would have that did not wait.
func (s *subscription) wanted(p *partition) bool {
	if p.paused || p.gone {
		return false
	}
	return s.polled != nil && s.polled.wants(p) || slices.ContainsFunc(s.waiters, func(w *waiter) bool { return w.wants(p) })
}

// starving says whether p is wanted by a Get call that has found nothing, and that there has been nothing for since. One that has been
// woken may take a while to run: what it will find is enough for it.
func (s *subscription) starving(p *partition) bool {
	starves := func(w *waiter) bool { return !w.woken && w.wants(p) }
	return !p.paused && (s.polled != nil && starves(s.polled) || slices.ContainsFunc(s.waiters, starves))
}

// allWanted says whether a Get call waits for messages of any partition, or the last one would have that did not wait.
func (s *subscription) allWanted() bool {
	return s.polled != nil && s.polled.only == nil || slices.ContainsFunc(s.waiters, func(w *waiter) bool { return w.only == nil })
}

// setPause pauses or resumes a partition, and counts.
func (s *subscription) setPause(p *partition, paused bool) {
	if p.paused == paused {
		return
	}
	p.paused = paused
	if paused {
		s.pausedNow++
	} else {
		s.pausedNow--
	}
}

// get gives an assigned partition, or nil. What a Subscribe has dropped is not assigned any more, but for a listener.
func (s *subscription) get(tp TopicPartition) *partition {
	if p := s.partitions[tp]; p != nil && (p.dropped == nil || s.listening > 0) {
		return p
	}
	return nil
}

// find gives an assigned partition.
func (s *subscription) find(call string, tp TopicPartition) (*partition, error) {
	if p := s.get(tp); p != nil {
		return p, nil
	}
	return nil, illegalState(call, "partition %v is not assigned", tp)
}

// named gives the partitions named, or all that are assigned where none is.
func (s *subscription) named(call string, tps []TopicPartition) ([]*partition, error) {
	if len(tps) == 0 {
		all := make([]*partition, 0, len(s.partitions))
		for _, p := range s.partitions {
			if p.dropped == nil || s.listening > 0 {
				all = append(all, p)
			}
		}
		return all, nil
	}
	out := make([]*partition, 0, len(tps))
	for _, tp := range tps {
		p, err := s.find(call, tp)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// following says whether partitions come from topics rather than by hand.
func (k subscriptionKind) following() bool { return k == subscribedTopics || k == subscribedPattern }

// subscribe replaces the topics, or with a pattern, what they have to match. It changes nothing when the kind does not
// fit. It gives the partitions that have gone, and who is to be told.
func (s *subscription) subscribe(call string, topics []string, pattern *regexp.Regexp, l RebalanceListener) (gone []TopicPartition, told RebalanceListener, err error) {
	kind := subscribedTopics
	if pattern != nil {
		kind = subscribedPattern
	}
	if s.kind != subscribedNothing && s.kind != kind {
		return nil, nil, illegalState(call, "the consumer %s; call Unsubscribe first", s.has())
	}
	told = s.listener
	s.kind, s.pattern, s.listener, s.matched, s.parked = kind, pattern, l, false, false
	if pattern == nil {
		s.topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	} else {
		s.topics = slices.DeleteFunc(slices.Clone(s.topics), func(t string) bool { return !pattern.MatchString(t) })
	}
	for tp := range s.partitions {
		if _, ok := slices.BinarySearch(s.topics, tp.Topic); !ok && s.partitions[tp].dropped == nil {
			gone = append(gone, tp)
		}
	}
	s.assigned = s.assigned && pattern == nil && len(gone) < len(s.partitions)
	s.drops++
	drop := &dropping{told: told, seq: s.drops}
	for _, tp := range gone {
		p := s.partitions[tp]
		p.dropped, p.leaving = drop, true
		s.dirty(p)
	}
	s.forgetTopics()
	s.clearTopicFailures()
	s.changedAssignment()
	return gone, told, nil
}

// removeDropped takes out those of the partitions that the subscription has dropped.
func (s *subscription) removeDropped(tps []TopicPartition) {
	var gone []TopicPartition
	for _, tp := range tps {
		if p := s.partitions[tp]; p != nil && p.dropped != nil {
			gone = append(gone, tp)
		}
	}
	s.remove(gone)
}

// assign replaces the partitions assigned by hand. Those that stay keep everything. It gives those of the others of which something is
// settled and not committed.
func (s *subscription) assign(tps []TopicPartition, start startAt) (map[TopicPartition]*partition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind.following() {
		return nil, illegalState("Assign", "the consumer %s; call Unsubscribe first", s.has())
	}
	s.kind = assignedByHand
	s.assigned = true
	stay := make(map[TopicPartition]struct{}, len(tps))
	for _, tp := range tps {
		stay[tp] = struct{}{}
	}
	leaving := make(map[TopicPartition]*partition)
	for tp, p := range s.partitions {
		if _, ok := stay[tp]; !ok {
			leaving[tp] = p
		}
	}
	offsets := s.toCommit(leaving, time.Now())
	s.remove(slices.Collect(maps.Keys(leaving)))
	maps.DeleteFunc(leaving, func(tp TopicPartition, _ *partition) bool {
		_, commits := offsets[tp]
		return !commits
	})
	s.add(tps, start)
	s.topics = topicsOf(tps)
	s.forgetTopics()
	s.clearTopicFailures()
	s.changedAssignment()
	return leaving, nil
}

// unsubscribe drops everything, but what ends the consumer for good. It gives what a listener has failed with and no Get call has
// told.
func (s *subscription) unsubscribe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind, s.topics, s.pattern, s.listener, s.assigned, s.parked = subscribedNothing, nil, nil, nil, false, false
	var all []TopicPartition
	for tp := range s.partitions {
		all = append(all, tp)
	}
	s.remove(all)
	untold := s.untold()
	s.failures = slices.DeleteFunc(s.failures, func(f *failure) bool { return !fatal(f.err) })
	s.forgetTopics()
	clear(s.had)
	clear(s.givenUp)
	clear(s.missed)
	clear(s.firstStart)
	s.changedAssignment()
	return untold
}

// forgetTopics drops what was seen of topics that do not matter any more: of one that comes back later, what was written
// meanwhile is not new. It is done with the change itself, for metadata may not look before the next one.
func (s *subscription) forgetTopics() {
	for topic := range s.seen {
		if !slices.Contains(s.topics, topic) {
			delete(s.seen, topic)
		}
	}
}

// assignedWhere gives the partitions in the assignment for which where is true.
func (s *subscription) assignedWhere(where func(*partition) bool) (tps []TopicPartition) {
	for tp, p := range s.partitions {
		if where(p) {
			tps = append(tps, tp)
		}
	}
	return tps
}

func (s *subscription) changedAssignment() {
	s.wakeTopics()
	s.wake(nil)
	s.signal()
	s.wakeFetcher()
}

// topicsOf gives the topics of partitions, sorted.
func topicsOf(tps []TopicPartition) []string {
	topics := make(map[string]struct{})
	for _, tp := range tps {
		topics[tp.Topic] = struct{}{}
	}
	return slices.Sorted(maps.Keys(topics))
}

// open lets a partition's messages be handed out: its listener has returned.
func (s *subscription) open(p *partition) {
	p.gated = false
	s.settle(p)
	s.wake(p)
}

// add puts partitions that are not there yet into the assignment.
func (s *subscription) add(tps []TopicPartition, start startAt) {
	start.from = -1
	for _, tp := range tps {
		if s.partitions[tp] == nil {
			p := newPartition(tp, &start)
			p.gated = s.listener != nil && s.kind.following()
			s.partitions[tp] = p
		}
	}
	s.wakePositions()
}

// remove takes partitions out of the assignment, with all that is known of them. Others are not touched.
func (s *subscription) remove(tps []TopicPartition) {
	hadTurns := false
	for _, tp := range tps {
		p := s.partitions[tp]
		delete(s.partitions, tp)
		p.gone = true
		p.epoch++
		p.buf.dropFrom(0, s.budget)
		s.setPause(p, false)
		s.clear(p)
		s.dirty(p)
		hadTurns, p.inRing = hadTurns || p.inRing, false
	}
	if hadTurns {
		s.ring.keep(func(p *partition) bool { return !p.gone }) // once for all of them
	}
}

// loseAll takes partitions out of the assignment that the group has taken, or is about to give to others.
func (s *subscription) loseAll(tps []TopicPartition, why *loss) {
	for _, tp := range tps {
		s.had[tp] = why
	}
	s.remove(tps)
}

// anyDeliverable says whether there are messages that a Get call would take.
func (s *subscription) anyDeliverable() bool {
	for i := range s.ring.len() {
		if s.ring.at(i).deliverable() {
			return true
		}
	}
	return false
}

// sought is for a position that the application asks for: it ends what a listener's failure began.
func (s *subscription) sought(p *partition) {
	if p.refused {
		p.refused = false
		s.clear(p)
	}
}

// seek gives p a new position; what was fetched is void.
func (s *subscription) seek(p *partition, offset int64, leaderEpoch int32) {
	p.epoch++
	p.moved++
	p.known, p.position, p.lastEpoch, p.handTurn, p.handedTo, p.byHand = true, offset, leaderEpoch, 0, 0, -1
	p.buf.dropFrom(0, s.budget)
	p.fetch.offset, p.fetch.need, p.fetch.stuck, p.fetch.corrupt = offset, 0, 0, nil
	p.fetch.retryAt, p.fetch.attempts = time.Time{}, 0
	p.fetch.lost = false
	p.fetch.lastEpoch = leaderEpoch
	p.fetch.validate = leaderEpoch >= 0 && leaderEpoch < p.fetch.leaderEpoch
	p.start, p.asking = started, asking{}
	if !p.refused {
		s.clear(p)
	}
	s.dirty(p)
	s.wakeFetcher()
	if p.fetch.validate {
		s.wakePositions()
	}
	s.signal()
	s.wakeForFailures(p)
}

// begin gives a partition the position that was looked up for it. What has been committed by hand meanwhile stays: a commit that
// waited for a rebalance may reach the coordinator after the question where to begin.
func (s *subscription) begin(p *partition, offset int64, leaderEpoch int32) {
	byHand, moved := p.byHand, p.moved
	s.seek(p, offset, leaderEpoch)
	p.byHand, p.moved = byHand, moved
}

// reset takes the position away; it is looked up again as start says.
func (s *subscription) reset(p *partition, start startAt) {
	p.epoch++
	p.moved++
	p.known, p.start, p.asking, p.handedTo, p.byHand = false, &start, asking{}, 0, -1
	p.buf.dropFrom(0, s.budget)
	p.fetch.need, p.fetch.stuck, p.fetch.corrupt = 0, 0, nil
	p.fetch.validate, p.fetch.lost = false, false
	s.dirty(p)
	s.wakePositions()
	s.wakeForFailures(p)
}

// lose is for a position that the log does not have, where no policy says where to go on: it is told, with what the log
// has, until the application seeks.
func (s *subscription) lose(p *partition, start startAt) {
	p.epoch++
	p.start, p.asking, p.fetch.lost = &start, asking{}, true
	s.dirty(p)
	s.wakePositions()
}

// enqueue lets p take its turns, if it has something to hand out.
func (s *subscription) enqueue(p *partition) {
	if p.deliverable() && !p.inRing {
		p.inRing, p.turn = true, turnLength
		s.ring.push(p)
	}
}

// settle moves p's position past what has nothing to hand out (control records, aborted transactions, compacted
// tails), notes an error that comes next, and lets more be fetched and decoded in the place of what is used up. Called whenever the
// front of the buffer has changed.
func (s *subscription) settle(p *partition) {
	if p.gone || !p.known {
		return
	}
	before := p.buf.bytes
	p.position, p.lastEpoch = p.buf.popFinished(p.position, p.lastEpoch, s.budget)
	if p.buf.bytes != before {
		s.dirty(p) // also where nothing was handed out of what is used up
		s.decodable(p)
		s.wakeFetcher()
	}
	if len(p.buf.segments) > 0 && p.buf.segments[0].starved && !p.buf.segments[0].first {
		s.starvedAgain() // it comes first now: it may have the reserve
	}
	if err := p.buf.failed(); err != nil {
		s.fail(p, err)
	}
	s.enqueue(p)
}

// assignmentNow gives the assigned partitions, sorted; nil where there are none.
func (s *subscription) assignmentNow(keep func(*partition) bool) []TopicPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []TopicPartition
	for tp, p := range s.partitions {
		if p.dropped == nil && (keep == nil || keep(p)) {
			out = append(out, tp)
		}
	}
	slices.SortFunc(out, compareTopicPartitions)
	return out
}

// setPaused pauses or resumes; nothing is changed where one of the partitions is not assigned.
func (s *subscription) setPaused(call string, tps []TopicPartition, paused bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(tps) == 0 {
		return nil
	}
	parts, err := s.named(call, tps)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.paused == paused {
			continue
		}
		s.setPause(p, paused)
		if !paused {
			s.settle(p)
			s.wake(p)
		} else {
			s.wakeForFailures(p)
		}
		s.dirty(p)
	}
	s.wakeFetcher()
	return nil
}

// forgetCluster takes back what a start that failed has learned. It gives what a listener has failed with meanwhile.
func (s *subscription) forgetCluster() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	untold := s.untold()
	s.failures, s.starved, s.held = nil, nil, nil
	clear(s.seen)
	s.listening = 0
	s.undecoded = queue[*partition]{}
	s.ring = queue[*partition]{}
	clear(s.givenUp)
	clear(s.missed)
	s.matched = false
	if s.kind.following() {
		s.assigned = false
	}
	for tp, p := range s.partitions {
		p.gone = true
		p.epoch++
		p.buf.dropFrom(0, s.budget)
		if s.kind.following() {
			s.setPause(p, false)
			delete(s.partitions, tp)
		} else {
			fresh := newPartition(tp, p.start.with(func(s *startAt) { s.from = -1 }))
			fresh.asking.retryAt, fresh.paused = p.asking.retryAt, p.paused
			s.partitions[tp] = fresh
		}
	}
	return untold
}

// has says what is subscribed or assigned, as a predicate of the consumer.
func (s *subscription) has() string {
	switch s.kind {
	case subscribedTopics:
		return "is subscribed to topics (" + someOf(s.topics) + ")"
	case subscribedPattern:
		given := strings.TrimSuffix(strings.TrimPrefix(s.pattern.String(), patternBegin), patternEnd)
		return fmt.Sprintf("is subscribed to a pattern (%q)", given)
	case assignedByHand:
		var names []string
		for _, tp := range slices.SortedFunc(maps.Keys(s.partitions), compareTopicPartitions) {
			names = append(names, tp.String())
		}
		return "has partitions assigned by hand (" + someOf(names) + ")"
	}
	return "has nothing subscribed or assigned"
}

// someOf lists names, the first few of many.
func someOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
