package protocol

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goldenSet is one line of golden.jsonl: a record set written by the Java client's MemoryRecordsBuilder, and what the Java client reads
// from it. internal/kafkatest/golden/records writes the file.
type goldenSet struct {
	Name    string         `json:"name"`
	Set     []byte         `json:"set"`
	Batches []decodedBatch `json:"batches"`
}

func readGolden(tb testing.TB) []goldenSet {
	tb.Helper()
	f, err := os.Open("testdata/records/golden.jsonl")
	require.NoError(tb, err)
	defer f.Close() //nolint:errcheck // only read
	var sets []goldenSet
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var g goldenSet
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		require.NoError(tb, d.Decode(&g))
		sets = append(sets, g)
	}
	require.NoError(tb, lines.Err())
	require.GreaterOrEqual(tb, len(sets), 80, "golden sets")
	return sets
}

// textOf writes bytes as golden.jsonl does: base64, of something long its length and SHA-256.
func textOf(b []byte) *string {
	if b == nil {
		return nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	if len(b) > 1000 {
		s = fmt.Sprintf("%d:%x", len(b), sha256.Sum256(b))
	}
	return &s
}

func TestGolden_ReadsWhatJavaReads(t *testing.T) {
	for _, g := range readGolden(t) {
		t.Run(g.Name, func(t *testing.T) {
			got, err := decodeSet(g.Set)
			require.NoError(t, err)
			require.Equal(t, g.Batches, got)
		})
	}
}

// Uncompressed, the same records have only one form: the builders must write Java's bytes.
func TestGolden_WritesWhatJavaWrites(t *testing.T) {
	written := 0
	for _, g := range readGolden(t) {
		if strings.HasPrefix(g.Name, "control-leader") {
			continue // not a transaction marker
		}
		s := ScanBatches(g.Set)
		for s.Next() {
			if s.Magic() == 2 && s.Header().Codec() == 0 || s.Magic() < 2 && s.Message().Codec() == 0 {
				require.Equal(t, s.Bytes(), rebuild(t, &s), g.Name)
				written++
			}
		}
		require.NoError(t, s.Err(), g.Name)
	}
	require.Greater(t, written, 25)
}

// rebuild writes the current batch of s again with the builders.
func rebuild(t *testing.T, s *Batches) []byte {
	t.Helper()
	if s.Magic() < 2 {
		return AppendLegacyMessage(nil, s.Message())
	}
	h := *s.Header()
	rr, err := h.ReadRecords(s.Records())
	require.NoError(t, err)
	var records []RecordData
	var r Record
	for {
		ok, err := rr.Next(&r)
		require.NoError(t, err)
		if !ok {
			break
		}
		d := RecordData{OffsetDelta: r.OffsetDelta, TimestampDelta: r.TimestampDelta, Key: r.Key, Value: r.Value}
		for b := r.Headers; len(b) > 0; {
			key, value, n, err := ReadHeader(b)
			require.NoError(t, err)
			d.Headers = append(d.Headers, RecordHeader{string(key), value})
			b = b[n:]
		}
		records = append(records, d)
	}
	if h.Control() {
		kind, err := h.ControlType(s.Records())
		require.NoError(t, err)
		marker, err := ParseEndTxnMarker(r.Value)
		require.NoError(t, err)
		return AppendControlBatch(nil, h, kind, marker.CoordinatorEpoch)
	}
	set, err := AppendBatch(nil, h, nil, records...)
	require.NoError(t, err)
	return set
}
