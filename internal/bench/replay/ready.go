package replay

import "github.com/seed-7379b4e8/kafka/internal/bench/topic"

// Ready is what a server says of itself once it listens.
type Ready struct {
	Brokers []string `json:"brokers"`
	Topics  []Topic  `json:"topics"`
	Began   int64    `json:"began"` // when growth began, in Unix nanoseconds
}

// Stats is what a server has done since its start.
type Stats struct {
	Fetches    int64   `json:"fetches"`     // answered with records
	FetchBytes int64   `json:"fetch_bytes"` // of those responses
	CPUSeconds float64 `json:"cpu_seconds"` // of its process
}

// Minus is what was done since an earlier time.
func (s Stats) Minus(o Stats) Stats {
	return Stats{s.Fetches - o.Fetches, s.FetchBytes - o.FetchBytes, s.CPUSeconds - o.CPUSeconds}
}

// Topic is a topic that is served, with what a reader of all its records must have counted.
type Topic struct {
	Name       string  `json:"name"`
	Partitions int     `json:"partitions"`
	Records    int64   `json:"records"`
	OffsetSum  int64   `json:"offset_sum"`
	Bytes      int64   `json:"bytes"`
	Ratio      float64 `json:"compression_ratio"`
}

// ReadyTopic gives the Topic of a log.
func ReadyTopic(l *topic.Log) Topic {
	return Topic{
		Name: l.Spec.Name(), Partitions: l.Spec.Partitions,
		Records: l.Records(), OffsetSum: l.OffsetSum(), Bytes: l.PayloadBytes(), Ratio: l.Ratio(),
	}
}
