package subject

import (
	"context"
	"fmt"

	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/twmb/franz-go/pkg/kgo"
)

type franz struct {
	cl    *kgo.Client
	topic string
}

func openFranz(o Options) (Consumer, error) {
	l := runner.DefaultLimits
	cl, err := kgo.NewClient(
		kgo.ClientID(clientID), kgo.SeedBrokers(o.Brokers...), kgo.ConsumeTopics(o.Topic), kgo.FetchMaxBytes(int32(l.MaxBytes)),
		kgo.FetchMaxPartitionBytes(int32(l.MaxPartitionBytes)), kgo.FetchMinBytes(int32(l.MinBytes)), kgo.FetchMaxWait(l.MaxWait),
	)
	if err != nil {
		return nil, err
	}
	return &franz{cl, o.Topic}, nil
}

func (f *franz) Read(ctx context.Context, each func(Record)) error {
	for {
		fetches := f.cl.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return kgo.ErrClientClosed
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("partition %d: %w", errs[0].Partition, errs[0].Err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				each(Record{r.Partition, r.Offset, r.Value})
			}
		})
	}
}

func (f *franz) Seek(partition int32, offset int64) error {
	f.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{f.topic: {partition: {Epoch: -1, Offset: offset}}})
	return nil
}

func (f *franz) Pause(partition int32) error {
	f.cl.PauseFetchPartitions(map[string][]int32{f.topic: {partition}})
	return nil
}

func (f *franz) Resume(partition int32) error {
	f.cl.ResumeFetchPartitions(map[string][]int32{f.topic: {partition}})
	return nil
}

func (f *franz) Close() { f.cl.Close() }
