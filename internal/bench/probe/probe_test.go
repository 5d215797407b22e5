package probe

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/subject"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/stretchr/testify/require"
)

func TestServe_AnswersEveryLineInOrder(t *testing.T) {
	for _, name := range subject.Names {
		t.Run(name, func(t *testing.T) {
			l, err := topic.NewLog(topic.Spec{ValueBytes: 100, Partitions: 2, BatchBytes: 1024}, 1000, 1)
			require.NoError(t, err)
			srv, err := replay.Start(1, l)
			require.NoError(t, err)
			defer srv.Close()
			task := Task{Client: name, Options: subject.Options{Brokers: srv.Addrs(), Topic: l.Spec.Name()}, Timeout: 10 * time.Second}
			lines := []string{"first", "await 1000", "seek 1 0", "pause 0", "place 0 8", "resume 0 8", "usage", "dance"}
			var out bytes.Buffer

			require.NoError(t, Serve(t.Context(), task, strings.NewReader(strings.Join(lines, "\n")), &out))

			answers := json.NewDecoder(&out)
			for _, line := range lines {
				var a Answer
				require.NoError(t, answers.Decode(&a), line)
				if line == "dance" {
					require.Equal(t, `unknown command "dance"`, a.Error)
					continue
				}
				require.Empty(t, a.Error, line)
				require.Positive(t, a.Records)
				require.Equal(t, strings.Contains("first seek 1 0 resume 0 8", line), a.Seconds > 0, line)
			}
		})
	}
}

func TestServe_SaysThatARecordDidNotCome(t *testing.T) {
	l, err := topic.NewLog(topic.Spec{ValueBytes: 100, Partitions: 1, BatchBytes: 1024}, 100, 1)
	require.NoError(t, err)
	srv, err := replay.Start(1, l)
	require.NoError(t, err)
	defer srv.Close()
	task := Task{
		Client: "ours/getmany", Options: subject.Options{Brokers: srv.Addrs(), Topic: l.Spec.Name()}, Timeout: 50 * time.Millisecond,
	}
	var out bytes.Buffer
	require.NoError(t, Serve(t.Context(), task, strings.NewReader("pause 0\nseek 0 0\nawait 1000000"), &out))
	require.Contains(t, out.String(), "offset 0 of partition 0 did not come within 50ms")
	require.Contains(t, out.String(), "of 1000000 records within 50ms")
}
