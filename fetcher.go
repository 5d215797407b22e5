package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Each broker has two lanes for fetches, each a connection of its own with at most one fetch on it. The main lane has the
// fetch session and the long poll. The side lane is for partitions that become fetchable while that poll is out, so that
// they do not wait behind it.
const (
	mainLane = iota
	sideLane
	lanes
)

// sideWait is the long poll of the side lane. It is short, so that the next partition that becomes fetchable does not wait
// behind it either; what has nothing to fetch returns to the main lane with its next poll.
const sideWait = 25 * time.Millisecond

// overdueAfter is how much longer than its max wait a fetch may take until it is given up as hung.
const overdueAfter = time.Second

// overdueDoublings is how often that doubles, with each fetch in a row that is given up: up to 32 seconds, as no broker that is
// merely slow should need more.
const overdueDoublings = 5

// A fetcher keeps the buffers filled. One goroutine plans; each fetch that is out has one of its own. What it knows of
// brokers is guarded by subscription.mu, as the partitions are.
type fetcher struct {
	cfg     *config
	sub     *subscription
	cluster *cluster.Client
	log     *slog.Logger
	backoff cluster.Backoff
	work    chan struct{} // cap 1
	nodes   map[int32]*fetchNode
	flow    flow
	needy   *partition               // it waits for more room than a fetch usually has
	topics  map[protocol.UUID]string // names by id; replaced, never changed
}

// A fetchNode is a broker that leads partitions.
type fetchNode struct {
	id          int32
	dirty       queue[*partition] // partitions whose part in the next fetch may have changed
	busy        [lanes]bool
	spare       [lanes]*fetchPlan // the memory of the last ones
	picked      []*partition      // by candidates, until the next call
	session     fetchSession
	reach       reach
	compressed  bool      // it has sent compressed batches
	sideBrought time.Time // when the last answer on the side lane came, if it had records
	overdue     int       // fetches in a row that were given up
	failed      int       // fetches in a row that failed
	failure     error     // of the last of them
	retryAt     time.Time
	// answered is when a fetch of the session last succeeded. An answer leaves out the members that have nothing new
	// (KIP-227): it is one for them too.
	answered time.Time
}

func newFetcher(cfg *config, sub *subscription, cl *cluster.Client) *fetcher {
	return &fetcher{
		cfg: cfg, sub: sub, cluster: cl, log: cfg.logger,
		backoff: cfg.backoff(),
		work:    make(chan struct{}, 1),
		nodes:   make(map[int32]*fetchNode),
	}
}

// startOver forgets the brokers after a start that failed: nothing of it runs any more.
func (f *fetcher) startOver() {
	f.sub.mu.Lock()
	defer f.sub.mu.Unlock()
	clear(f.nodes)
	f.flow = flow{}
}

// wake makes the planner look again.
func (f *fetcher) wake() { kick(f.work) }

// node gives what is known of a broker, called with the mutex held.
func (f *fetcher) node(id int32) *fetchNode {
	n := f.nodes[id]
	if n == nil {
		n = &fetchNode{id: id, session: newFetchSession()}
		f.nodes[id] = n
	}
	return n
}

// markDirty queues p for planning: where it is led, and, if that has changed, out of its old session.
func (f *fetcher) markDirty(p *partition) {
	if e := p.fetch.session; e.on && (p.gone || e.node != p.source()) {
		f.node(e.node).session.forget(p)
		f.wake()
	}
	if p.gone || p.source() < 0 {
		p.fetch.dirty = nil
		return
	}
	if n := f.node(p.source()); p.fetch.dirty != n {
		p.fetch.dirty = n
		n.dirty.push(p)
	}
}

// answered is when a fetch last answered for p, with messages or without; the zero time before one.
func (f *fetcher) answered(p *partition) time.Time {
	if e := p.fetch.session; !p.lastAnswer.IsZero() && e.on && e.epoch == p.epoch {
		if n := f.node(e.node); n.answered.After(p.fetch.joined) && n.answered.After(p.lastAnswer) {
			p.lastAnswer = n.answered // it stays so when the partition leaves the session
		}
	}
	return p.lastAnswer
}

