//go:build kafka

package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// One cluster's logs, of everything a log can hold, read by the Java client and by this one: the same offsets, keys, values, headers,
// timestamps and leader epochs, and the same ends, in both isolation levels.
func TestDifferential_ReadsWhatTheJavaClientReads(t *testing.T) {
	c := kafkatest.StartCluster(t, launch.Options{})
	codecs := c.NewTopic(t, kafkatest.Topic{Partitions: len(kafkatest.Codecs) + 1})
	appended := c.NewTopic(t, kafkatest.Topic{Configs: map[string]string{"message.timestamp.type": "LogAppendTime"}})
	transactions := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
	cut := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
	old := c.NewTopic(t, kafkatest.Topic{Partitions: 8})
	torn := c.NewTopic(t, kafkatest.Topic{Partitions: 2})

	write := func() {
		writeCodecs(t, c, codecs)
		kafkatest.Produce(t, c, appended, 0, odd(20), kafkatest.Gzip, kafkatest.PerBatch(7))
		writeTransactions(t, c, transactions)
		for p := range int32(2) {
			kafkatest.Produce(t, c, cut, p, odd(30), kafkatest.Zstd, kafkatest.PerBatch(10))
			kafkatest.Produce(t, c, torn, p, odd(30), kafkatest.Snappy, kafkatest.PerBatch(10))
		}
	}
	write()
	produceBatch(t, c, appended, 0, batchOf(t, 0, -1, "without a time, which the broker gives"))
	produceBatch(t, c, codecs, 0, batchOf(t, 0, -1, "without a time"))
	c.DeleteRecords(t, cut, 0, 14) // into the middle of a compressed batch
	holes, _ := compacted(t, c)

	node := c.Nodes()[0]
	node.Stop(t)
	for p, set := range oldSets(t) {
		placeSegment(t, c, tpOf(old, int32(p)), set)
	}
	tearTails(t, c, torn)
	node.Start(t)
	for p := range int32(2) {
		require.EqualValues(t, 30, c.EndOffset(t, torn, p), "what is torn has been cut off")
	}
	write() // in another leader epoch
	for p := range int32(4) {
		kafkatest.Produce(t, c, old, p, odd(10)) // magic 2 behind the older ones
	}
	c.DeleteRecords(t, cut, 1, 30) // whole batches
	open := kafkatest.BeginTxn(t, c)
	open.Produce(t, transactions, 1, odd(3)...)
	kafkatest.Produce(t, c, transactions, 1, odd(3)) // behind one that is open

	topics := []string{codecs, appended, transactions, cut, old, torn, holes.Topic}
	java := javaReads(t, c, topics)
	requireEverything(t, java, codecs, cut, old, torn)
	var ours []string
	for _, level := range []string{"read_uncommitted", "read_committed"} {
		for _, topic := range topics {
			ours = append(ours, weRead(t, c, level, topic, 1<<20)...)
			ours = append(ours, weRead(t, c, level, topic, partial)...)
		}
	}
	// Partitions take turns in different ways; each one's order counts.
	byPartition := func(lines []string) []string {
		slices.SortStableFunc(lines, func(a, b string) int {
			return slices.Compare(strings.Fields(a)[:2], strings.Fields(b)[:2])
		})
		return lines
	}
	java, ours = byPartition(java), byPartition(ours)
	for i := range min(len(java), len(ours)) {
		require.Equal(t, java[i], ours[i], "line %d", i)
	}
	require.Len(t, ours, len(java))
	t.Logf("%d lines of each are the same", len(java))
}

// partial is a limit of a partition's part of an answer at which most of them end within a batch.
const partial = 1000

// requireEverything sees that the logs hold what they are to hold.
func requireEverything(t *testing.T, java []string, codecs, cut, old, torn string) {
	t.Helper()
	all := strings.Join(java, "\n")
	for _, part := range []string{
		"read_committed " + old + "-0 ", "read_committed " + old + "-7 ", "NoTimestampType -1", " LogAppendTime ", " CreateTime ", "epoch -1 ",
		" CreateTime -1 ", torn + "-0 59 ", torn + "-1 ends at 60", "read_committed/1000 " + torn + "-1 59 ",
		"key null", `key ""`, "value null", `value ""`, ` header =""`, "header null=null", "read_committed " + cut + "-0 14 ", cut + "-1 30 ",
	} {
		require.Contains(t, all, part, "the logs hold all of it")
	}
	epochs := make(map[string]map[string]bool) // by partition
	for _, found := range regexp.MustCompile(`(?m)^read_committed (\S+) \d+ epoch (-?\d+) `).FindAllStringSubmatch(all, -1) {
		if epochs[found[1]] == nil {
			epochs[found[1]] = make(map[string]bool)
		}
		epochs[found[1]][found[2]] = true
	}
	for _, topic := range []string{codecs, torn, old} { // the oldest formats have none: -1
		require.Len(t, epochs[topic+"-0"], 2, "one partition's records are of two epochs: %v", epochs)
	}
}

