package topic

import "fmt"

// textBytes is how much distinct text a topic has before it repeats: enough to be no friend of the processor's caches,
// little enough to be made in a second.
const textBytes = 16 << 20

// Log is a topic's partitions: a few distinct batches repeated to any length, so that tens of millions of records need
// little memory. The partitions share the batches, each starting at another of them.
type Log struct {
	Spec    Spec
	batches [][]byte // base offset 0, RecordsPerBatch records each
	repeat  int64    // batches in each partition
}

// NewLog makes the topic of the spec with at least records records, the same for the same seed.
func NewLog(s Spec, records int64, seed uint64) (*Log, error) {
	perBatch := int64(s.RecordsPerBatch())
	perPartition := (records + int64(s.Partitions) - 1) / int64(s.Partitions)
	l := &Log{Spec: s, repeat: max(1, (perPartition+perBatch-1)/perBatch)}
	distinct := min(int64(max(2, textBytes/s.BatchBytes)), l.repeat*int64(s.Partitions))
	b := builder{spec: s, text: newText(seed)}
	for range distinct {
		batch, err := b.next()
		if err != nil {
			return nil, fmt.Errorf("making a batch of %s: %w", s.Name(), err)
		}
		l.batches = append(l.batches, batch)
	}
	return l, nil
}

// Batches are the distinct batches of the log, each with base offset 0.
func (l *Log) Batches() [][]byte { return l.batches }

// End is the offset after the last record of every partition.
func (l *Log) End() int64 { return l.repeat * int64(l.Spec.RecordsPerBatch()) }

// Records is the number of records in all partitions.
func (l *Log) Records() int64 { return l.End() * int64(l.Spec.Partitions) }

// OffsetSum is the sum of the offsets of all records.
func (l *Log) OffsetSum() int64 {
	n := l.End()
	return n * (n - 1) / 2 * int64(l.Spec.Partitions)
}

// PayloadBytes is the size of the payload of all records.
func (l *Log) PayloadBytes() int64 { return l.Records() * int64(l.Spec.PayloadBytes()) }

// Batch is the batch that holds the offset: its bytes, with base offset 0, and the base offset it has in this place.
// The offset is at least 0 and below End.
func (l *Log) Batch(partition int32, offset int64) (batch []byte, base int64) {
	perBatch := int64(l.Spec.RecordsPerBatch())
	i := offset / perBatch
	distinct := int64(len(l.batches))
	start := int64(partition) * distinct / int64(l.Spec.Partitions)
	return l.batches[(start+i)%distinct], i * perBatch
}

// Ratio is the payload's size over that of the batches.
func (l *Log) Ratio() float64 {
	size := 0
	for _, b := range l.batches {
		size += len(b)
	}
	return float64(len(l.batches)*l.Spec.RecordsPerBatch()*l.Spec.PayloadBytes()) / float64(size)
}