// backOff lets p wait before it is fetched again.
func (f *fetcher) backOff(p *partition) {
	p.fetch.attempts++
	p.fetch.retryAt = time.Now().Add(f.backoff.After(int(p.fetch.attempts)))
}

// run plans until ctx ends, then waits for the fetches that are out.
func (f *fetcher) run(ctx context.Context, spawn func(func())) {
	for more := true; more; {
		f.sub.mu.Lock()
		plans, again := f.plan(time.Now())
		f.sub.mu.Unlock()
		for _, pl := range plans {
			spawn(func() { f.fetch(ctx, pl) })
		}
		more = waitFor(ctx, f.work, again)
	}
	f.sub.mu.Lock()
	f.flow.end()
	f.sub.mu.Unlock()
}

// plan decides what to ask every broker with a free lane; again is when to look again at the latest.
func (f *fetcher) plan(now time.Time) (plans []*fetchPlan, again time.Time) {
	for _, n := range f.nodes {
		if now.Before(n.retryAt) {
			again = sooner(again, n.retryAt)
			continue
		}
		for lane := range lanes {
			if n.busy[lane] {
				continue
			}
			pl, at := f.planLane(n, lane, now)
			again = sooner(again, at)
			if pl != nil {
				n.busy[lane] = true
				plans = append(plans, pl)
			}
			if !n.busy[mainLane] {
				break // the side lane is for when the main lane is out
			}
		}
	}
	return plans, again
}

// fetch makes a fetch, and those that follow it on its lane for as long as there is something to ask at once.
func (f *fetcher) fetch(ctx context.Context, pl *fetchPlan) {
	for pl != nil {
		f.fetchOnce(ctx, pl)
		pl = f.next(ctx, pl)
	}
	f.wake()
}

// next plans what follows a fetch that has landed: without another goroutine, and in the memory of the last plan. Where others
// wait for room, that is the planner's to do, who looks at all brokers.
func (f *fetcher) next(ctx context.Context, pl *fetchPlan) *fetchPlan {
	f.sub.mu.Lock()
	defer f.sub.mu.Unlock()
	n, now, lane, awaited := f.node(pl.node), time.Now(), pl.lane, pl.awaited
	if n.spare[lane] == nil {
		n.spare[lane] = pl.emptied()
	}
	if ctx.Err() != nil || awaited || lane != mainLane || n.busy[mainLane] || now.Before(n.retryAt) {
		return nil
	}
	next, again := f.planLane(n, mainLane, now)
	if next != nil {
		n.busy[mainLane] = true
		if !again.IsZero() {
			f.wake() // the planner is to know
		}
	}
	return next
}

// fetchOnce makes one fetch and takes in how it ended.
func (f *fetcher) fetchOnce(ctx context.Context, pl *fetchPlan) {
	wait := pl.wait + overdueAfter<<min(pl.overdue, overdueDoublings)
	opts := broker.CallOptions{FirstByteTimeout: min(wait, pl.wait+f.cfg.requestTimeout), MaxVersion: pl.maxVersion}
	kind := cluster.KindFetch
	if pl.lane == sideLane {
		kind = cluster.KindFetchSide
	}
	pl.visitor = fetchVisitor{f: f, plan: pl, sent: time.Now(), parts: pl.visitor.parts[:0]}
	var err error
	pl.visitor.version, err = f.cluster.Fetch(ctx, pl.node, kind, pl.request, opts, &pl.visitor)
	refresh := f.landed(pl, err, ctx.Err() != nil)
	if code := pl.visitor.code; code != protocol.None && !fetchRefusalFor(code).session {
		f.log.Warn("kafka: a fetch was refused", "broker", pl.node, "err", code)
	}
	if refresh != "" {
		f.cluster.Refresh(refresh)
	}
}

