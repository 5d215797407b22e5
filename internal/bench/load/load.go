// Package load puts generated topics into a real Kafka cluster, batch by batch, as they are: the broker changes the offsets
// only.
package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Name is the topic's name in a cluster, where it has its length in it.
func Name(l *topic.Log) string { return fmt.Sprintf("%s-r%d", l.Spec.Name(), l.Records()) }

// loader fills one topic.
type loader struct {
	cl      *kgo.Client
	log     *topic.Log
	name    string
	id      [16]byte
	leaders []int32
}

// Ensure makes the topic in the cluster and fills it, unless it is there already, whole.
func Ensure(ctx context.Context, brokers []string, l *topic.Log) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer cl.Close()
	ld := &loader{cl: cl, log: l, name: Name(l)}
	if err := ld.create(ctx); err != nil {
		return fmt.Errorf("creating %s: %w", ld.name, err)
	}
	if err := ld.awaitLeaders(ctx); err != nil {
		return fmt.Errorf("leaders of %s: %w", ld.name, err)
	}
	for p := range int32(l.Spec.Partitions) {
		if err := ld.fill(ctx, p); err != nil {
			return fmt.Errorf("filling %s-%d: %w", ld.name, p, err)
		}
	}
	return nil
}

func (ld *loader) create(ctx context.Context) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = ld.name, int32(ld.log.Spec.Partitions), 1
	keep := "-1"
	cfg := kmsg.NewCreateTopicsRequestTopicConfig()
	cfg.Name, cfg.Value = "retention.ms", &keep // the timestamps are of the past
	rt.Configs = append(rt.Configs, cfg)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, ld.cl)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// awaitLeaders asks for the leaders until every partition has one.
func (ld *loader) awaitLeaders(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &ld.name
	req.Topics = append(req.Topics, rt)
	for {
		resp, err := req.RequestWith(ctx, ld.cl)
		if err != nil {
			return err
		}
		if ld.takeLeaders(resp.Topics[0]) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (ld *loader) takeLeaders(t kmsg.MetadataResponseTopic) bool {
	if t.ErrorCode != 0 || len(t.Partitions) != ld.log.Spec.Partitions {
		return false
	}
	ld.id = t.TopicID
	ld.leaders = make([]int32, len(t.Partitions))
	for _, p := range t.Partitions {
		if p.ErrorCode != 0 || p.Leader < 0 {
			return false
		}
		ld.leaders[p.Partition] = p.Leader
	}
	return true
}

// fill goes on where the partition ends.
func (ld *loader) fill(ctx context.Context, partition int32) error {
	end, err := ld.end(ctx, partition)
	if err != nil {
		return err
	}
	if end > ld.log.End() || end%int64(ld.log.Spec.RecordsPerBatch()) != 0 {
		return fmt.Errorf("it holds %d records that are not the bench's: delete the topic", end)
	}
	for end < ld.log.End() {
		batch, base := ld.log.Batch(partition, end)
		if err := ld.produce(ctx, partition, batch); err != nil {
			return fmt.Errorf("offset %d: %w", base, err)
		}
		end = base + int64(ld.log.Spec.RecordsPerBatch())
	}
	return nil
}

func (ld *loader) end(ctx context.Context, partition int32) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = ld.name
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp = partition, -1 // the end
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, ld.cl)
	if err != nil {
		return 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, errors.New("ListOffsets answered for other partitions")
	}
	p := resp.Topics[0].Partitions[0]
	return p.Offset, kerr.ErrorForCode(p.ErrorCode)
}

func (ld *loader) produce(ctx context.Context, partition int32, batch []byte) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = ld.name, ld.id
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, ld.cl.Broker(int(ld.leaders[partition])))
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("Produce answered for other partitions: broker " + strconv.Itoa(int(ld.leaders[partition])))
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}
