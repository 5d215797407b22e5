package kafkatest

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeEpochs makes a fake cluster answer OffsetForLeaderEpoch (KIP-320) as a broker does when a partition's leader has changed and
// nothing was written since: a broker notes where an epoch begins when it becomes leader, kfake with the first batch. Until
// then kfake answers that it does not know the epoch before, which a client has to take for a log that was cut.
type fakeEpochs struct {
	fake *kfake.Cluster

	mu     sync.Mutex
	starts map[fakePartition]map[int32]int64 // where each epoch that the harness began began
}

type fakePartition struct {
	topic     string
	partition int32
}

func newFakeEpochs(fake *kfake.Cluster) *fakeEpochs {
	e := &fakeEpochs{fake: fake, starts: make(map[fakePartition]map[int32]int64)}
	fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), e.answer)
	return e
}

// move makes a node the leader, which begins an epoch.
func (e *fakeEpochs) move(topic string, partition, to int32) error {
	if err := e.fake.MoveTopicPartition(topic, partition, to); err != nil {
		return err
	}
	info := e.fake.PartitionInfo(topic, partition)
	if info == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key := fakePartition{topic, partition}
	if e.starts[key] == nil {
		e.starts[key] = make(map[int32]int64)
	}
	e.starts[key][info.Epoch] = info.HighWatermark
	return nil
}

// answer answers requests that are about nothing but known epochs of partitions that the node asked leads; the rest is kfake's.
func (e *fakeEpochs) answer(kreq kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the form kfake wants
	req := kreq.(*kmsg.OffsetForLeaderEpochRequest)
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, rt := range req.Topics {
		st := kmsg.NewOffsetForLeaderEpochResponseTopic()
		st.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			end, ok := e.end(rt.Topic, &rp)
			if !ok {
				return nil, nil, false
			}
			sp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			sp.Partition, sp.LeaderEpoch, sp.EndOffset = rp.Partition, rp.LeaderEpoch, end
			st.Partitions = append(st.Partitions, sp)
		}
		resp.Topics = append(resp.Topics, st)
	}
	e.fake.KeepControl()
	return resp, nil, true
}

// end is where the epoch asked for ends: where the next one begins.
func (e *fakeEpochs) end(topic string, rp *kmsg.OffsetForLeaderEpochRequestTopicPartition) (int64, bool) {
	info := e.fake.PartitionInfo(topic, rp.Partition)
	if info == nil || info.Leader != e.fake.CurrentNode() || (rp.CurrentLeaderEpoch != -1 && rp.CurrentLeaderEpoch != info.Epoch) {
		return 0, false
	}
	if rp.LeaderEpoch == info.Epoch {
		return info.HighWatermark, true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	next := int32(-1)
	var end int64
	for epoch, start := range e.starts[fakePartition{topic, rp.Partition}] {
		if epoch > rp.LeaderEpoch && epoch <= info.Epoch && (next < 0 || epoch < next) {
			next, end = epoch, start
		}
	}
	return end, next >= 0
}
