package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A group drives a consumer's membership: one goroutine feeds events to the state machine and carries out its actions.
type group struct {
	c    *Consumer
	work chan struct{} // cap 1: there are events

	mu     sync.Mutex // guards what follows; taken after subscription.mu where both are; never held across I/O
	m      membership
	events []any
	notice // of changes of state

	// The join under way, and what came of it.
	answer   *protocol.JoinGroupResponse
	assigned []protocol.ConsumerProtocolTopicPartition
	shared   map[string]sharedTopic // for the leader: the topics of the group, as they were shared
	racked   bool                   // for the leader: members tell their racks
	lastErr  error                  // what Get calls are told, for Start
	node     int32                  // the coordinator asked last

	departures []*departure // who waits for this member to leave
}

func newGroup(c *Consumer) *group {
	return &group{c: c, work: make(chan struct{}, 1), m: membership{
		cfg: membershipConfig{
			instance: c.cfg.instanceID, heartbeat: c.cfg.heartbeatInterval,
			backoff: c.cfg.backoff(),
		},
		generation: -1,
	}}
}

// post hands an event to the state machine. It never blocks.
func (g *group) post(event any) {
	g.mu.Lock()
	g.events = append(g.events, event)
	g.mu.Unlock()
	kick(g.work)
}

// loop drives the membership until ctx ends.
func (g *group) loop(ctx context.Context) {
	for {
		g.mu.Lock()
		events := append(g.events, evTick{})
		g.events = nil
		var acts []any
		before := g.m.state
		for _, e := range events {
			acts = append(acts, g.m.step(time.Now(), e)...)
		}
		at := g.m.wakeAt()
		if g.m.state != before || len(events) > 1 {
			g.signal()
		}
		g.mu.Unlock()
		for _, a := range acts {
			g.do(ctx, a)
		}
		if !waitFor(ctx, g.work, at) {
			return
		}
	}
}

// do carries out one action; what takes time does so in a goroutine of its own, that ends with ctx.
func (g *group) do(ctx context.Context, action any) {
	c := g.c
	switch a := action.(type) {
	case actGiveUp:
		c.spawn(func() {
			g.giveUp(ctx, a)
			g.post(evGivenUp{turn: a.turn})
		})
	case actJoin:
		c.spawn(func() { g.join(ctx, a) })
	case actSync:
		c.spawn(func() { g.sync(ctx, a) })
	case actApply:
		c.spawn(func() { g.post(evApplied{round: a.round, again: g.apply(ctx, a.round)}) })
	case actBeat:
		c.spawn(func() { g.beat(ctx, a) })
	case actLeave:
		c.spawn(func() { g.leave(ctx, a) })
	case actForgetCoordinator:
		g.mu.Lock()
		node := g.node
		g.mu.Unlock()
		c.cluster.ForgetCoordinator(c.cfg.groupID, node)
	case actTell:
		g.tell(a.err)
	}
}

// tell makes Get calls, and a Start that waits, return an error of the group; nil ends it.
func (g *group) tell(err error) {
	if err != nil {
		err = g.c.groupError("joining group "+g.c.cfg.groupID, err)
	}
	g.mu.Lock()
	said := err == nil || sameRefusal(g.lastErr, err)
	g.lastErr = err
	g.mu.Unlock()
	if !said {
		g.c.log.Warn("kafka: the group does not take this member", "group", g.c.cfg.groupID, "err", err)
	}
	g.c.sub.mu.Lock()
	g.c.sub.failAs(aboutGroup, err)
	g.c.sub.mu.Unlock()
}

// sameRefusal says whether two errors are the same, but for the broker that was asked: any may be asked for the coordinator.
func sameRefusal(a, b error) bool {
	if a == nil || b == nil {
		return false
	}
	ra, aBroker := errors.AsType[*BrokerError](a)
	rb, bBroker := errors.AsType[*BrokerError](b)
	if aBroker && bBroker {
		return ra.API == rb.API && ra.Code == rb.Code
	}
	return a.Error() == b.Error()
}

// call sends a request to the coordinator, once.
func (g *group) call(ctx context.Context, kind cluster.Kind, req protocol.Request, timeout time.Duration) (protocol.Response, answerer, error) {
	c := g.c
	by := answerer{api: req.Key().String()}
	node, err := c.cluster.Coordinator(ctx, c.cfg.groupID)
	if err != nil {
		return nil, whoAnswered(by, err), err
	}
	by.broker = fmt.Sprint(node)
	g.mu.Lock()
	g.node = node
	g.mu.Unlock()
	resp, _, err := c.cluster.Do(ctx, node, kind, req, broker.CallOptions{Timeout: timeout})
	if err != nil {
		c.coordinatorFailed(ctx, node, err)
	}
	return resp, whoAnswered(by, err), err
}

// identity is as whom this member commits now.
func (g *group) identity() memberIdentity {
	g.mu.Lock()
	defer g.mu.Unlock()
	return memberIdentity{generation: g.m.generation, member: g.m.memberID, instance: g.m.cfg.instance}
}

// awaitSettled waits until no rebalance changes the generation, and gives the identity then. It does not wait without a generation, for
// which nothing of what the member had is left, and in a listener's ctx: the rebalance waits for the listener.
func (g *group) awaitSettled(ctx context.Context) (memberIdentity, error) {
	for {
		g.mu.Lock()
		if g.m.settled() || g.m.generation < 0 || g.c.insideListener(ctx) {
			g.mu.Unlock()
			return g.identity(), nil
		}
		changed := g.watch()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return memberIdentity{}, ctx.Err()
		}
	}
}

