package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A memberIdentity is as whom offsets are committed. A generation of -1 is none; that of the zero value is one like others, so who is
// no member is notMember.
type memberIdentity struct {
	generation int32
	member     string
	instance   string
}

// follows says whether this is the membership that before was. A join that is out may be answered with the next generation; before any
// later one lies one that the member was left out of.
func (id memberIdentity) follows(before memberIdentity) bool {
	return before.generation >= 0 && id.member == before.member && (id.generation == before.generation || id.generation == before.generation+1)
}

// notMember is who commits without group membership: for partitions assigned by hand.
var notMember = memberIdentity{generation: -1}

// A commitAction says what is done about a partition's error code in OffsetCommit.
type commitAction int8

const (
	commitReport      commitAction = iota // the caller is told
	commitRetry                           // sent again
	commitCoordinator                     // sent again, to the coordinator that is found then
	commitMembership                      // the group has moved past this member: CommitFailedError
)

var commitActions = map[protocol.ErrorCode]commitAction{
	protocol.CoordinatorLoadInProgress:    commitRetry,
	protocol.UnknownTopicOrPartition:      commitRetry,
	protocol.UnknownTopicID:               commitRetry,
	protocol.CoordinatorNotAvailable:      commitCoordinator,
	protocol.NotCoordinator:               commitCoordinator,
	protocol.RequestTimedOut:              commitCoordinator,
	protocol.OffsetMetadataTooLarge:       commitReport,
	protocol.InvalidCommitOffsetSize:      commitReport,
	protocol.TopicAuthorizationFailed:     commitReport,
	protocol.GroupAuthorizationFailed:     commitReport,
	protocol.InvalidGroupID:               commitReport,
	protocol.IllegalGeneration:            commitMembership,
	protocol.UnknownMemberID:              commitMembership,
	protocol.FencedInstanceID:             commitMembership,
	protocol.RebalanceInProgress:          commitMembership,
	protocol.StaleMemberEpoch:             commitMembership,
	protocol.GroupIDNotFound:              commitMembership,
	protocol.UnknownServerError:           commitRetry,
	protocol.NotEnoughReplicas:            commitRetry,
	protocol.NotLeaderOrFollower:          commitCoordinator,
	protocol.InvalidRequest:               commitReport,
	protocol.UnsupportedVersion:           commitReport,
	protocol.ClusterAuthorizationFailed:   commitReport,
	protocol.OffsetOutOfRange:             commitReport,
	protocol.NotEnoughReplicasAfterAppend: commitRetry,
}

func actionForCommit(code protocol.ErrorCode) commitAction {
	if a, ok := commitActions[code]; ok {
		return a
	}
	if code.Retriable() {
		return commitRetry
	}
	return commitReport
}

// commitReason says in words why the group does not take a commit from this member.
func commitReason(code protocol.ErrorCode) string {
	switch code {
	case protocol.IllegalGeneration:
		return "the group has rebalanced since, and its partitions may belong to another member"
	case protocol.UnknownMemberID:
		return "the group does not know this member: it was removed, or, where partitions are assigned by hand, the group has members of its own"
	case protocol.FencedInstanceID:
		return "another consumer has joined with the same group instance id"
	case protocol.RebalanceInProgress:
		return "the group is rebalancing, and the commit came too late for it"
	case protocol.GroupIDNotFound:
		return "the group does not exist any more"
	}
	return "the group has moved past this member"
}

// A commitRun is one commit on its way: what is still to be acknowledged, and what went wrong.
type commitRun struct {
	c       *Consumer
	call    string // who commits, for errors
	byHand  bool   // the application asked, and waits
	pending map[TopicPartition]OffsetAndMetadata
	taken   map[TopicPartition]OffsetAndMetadata // what the last answer acknowledged
	failed  []error
	last    error
	who     memberIdentity // as whom the last request was sent
	attempt int

	owned map[TopicPartition]heldPart // when the commit was asked for
	sent  map[*partition]uint32       // who was concerned when the last request was sent, and partition.commits then
}

