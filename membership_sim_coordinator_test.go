package kafka

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// A modelCoordinator is what a Kafka broker does with a classic group (GroupCoordinator, KIP-62, KIP-345, KIP-394), as far as
// members can see it, in virtual time. It moves between nodes as brokers fail, and then knows what the last complete
// rebalance has written.
type modelCoordinator struct {
	s       *simulation
	node    int
	loading time.Time // not before
	seq     int       // of member ids

	state      modelState
	generation int32
	protocol   string
	leader     string
	members    map[string]*modelMember
	statics    map[string]string    // instance → member id
	pending    map[string]time.Time // ids that were given and have not joined (KIP-394), until when
	deadline   time.Time            // of the rebalance

	written modelWritten
	offsets map[TopicPartition]int64 // committed
}

type modelState int8

const (
	modelEmpty modelState = iota
	modelPreparing
	modelCompleting
	modelStable
)

// modelWritten is what __consumer_offsets has of the group.
type modelWritten struct {
	generation       int32
	protocol, leader string
	members          map[string]modelMember
}

// A modelMember is a member as the coordinator knows it.
type modelMember struct {
	id, instance string
	info         GroupMember // what it said of itself
	assignors    []string
	assigned     []TopicPartition
	until        time.Time // its session
	joining      func(modelJoined)
	syncing      func([]TopicPartition, protocol.ErrorCode)
}

type modelJoined struct {
	joinAnswer
	members []GroupMember // for the leader
	skip    bool          // the leader is to change nothing (KIP-814)
}

func newModelCoordinator(s *simulation) *modelCoordinator {
	return &modelCoordinator{s: s, members: map[string]*modelMember{}, statics: map[string]string{}, pending: map[string]time.Time{},
		offsets: map[TopicPartition]int64{}}
}

// here says whether a request to node finds the coordinator.
func (c *modelCoordinator) here(node int) protocol.ErrorCode {
	switch {
	case node != c.node:
		return protocol.NotCoordinator
	case c.s.now.Before(c.loading):
		return protocol.CoordinatorLoadInProgress
	}
	return protocol.None
}

// knows is what a member's identity is good for.
func (c *modelCoordinator) knows(id, instance string) protocol.ErrorCode {
	if instance != "" && c.statics[instance] != "" && c.statics[instance] != id {
		return protocol.FencedInstanceID
	}
	if c.members[id] == nil {
		return protocol.UnknownMemberID
	}
	return protocol.None
}

func (c *modelCoordinator) join(id, instance string, info GroupMember, assignors []string, reply func(modelJoined)) {
	refuse := func(code protocol.ErrorCode, id string) {
		reply(modelJoined{joinAnswer: joinAnswer{code: code, memberID: id, generation: -1}})
	}
	_, isPending := c.pending[id]
	switch {
	case id == "" && instance == "":
		id = c.newID("m")
		c.pending[id] = c.s.now.Add(simSession)
		refuse(protocol.MemberIDRequired, id)
		return
	case id == "":
		id = c.newID(instance)
		if c.replaceStatic(id, instance, info, assignors, reply) {
			return
		}
		c.add(id, instance)
	case isPending:
		delete(c.pending, id)
		c.add(id, instance)
	default:
		if code := c.knows(id, instance); code != protocol.None {
			refuse(code, "")
			return
		}
	}
	m := c.members[id]
	info.ID, info.InstanceID = id, instance
	same := reflect.DeepEqual(m.info, info) && slices.Equal(m.assignors, assignors)
	m.info, m.assignors, m.until = info, assignors, c.s.now.Add(simSession)
	if same && (c.state == modelCompleting || (c.state == modelStable && c.leader != id)) {
		c.tellJoined(m, reply)
		return
	}
	m.joining = reply
	if c.state != modelPreparing {
		c.prepare()
	}
	c.maybeComplete(false)
}

