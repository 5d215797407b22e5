package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// protocolType is what consumers call their groups.
const protocolType = "consumer"

// join sends JoinGroup. The coordinator answers when every member has joined, which may take the rebalance timeout.
func (g *group) join(ctx context.Context, a actJoin) {
	cfg := &g.c.cfg
	req := protocol.NewJoinGroupRequest()
	g.mu.Lock()
	req.MemberID = g.m.memberID
	generation := g.m.generation
	g.mu.Unlock()
	req.GroupID = cfg.groupID
	req.SessionTimeoutMs = int32(cfg.sessionTimeout.Milliseconds())
	req.RebalanceTimeoutMs = int32(cfg.rebalanceTimeout.Milliseconds())
	req.GroupInstanceID = instanceOf(cfg.instanceID)
	req.ProtocolType = protocolType
	reason := shortened(a.reason)
	req.Reason = &reason
	var err error
	if req.Protocols, err = g.protocols(generation); err != nil {
		g.post(evJoined{round: a.round, joinAnswer: joinAnswer{err: err, ours: true}})
		return
	}
	resp, by, err := g.callLong(ctx, req)
	if err != nil {
		g.post(evJoined{round: a.round, joinAnswer: joinFailure(by, err)})
		return
	}
	r := resp.(*protocol.JoinGroupResponse)
	name := ""
	if r.ProtocolName != nil {
		name = *r.ProtocolName
	}
	if r.ErrorCode == protocol.None && (!agrees(r.ProtocolType, protocolType) || !g.c.offers(name)) {
		r.ErrorCode = protocol.InconsistentGroupProtocol // as Java takes it
	}
	g.mu.Lock()
	if a.round == g.m.round || a.round == g.m.late {
		g.answer = r
	}
	g.mu.Unlock()
	g.post(evJoined{round: a.round, joinAnswer: joinAnswer{
		by: by, code: r.ErrorCode, memberID: r.MemberID, generation: r.GenerationID, protocol: name, leader: r.Leader != "" && r.Leader == r.MemberID,
	}})
}

