package kafkatest

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
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
	moving map[fakePartition]int             // whose leader is being moved: where the new epoch begins is about to be known
}

type fakePartition struct {
	topic     string
	partition int32
}

func newFakeEpochs(fake *kfake.Cluster) *fakeEpochs {
	e := &fakeEpochs{fake: fake, starts: make(map[fakePartition]map[int32]int64), moving: make(map[fakePartition]int)}
	fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), e.answer)
	return e
}

// move makes a node the leader, which begins an epoch.
func (e *fakeEpochs) move(topic string, partition, to int32) error {
	key := fakePartition{topic, partition}
	e.mu.Lock() // not while the fake is called, which may be calling answer
	e.moving[key]++
	e.mu.Unlock()
	err := e.fake.MoveTopicPartition(topic, partition, to)
	info := e.fake.PartitionInfo(topic, partition)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moving[key]--
	if err != nil || info == nil {
		return err
	}
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
			end, code, ok := e.end(rt.Topic, &rp)
			if !ok {
				return nil, nil, false
			}
			sp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			sp.Partition, sp.ErrorCode, sp.LeaderEpoch, sp.EndOffset = rp.Partition, code, rp.LeaderEpoch, end
			st.Partitions = append(st.Partitions, sp)
		}
		resp.Topics = append(resp.Topics, st)
	}
	e.fake.KeepControl()
	return resp, nil, true
}

// end is where the epoch asked for ends: where the next one begins; or an error to ask again.
func (e *fakeEpochs) end(topic string, rp *kmsg.OffsetForLeaderEpochRequestTopicPartition) (end int64, code int16, ok bool) {
	info := e.fake.PartitionInfo(topic, rp.Partition)
	if info == nil || info.Leader != e.fake.CurrentNode() || (rp.CurrentLeaderEpoch != -1 && rp.CurrentLeaderEpoch != info.Epoch) {
		return 0, 0, false
	}
	if rp.LeaderEpoch == info.Epoch {
		return info.HighWatermark, 0, true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key, next := fakePartition{topic, rp.Partition}, int32(-1)
	if e.moving[key] > 0 {
		return -1, kerr.OffsetNotAvailable.Code, true
	}
	for epoch, start := range e.starts[key] {
		if epoch > rp.LeaderEpoch && epoch <= info.Epoch && (next < 0 || epoch < next) {
			next, end = epoch, start
		}
	}
	return end, 0, next >= 0
}
