package replay

import (
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Error codes that the server answers with.
const (
	offsetOutOfRange        = 1
	unknownTopicOrPartition = 3
	notLeader               = 6
	fetchSessionNotFound    = 70
	invalidFetchEpoch       = 71
	unknownTopicID          = 100
)

const leaderEpoch = 0

type api struct {
	min, max int16
	answer   func(*conn, kmsg.Request) kmsg.Response // nil: Fetch and ApiVersions have their own ways
}

// apis are the versions served of each API: those of Apache Kafka 4.3.
var apis map[int16]api

func init() { // apart from its declaration, for ApiVersions answers with the table that it stands in
	apis = map[int16]api{
		int16(kmsg.Fetch):           {4, 18, nil},
		int16(kmsg.ListOffsets):     {1, 11, (*conn).listOffsets},
		int16(kmsg.Metadata):        {0, 13, (*conn).metadata},
		int16(kmsg.OffsetCommit):    {2, 10, (*conn).offsetCommit},
		int16(kmsg.OffsetFetch):     {1, 10, (*conn).offsetFetch},
		int16(kmsg.FindCoordinator): {0, 6, (*conn).findCoordinator},
		int16(kmsg.ApiVersions): {0, 4, func(c *conn, _ kmsg.Request) kmsg.Response {
			return c.srv.apiVersions()
		}},
		int16(kmsg.OffsetForLeaderEpoch): {2, 4, (*conn).offsetForLeaderEpoch},
		// Nobody may produce. But librdkafka takes a broker that offers no Produce for one that knows no record batches, and
		// fetches nothing from it.
		int16(kmsg.Produce): {3, 13, func(c *conn, r kmsg.Request) kmsg.Response { return r.ResponseKind() }},
	}
}

func (s *Server) apiVersions() *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	for key, a := range apis {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = key, a.min, a.max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}

func (s *Server) hostPort(node int32) (string, int32) {
	host, port, _ := net.SplitHostPort(s.listeners[node].Addr().String())
	n, _ := strconv.Atoi(port)
	return host, int32(n)
}

func (c *conn) metadata(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.MetadataRequest)
	resp := kmsg.NewPtrMetadataResponse()
	cluster := "replay"
	resp.ClusterID = &cluster
	for node := range c.srv.listeners {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID = int32(node)
		b.Host, b.Port = c.srv.hostPort(b.NodeID)
		resp.Brokers = append(resp.Brokers, b)
	}
	if req.Topics == nil || (req.Version == 0 && len(req.Topics) == 0) {
		for _, t := range c.srv.topics {
			resp.Topics = append(resp.Topics, c.srv.describe(t))
		}
		return resp
	}
	for _, want := range req.Topics {
		t, code := c.srv.byID[want.TopicID], int16(unknownTopicID)
		if want.Topic != nil {
			t, code = c.srv.topics[*want.Topic], unknownTopicOrPartition
		}
		if t != nil {
			resp.Topics = append(resp.Topics, c.srv.describe(t))
			continue
		}
		unknown := kmsg.NewMetadataResponseTopic()
		unknown.Topic, unknown.TopicID, unknown.ErrorCode = want.Topic, want.TopicID, code
		resp.Topics = append(resp.Topics, unknown)
	}
	return resp
}

func (s *Server) describe(t *servedTopic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = &t.name, t.id
	for p := range int32(t.log.Spec.Partitions) {
		mp := kmsg.NewMetadataResponseTopicPartition()
		mp.Partition = p
		mp.Leader, mp.LeaderEpoch = s.leader(p)
		mp.Replicas, mp.ISR = []int32{mp.Leader}, []int32{mp.Leader}
		out.Partitions = append(out.Partitions, mp)
	}
	return out
}

// find gives the topic that leads the partition here, or the error code.
func (c *conn) find(name string, id [16]byte, partition int32) (*servedTopic, int16) {
	t, code := c.srv.topics[name], int16(unknownTopicOrPartition)
	if name == "" {
		t, code = c.srv.byID[id], unknownTopicID
	}
	if t == nil {
		return nil, code
	}
	if partition < 0 || int(partition) >= t.log.Spec.Partitions {
		return nil, unknownTopicOrPartition
	}
	if node, _ := c.srv.leader(partition); node != c.node {
		return nil, notLeader
	}
	return t, 0
}

// listOffsets knows the ends; any time is before the first record, as all logs are of the future.
func (c *conn) listOffsets(r kmsg.Request) kmsg.Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	for _, rt := range r.(*kmsg.ListOffsetsRequest).Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition = rp.Partition
			t, code := c.find(rt.Topic, [16]byte{}, rp.Partition)
			p.ErrorCode = code
			if code == 0 {
				p.Offset, p.LeaderEpoch = 0, leaderEpoch
				if rp.Timestamp == -1 {
					p.Offset = c.srv.end(t, rp.Partition)
				}
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (c *conn) offsetForLeaderEpoch(r kmsg.Request) kmsg.Response {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, rt := range r.(*kmsg.OffsetForLeaderEpochRequest).Topics {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition = rp.Partition
			t, code := c.find(rt.Topic, [16]byte{}, rp.Partition)
			p.ErrorCode = code
			if code == 0 {
				p.LeaderEpoch, p.EndOffset = leaderEpoch, c.srv.end(t, rp.Partition) // all records are of the first epoch
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (c *conn) findCoordinator(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.FindCoordinatorRequest)
	resp := kmsg.NewPtrFindCoordinatorResponse()
	resp.NodeID = 0
	resp.Host, resp.Port = c.srv.hostPort(0)
	for _, key := range req.CoordinatorKeys {
		k := kmsg.NewFindCoordinatorResponseCoordinator()
		k.Key, k.NodeID, k.Host, k.Port = key, 0, resp.Host, resp.Port
		resp.Coordinators = append(resp.Coordinators, k)
	}
	return resp
}

// offsetFetch: nothing is ever committed.
func (c *conn) offsetFetch(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.OffsetFetchRequest)
	resp := kmsg.NewPtrOffsetFetchResponse()
	for _, rt := range req.Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = rt.Topic
		for _, p := range rt.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset = p, -1
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	for _, rg := range req.Groups {
		group := kmsg.NewOffsetFetchResponseGroup()
		group.Group = rg.Group
		for _, rt := range rg.Topics {
			out := kmsg.NewOffsetFetchResponseGroupTopic()
			out.Topic, out.TopicID = rt.Topic, rt.TopicID
			for _, p := range rt.Partitions {
				rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
				rp.Partition, rp.Offset = p, -1
				out.Partitions = append(out.Partitions, rp)
			}
			group.Topics = append(group.Topics, out)
		}
		resp.Groups = append(resp.Groups, group)
	}
	return resp
}

// offsetCommit accepts everything and keeps nothing.
func (c *conn) offsetCommit(r kmsg.Request) kmsg.Response {
	resp := kmsg.NewPtrOffsetCommitResponse()
	for _, rt := range r.(*kmsg.OffsetCommitRequest).Topics {
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = rt.Topic, rt.TopicID
		for _, p := range rt.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