// shortened gives what brokers take of a reason (KIP-800), without half a character at its end.
func shortened(reason string) string {
	const most = 255
	if len(reason) <= most {
		return reason
	}
	end := most
	for end > 0 && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

// agrees says whether an answer's protocol type or name is the one that was asked for; older versions, and errors, have none.
func agrees(got *string, want string) bool { return got == nil || *got == "" || *got == want }

// offers says whether the consumer has an assignor of that name.
func (c *Consumer) offers(name string) bool {
	return slices.ContainsFunc(c.cfg.assignors, func(a Assignor) bool { return a.Name() == name })
}

// callLong sends what the coordinator answers only when every member has joined. Meanwhile metadata is asked for every now
// and then: where it shows that the coordinator is no more, its connections are closed, and the call ends.
func (g *group) callLong(ctx context.Context, req protocol.Request) (protocol.Response, answerer, error) {
	cfg := &g.c.cfg
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.c.spawn(func() { // ends with the call
		for sleep(ctx, longCallLook) {
			g.c.cluster.Refresh("the group's coordinator takes long to answer")
		}
	})
	return g.call(ctx, cluster.KindGroup, req, max(cfg.rebalanceTimeout+5*time.Second, cfg.requestTimeout))
}

// longCallLook is how often metadata is asked for while the coordinator lets a member wait.
const longCallLook = 3 * time.Second

// joinFailure is the answer for a request that brought none. Kafka's error codes, such as those of finding the
// coordinator, count as if JoinGroup had answered with them.
func joinFailure(by answerer, err error) joinAnswer {
	if code, ok := errors.AsType[protocol.ErrorCode](err); ok {
		return joinAnswer{by: by, code: code}
	}
	if !cluster.IsRetriable(err) && !errors.Is(err, context.Canceled) {
		return joinAnswer{err: err, hopeless: true}
	}
	return joinAnswer{err: err}
}

func instanceOf(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

// protocols gives the assignors in order of preference, with what each wants the leader to know: the topics, what is owned
// (KIP-429), in which generation it was given (KIP-792), and the rack (KIP-881).
func (g *group) protocols(generation int32) ([]protocol.JoinGroupRequestProtocol, error) {
	s := g.c.sub
	s.mu.Lock()
	topics := slices.Clone(s.topics)
	if s.kind != subscribedPattern || s.matched {
		s.joinedAt = s.drops
	}
	owned := make([]TopicPartition, 0, len(s.partitions))
	for tp := range s.partitions {
		owned = append(owned, tp) // also what was dropped meanwhile: it is owned until it is revoked
	}
	previous := s.lastOwned
	previousGeneration := s.lastGeneration
	s.mu.Unlock()
	slices.SortFunc(owned, compareTopicPartitions)
	if len(owned) > 0 || previous == nil || generation < 0 { // what was lost is nothing to claim
		previous, previousGeneration = owned, generation
	}
	var out []protocol.JoinGroupRequestProtocol
	for _, a := range g.c.cfg.assignors {
		userData, err := guardedUserData(a, slices.Clone(previous), previousGeneration)
		if err != nil {
			return nil, err
		}
		sub := protocol.NewConsumerProtocolSubscription()
		sub.Topics = topics
		sub.UserData = userData
		sub.OwnedPartitions = byTopic(owned)
		sub.GenerationID = generation
		if g.c.cfg.rackID != "" {
			sub.RackID = &g.c.cfg.rackID
		}
		data, err := protocol.AppendConsumerProtocolSubscription(nil, protocol.ConsumerProtocolVersion, &sub)
		if err != nil {
			continue // only a topic name beyond 32 KiB could do that, and none is
		}
		out = append(out, protocol.JoinGroupRequestProtocol{Name: a.Name(), Metadata: data})
	}
	return out, nil
}

// byTopic groups sorted partitions.
func byTopic(tps []TopicPartition) []protocol.ConsumerProtocolTopicPartition {
	var out []protocol.ConsumerProtocolTopicPartition
	for _, tp := range tps {
		if n := len(out); n == 0 || out[n-1].Topic != tp.Topic {
			out = append(out, protocol.ConsumerProtocolTopicPartition{Topic: tp.Topic})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return out
}

// sync sends SyncGroup, the leader with what it assigns to everybody.
func (g *group) sync(ctx context.Context, a actSync) {
	cfg := &g.c.cfg
	g.mu.Lock()
	answer, m := g.answer, g.m
	g.mu.Unlock()
	kind, name := protocolType, m.protocol
	req := &protocol.SyncGroupRequest{
		GroupID: cfg.groupID, GenerationID: m.generation, MemberID: m.memberID, GroupInstanceID: instanceOf(cfg.instanceID),
		ProtocolType: &kind, ProtocolName: &name,
	}
	if !m.leader {
		g.leadsNoMore()
	}
	if m.leader && answer != nil {
		assignments, err := g.assign(ctx, name, answer)
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // brokers that do not answer will, some time
				g.tell(err)
			}
			g.post(evSynced{round: a.round, err: err})
			return
		}
		req.Assignments = assignments
	}
	resp, by, err := g.callLong(ctx, req)
	if err != nil {
		if code, ok := errors.AsType[protocol.ErrorCode](err); ok {
			g.post(evSynced{round: a.round, by: by, code: code})
			return
		}
		g.post(evSynced{round: a.round, err: err})
		return
	}
	r := resp.(*protocol.SyncGroupResponse)
	if r.ErrorCode == protocol.None && (!agrees(r.ProtocolType, kind) || !agrees(r.ProtocolName, name)) {
		r.ErrorCode = protocol.InconsistentGroupProtocol
	}
	if r.ErrorCode != protocol.None {
		g.post(evSynced{round: a.round, by: by, code: r.ErrorCode})
		return
	}
	_, assignment, err := protocol.DecodeConsumerProtocolAssignment(r.Assignment)
	if err != nil {
		g.tell(fmt.Errorf("the assignment cannot be read: %w", err))
		g.post(evSynced{round: a.round, err: err})
		return
	}
	g.mu.Lock()
	if a.round == g.m.round {
		g.assigned = assignment.AssignedPartitions
	}
	g.mu.Unlock()
	g.post(evSynced{round: a.round})
}

// beat sends a heartbeat.
func (g *group) beat(ctx context.Context, a actBeat) {
	cfg := &g.c.cfg
	who := g.identity()
	req := &protocol.HeartbeatRequest{GroupID: cfg.groupID, GenerationID: who.generation, MemberID: who.member, GroupInstanceID: instanceOf(who.instance)}
	resp, by, err := g.call(ctx, cluster.KindGeneral, req, min(cfg.requestTimeout, max(cfg.sessionTimeout/3, time.Second)))
	if err != nil {
		code, ok := errors.AsType[protocol.ErrorCode](err)
		if ok {
			err = nil
		}
		g.post(evBeat{beats: a.beats, by: by, code: code, err: err})
		return
	}
	g.post(evBeat{beats: a.beats, by: by, code: resp.(*protocol.HeartbeatResponse).ErrorCode})
}

// leave tells the coordinator that this member goes.
func (g *group) leave(ctx context.Context, a actLeave) {
	bounded, cancel := context.WithTimeout(ctx, g.c.cfg.sessionTimeout) // which removes it, too
	err := g.sayLeave(bounded, a)
	cancel()
	if err != nil && a.turn != 0 && ctx.Err() == nil {
		err = g.c.groupError("leaving group "+g.c.cfg.groupID, err)
		g.wentWrong(slog.LevelInfo, "kafka: leaving the group was not confirmed; its session timeout removes this member", err)
	}
	g.post(evLeft{turn: a.turn})
}

// sayLeave sends LeaveGroup until there is an answer that says what came of it; once, where there is none.
func (g *group) sayLeave(ctx context.Context, a actLeave) error {
	backoff := g.c.cfg.backoff()
	for attempt := 1; ; attempt++ {
		req := &protocol.LeaveGroupRequest{GroupID: g.c.cfg.groupID, MemberID: a.memberID}
		req.Members = []protocol.LeaveGroupRequestMember{{MemberID: a.memberID, Reason: &a.reason}}
		resp, by, err := g.call(ctx, cluster.KindGeneral, req, 0)
		code, coded := errors.AsType[protocol.ErrorCode](err)
		if err == nil {
			code = leaveCode(resp.(*protocol.LeaveGroupResponse))
		} else if !coded {
			return err
		}
		switch groupActionFor(leaveActions, code) {
		case groupDone:
			return nil
		case groupCoordinator:
			g.do(ctx, actForgetCoordinator{})
		case groupRetry:
		default:
			return groupFailure("LeaveGroup", by, code)
		}
		if !sleep(ctx, backoff.After(attempt)) {
			return errors.Join(ctx.Err(), groupFailure("LeaveGroup", by, code))
		}
	}
}

// leaveCode gives the outcome for the one member that was named.
func leaveCode(r *protocol.LeaveGroupResponse) protocol.ErrorCode {
	for _, m := range r.Members {
		if r.ErrorCode == protocol.None {
			return m.ErrorCode
		}
	}
	return r.ErrorCode
}
