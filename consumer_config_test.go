package kafka

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// configProblems gives the options that NewConsumer complains about, and the whole text.
func configProblems(t testing.TB, opts ...ConsumerOption) (names []string, text string) {
	t.Helper()
	c, err := NewConsumer(append([]ConsumerOption{WithLogger(nil)}, opts...)...)
	if err == nil {
		require.NoError(t, c.Close())
		return nil, ""
	}
	require.Nil(t, c)
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the joined error itself
	require.True(t, ok, "%T", err)
	for _, e := range joined.Unwrap() {
		var problem *ConfigError
		require.ErrorAs(t, e, &problem)
		require.NotEmpty(t, problem.Reason)
		require.ErrorContains(t, e, problem.Option)
		names = append(names, problem.Option)
	}
	return names, err.Error()
}

func TestConfig_RangesOfNumbers(t *testing.T) {
	type bounds struct {
		option    string
		set       func(n int) ConsumerOption
		low, high int
		with      []ConsumerOption // what else the bounds need
	}
	room := WithMaxBufferedBytes(math.MaxInt)
	for _, b := range []bounds{
		{"WithFetchMinBytes", WithFetchMinBytes, 1, math.MaxInt32, []ConsumerOption{WithFetchMaxBytes(math.MaxInt32)}},
		{"WithFetchMaxBytes", WithFetchMaxBytes, 1, math.MaxInt32, nil},
		{"WithMaxPartitionFetchBytes", WithMaxPartitionFetchBytes, 1, math.MaxInt32, nil},
		{"WithMaxPollRecords", WithMaxPollRecords, 0, math.MaxInt32, nil},
		{"WithMaxBatchBytes", WithMaxBatchBytes, 1 << 10, math.MaxInt32, []ConsumerOption{room}},
		{"WithMaxBufferedBytes", WithMaxBufferedBytes, 128 << 20, math.MaxInt, nil},
	} {
		t.Run(b.option, func(t *testing.T) {
			for _, n := range []int{b.low, b.high} {
				names, text := configProblems(t, append(b.with, b.set(n))...)
				require.Empty(t, names, text)
			}
			bad := []int{b.low - 1, -1, math.MinInt}
			if b.high < math.MaxInt {
				bad = append(bad, b.high+1)
			}
			for _, n := range bad {
				names, text := configProblems(t, append(b.with, b.set(n))...)
				require.Contains(t, names, b.option, "%d", n)
				require.Contains(t, text, b.option)
			}
		})
	}
}

func TestConfig_RangesOfDurations(t *testing.T) {
	type bounds struct {
		option    string
		set       func(d time.Duration) ConsumerOption
		low, high time.Duration
	}
	for _, b := range []bounds{
		{"WithFetchMaxWait", WithFetchMaxWait, time.Millisecond, time.Hour},
		{"WithRequestTimeout", WithRequestTimeout, 10 * time.Millisecond, time.Hour},
		{"WithConnectTimeout", WithConnectTimeout, time.Millisecond, time.Hour},
		{"WithRetryBackoff", func(d time.Duration) ConsumerOption { return WithRetryBackoff(d, d) }, time.Millisecond, time.Hour},
		{"WithAutoCommitInterval", WithAutoCommitInterval, time.Millisecond, 24 * time.Hour},
		{"WithMetadataMaxAge", WithMetadataMaxAge, 10 * time.Millisecond, 24 * time.Hour},
		{"WithConnectionsMaxIdle", WithConnectionsMaxIdle, 10 * time.Millisecond, 365 * 24 * time.Hour},
	} {
		t.Run(b.option, func(t *testing.T) {
			for _, d := range []time.Duration{b.low, b.high} {
				names, text := configProblems(t, b.set(d))
				require.Empty(t, names, text)
			}
			for _, d := range []time.Duration{b.low - 1, b.high + 1, 0, -1} {
				names, _ := configProblems(t, b.set(d))
				require.Contains(t, names, b.option, "%v", d)
			}
		})
	}
}

