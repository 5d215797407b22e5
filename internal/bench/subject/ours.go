package subject

import (
	"context"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
)

type ours struct {
	*kafka.Consumer
	name, topic string
}

func openOurs(ctx context.Context, name string, o Options) (Consumer, error) {
	l := runner.DefaultLimits
	c, err := kafka.NewConsumer(
		kafka.WithClientID(clientID), kafka.WithBootstrapServers(o.Brokers...), kafka.WithTopics(o.Topic), kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithFetchMaxBytes(l.MaxBytes), kafka.WithMaxPartitionFetchBytes(l.MaxPartitionBytes), kafka.WithFetchMinBytes(l.MinBytes),
		kafka.WithFetchMaxWait(l.MaxWait),
	)
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	return &ours{c, name, o.Topic}, nil
}

func (o *ours) Read(ctx context.Context, each func(Record)) error {
	switch o.name {
	case "ours/getone":
		for {
			m, err := o.GetOne(ctx)
			if err != nil {
				return err
			}
			each(Record{m.Partition, m.Offset, m.Value})
		}
	case "ours/messages":
		for m := range o.Messages() {
			each(Record{m.Partition, m.Offset, m.Value})
		}
		return o.Err()
	}
	for {
		taken, err := o.GetMany(ctx)
		if err != nil {
			return err
		}
		for _, msgs := range taken {
			for _, m := range msgs {
				each(Record{m.Partition, m.Offset, m.Value})
			}
		}
	}
}

func (o *ours) at(partition int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: o.topic, Partition: partition}
}

func (o *ours) Seek(partition int32, offset int64) error {
	return o.Consumer.Seek(o.at(partition), offset)
}
func (o *ours) Pause(partition int32) error  { return o.Consumer.Pause(o.at(partition)) }
func (o *ours) Resume(partition int32) error { return o.Consumer.Resume(o.at(partition)) }
func (o *ours) Close()                       { _ = o.Consumer.Close() }
