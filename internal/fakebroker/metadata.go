package fakebroker

import (
	"maps"
	"slices"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// clusterID is what the cluster calls itself.
const clusterID = "fakeclusterfakecluster"

// metadata answers from what is true now. Stopped nodes are left out, as fenced brokers are; hung ones are
// not, as long as nobody has noticed.
func (c *Cluster) metadata(req *protocol.MetadataRequest, version int16) protocol.Response {
	resp := protocol.NewMetadataResponse()
	id := clusterID
	resp.ClusterID = &id
	for _, nid := range slices.Sorted(maps.Keys(c.nodes)) {
		if n := c.nodes[nid]; n.running {
			b := protocol.MetadataResponseBroker{NodeID: n.id, Host: n.host, Port: int32(n.port), Rack: c.rack(n.id)}
			resp.Brokers = append(resp.Brokers, b)
			resp.ControllerID = n.id
		}
	}
	if req.Topics == nil {
		for _, name := range slices.Sorted(maps.Keys(c.topics)) {
			resp.Topics = append(resp.Topics, c.describe(c.topics[name]))
		}
		return resp
	}
	for _, asked := range req.Topics {
		var t *topic
		missing := protocol.MetadataResponseTopic{ErrorCode: protocol.UnknownTopicOrPartition, Name: asked.Name}
		if asked.Name != nil {
			t = c.topics[*asked.Name]
		} else if t = c.topicIDs[asked.TopicID]; t == nil {
			missing.ErrorCode, missing.TopicID = protocol.UnknownTopicID, asked.TopicID
			if empty := ""; version < 12 {
				missing.Name = &empty
			}
		}
		if t == nil {
			resp.Topics = append(resp.Topics, missing)
		} else {
			resp.Topics = append(resp.Topics, c.describe(t))
		}
	}
	return resp
}

func (c *Cluster) rack(node int32) *string {
	if r, ok := c.opts.Racks[node]; ok {
		return &r
	}
	return nil
}

// describe is a topic as Metadata tells it: every node is a replica of everything.
func (c *Cluster) describe(t *topic) protocol.MetadataResponseTopic {
	name := t.name
	out := protocol.MetadataResponseTopic{Name: &name, TopicID: t.id}
	replicas := slices.Sorted(maps.Keys(c.nodes))
	for i, p := range t.partitions {
		mp := protocol.MetadataResponsePartition{
			PartitionIndex: int32(i), LeaderID: p.leader, LeaderEpoch: p.epoch, ReplicaNodes: replicas, IsrNodes: replicas,
		}
		if p.leader < 0 {
			mp.ErrorCode = protocol.LeaderNotAvailable
		}
		out.Partitions = append(out.Partitions, mp)
	}
	return out
}

// SetCoordinator makes a node the coordinator of every group; -1: none.
func (c *Cluster) SetCoordinator(node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.coordinator = node
}

// findCoordinator answers in the forms of all versions.
func (c *Cluster) findCoordinator(req *protocol.FindCoordinatorRequest) protocol.Response {
	found := protocol.FindCoordinatorResponseCoordinator{NodeID: -1, Port: -1, ErrorCode: protocol.CoordinatorNotAvailable}
	if n := c.nodes[c.coordinator]; n != nil {
		found = protocol.FindCoordinatorResponseCoordinator{NodeID: n.id, Host: n.host, Port: int32(n.port)}
	}
	resp := &protocol.FindCoordinatorResponse{NodeID: found.NodeID, Host: found.Host, Port: found.Port, ErrorCode: found.ErrorCode}
	for _, key := range req.CoordinatorKeys {
		found.Key = key
		resp.Coordinators = append(resp.Coordinators, found)
	}
	return resp
}
