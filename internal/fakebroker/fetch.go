package fakebroker

import (
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// fetch answers as soon as there are MinBytes or an error, or after MaxWaitMs.
func (c *Cluster) fetch(k *Call, req *protocol.FetchRequest) protocol.Response {
	c.mu.Lock()
	plan, code := c.planFetch(k, req)
	c.mu.Unlock()
	if code != protocol.None {
		return &protocol.FetchResponse{ErrorCode: code}
	}
	wait := time.NewTimer(time.Duration(req.MaxWaitMs) * time.Millisecond)
	defer wait.Stop()
	for expired := false; ; {
		c.mu.Lock()
		resp, ready := c.gather(plan)
		if ready || expired {
			plan.sent(resp)
			c.mu.Unlock()
			return resp
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-wait.C:
			expired = true
		case <-k.ctx.Done():
			return nil
		}
	}
}

// gather collects what can be answered now; ready if that need not wait for more.
func (c *Cluster) gather(plan *fetchPlan) (resp *protocol.FetchResponse, ready bool) {
	resp = &protocol.FetchResponse{SessionID: plan.sessionID}
	left, got := int(plan.req.MaxBytes), 0
	named := map[int32]bool{}
	for _, f := range plan.wanted {
		p := c.readPartition(plan, f, left, got == 0)
		got += len(p.Records)
		left = max(left-len(p.Records), 0)
		ready = ready || p.ErrorCode != protocol.None
		if p.CurrentLeader != nil && p.CurrentLeader.LeaderID >= 0 && !named[p.CurrentLeader.LeaderID] {
			n := c.nodes[p.CurrentLeader.LeaderID]
			named[n.id] = true
			resp.NodeEndpoints = append(resp.NodeEndpoints, protocol.FetchResponseNodeEndpoint{
				NodeID: n.id, Host: n.host, Port: int32(n.port), Rack: c.rack(n.id),
			})
		}
		if plan.full || f.news(&p) {
			addPartition(resp, f, p)
		}
	}
	return resp, ready || got >= int(plan.req.MinBytes)
}

// addPartition puts a partition under its topic.
func addPartition(resp *protocol.FetchResponse, f *fetched, p protocol.FetchResponsePartition) {
	n := len(resp.Responses)
	if n == 0 || resp.Responses[n-1].Topic != f.topic || resp.Responses[n-1].TopicID != f.id {
		resp.Responses = append(resp.Responses, protocol.FetchResponseTopic{Topic: f.topic, TopicID: f.id})
		n++
	}
	resp.Responses[n-1].Partitions = append(resp.Responses[n-1].Partitions, p)
}

// readPartition reads one partition, at most left bytes; first says that nothing has been read for the response yet, so that
// a batch above the limits comes all the same (KIP-74).
func (c *Cluster) readPartition(plan *fetchPlan, f *fetched, left int, first bool) protocol.FetchResponsePartition {
	out := protocol.NewFetchResponsePartition()
	out.PartitionIndex = f.want.Partition
	out.HighWatermark = -1
	t := c.topics[f.topic]
	out.ErrorCode = protocol.UnknownTopicOrPartition
	if plan.byID {
		t = c.topicIDs[f.id]
		out.ErrorCode = protocol.UnknownTopicID
	}
	if t == nil {
		return out
	}
	var p *partition
	p, out.ErrorCode = c.lead(plan.node, t, f.want.Partition, f.want.CurrentLeaderEpoch)
	if out.ErrorCode == protocol.NotLeaderOrFollower || out.ErrorCode == protocol.FencedLeaderEpoch {
		out.CurrentLeader = &protocol.FetchResponseLeaderIDAndEpoch{LeaderID: p.leader, LeaderEpoch: p.epoch}
	}
	if out.ErrorCode != protocol.None {
		return out
	}
	if f.want.FetchOffset < p.start || f.want.FetchOffset > p.end {
		out.ErrorCode = protocol.OffsetOutOfRange
		return out
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = p.end, p.lastStable(), p.start
	bound := p.end
	if plan.req.IsolationLevel == 1 {
		bound = p.lastStable()
		out.AbortedTransactions = append([]protocol.FetchResponseAbortedTransaction{}, p.aborted...)
	}
	out.Records = p.read(f.want.FetchOffset, bound, min(left, int(f.want.PartitionMaxBytes)), first)
	return out
}

// read gives the bytes from the batch that holds an offset up to those at bound, cut at limit. With whole the first batch
// is not cut.
func (p *partition) read(offset, bound int64, limit int, whole bool) []byte {
	out := []byte{}
	for _, b := range p.batches {
		if b.next <= offset {
			continue
		}
		if b.base >= bound {
			break
		}
		if room := limit - len(out); len(b.bytes) > room && !(whole && len(out) == 0) {
			if len(out) == 0 {
				return out // a first batch that would be cut is left out since version 3 (KIP-74)
			}
			return append(out, b.bytes[:max(room, 0)]...)
		}
		out = append(out, b.bytes...)
	}
	return out
}

// lead gives a partition if a node leads it and the epoch asked for is the present one (-1: any).
func (c *Cluster) lead(node int32, t *topic, index, epoch int32) (*partition, protocol.ErrorCode) {
	if t == nil || index < 0 || int(index) >= len(t.partitions) {
		return nil, protocol.UnknownTopicOrPartition
	}
	p := t.partitions[index]
	switch {
	case p.leader != node:
		return p, protocol.NotLeaderOrFollower
	case epoch >= 0 && epoch < p.epoch:
		return p, protocol.FencedLeaderEpoch
	case epoch > p.epoch:
		return p, protocol.UnknownLeaderEpoch
	}
	return p, protocol.None
}
