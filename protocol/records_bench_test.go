package protocol

import (
	"bytes"
	"testing"
)

// benchBatch is a batch of 1000 records with a 10-byte key and a value of this size.
func benchBatch(tb testing.TB, value, headers int) []byte {
	records := make([]RecordData, 1000)
	for i := range records {
		r := RecordData{
			OffsetDelta: int32(i), TimestampDelta: int64(i / 10),
			Key: []byte("0123456789"), Value: bytes.Repeat([]byte{byte(i)}, value),
		}
		for range headers {
			r.Headers = append(r.Headers, RecordHeader{"trace-id", []byte("0123456789abcdef")})
		}
		records[i] = r
	}
	set, err := AppendBatch(nil, NewBatchHeader(1), nil, records...)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

var recordSink Record

func BenchmarkReadRecord(b *testing.B) {
	for _, bc := range []struct {
		name           string
		value, headers int
	}{{"100B", 100, 0}, {"1KiB", 1024, 0}, {"100B-2headers", 100, 2}} {
		b.Run(bc.name, func(b *testing.B) {
			records := benchBatch(b, bc.value, bc.headers)[BatchHeaderSize:]
			b.SetBytes(int64(len(records) / 1000))
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				n, err := ReadRecord(records[at:], &recordSink)
				if err != nil {
					b.Fatal(err)
				}
				if at += n; at == len(records) {
					at = 0
				}
			}
		})
	}
}

func BenchmarkRecordReader(b *testing.B) {
	set := benchBatch(b, 100, 0)
	b.SetBytes(int64(len(set)))
	b.ReportAllocs()
	for b.Loop() {
		s := ScanBatches(set)
		s.Next()
		rr, err := s.Header().ReadRecords(s.Records())
		for ok := err == nil; ok; {
			ok, err = rr.Next(&recordSink)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func BenchmarkReadHeader(b *testing.B) {
	records := benchBatch(b, 100, 2)[BatchHeaderSize:]
	var r Record
	if _, err := ReadRecord(records, &r); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		_, _, n, err := ReadHeader(r.Headers[at:])
		if err != nil {
			b.Fatal(err)
		}
		if at += n; at == len(r.Headers) {
			at = 0
		}
	}
}

func BenchmarkCRCValid(b *testing.B) {
	set := benchBatch(b, 100, 0)
	h, err := ParseBatchHeader(set)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(set)))
	b.ReportAllocs()
	for b.Loop() {
		if !h.CRCValid(set) {
			b.Fatal("checksum")
		}
	}
}
