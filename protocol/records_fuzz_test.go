package protocol

import (
	"errors"
	"math"
	"testing"
)

// FuzzRecordSet reads any bytes as a record set, to the last header of the last record.
func FuzzRecordSet(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.Set)
	}
	for _, set := range flipSets(f) {
		f.Add(set)
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		s := ScanBatches(set)
		end := 0
		for s.Next() {
			if s.Pos() != end || len(s.Bytes()) == 0 || len(s.Bytes()) > len(set)-end {
				t.Fatalf("batch at %d of %d bytes, the last ended at %d", s.Pos(), len(s.Bytes()), end)
			}
			end += len(s.Bytes())
			if s.NextOffset() <= 0 {
				t.Fatalf("next offset %d", s.NextOffset())
			}
			readLoosely(t, &s)
		}
		if s.Pos() > len(set) {
			t.Fatalf("at %d of %d bytes", s.Pos(), len(set))
		}
		var e *BatchError
		if err := s.Err(); err != nil && (!errors.As(err, &e) || e.NextOffset >= 0 && e.NextOffset <= e.Offset) {
			t.Fatalf("error %#v", err)
		}
		if end == 0 && len(set) > 0 && s.Err() == nil {
			t.Fatal("bytes but no batch, and no error")
		}
	})
}

// readLoosely reads the current batch without asking for its checksum, which would stop a fuzzer.
func readLoosely(t *testing.T, s *Batches) {
	if s.Magic() < 2 {
		m := *s.Message()
		if m.Codec() < 4 {
			m.CRC = 0
			readInner(t, m)
		}
		return
	}
	h := *s.Header()
	raw := s.Records()
	if h.Codec() != 0 {
		var err error
		if raw, err = unpack(h.Codec(), raw, legacyOptions(0)); err != nil {
			return
		}
	}
	rr, err := h.ReadRecords(raw)
	if err != nil {
		return
	}
	last := int64(-1)
	var r Record
	for {
		left := rr.Left()
		ok, err := rr.Next(&r)
		if err != nil || !ok {
			return
		}
		if rr.Left() != left-1 || int64(r.OffsetDelta) <= last || r.OffsetDelta > h.LastOffsetDelta {
			t.Fatalf("offset delta %d after %d, the last is %d", r.OffsetDelta, last, h.LastOffsetDelta)
		}
		last = int64(r.OffsetDelta)
		checkRecord(t, &r)
	}
}

// checkRecord holds a record that was read to what ReadRecord promises.
func checkRecord(t *testing.T, r *Record) {
	if cap(r.Key) != len(r.Key) || cap(r.Value) != len(r.Value) {
		t.Fatal("key or value reaches further than it is long")
	}
	n := 0
	for b := r.Headers; len(b) > 0; n++ {
		key, value, m, err := ReadHeader(b)
		if err != nil || key == nil || cap(key) != len(key) || cap(value) != len(value) {
			t.Fatalf("header %q = %q, %v", key, value, err)
		}
		b = b[m:]
	}
	if n != r.HeaderCount {
		t.Fatalf("%d headers, counted %d", n, r.HeaderCount)
	}
}

func readInner(t *testing.T, m LegacyMessage) {
	if m.Codec() == 0 {
		return
	}
	raw, err := unpack(m.Codec(), m.Value, legacyOptions(m.Magic))
	if err != nil {
		return
	}
	set, err := m.Inner(raw)
	if err != nil {
		return
	}
	last := int64(-1)
	var in LegacyMessage
	for range len(raw) + 1 {
		ok, err := set.Next(&in)
		if err != nil || !ok {
			return
		}
		if in.Offset < 0 || in.Offset >= set.NextOffset() || in.Codec() != 0 || in.Magic != m.Magic {
			t.Fatalf("inner message %+v after offset %d, next %d", in, last, set.NextOffset())
		}
		last = in.Offset
	}
	t.Fatal("more messages than bytes")
}

// FuzzReadRecord reads any bytes as one record, and writes what it read again.
func FuzzReadRecord(f *testing.F) {
	for _, r := range []RecordData{
		{}, {Key: []byte("k"), Value: []byte("v")}, {OffsetDelta: 1000, TimestampDelta: -1 << 40, Value: make([]byte, 300)},
		{Headers: []RecordHeader{{"a", nil}, {"", []byte("x")}}},
	} {
		f.Add(AppendRecord(nil, &r))
	}
	f.Add([]byte("\xfe\xff\xff\xff\x0f\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		n, err := ReadRecord(b, &r)
		var e *RecordError
		if err != nil {
			if !errors.As(err, &e) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if n <= 0 || n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		checkRecord(t, &r)
		again := RecordData{OffsetDelta: r.OffsetDelta, TimestampDelta: r.TimestampDelta, Key: r.Key, Value: r.Value}
		for h := r.Headers; len(h) > 0; {
			key, value, m, err := ReadHeader(h)
			if err != nil {
				t.Fatal(err)
			}
			again.Headers = append(again.Headers, RecordHeader{string(key), value})
			h = h[m:]
		}
		out := AppendRecord(nil, &again)
		var r2 Record
		if _, err := ReadRecord(out, &r2); err != nil || len(out) > n || string(r.Key) != string(r2.Key) ||
			string(r.Value) != string(r2.Value) || string(r2.Headers) == "" && r.HeaderCount > 0 {
			t.Fatalf("%+v written and read again is %+v, %v", r, r2, err)
		}
	})
}

// FuzzLegacy reads any bytes as a message, and as the inside of a wrapper.
func FuzzLegacy(f *testing.F) {
	for _, set := range flipSets(f) {
		f.Add(set, int64(0))
	}
	for magic := range int8(2) {
		f.Add(AppendLegacyMessage(nil, &LegacyMessage{Offset: 3, Magic: magic, Key: []byte("k")}), int64(10))
		f.Add(AppendLegacyMessage(nil, &LegacyMessage{Offset: 3, Magic: magic}), int64(math.MaxInt64))
	}
	f.Fuzz(func(t *testing.T, b []byte, offset int64) {
		var m LegacyMessage
		n, err := ReadLegacyMessage(b, &m)
		if err != nil {
			return
		}
		if n <= 0 || n > len(b) || m.Offset < 0 || m.Offset+1 < 0 || cap(m.Key) != len(m.Key) || cap(m.Value) != len(m.Value) {
			t.Fatalf("%d of %d bytes: %+v", n, len(b), m)
		}
		out := AppendLegacyMessage(nil, &m)
		if m.CRCValid() && string(out) != string(b[:n]) {
			t.Fatal("written again it is not the same")
		}
		readInner(t, LegacyMessage{Magic: m.Magic, Attributes: m.Attributes, Offset: m.Offset, Value: m.Value})

		wrapper := LegacyMessage{Magic: m.Magic, Offset: offset & (1<<63 - 1), Value: []byte{}}
		set, err := wrapper.Inner(b)
		for ok := err == nil; ok && err == nil; {
			ok, err = set.Next(&m)
			if ok && (m.Offset < 0 || m.Offset >= set.NextOffset()) {
				t.Fatalf("offset %d, next %d", m.Offset, set.NextOffset())
			}
		}
	})
}