func TestConfig_Contradictions(t *testing.T) {
	cases := []struct {
		name   string
		opts   []ConsumerOption
		option string
		says   string
	}{
		{"a fetch that waits for more than it may bring", []ConsumerOption{WithFetchMinBytes(10), WithFetchMaxBytes(9)}, "WithFetchMinBytes", "WithFetchMaxBytes"},
		{"a buffer for less than four batches", []ConsumerOption{WithMaxBatchBytes(1 << 20), WithMaxBufferedBytes(4<<20 - 1)}, "WithMaxBufferedBytes", "WithMaxBatchBytes"},
		{"a backoff that shrinks", []ConsumerOption{WithRetryBackoff(2*time.Second, time.Second)}, "WithRetryBackoff", "at most max"},
		{"topics and a pattern", []ConsumerOption{WithTopics("t"), WithPattern("t.*")}, "WithPattern", "excludes"},
		{"an instance id without a group", []ConsumerOption{WithGroupInstanceID("i")}, "WithGroupInstanceID", "WithGroupID"},
		{"a listener without a subscription", []ConsumerOption{WithRebalanceListener(RebalanceFuncs{})}, "WithRebalanceListener", "WithListener"},
		{"a heartbeat as slow as the session", []ConsumerOption{WithGroupID("g"), WithSessionTimeout(10 * time.Second), WithHeartbeatInterval(10 * time.Second)}, "WithHeartbeatInterval", "session"},
		{"no address", []ConsumerOption{WithBootstrapServers()}, "WithBootstrapServers", "at least one"},
		{"an address with a scheme", []ConsumerOption{WithBootstrapServers("kafka://a:9092")}, "WithBootstrapServers", "scheme"},
		{"an empty address", []ConsumerOption{WithBootstrapServers("a:1", "")}, "WithBootstrapServers", "empty"},
		{"a port out of range", []ConsumerOption{WithBootstrapServers("a:65536")}, "WithBootstrapServers", "65535"},
		{"a port that is no number", []ConsumerOption{WithBootstrapServers("a:kafka")}, "WithBootstrapServers", "port"},
		{"no host", []ConsumerOption{WithBootstrapServers(":9092")}, "WithBootstrapServers", "host:port"},
		{"an address of too many colons", []ConsumerOption{WithBootstrapServers("a:b:c")}, "WithBootstrapServers", "host:port"},
		{"no client id", []ConsumerOption{WithClientID("")}, "WithClientID", "1 to 32767"},
		{"a client id that no request holds", []ConsumerOption{WithClientID(strings.Repeat("x", 1<<15))}, "WithClientID", "1 to 32767"},
		{"an empty group id", []ConsumerOption{WithGroupID("")}, "WithGroupID", "1 to 32767"},
		{"no topic", []ConsumerOption{WithTopics()}, "WithTopics", "no topic"},
		{"a topic name that Kafka has no use for", []ConsumerOption{WithTopics("ok", "not ok")}, "WithTopics", "not ok"},
		{"a topic name of dots", []ConsumerOption{WithTopics("..")}, "WithTopics", "topic name"},
		{"a topic name that is too long", []ConsumerOption{WithTopics(strings.Repeat("t", 250))}, "WithTopics", "249"},
		{"a pattern that is none", []ConsumerOption{WithPattern("(")}, "WithPattern", "("},
		{"no reset policy", []ConsumerOption{WithAutoOffsetReset(OffsetReset{})}, "WithAutoOffsetReset", "ResetLatest"},
		{"an isolation level that is none", []ConsumerOption{WithIsolationLevel(2)}, "WithIsolationLevel", "ReadCommitted"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			names, text := configProblems(t, c.opts...)
			require.Equal(t, []string{c.option}, names)
			require.Contains(t, text, c.says)
		})
	}
}

func TestConfig_AllProblemsAreReportedTogether(t *testing.T) {
	names, _ := configProblems(t, WithFetchMaxWait(0), WithClientID(""), WithMaxPollRecords(-1), nil, WithTopics())
	require.ElementsMatch(t, []string{"WithFetchMaxWait", "WithClientID", "WithMaxPollRecords", "WithTopics"}, names)
}

func TestConfig_TheLastOfARepeatedOptionWins(t *testing.T) {
	c, err := NewConsumer(WithFetchMinBytes(0), WithFetchMinBytes(7))
	require.NoError(t, err)
	require.Equal(t, 7, c.cfg.fetchMinBytes)
	require.NoError(t, c.Close())
}

func TestConfig_DefaultsAreWhatTheDocumentationSays(t *testing.T) {
	c, err := NewConsumer()
	require.NoError(t, err)
	cfg := c.cfg
	require.Equal(t, []string{"localhost:9092"}, cfg.bootstrap)
	require.Equal(t, "kafka-go-consumer", cfg.clientID)
	require.Equal(t, []int{1, 50 << 20, 1 << 20, 500, 128 << 20, 32 << 20},
		[]int{cfg.fetchMinBytes, cfg.fetchMaxBytes, cfg.maxPartitionBytes, cfg.maxPollRecords, cfg.maxBufferedBytes, cfg.maxBatchBytes})
	require.Equal(t, []time.Duration{500 * time.Millisecond, 30 * time.Second, 10 * time.Second, 100 * time.Millisecond, time.Second, 5 * time.Minute, 9 * time.Minute},
		[]time.Duration{cfg.fetchMaxWait, cfg.requestTimeout, cfg.connectTimeout, cfg.backoffMin, cfg.backoffMax, cfg.metadataMaxAge, cfg.connMaxIdle})
	require.Equal(t, ResetLatest, cfg.reset)
	require.Equal(t, ReadUncommitted, cfg.isolation)
	require.True(t, cfg.checkCRCs)
}

func TestConfig_AddressesGetTheirPort(t *testing.T) {
	for given, want := range map[string]string{
		"a": "a:9092", "a:1": "a:1", "10.0.0.1": "10.0.0.1:9092", "::1": "[::1]:9092", "[::1]": "[::1]:9092", "[::1]:5": "[::1]:5",
	} {
		got, err := normalizeAddr(given)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestConfig_ErrorIsNoOtherError(t *testing.T) {
	_, err := NewConsumer(WithFetchMaxWait(0))
	require.False(t, errors.Is(err, ErrIllegalState))
	var problem *ConfigError
	require.ErrorAs(t, err, &problem)
	require.Equal(t, time.Duration(0), problem.Value)
	require.Empty(t, problem.Hint())
}