// replaceStatic gives the place of a static member to its next incarnation, without a rebalance where nothing changes.
func (c *modelCoordinator) replaceStatic(id, instance string, info GroupMember, assignors []string, reply func(modelJoined)) bool {
	old := c.members[c.statics[instance]]
	if old == nil {
		return false
	}
	delete(c.members, old.id)
	c.s.evicted(old.id)
	c.dismiss(old, protocol.FencedInstanceID)
	wasLeader := c.leader == old.id
	old.id, old.joining, old.syncing, old.until = id, nil, nil, c.s.now.Add(simSession)
	c.members[id], c.statics[instance] = old, id
	if wasLeader {
		c.leader = id
	}
	if c.state != modelStable || !slices.Equal(old.info.Topics, info.Topics) || !slices.Equal(old.assignors, assignors) {
		return false
	}
	old.info.ID = id
	reply(modelJoined{joinAnswer: joinAnswer{memberID: id, generation: c.generation, protocol: c.protocol, leader: wasLeader}, skip: true})
	return true
}

func (c *modelCoordinator) newID(prefix string) string {
	c.seq++
	return fmt.Sprintf("%s-%d", prefix, c.seq)
}

func (c *modelCoordinator) add(id, instance string) {
	if c.members[id] == nil {
		c.members[id] = &modelMember{id: id, instance: instance}
	}
	if instance != "" {
		c.statics[instance] = id
	}
}

// prepare begins a rebalance.
func (c *modelCoordinator) prepare() {
	for _, m := range c.sorted() {
		if m.syncing != nil {
			m.until = c.s.now.Add(simSession)
			m.syncing(nil, protocol.RebalanceInProgress)
			m.syncing = nil
		}
	}
	c.state, c.deadline = modelPreparing, c.s.now.Add(simRebalance)
}

// maybeComplete ends the joining when everybody is there, or when it is late.
func (c *modelCoordinator) maybeComplete(late bool) {
	if c.state != modelPreparing || (!late && len(c.pending) > 0) {
		return
	}
	for _, m := range c.sorted() {
		if m.joining == nil && !late {
			return
		}
		switch {
		case m.joining == nil && m.instance == "":
			c.drop(m)
		case m.joining == nil:
			c.s.evicted(m.id) // its place is kept, but the others go on
		}
	}
	c.generation++
	if len(c.members) == 0 {
		c.state, c.leader, c.protocol = modelEmpty, "", ""
		c.write()
		return
	}
	all := c.sorted()
	if c.members[c.leader] == nil || c.members[c.leader].joining == nil {
		c.leader = all[0].id
		for _, m := range all {
			if m.joining != nil {
				c.leader = m.id
				break
			}
		}
	}
	c.protocol = c.choose(all)
	c.state = modelCompleting
	for _, m := range all {
		m.assigned = nil
		if m.joining != nil {
			m.until = c.s.now.Add(simSession)
			reply := m.joining
			m.joining = nil
			c.tellJoined(m, reply)
		}
	}
}

// choose picks the first assignor that all offer.
func (c *modelCoordinator) choose(all []*modelMember) string {
	for _, name := range all[0].assignors {
		if !slices.ContainsFunc(all, func(m *modelMember) bool { return !slices.Contains(m.assignors, name) }) {
			return name
		}
	}
	panic("the members have no assignor in common")
}

func (c *modelCoordinator) tellJoined(m *modelMember, reply func(modelJoined)) {
	a := modelJoined{joinAnswer: joinAnswer{memberID: m.id, generation: c.generation, protocol: c.protocol, leader: m.id == c.leader}}
	if a.leader {
		for _, other := range c.sorted() {
			a.members = append(a.members, other.info)
		}
	}
	reply(a)
}

func (c *modelCoordinator) sync(id, instance string, generation int32, shares map[string][]TopicPartition, reply func([]TopicPartition, protocol.ErrorCode)) {
	if code := c.knows(id, instance); code != protocol.None {
		reply(nil, code)
		return
	}
	m := c.members[id]
	switch {
	case generation != c.generation:
		reply(nil, protocol.IllegalGeneration)
	case c.state == modelPreparing:
		reply(nil, protocol.RebalanceInProgress)
	case c.state == modelStable:
		m.until = c.s.now.Add(simSession)
		reply(m.assigned, protocol.None)
	default:
		m.until = c.s.now.Add(simSession)
		m.syncing = reply
		if id == c.leader {
			c.complete(shares)
		}
	}
}

// complete takes in what the leader has assigned.
func (c *modelCoordinator) complete(shares map[string][]TopicPartition) {
	c.state = modelStable
	for _, m := range c.sorted() {
		m.assigned = shares[m.id]
		if m.syncing != nil {
			m.until = c.s.now.Add(simSession)
			m.syncing(m.assigned, protocol.None)
			m.syncing = nil
		}
	}
	c.write()
}