// A heldPart is a partition as this member has it, or had it before the rebalance that is under way.
type heldPart struct {
	p          *partition // nil: it is not assigned
	moved      uint32     // partition.moved then
	generation int32      // of the group then; -1: none
}

// An identityFunc waits until offsets can be committed, and says as whom.
type identityFunc func(ctx context.Context) (memberIdentity, error)

// commit sends offsets and waits until the group's coordinator has them all, or has refused them, or ctx ends. Commits go
// one after the other, in the order of their places in the queue. byHand says that the application asked.
func (c *Consumer) commit(ctx context.Context, call string, place *commitPlace, offsets map[TopicPartition]OffsetAndMetadata, who identityFunc, byHand bool) error {
	r := c.newCommitRun(call, offsets, byHand)
	if err := place.wait(ctx, call); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return timedOut(call, ctx, nil)
	}
	backoff := c.cfg.backoff()
	for attempt := 1; len(r.pending) > 0; attempt++ {
		if attempt > 1 && !sleep(ctx, backoff.After(attempt-1)) {
			return errors.Join(append(r.failed, timedOut(call, ctx, r.last))...)
		}
		var id memberIdentity
		var err error
		if r.byHand {
			err = r.awaitRebalanced(ctx)
		}
		if err == nil {
			id, err = who(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return errors.Join(append(r.failed, err)...)
		}
		if err != nil {
			return errors.Join(append(r.failed, timedOut(call, ctx, errors.Join(r.last, errors.New("the group is rebalancing"))))...)
		}
		r.attempt = attempt
		if err := r.round(ctx, id); err != nil {
			return errors.Join(append(r.failed, err)...)
		}
	}
	return errors.Join(r.failed...)
}

// newCommitRun notes what is owned now: the commit is of that.
func (c *Consumer) newCommitRun(call string, offsets map[TopicPartition]OffsetAndMetadata, byHand bool) *commitRun {
	r := &commitRun{c: c, call: call, byHand: byHand, pending: maps.Clone(offsets), owned: make(map[TopicPartition]heldPart, len(offsets))}
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	now := int32(-1)
	if c.group != nil {
		now = c.group.identity().generation
	}
	for tp := range offsets {
		h := heldPart{p: c.sub.partitions[tp], generation: now}
		if given, ok := c.sub.givenUp[tp]; ok && h.p == nil {
			h = given
		}
		if h.p != nil {
			h.moved = h.p.moved
		}
		r.owned[tp] = h
	}
	return r
}