// unsubscribed takes back a wish to join that came while the subscription was being dropped.
func (g *group) unsubscribed() {
	g.c.sub.mu.Lock()
	defer g.c.sub.mu.Unlock()
	if !g.c.sub.kind.following() {
		g.post(evUnwanted{})
	}
}

// startOver makes a fresh membership, for a Start after one that failed. Nothing of the old one runs any more.
func (g *group) startOver() {
	fresh := newGroup(g.c)
	s := g.c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.m, g.events = fresh.m, nil
	g.answer, g.assigned, g.shared, g.lastErr = nil, nil, nil, nil
	g.signal()
	s.parked = false
	if s.kind == subscribedTopics { // a pattern has to be matched first
		g.events = []any{evWanted{reason: "the consumer has started"}}
	}
}

// leaveAtOnce tells the coordinator, without waiting for long, that a member goes whose Start has failed.
func (g *group) leaveAtOnce(ctx context.Context) {
	g.mu.Lock()
	id := g.m.memberID
	g.mu.Unlock()
	if id == "" || g.c.cfg.instanceID != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveAtOnceFor)
	defer cancel()
	reason := "the start of the consumer has failed"
	req := &protocol.LeaveGroupRequest{GroupID: g.c.cfg.groupID, MemberID: id}
	req.Members = []protocol.LeaveGroupRequestMember{{MemberID: id, Reason: &reason}}
	_, _, _ = g.call(ctx, cluster.KindGeneral, req, 0) // the session timeout does it, too
}

const leaveAtOnceFor = 300 * time.Millisecond

// awaitLeft waits until the membership has come to rest outside the group, or is wanted again, or ctx ends.
func (g *group) awaitLeft(ctx context.Context) error {
	for {
		g.mu.Lock()
		if len(g.events) == 0 && (g.m.wanted || g.m.state == memberIdle) {
			g.mu.Unlock()
			return nil
		}
		changed := g.watch()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchPolls parks the membership when messages wait and the application takes none for the max poll interval. It ends
// with ctx.
func (g *group) watchPolls(ctx context.Context) {
	c := g.c
	limit := c.cfg.maxPollInterval
	tick := min(max(limit/20, 5*time.Millisecond), time.Second)
	var turn uint64
	active := time.Now()
	for sleep(ctx, tick) {
		s := c.sub
		s.mu.Lock()
		waiting := s.kind.following() && s.turn == turn && s.calls == 0 && s.listening == 0 && s.anyDeliverable()
		turn = s.turn
		s.mu.Unlock()
		if !waiting {
			active = time.Now()
			continue
		}
		if time.Since(active) < limit {
			continue
		}
		active = time.Now()
		c.log.Warn("kafka: no messages were taken for the max poll interval while some wait: leaving the group until the next call",
			"group", c.cfg.groupID, "max_poll_interval", limit)
		s.mu.Lock()
		s.parked = true
		g.post(evPollExpired{}) // with mu held, so that the call that ends it comes after it
		s.mu.Unlock()
	}
}

// outside says why this member, which has a subscription, is not to be in the group; "" where it is.
func (g *group) outside() string {
	s := g.c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.m.fatal != nil:
		return g.m.fatal.Error()
	case s.parked:
		return tookNoMessages + "; it joins again with the next call that takes some"
	}
	return ""
}

// failed gives the error that keeps this member out of the group, nil for none.
func (g *group) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lastErr
}

// commitRefused takes in that the coordinator has refused a commit made as who. It reports whether the commit is to be
// tried again when a rebalance is over: the group is only between two generations, also where its next one has begun and the
// answer to JoinGroup, which tells, is still on its way.
func (g *group) commitRefused(who memberIdentity, code protocol.ErrorCode) bool {
	if who.generation < 0 {
		return false // not as a member
	}
	g.post(evRefused{generation: who.generation, code: code})
	g.mu.Lock()
	defer g.mu.Unlock()
	moving := g.m.state == memberJoining || g.m.state == memberSyncing || g.m.late != 0 || g.m.generation != who.generation
	return code == protocol.RebalanceInProgress || (code == protocol.IllegalGeneration && moving)
}

// A GroupMetadata says as whom a consumer is a member of its group, for transactional producers that commit offsets
// (KIP-447).
type GroupMetadata struct {
	GroupID         string
	GenerationID    int32
	MemberID        string
	GroupInstanceID string
}

// GroupMetadata gives this member's part in its group. False: it is no member now.
func (c *Consumer) GroupMetadata() (GroupMetadata, bool) {
	if c.group == nil || c.usable() != nil {
		return GroupMetadata{}, false
	}
	who := c.group.identity()
	if who.generation < 0 || who.member == "" {
		return GroupMetadata{}, false
	}
	return GroupMetadata{GroupID: c.cfg.groupID, GenerationID: who.generation, MemberID: who.member, GroupInstanceID: who.instance}, true
}

// EnforceRebalance makes the group rebalance; reason is for the brokers' log (KIP-568, KIP-800). It does not wait. Without
// group membership it is ErrIllegalState: also for a member that has left because the application took no messages, until it does again, and
// for one that was fenced.
func (c *Consumer) EnforceRebalance(reason string) error {
	if err := c.usable(); err != nil {
		return err
	}
	if !c.memberOf() {
		return illegalState("EnforceRebalance", "the consumer is no member of a group")
	}
	if why := c.group.outside(); why != "" {
		return illegalState("EnforceRebalance", "the consumer is no member of group %q now: %s", c.cfg.groupID, why)
	}
	c.group.post(evChanged{reason: reason})
	return nil
}