// odd gives records of many forms.
func odd(n int) []*kafkatest.Record {
	var out []*kafkatest.Record
	for i := range n {
		r := kafkatest.Keyed(fmt.Sprint("key ", i), strings.Repeat(fmt.Sprint("value ", i, " "), i))
		r.Timestamp = time.Now().Add(time.Duration(i*i) * -time.Minute)
		switch i % 7 {
		case 1:
			r.Key = nil
		case 2:
			r.Value = nil
		case 3:
			r.Key, r.Value = []byte{}, []byte{}
		case 4:
			r = kafkatest.WithHeaders(r, "a", "1", "", "", "ünïcode ☃", "x", "a", "again")
		case 5:
			r = kafkatest.WithHeaders(r, "null", "")
			r.Headers[0].Value = nil
		}
		out = append(out, r)
	}
	return out
}

func writeCodecs(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	p := int32(0)
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		kafkatest.Produce(t, c, topic, p, odd(40), kafkatest.Codecs[name], kafkatest.PerBatch(9))
		kafkatest.Produce(t, c, topic, int32(len(kafkatest.Codecs)), odd(10), kafkatest.Codecs[name]) // one behind the other
		p++
	}
}

func writeTransactions(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	var open []*kafkatest.Txn
	for i, codec := range []kafkatest.ProduceOption{kafkatest.LZ4, kafkatest.None, kafkatest.Zstd, kafkatest.Gzip, kafkatest.Snappy} {
		open = append(open, kafkatest.BeginTxn(t, c, codec, kafkatest.PerBatch(2+i)))
	}
	plain := kafkatest.NewProducer(t, c)
	for round := range 6 {
		for p := range int32(2) {
			for i, txn := range open {
				txn.Produce(t, topic, p, odd(3+i%3)...)
			}
			plain.Produce(t, topic, p, odd(2)...)
		}
		for i, txn := range open { // each comes to all: an abort, a commit, and a round in which it goes on
			switch (round + i) % 3 {
			case 0:
				txn.Abort(t)
			case 1:
				txn.Commit(t)
			default:
				continue
			}
			txn.Begin(t)
		}
	}
	for i, txn := range open {
		if i%2 == 0 {
			txn.Commit(t)
		} else {
			txn.Abort(t)
		}
	}
	for p := range int32(2) {
		c.AwaitStable(t, topic, p)
	}
}

// oldSets gives the logs of brokers before 0.11: magic 0 and 1, plain and compressed, one set a partition.
func oldSets(t *testing.T) [][]byte {
	t.Helper()
	messages := func(first int64, n int) []protocol.LegacyMessage {
		var out []protocol.LegacyMessage
		for i := range int64(n) {
			m := protocol.LegacyMessage{Offset: first + i, Timestamp: 1_400_000_000_000 + i*i*1000, Key: fmt.Append(nil, "key ", i), Value: fmt.Append(nil, "value ", first+i)}
			switch i % 5 {
			case 1:
				m.Key = nil
			case 2:
				m.Value = nil
			case 3:
				m.Value = bytes.Repeat([]byte("long "), 200)
			case 4:
				m.Timestamp = -1 // there is none
			}
			out = append(out, m)
		}
		return out
	}
	var sets [][]byte
	for magic := range int8(2) {
		var plain []byte
		for _, m := range messages(0, 20) {
			m.Magic = magic
			plain = protocol.AppendLegacyMessage(plain, &m)
		}
		sets = append(sets, plain)
		for codec := compress.Gzip; codec <= compress.LZ4; codec++ {
			var set []byte
			for first := int64(0); first < 30; first += 10 {
				wrapper := protocol.LegacyMessage{Magic: magic, Attributes: int8(codec), Timestamp: 1_500_000_000_000 + first}
				if magic == 1 && first == 20 {
					wrapper.Attributes |= 8 // LogAppendTime: the wrapper's holds for all in it (KIP-32)
				}
				encode := func(dst, src []byte) ([]byte, error) { return compress.Encode(codec, dst, src) }
				if magic == 0 && codec == compress.LZ4 {
					encode = compress.EncodeLZ4Magic0
				}
				var err error
				set, err = protocol.AppendLegacyWrapper(set, wrapper, encode, messages(first, 10)...)
				require.NoError(t, err)
			}
			sets = append(sets, set)
		}
	}
	return sets
}