// landed gives back what a fetch had reserved and frees its lane; stopped says that the consumer ended it.
func (f *fetcher) landed(pl *fetchPlan, err error, stopped bool) (refresh string) {
	v := &pl.visitor
	f.sub.mu.Lock()
	defer f.sub.mu.Unlock()
	pl.awaited = f.sub.budget.wasRefused()
	for _, piece := range v.parts { // the answer has ended within a record set, and its memory may be written to yet
		f.sub.budget.releaseRaw(piece.bytes)
	}
	v.leaveList()
	f.sub.budget.leaveRaw(pl.left)
	if v.took == 0 {
		f.sub.budget.dropSpare()
	}
	buffered, _, _ := f.sub.budget.buffered()
	now := time.Now()
	f.flow.add(v.took, v.plain, buffered, now, f.sub.budget.reusing())
	n := f.node(pl.node)
	n.busy[pl.lane] = false
	if pl.lane == sideLane {
		if n.sideBrought = now; v.took == 0 {
			n.sideBrought = time.Time{}
		}
		for _, p := range pl.side {
			if p.fetch.flight.node == n {
				p.fetch.flight.on = false
			}
			f.markDirty(p)
		}
	}
	return f.ended(n, pl, err, stopped)
}

// A fetchRefusal is what is done about the error code of a Fetch answer as a whole. All of them begin the session anew, and
// ask again after the backoff, if not at once.
type fetchRefusal struct {
	atOnce  bool // the first in a row is asked again without a wait
	refresh bool // ask for metadata
	session bool // it is of the fetch session alone (KIP-227), and nothing a person should look at
}

// fetchRefusals has the codes of fetch sessions; fetchRefusalFor decides about all others.
var fetchRefusals = map[protocol.ErrorCode]fetchRefusal{
	protocol.FetchSessionIDNotFound:   {atOnce: true, session: true},
	protocol.InvalidFetchSessionEpoch: {atOnce: true, session: true},
	protocol.FetchSessionTopicIDError: {refresh: true, session: true},
}

func fetchRefusalFor(code protocol.ErrorCode) fetchRefusal {
	if r, ok := fetchRefusals[code]; ok {
		return r
	}
	return fetchRefusal{refresh: true}
}

// ended takes in how a fetch ended, beside its records; it gives a reason to refresh metadata, if there is one.
func (f *fetcher) ended(n *fetchNode, pl *fetchPlan, err error, stopped bool) (refresh string) {
	v := &pl.visitor
	if err == nil && v.code == protocol.None {
		n.failed, n.overdue, n.failure = 0, 0, nil
		if pl.lane == mainLane {
			n.answered, n.session.version = time.Now(), v.version
			n.reach.measured(v.began.Sub(v.sent), n.answered.Sub(v.began), v.took)
		}
		return v.refresh
	}
	if stopped {
		return ""
	}
	if pl.lane == mainLane {
		f.dropSession(n, v.code)
	}
	if v.code != protocol.None {
		return f.refused(n, v.code)
	}
	f.leaveReplica(n.id)
	n.failed, n.failure = n.failed+1, err
	if errors.Is(err, broker.ErrTimeout) {
		// The answer is overdue: the broker hangs, or is slow. It is asked again with more patience, unless metadata
		// from elsewhere names another leader first.
		n.overdue++
		f.cluster.Avoid(n.id)
	}
	n.retryAt = time.Now().Add(f.backoff.After(n.failed))
	return "a fetch failed: " + err.Error()
}

// refused lets a broker wait that has refused a whole fetch, as the table says.
func (f *fetcher) refused(n *fetchNode, code protocol.ErrorCode) (refresh string) {
	r := fetchRefusalFor(code)
	n.failed, n.failure = n.failed+1, brokerError("Fetch", fmt.Sprint(n.id), TopicPartition{Partition: -1}, code)
	waits := n.failed
	if r.atOnce {
		waits-- // begun anew at once; but not over and over
	}
	if waits > 0 {
		n.retryAt = time.Now().Add(f.backoff.After(waits))
	}
	if r.refresh {
		return "a fetch was refused: " + code.Name()
	}
	return ""
}

// dropSession forgets the broker's session, so that the next fetch begins a new one with everything in it.
func (f *fetcher) dropSession(n *fetchNode, code protocol.ErrorCode) {
	for _, p := range n.session.reset(code) {
		f.markDirty(p)
	}
}
