package kafkatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is one record to produce. Partition and Topic are set by the functions that produce it, Offset by the broker.
type Record = kgo.Record

// Values gives records without keys.
func Values(values ...string) []*Record {
	records := make([]*Record, len(values))
	for i, v := range values {
		records[i] = &Record{Value: []byte(v)}
	}
	return records
}

// Numbered gives n records whose values begin with their index ("0", "1", …) and are filled up to size bytes with data that
// compresses about as text does.
func Numbered(n, size int) []*Record {
	const filler = " the quick brown fox jumps over the lazy dog; pack my box with five dozen liquor jugs."
	records := make([]*Record, n)
	for i := range records {
		value := fmt.Appendf(make([]byte, 0, max(size, 8)), "%d", i)
		for at := i; len(value) < size; at++ {
			value = append(value, filler[at%len(filler)])
		}
		records[i] = &Record{Value: value}
	}
	return records
}

// Keyed is a record with a key.
func Keyed(key, value string) *Record { return &Record{Key: []byte(key), Value: []byte(value)} }

// Tombstone is a record with a key and Kafka's null for a value.
func Tombstone(key string) *Record { return &Record{Key: []byte(key)} }

// WithHeaders appends headers to a record, given as key, value, key, value.
func WithHeaders(r *Record, keysAndValues ...string) *Record {
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return r
}

// ProduceOption changes how records are produced.
type ProduceOption func(*produceConfig)

type produceConfig struct {
	client   []kgo.Opt
	perBatch int
}

// The codecs, in Kafka's order. None is the default, so that tests know the bytes they ask for.
var (
	None   = Codec(kgo.NoCompression())
	Gzip   = Codec(kgo.GzipCompression())
	Snappy = Codec(kgo.SnappyCompression())
	LZ4    = Codec(kgo.Lz4Compression())
	Zstd   = Codec(kgo.ZstdCompression())
)

// Codecs names the codecs, for tests that go through all.
var Codecs = map[string]ProduceOption{"none": None, "gzip": Gzip, "snappy": Snappy, "lz4": LZ4, "zstd": Zstd}

// Codec compresses batches.
func Codec(codec kgo.CompressionCodec) ProduceOption {
	return With(kgo.ProducerBatchCompression(codec))
}

// BatchBytes bounds the size of a batch. A broker may need max.message.bytes raised for batches over 1 MiB.
func BatchBytes(n int) ProduceOption { return With(kgo.ProducerBatchMaxBytes(int32(n))) }

// PerBatch puts exactly n records into each batch (the last may have fewer), as long as they fit BatchBytes.
func PerBatch(n int) ProduceOption { return func(c *produceConfig) { c.perBatch = n } }

// With passes options to the franz-go client that produces.
func With(options ...kgo.Opt) ProduceOption {
	return func(c *produceConfig) { c.client = append(c.client, options...) }
}

// Produce writes records to one partition, in order, and returns them with the offsets they got. Records may be produced again: they are not changed.
func Produce(t testing.TB, c *Cluster, topic string, partition int32, records []*Record, options ...ProduceOption) []*Record {
	t.Helper()
	p := NewProducer(t, c, options...)
	defer p.client.Close()
	return p.Produce(t, topic, partition, records...)
}

// Producer is a producer that stays open between calls, for tests that produce many times.
type Producer struct {
	client   *kgo.Client
	perBatch int
	cluster  *Cluster
	queued   *queued
}

// queued hears of each record that has its place in a batch, or has failed before that. A client that still looks for the
// topic when it is told to flush would send what it has, and not the batches asked for.
type queued struct{ records chan struct{} }

// queueLimit bounds the records of one flush, so that hearing of them never blocks the client.
const queueLimit = 1 << 20

// OnProduceRecordPartitioned is franz-go's hook.
func (q *queued) OnProduceRecordPartitioned(*Record, int32) { q.records <- struct{}{} }

// NewProducer makes a producer that is closed with the test. It sends each Produce call in as few batches as fit.
func NewProducer(t testing.TB, c *Cluster, options ...ProduceOption) *Producer {
	t.Helper()
	hook := &queued{records: make(chan struct{}, queueLimit)}
	config := produceConfig{client: []kgo.Opt{
		kgo.WithHooks(hook),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(1 << 30),
		// A topic just made and a leader just moved are found at once, not with the next metadata in 5 s.
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}}
	for _, option := range options {
		option(&config)
	}
	client, err := kgo.NewClient(c.ClientOptions(config.client...)...)
	if err != nil {
		t.Fatalf("make a producer: %v", err)
	}
	t.Cleanup(client.Close)
	return &Producer{client: client, perBatch: config.perBatch, cluster: c, queued: hook}
}

// Produce writes records to one partition, in order, and returns copies with the offsets they got.
func (p *Producer) Produce(t testing.TB, topic string, partition int32, records ...*Record) []*Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*opTimeout)
	defer cancel()
	written, err := p.produce(ctx, topic, partition, records)
	if err != nil {
		t.Fatalf("produce %d records to %s-%d on %s: %v", len(records), topic, partition, p.cluster.name, err)
	}
	return written
}

func (p *Producer) produce(ctx context.Context, topic string, partition int32, records []*Record) ([]*Record, error) {
	perBatch := p.perBatch
	if perBatch <= 0 {
		perBatch = queueLimit
	}
	written := make([]*Record, len(records))
	failed := make(chan error, len(records))
	for start := 0; start < len(records); start += perBatch {
		end := min(start+perBatch, len(records))
		for i, r := range records[start:end] {
			copied := &Record{
				Topic: topic, Partition: partition,
				Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp,
			}
			written[start+i] = copied
			p.client.Produce(ctx, copied, func(_ *kgo.Record, err error) {
				if err != nil {
					failed <- err
				}
			})
		}
		for range end - start {
			select {
			case <-p.queued.records:
			case err := <-failed:
				return nil, err
			}
		}
		if err := p.client.Flush(ctx); err != nil {
			return nil, err
		}
		if len(failed) > 0 {
			return nil, <-failed
		}
	}
	return written, nil
}

// Close closes the producer before the test ends.
func (p *Producer) Close() { p.client.Close() }
