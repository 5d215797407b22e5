package kafkatest_test

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

func TestProduce_RecordsArriveWithKeysHeadersAndNulls(t *testing.T) {
	kafkatest.EachVersion(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		written := kafkatest.Produce(t, c, topic, 1, []*kafkatest.Record{
			kafkatest.Keyed("k", "v"),
			kafkatest.WithHeaders(kafkatest.Keyed("k2", "v2"), "trace", "1", "trace", "2"),
			kafkatest.Tombstone("gone"),
		})
		got := consume(t, c, topic, 1, 3)
		for i, r := range got {
			if r.Offset != int64(i) || written[i].Offset != r.Offset {
				t.Errorf("record %d has offset %d, produced at %d", i, r.Offset, written[i].Offset)
			}
		}
		if string(got[0].Key) != "k" || string(got[0].Value) != "v" {
			t.Errorf("record 0 is %q=%q", got[0].Key, got[0].Value)
		}
		if len(got[1].Headers) != 2 || got[1].Headers[1].Key != "trace" || string(got[1].Headers[1].Value) != "2" {
			t.Errorf("record 1 has headers %v", got[1].Headers)
		}
		if got[2].Value != nil {
			t.Errorf("the tombstone has value %q", got[2].Value)
		}
	})
}

func TestProduce_CodecAndBatchSizeAreWhatWasAskedFor(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		for name, codec := range kafkatest.Codecs {
			t.Run(name, func(t *testing.T) {
				topic := c.NewTopic(t, kafkatest.Topic{})
				kafkatest.Produce(t, c, topic, 0, kafkatest.Numbered(25, 200), codec, kafkatest.PerBatch(10))
				var codecs []int16
				var counts []int32
				for _, b := range batches(t, c, topic) {
					codecs = append(codecs, b.Attributes&0x7)
					counts = append(counts, b.NumRecords)
				}
				want := slices.Index([]string{"none", "gzip", "snappy", "lz4", "zstd"}, name)
				if !slices.Equal(codecs, slices.Repeat([]int16{int16(want)}, 3)) || !slices.Equal(counts, []int32{10, 10, 5}) {
					t.Errorf("batches have codecs %v and counts %v", codecs, counts)
				}
			})
		}
	})
}

// batches fetches a topic's first partition raw and gives its batch headers.
func batches(t *testing.T, c *kafkatest.Cluster, topic string) []kmsg.RecordBatch {
	t.Helper()
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes = 1000, 1, 1<<20
	request.SessionEpoch = -1
	metadata, err := c.Admin().Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.PartitionMaxBytes = 1 << 20
	part := kmsg.NewFetchRequestTopic()
	part.Topic, part.TopicID = topic, metadata.Topics[topic].ID
	part.Partitions = append(part.Partitions, partition)
	request.Topics = append(request.Topics, part)
	leader := c.Leader(t, topic, 0)
	response, err := c.Client().Broker(int(leader)).Request(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	raw := response.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	var all []kmsg.RecordBatch
	for len(raw) > 0 {
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw); err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
		raw = raw[12+b.Length:]
	}
	return all
}

func TestTxn_CommittedAbortedAndOpen(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		txn := kafkatest.BeginTxn(t, c)
		txn.Produce(t, topic, 0, kafkatest.Values("committed")...)
		txn.Commit(t)
		txn.Begin(t)
		txn.Produce(t, topic, 0, kafkatest.Values("aborted")...)
		txn.Abort(t)
		c.AwaitStable(t, topic, 0)
		open := kafkatest.BeginTxn(t, c)
		open.Produce(t, topic, 0, kafkatest.Values("open")...)

		if lso, end := c.LastStableOffset(t, topic, 0), c.EndOffset(t, topic, 0); lso != 4 || end != 5 {
			t.Errorf("last stable offset %d, end %d, want 4 and 5", lso, end)
		}
		got := values(consume(t, c, topic, 0, 1, kgo.FetchIsolationLevel(kgo.ReadCommitted())))
		if !slices.Equal(got, []string{"committed"}) {
			t.Errorf("a reader of committed records got %q", got)
		}
		if got := values(consume(t, c, topic, 0, 3)); !slices.Equal(got, []string{"committed", "aborted", "open"}) {
			t.Errorf("a reader of all records got %q", got)
		}
	})
}