// tearTails leaves the logs of a broker that is down as a crash may: half of a batch behind the last whole one, and one whose bytes
// have not all reached the disk.
func tearTails(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	h := protocol.NewBatchHeader(30)
	next, err := protocol.AppendBatch(nil, h, nil, protocol.RecordData{Value: []byte("written, and lost before anybody saw it")})
	require.NoError(t, err)
	half, blank := next[:len(next)-10], append(next[:len(next)-10:len(next)-10], make([]byte, 10)...)
	for p, tail := range [][]byte{half, blank} {
		tp := tpOf(topic, int32(p))
		log, err := os.ReadFile(firstSegment(t, c, tp))
		require.NoError(t, err)
		placeSegment(t, c, tp, append(log, tail...))
	}
}

// placeSegment makes a set the log of a partition of a broker that is down. The indexes are made anew from it, and what cannot be read
// at its end is cut off.
func placeSegment(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition, set []byte) {
	t.Helper()
	segment := firstSegment(t, c, tp)
	for _, pattern := range []string{"*index", "*.snapshot"} {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(segment), pattern))
		require.NoError(t, err)
		for _, f := range files {
			require.NoError(t, os.Remove(f))
		}
	}
	require.NoError(t, os.WriteFile(segment, set, 0o600))
}

// firstSegment is the file in which a partition's log begins, on the one node that has it.
func firstSegment(t *testing.T, c *kafkatest.Cluster, tp kafka.TopicPartition) string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(c.Real().Dir, "*", "data", tp.String()))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	return filepath.Join(folders[0], "00000000000000000000.log")
}

// javaReads runs the Java client, from source: that takes a JDK, not just a JRE.
func javaReads(t *testing.T, c *kafkatest.Cluster, topics []string) []string {
	t.Helper()
	install, err := launch.Resolve(within(t), c.Real().Version)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	args := append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", install.Classpath,
		filepath.Join("testdata", "ReadAll.java"), strings.Join(c.Bootstrap(), ",")}, topics...)
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, install.Java, args...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	require.NoError(t, cmd.Run(), "the Java client: %s", problems.String())
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// weRead gives what ReadAll.java prints, as this client reads it, with a limit to a partition's part of an answer.
func weRead(t *testing.T, c *kafkatest.Cluster, level, topic string, limit int) (lines []string) {
	t.Helper()
	consumer := start(t, c, kafka.WithTopics(topic), kafka.WithIsolationLevel(isolations[level]), kafka.WithAutoOffsetReset(kafka.ResetNone),
		kafka.WithMaxPartitionFetchBytes(limit))
	if limit == partial {
		level += fmt.Sprint("/", limit)
	}
	ctx := within(t)
	require.NoError(t, consumer.SeekToBeginning(ctx))
	ends, err := consumer.EndOffsets(ctx)
	require.NoError(t, err)
	atEnd := func() bool {
		for tp, end := range ends {
			if position(t, consumer, tp) < end {
				return false
			}
		}
		return true
	}
	for !atEnd() {
		got, err := consumer.GetMany(ctx, kafka.WaitFor(50*time.Millisecond))
		require.NoError(t, err)
		for _, msgs := range got {
			for _, m := range msgs {
				lines = append(lines, level+" "+line(m))
			}
		}
	}
	for tp := range ends {
		lines = append(lines, fmt.Sprintf("%s %v ends at %d", level, tp, position(t, consumer, tp)))
	}
	require.NoError(t, consumer.Close())
	return lines
}

func line(m *kafka.Message) string {
	hex := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf(`"%x"`, b)
	}
	kind, at := map[kafka.TimestampType]string{kafka.CreateTime: "CreateTime", kafka.LogAppendTime: "LogAppendTime", kafka.NoTimestamp: "NoTimestampType"}[m.TimestampType], int64(-1)
	if !m.Timestamp.IsZero() {
		at = m.Timestamp.UnixMilli()
	}
	s := fmt.Sprintf("%v %d epoch %d %s %d key %s value %s", m.TopicPartition(), m.Offset, m.LeaderEpoch, kind, at, hex(m.Key), hex(m.Value))
	for _, h := range m.Headers {
		s += " header " + h.Key + "=" + hex(h.Value)
	}
	return s
}