func (c *modelCoordinator) write() {
	c.written = modelWritten{generation: c.generation, protocol: c.protocol, leader: c.leader, members: map[string]modelMember{}}
	for id, m := range c.members {
		kept := *m
		kept.joining, kept.syncing = nil, nil
		c.written.members[id] = kept
	}
}

func (c *modelCoordinator) heartbeat(id, instance string, generation int32) protocol.ErrorCode {
	if code := c.knows(id, instance); code != protocol.None {
		return code
	}
	if generation != c.generation {
		return protocol.IllegalGeneration
	}
	c.members[id].until = c.s.now.Add(simSession)
	if c.state == modelPreparing {
		return protocol.RebalanceInProgress
	}
	return protocol.None
}

// commit says what OffsetCommit would. It is taken also while the group prepares a rebalance: the members give up what they had
// then.
func (c *modelCoordinator) commit(id, instance string, generation int32) protocol.ErrorCode {
	if code := c.knows(id, instance); code != protocol.None {
		return code
	}
	if generation != c.generation {
		return protocol.IllegalGeneration
	}
	if c.state == modelCompleting {
		return protocol.RebalanceInProgress
	}
	c.members[id].until = c.s.now.Add(simSession)
	return protocol.None
}

// share gives what the leader has assigned to a member.
func (c *modelCoordinator) share(id string) []TopicPartition {
	if m := c.members[id]; m != nil {
		return m.assigned
	}
	return nil
}

func (c *modelCoordinator) leave(id string) {
	if _, ok := c.pending[id]; ok {
		delete(c.pending, id)
		c.maybeComplete(false)
	}
	if m := c.members[id]; m != nil {
		c.remove(m)
	}
}

// remove takes a member out and lets the others share what it had.
func (c *modelCoordinator) remove(m *modelMember) {
	c.drop(m)
	if c.state == modelStable || c.state == modelCompleting {
		c.prepare()
	}
	c.maybeComplete(false)
}

func (c *modelCoordinator) drop(m *modelMember) {
	delete(c.members, m.id)
	if m.instance != "" && c.statics[m.instance] == m.id {
		delete(c.statics, m.instance)
	}
	c.s.evicted(m.id)
	c.dismiss(m, protocol.UnknownMemberID)
}

// dismiss answers whatever m still waits for.
func (c *modelCoordinator) dismiss(m *modelMember, code protocol.ErrorCode) {
	if m.joining != nil {
		m.joining(modelJoined{joinAnswer: joinAnswer{code: code, generation: -1}})
	}
	if m.syncing != nil {
		m.syncing(nil, code)
	}
	m.joining, m.syncing = nil, nil
}

// tick ends what has run out.
func (c *modelCoordinator) tick() {
	if c.s.now.Before(c.loading) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.pending)) {
		if c.s.now.After(c.pending[id]) {
			delete(c.pending, id)
			c.maybeComplete(false)
		}
	}
	for _, m := range c.sorted() {
		if m.joining == nil && c.members[m.id] == m && c.s.now.After(m.until) {
			c.s.tracef("coordinator: the session of %s has ended", m.id)
			c.remove(m)
		}
	}
	if c.state == modelPreparing && c.s.now.After(c.deadline) {
		c.maybeComplete(true)
	}
}

// move makes another broker the coordinator, which reads what was written.
func (c *modelCoordinator) move(loading time.Duration) {
	c.node++
	c.loading = c.s.now.Add(loading)
	for _, m := range c.sorted() {
		c.dismiss(m, protocol.NotCoordinator)
		if _, kept := c.written.members[m.id]; !kept {
			c.s.evicted(m.id)
		}
	}
	clear(c.pending)
	clear(c.members)
	clear(c.statics)
	w := c.written
	c.generation, c.protocol, c.leader, c.state = w.generation, w.protocol, w.leader, modelStable
	for id, m := range w.members {
		m.until = c.loading.Add(simSession)
		c.members[id] = &m
		if m.instance != "" {
			c.statics[m.instance] = id
		}
	}
	if len(c.members) == 0 {
		c.state = modelEmpty
	}
}

func (c *modelCoordinator) sorted() []*modelMember {
	out := slices.Collect(maps.Values(c.members))
	slices.SortFunc(out, func(a, b *modelMember) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return out
}
