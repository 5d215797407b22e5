package checker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	begin = time.Unix(1_000_000, 0)
	tp    = TP{"t", 0}
)

// journal reads one event a word: "A+" assigned to member A, "A~" revoking, "A-" revoked, "A!" losing, "A." lost, "A†" expired, "A:5"
// delivered, "A=5" committed, "A==5" committed by the user, "A@5" position, "A>5" seek, "A*5" reset, "A?" stalled, "A/5" settled; "p5" produced, "p5/x"
// in transaction x, "x.commit", "x.abort"; "d5" deleted below, "c5" compacted; "+3s" time passes.
func journal(t *testing.T, text string) (events []Event) {
	t.Helper()
	now := begin
	for word := range strings.FieldsSeq(text) {
		e := Event{Time: now, TP: tp}
		if d, err := time.ParseDuration(word); err == nil && word[0] == '+' {
			now = now.Add(d)
			continue
		}
		if txn, ok := strings.CutSuffix(word, ".commit"); ok {
			events = append(events, Event{Time: now, Kind: TxnEnded, Txn: txn, Committed: true})
			continue
		}
		if txn, ok := strings.CutSuffix(word, ".abort"); ok {
			events = append(events, Event{Time: now, Kind: TxnEnded, Txn: txn})
			continue
		}
		if word[0] >= 'a' {
			offset, txn, _ := strings.Cut(word[1:], "/")
			_, err := fmt.Sscan(offset, &e.Offset)
			require.NoError(t, err, word)
			e.Txn, e.One = txn, word[0] == 'c'
			e.Kind = map[byte]Kind{'p': Produced, 'd': Deleted, 'c': Deleted}[word[0]]
			events = append(events, e)
			continue
		}
		e.Member = word[:1]
		sign := strings.TrimRight(word[1:], "0123456789")
		if digits := word[1+len(sign):]; digits != "" {
			_, err := fmt.Sscan(digits, &e.Offset)
			require.NoError(t, err, word)
		}
		e.ByUser = sign == "=="
		e.Kind = map[string]Kind{"+": Assigned, "~": Revoking, "-": Revoked, "!": Losing, ".": Lost, "†": Expired, ":": Delivered,
			"=": Committed, "==": Committed, "@": Position, ">": Seek, "*": Reset, "?": Stalled, "/": Settled}[sign]
		require.NotZero(t, e.Kind, word)
		events = append(events, e)
	}
	return events
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, journal string
		o             Options
		want          string // invariants, in order
	}{
		{"all is well", "p0 p1 p2 A+ A:0 A:1 A=2 A~ A- B+ B:2 B=3 B~ B-", Options{Complete: true, Graceful: true}, ""},
		{"a record nobody was given", "p0 p1 A+ A:0", Options{Complete: true}, "I1"},
		{"there was no time for it", "p0 p1 A+ A:0", Options{}, ""},
		{"a record that nobody had to be given", "p0 p1 A+ A:1", Options{Complete: true, From: map[TP]int64{tp: 1}}, ""},
		{"a record that retention has taken", "p0 p1 d1 A+ A:1", Options{Complete: true}, ""},
		{"twice in one ownership", "p0 p1 A+ A:0 A:0", Options{}, "I2"},
		{"again after a seek", "p0 p1 A+ A:0 A:1 A>0 A:0 A:1", Options{Complete: true}, ""},
		{"again after a reset", "p0 p1 A+ A:0 A:1 A*0 A:0", Options{}, ""},
		{"twice after a seek", "p0 p1 A+ A:0 A>0 A:0 A:0", Options{}, "I2"},
		{"backwards", "p0 p1 p2 A+ A>1 A:1 A:0", Options{}, "I3"},
		{"a gap", "p0 p1 p2 A+ A:0 A:2", Options{}, "I3"},
		{"a gap before the first", "p0 p1 p2 A+ A@0 A:1", Options{}, "I3"},
		{"a gap by compaction", "p0 p1 p2 c1 A+ A:0 A:2", Options{Complete: true}, ""},
		{"a gap of a control record", "p0 p2 A+ A:0 A:2", Options{Complete: true}, ""},
		{"a gap of an aborted transaction", "p0 p1/x p3 x.abort A+ A:0 A:3", Options{Complete: true, ReadCommitted: true}, ""},
		{"committed ones again", "p0 p1 p2 A+ A:0 A:1 A=1 A~ A- B+ B:0", Options{}, "I4"},
		{"uncommitted ones again after a crash", "p0 p1 p2 A+ A:0 A:1 A=1 A† B+ B:1 B:2", Options{Complete: true, Graceful: true}, ""},
		{"uncommitted ones again after a loss", "p0 p1 p2 A+ A:0 A:1 A=1 A! A. B+ B:1 B:2", Options{Complete: true, Graceful: true}, ""},
		{"uncommitted ones again after a hasty revoke", "p0 p1 A+ A:0 A:1 A=1 A~ A- B+ B:1", Options{}, ""},
		{"uncommitted ones again, and it was to be graceful", "p0 p1 A+ A:0 A:1 A=1 A~ A- B+ B:1", Options{Graceful: true}, "I4"},
		{"committed ones again, after an owner that has crashed before", "p0 p1 A+ A:0 A† B+ B:0 B:1 B=2 B~ B- C+ C:1", Options{}, "I4"},
		{"uncommitted ones again after a loss that is told late", "p0 p1 A+ A:0 A† B+ B:0 B:1 B=1 A! A. B~ B=2 B- C+ C:1", Options{}, "I4"},
		{"again because the application wanted so", "p0 p1 A+ A:0 A:1 A=2 A~ A- B+ B>0 B:0", Options{Graceful: true}, ""},
		{"committed while it goes", "p0 p1 A+ A:0 A:1 A=1 A~ A=2 A- B+ B:0", Options{}, "I4"},
		{"committed by the user when it has come back", "p0 A+ A:0 A~ A- A+ A==1 A:0", Options{}, ""},
		{"a commit ahead of the position", "p0 p1 p2 A+ A:0 A=2", Options{}, "I5"},
		{"a commit past a control record", "p0 p3 A+ A:0 A=3", Options{}, ""},
		{"a commit ahead that the application asked for", "p0 p1 p2 A+ A:0 A==2", Options{}, ""},
		{"a commit that goes back", "p0 p1 A+ A:0 A:1 A=2 A=1", Options{}, "I6"},
		{"a commit that goes back after a seek", "p0 p1 A+ A:0 A:1 A=2 A>0 A=0", Options{}, ""},
		{"a commit that goes back by hand", "p0 p1 A+ A:0 A:1 A=2 A==1", Options{}, ""},
		{"a commit of what is not owned", "p0 A=1", Options{}, "I6"},
		{"a commit after the revoke", "p0 A+ A:0 A~ A- A=1", Options{}, "I6"},
		{"a position that goes back", "A+ A@5 A@4", Options{}, "I7"},
		{"a position that goes back by a seek", "A+ A@5 A>4 A@4", Options{}, ""},
		{"a position that leaps", "p5 p6 A+ A@5 A@7", Options{}, "I11"},
		{"a start elsewhere than committed", "p0 p1 A+ A:0 A=1 A~ A- B+ B@0", Options{}, "I11"},
		{"a start past what is committed", "p0 p1 p2 A+ A:0 A=1 A~ A- B+ B:2", Options{}, "I11"},
		{"a start elsewhere, and it was said", "p0 p1 p2 A+ A:0 A=1 A~ A- B+ B*2 B:2", Options{}, ""},
		{"a start where another has committed since", "p0 p1 p2 A+ A:0 A=1 A~ A- B+ B† C+ C:1 C=2 B@2", Options{}, ""},
		{"a first record where another has committed since", "p0 p1 p2 A+ A:0 A=1 A~ A- B+ B† C+ C:1 C=2 B:2", Options{}, ""},
		{"a start past what another has committed since", "p0 p1 p2 p3 A+ A:0 A=1 A~ A- B+ B† C+ C:1 C=2 B@3", Options{}, "I11"},
		{"an aborted record", "p0/x x.abort A+ A:0", Options{ReadCommitted: true}, "I8"},
		{"a record of an open transaction", "p0/x A+ A:0", Options{ReadCommitted: true}, "I8"},
		{"an aborted record, read uncommitted", "p0/x x.abort A+ A:0", Options{}, ""},
		{"a committed record left out", "p0/x p2/y p3/x x.commit y.abort A+ A:0", Options{Complete: true, ReadCommitted: true}, "I8"},
		{"two owners", "A+ B+", Options{}, "I9"},
		{"two owners, one of them not counted any more", "A+ A† B+ A! A.", Options{}, ""},
		{"two owners, and that is the way of the group", "A+ B+", Options{Shared: true}, ""},
		{"the owner before has not returned", "A+ A~ B+ A-", Options{}, "I9"},
		{"assigned twice", "A+ A+", Options{}, "I10"},
		{"revoked what it has not", "A~", Options{}, "I10"},
		{"revoked and lost", "A+ A~ A!", Options{}, "I10 I10"},
		{"lost, and revoked was begun", "A+ A~ A.", Options{}, "I10"},
		{"delivered after the revoke", "p0 A+ A~ A- A:0", Options{}, "I10"},
		{"delivered during the revoke", "p0 A+ A~ A:0 A-", Options{}, "I10"},
		{"it does not move", "p0 A+ A@0 +5s p1 A@0", Options{StallAfter: 3 * time.Second}, "I12"},
		{"it does not move, and says why", "p0 A+ A@0 A? +5s p1", Options{StallAfter: 3 * time.Second}, ""},
		{"there is nothing to read", "A+ A@0 +5s p0 +1s A:0", Options{StallAfter: 3 * time.Second}, ""},
		{"it did not move while there were faults", "p0 A+ A@0 +5s p1 A@0 +2s A:0", Options{StallAfter: 3 * time.Second, Calm: begin.Add(4 * time.Second)}, ""},
		{"it does not move after the faults", "p0 A+ A@0 +5s p1 A@0 +3s A@0", Options{StallAfter: 3 * time.Second, Calm: begin.Add(4 * time.Second)}, "I12"},
		{"committed what is settled", "p0 p1 A+ A:0 A:1 A/1 A=1 A/2 A=2", Options{Settles: true}, ""},
		{"committed what is not settled", "p0 p1 A+ A:0 A:1 A/1 A=2", Options{Settles: true}, "I5"},
		{"committed what is not settled by hand", "p0 p1 A+ A:0 A:1 A/1 A==2", Options{Settles: true}, ""},
		{"committed where it was sent", "p0 p1 A+ A>1 A=1", Options{Settles: true}, ""},
		{"committed what the owner before had settled", "p0 p1 A+ A:0 A/1 A=1 A~ A- B+ B=1", Options{Settles: true}, ""},
		{"committed what only the owner before had", "p0 p1 A+ A:0 A/1 A=1 A~ A- B+ B:1 B=2", Options{Settles: true}, "I5"},
		{"committed what was settled before a seek", "p0 p1 p2 A+ A:0 A:1 A/2 A>0 A=2 A=0", Options{Settles: true}, ""},
		{"committed beyond what was settled before a seek", "p0 p1 p2 A+ A:0 A:1 A/2 A>0 A=3", Options{Settles: true}, "I5 I5"},
		{"assigned during the revoke of another", "A+ A~ A+", Options{}, "I10 I10"},
		{"it moves", "p0 p1 A+ A@0 +2s A:0 +2s A:1 +9s A@2", Options{StallAfter: 3 * time.Second}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			all := Check(journal(t, c.journal), c.o)
			for _, v := range all {
				got = append(got, v.Invariant)
				require.NotEmpty(t, v.Text)
				require.Contains(t, v.String(), v.Invariant+": ")
			}
			require.Equal(t, c.want, strings.Join(got, " "), "%v", all)
		})
	}
}

func TestCheck_NamesWhereAndWho(t *testing.T) {
	got := Check(journal(t, "p0 A+ A:0 B+"), Options{})
	require.Len(t, got, 1)
	require.Equal(t, 3, got[0].Event)
	require.Equal(t, "B", got[0].Member)
	require.Equal(t, tp, got[0].TP)
	require.Contains(t, got[0].Text, `"A"`)
}

// A long journal takes time in proportion to its length, also where there are gaps as wide as offsets go.
func TestCheck_LongJournals(t *testing.T) {
	const n = 50_000
	events := []Event{{Time: begin, Kind: Assigned, Member: "A", TP: tp}}
	offset := int64(0)
	for i := range int64(n) {
		now := begin.Add(time.Duration(i) * time.Millisecond)
		events = append(events, Event{Time: now, Kind: Produced, TP: tp, Offset: offset},
			Event{Time: now, Kind: Delivered, Member: "A", TP: tp, Offset: offset})
		offset += 1 << 40
	}
	done := time.Now()
	require.Empty(t, Check(events, Options{Complete: true, StallAfter: time.Second}))
	require.Less(t, time.Since(done), 20*time.Second)
}