// awaitRebalanced waits until the rebalance has ended in which partitions of the commit were given up: then they are this member's
// again, or lost. In a listener's ctx it does not wait: the rebalance waits for the listener.
func (r *commitRun) awaitRebalanced(ctx context.Context) error {
	s := r.c.sub
	for !r.c.insideListener(ctx) {
		s.mu.Lock()
		waits := false
		for tp := range r.pending {
			given, ok := s.givenUp[tp]
			waits = waits || (ok && given.p == r.owned[tp].p)
		}
		changed := s.watch()
		s.mu.Unlock()
		if !waits {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// dropLost takes out what this member has lost in a rebalance since the commit was asked for. A partition that was given
// up and came straight back, with the next generation, nobody else can have had: a commit by hand goes on. Who asked by hand is told; an
// automatic commit has nothing left to do: what was settled was committed when the partition was given up, and one that was lost is told
// as such. Where that commit failed, and the partition came back, it has started anew from before what was settled then. Without a
// generation this consumer is no member, and has nothing of the group's, also before that shows in the assignment.
func (r *commitRun) dropLost(now memberIdentity) {
	c := r.c
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	none := now.generation < 0 && c.sub.kind.following()
	for tp := range r.pending {
		why, had := c.sub.had[tp]
		p, before := c.sub.partitions[tp], r.owned[tp]
		// Unsubscribe forgets what was had: what was the group's when the commit was asked for is not this member's any more.
		lost := none || (p != nil && p.revoking && !r.byHand) || p == nil && (had || before.p != nil && before.generation >= 0)
		if p != nil && before.p != nil && p != before.p && now.generation >= 0 {
			lost = !r.byHand || before.p.evicted || before.generation < 0 || now.generation > before.generation+1
		}
		if lost {
			delete(r.pending, tp)
			if r.byHand {
				r.failed = append(r.failed, c.lostError(tp, why))
				delete(c.sub.missed, tp)
			}
		}
	}
}

// sending notes that a request goes out. Until it is acknowledged nobody knows what is committed: also a refusal may come after the
// coordinator has written it, and an answer may get lost.
func (r *commitRun) sending() {
	s := r.c.sub
	s.mu.Lock()
	defer s.mu.Unlock()
	r.taken = make(map[TopicPartition]OffsetAndMetadata, len(r.pending))
	r.sent = make(map[*partition]uint32, len(r.pending))
	for tp, o := range r.pending {
		for _, p := range r.concerned(tp) {
			p.commits++
			r.sent[p] = p.commits
			if p.committed != o.Offset {
				p.committed = commitOnItsWay
			}
		}
	}
}

// answered takes in what the last request has come to: what was acknowledged is committed, of the rest it is not known. Where the position
// was moved since the commit was asked for, by a seek for example, that settles nothing: what lies before it is read again.
func (r *commitRun) answered() {
	s, now := r.c.sub, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for tp, o := range r.taken {
		if m, ok := s.missed[tp]; ok && o.Offset >= m.p.handedTo {
			delete(s.missed, tp)
		}
		for _, p := range r.concerned(tp) {
			if was, sent := r.sent[p]; !sent || was == p.commits { // else its topic was made again meanwhile
				p.committed, p.committedAt = o.Offset, now
			}
			p.commits++
			if r.byHand && p.moved == r.movedBefore(tp, p) {
				s.committedByHand(p, o.Offset, o.LeaderEpoch)
			}
		}
	}
	for p := range r.sent {
		if p.committed == commitOnItsWay {
			p.committed = unknownCommitted
			p.commits++
		}
	}
}

// concerned gives who is to know of the commit: the partition as it is assigned now, and as it was when the commit was asked for, for what
// Assign has taken out may wait for its last commit. Called with sub.mu held.
func (r *commitRun) concerned(tp TopicPartition) (parts []*partition) {
	if is := r.c.sub.partitions[tp]; is != nil {
		parts = append(parts, is)
	}
	if was := r.owned[tp].p; was != nil && was != r.c.sub.partitions[tp] {
		parts = append(parts, was)
	}
	return parts
}

// movedBefore is partition.moved of p when the commit was asked for; of one that has come since, as it came.
func (r *commitRun) movedBefore(tp TopicPartition, p *partition) uint32 {
	if p == r.owned[tp].p {
		return r.owned[tp].moved
	}
	return 0
}

// round sends once what is pending and was not lost, also not while the coordinator was looked for. An error ends the commit.
func (r *commitRun) round(ctx context.Context, who memberIdentity) error {
	c := r.c
	r.who = who
	if r.dropLost(who); len(r.pending) == 0 {
		return nil
	}
	group := c.cfg.groupID
	node, err := c.cluster.Coordinator(ctx, group)
	if err != nil {
		return r.transport(ctx, err)
	}
	if r.dropLost(who); len(r.pending) == 0 {
		return nil
	}
	r.sending()
	defer r.answered()
	req, capped := r.request(who)
	resp, version, err := c.cluster.Do(ctx, node, cluster.KindGeneral, req, broker.CallOptions{Timeout: c.patience(r.attempt), MaxVersion: capped})
	if err != nil {
		c.coordinatorFailed(ctx, node, err)
		return r.transport(ctx, err)
	}
	names := c.cluster.Metadata()
	for _, t := range resp.(*protocol.OffsetCommitResponse).Topics {
		name := t.Name
		if version >= firstVersionByID {
			if known := names.ByID[t.TopicID]; known != nil {
				name = known.Name
			}
		}
		for _, p := range t.Partitions {
			tp := TopicPartition{Topic: name, Partition: p.PartitionIndex}
			if err := r.answer(node, tp, p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstVersionByID is where OffsetCommit and OffsetFetch turn from topic names to ids (KIP-848).
const firstVersionByID = 10

// transport is for a request that brought no answer: it goes on unless that is hopeless.
func (r *commitRun) transport(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return timedOut(r.call, ctx, errors.Join(r.last, err))
	}
	if code, ok := errors.AsType[protocol.ErrorCode](err); ok && code == protocol.GroupAuthorizationFailed {
		return r.c.groupError("OffsetCommit", err)
	}
	if !cluster.IsRetriable(err) {
		return callFailed(r.call, err)
	}
	r.last = err
	return nil
}

// request builds the request; by topic ids where all of them are known, else capped to the versions that go by name.
func (r *commitRun) request(who memberIdentity) (req *protocol.OffsetCommitRequest, maxVersion int16) {
	req = protocol.NewOffsetCommitRequest()
	req.GroupID = r.c.cfg.groupID
	req.GenerationIDOrMemberEpoch, req.MemberID = who.generation, who.member
	if who.instance != "" {
		req.GroupInstanceID = &who.instance
	}
	meta := r.c.cluster.Metadata()
	at := make(map[string]int)
	for tp, o := range r.pending {
		i, ok := at[tp.Topic]
		if !ok {
			i = len(req.Topics)
			at[tp.Topic] = i
			t := protocol.OffsetCommitRequestTopic{Name: tp.Topic}
			if known := meta.Topics[tp.Topic]; known != nil {
				t.TopicID = known.ID
			}
			if t.TopicID == (protocol.UUID{}) {
				maxVersion = firstVersionByID - 1
			}
			req.Topics = append(req.Topics, t)
		}
		text, epoch := o.Metadata, o.LeaderEpoch
		if epoch < 0 {
			epoch = -1
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, protocol.OffsetCommitRequestPartition{
			PartitionIndex: tp.Partition, CommittedOffset: o.Offset, CommittedLeaderEpoch: epoch, CommittedMetadata: &text,
		})
	}
	return req, maxVersion
}

// answer takes in one partition's error code. An error ends the commit.
func (r *commitRun) answer(node int32, tp TopicPartition, code protocol.ErrorCode) error {
	o, ok := r.pending[tp]
	if !ok {
		return nil // never asked for
	}
	if code == protocol.None {
		r.taken[tp] = o
		delete(r.pending, tp)
		return nil
	}
	err := brokerError("OffsetCommit", fmt.Sprint(node), tp, code)
	action := actionForCommit(code)
	if unknown := code == protocol.UnknownTopicOrPartition || code == protocol.UnknownTopicID; unknown && !r.byHand {
		action = commitReport // the topic may be gone for good: nobody else's offsets wait for it, nor does Stop
	}
	switch action {
	case commitRetry:
		r.last = err
	case commitCoordinator:
		r.last = err
		r.c.cluster.ForgetCoordinator(r.c.cfg.groupID, node)
	case commitMembership:
		if r.c.group != nil && r.c.group.commitRefused(r.who, code) {
			r.last = err
			return nil // sent again when the rebalance is over, what is still owned
		}
		return &CommitFailedError{GroupID: r.c.cfg.groupID, Reason: commitReason(code), Err: code}
	default:
		if a, ok := errors.AsType[*AuthorizationError](err); ok && a.Resource == "group" {
			a.Name = r.c.cfg.groupID
			return a
		}
		r.failed = append(r.failed, err)
		delete(r.pending, tp)
	}
	return nil
}
