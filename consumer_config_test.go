package kafka

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
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
		{"WithHeartbeatInterval", WithHeartbeatInterval, time.Millisecond, 45*time.Second - 1},
		{"WithMaxPollInterval", WithMaxPollInterval, time.Millisecond, 24 * 24 * time.Hour},
		{"WithRebalanceTimeout", WithRebalanceTimeout, time.Millisecond, 24 * 24 * time.Hour},
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

// A session has to be longer than the shortest heartbeat interval, which is its own lower bound.
func TestConfig_RangeOfTheSessionTimeout(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond + 1, time.Hour} {
		names, text := configProblems(t, WithSessionTimeout(d), WithHeartbeatInterval(time.Millisecond))
		require.Empty(t, names, text)
	}
	for _, d := range []time.Duration{time.Millisecond - 1, time.Hour + 1, 0, -1} {
		names, _ := configProblems(t, WithSessionTimeout(d), WithHeartbeatInterval(time.Millisecond))
		require.Contains(t, names, "WithSessionTimeout", "%v", d)
	}
}

func TestConfig_RevokeGraceIsCutToHalfTheRebalanceTimeoutWhereNotSet(t *testing.T) {
	for _, c := range []struct {
		opts []ConsumerOption
		want time.Duration
	}{
		{nil, 3 * time.Second},
		{[]ConsumerOption{WithRebalanceTimeout(2 * time.Second)}, time.Second},
		{[]ConsumerOption{WithMaxPollInterval(2 * time.Second)}, time.Second},
		{[]ConsumerOption{WithRevokeGrace(0)}, 0},
		{[]ConsumerOption{WithRevokeGrace(150 * time.Second)}, 150 * time.Second},
	} {
		consumer, err := NewConsumer(c.opts...)
		require.NoError(t, err)
		require.Equal(t, c.want, consumer.cfg.revokeGrace)
		require.NoError(t, consumer.Close())
	}
}

// A namedAssignor is one of the user's with a name to look at.
type namedAssignor struct {
	Assignor
	name string
}

func (a namedAssignor) Name() string { return a.name }

func TestConfig_Contradictions(t *testing.T) {
	cases := []struct {
		name   string
		opts   []ConsumerOption
		option string
		says   string
	}{
		{"a fetch that waits for more than it may bring", []ConsumerOption{WithFetchMinBytes(10), WithFetchMaxBytes(9)}, "WithFetchMinBytes", "WithFetchMaxBytes"},
		{"a batch for which the default buffer is too small", []ConsumerOption{WithMaxBatchBytes(32<<20 + 1)}, "WithMaxBatchBytes", "set it to 134217732"},
		{"a session as short as the default heartbeat", []ConsumerOption{WithSessionTimeout(3 * time.Second)}, "WithSessionTimeout", "set WithHeartbeatInterval"},
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
		{"a group id that no request holds", []ConsumerOption{WithGroupID(strings.Repeat("x", 1<<15))}, "WithGroupID", "1 to 32767"},
		{"an empty instance id", []ConsumerOption{WithGroupID("g"), WithGroupInstanceID("")}, "WithGroupInstanceID", "1 to 249"},
		{"an instance id that is too long", []ConsumerOption{WithGroupID("g"), WithGroupInstanceID(strings.Repeat("x", 250))}, "WithGroupInstanceID", "1 to 249"},
		{"an empty rack id", []ConsumerOption{WithRackID("")}, "WithRackID", "1 to 32767"},
		{"a rack id that no request holds", []ConsumerOption{WithRackID(strings.Repeat("x", 1<<15))}, "WithRackID", "1 to 32767"},
		{"no dialer", []ConsumerOption{WithDialer(nil)}, "WithDialer", "nil"},
		{"no listener", []ConsumerOption{WithTopics("t"), WithRebalanceListener(nil)}, "WithRebalanceListener", "nil"},
		{"no assignor", []ConsumerOption{WithAssignors()}, "WithAssignors", "at least one"},
		{"an assignor that is nil", []ConsumerOption{WithAssignors(RangeAssignor, nil)}, "WithAssignors", "nil"},
		{"an assignor without a name", []ConsumerOption{WithAssignors(namedAssignor{})}, "WithAssignors", "no name"},
		{"an assignor with a name that no request holds", []ConsumerOption{WithAssignors(namedAssignor{name: strings.Repeat("x", 1<<15)})}, "WithAssignors", "1 to 32767"},
		{"an assignor twice", []ConsumerOption{WithAssignors(RangeAssignor, RangeAssignor)}, "WithAssignors", "twice"},
		{"a group protocol that does not work yet", []ConsumerOption{WithGroupProtocol(ConsumerProtocol)}, "WithGroupProtocol", "ClassicProtocol"},
		{"no group protocol", []ConsumerOption{WithGroupProtocol("")}, "WithGroupProtocol", "ClassicProtocol"},
		{"a grace longer than the rebalance allows", []ConsumerOption{WithRebalanceTimeout(2 * time.Second), WithRevokeGrace(1001 * time.Millisecond)}, "WithRevokeGrace", "half"},
		{"a negative grace", []ConsumerOption{WithRevokeGrace(-1)}, "WithRevokeGrace", "from 0"},
		{"addresses in one string", []ConsumerOption{WithBootstrapServers("a,b")}, "WithBootstrapServers", "its own argument"},
		{"an address with a space", []ConsumerOption{WithBootstrapServers("a:9092 ")}, "WithBootstrapServers", "space"},
		{"a port with a sign", []ConsumerOption{WithBootstrapServers("a:+9092")}, "WithBootstrapServers", "65535"},
		{"an address with a path", []ConsumerOption{WithBootstrapServers("a/path")}, "WithBootstrapServers", "path"},
		{"an address with a port and a path", []ConsumerOption{WithBootstrapServers("a:9092/path")}, "WithBootstrapServers", "path"},
		{"an address with a user", []ConsumerOption{WithBootstrapServers("user@localhost:1")}, "WithBootstrapServers", "user name"},
		{"an address with a query", []ConsumerOption{WithBootstrapServers("a?b=c")}, "WithBootstrapServers", "host:port"},
		{"half of the brackets", []ConsumerOption{WithBootstrapServers("a]")}, "WithBootstrapServers", "host:port"},
		{"brackets around nothing", []ConsumerOption{WithBootstrapServers("[]")}, "WithBootstrapServers", "host:port"},
		{"an empty pattern", []ConsumerOption{WithPattern("")}, "WithPattern", "empty"},
		{"an empty topic", []ConsumerOption{WithTopics("")}, "WithTopics", "topic name"},
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

// What a bad value makes of other options that were not set, or makes impossible to tell, is no problem of its own.
func TestConfig_OnlyWhatWasSetIsReported(t *testing.T) {
	for _, c := range []struct {
		option string
		opts   []ConsumerOption
	}{
		{"WithMaxPollInterval", []ConsumerOption{WithMaxPollInterval(0)}},
		{"WithMaxPollInterval", []ConsumerOption{WithMaxPollInterval(-1), WithRevokeGrace(time.Second)}},
		{"WithRebalanceTimeout", []ConsumerOption{WithRebalanceTimeout(0), WithRevokeGrace(time.Second)}},
		{"WithSessionTimeout", []ConsumerOption{WithSessionTimeout(0)}},
		{"WithSessionTimeout", []ConsumerOption{WithSessionTimeout(0), WithHeartbeatInterval(time.Second)}},
		{"WithSessionTimeout", []ConsumerOption{WithSessionTimeout(2 * time.Second)}},
		{"WithHeartbeatInterval", []ConsumerOption{WithHeartbeatInterval(2 * time.Hour)}},
		{"WithFetchMaxBytes", []ConsumerOption{WithFetchMaxBytes(-1)}},
		{"WithFetchMinBytes", []ConsumerOption{WithFetchMinBytes(math.MaxInt)}},
		{"WithMaxBatchBytes", []ConsumerOption{WithMaxBatchBytes(math.MaxInt)}},
		{"WithMaxBatchBytes", []ConsumerOption{WithMaxBatchBytes(-1)}},
		{"WithMaxBatchBytes", []ConsumerOption{WithMaxBatchBytes(64 << 20)}},
		{"WithRetryBackoff", []ConsumerOption{WithRetryBackoff(2*time.Hour, time.Second)}},
	} {
		names, text := configProblems(t, c.opts...)
		require.Equal(t, []string{c.option}, names, text)
	}
}

func TestConfig_ProblemsOfABackoffSayWhichOfTheTwo(t *testing.T) {
	names, text := configProblems(t, WithRetryBackoff(0, 0))
	require.Equal(t, []string{"WithRetryBackoff", "WithRetryBackoff"}, names)
	require.Contains(t, text, "WithRetryBackoff(0s): min must be from 1ms to 1h0m0s")
	require.Contains(t, text, "WithRetryBackoff(0s): max must be from 1ms to 1h0m0s")
}

func TestConfig_ValuesStandAsInAProgram(t *testing.T) {
	for text, opt := range map[string]ConsumerOption{
		`WithGroupID(""): `:                           WithGroupID(""),
		`WithTopics("ok", "not\nok"): `:               WithTopics("ok", "not\nok"),
		`WithTopics(): `:                              WithTopics(),
		`WithPattern("("): `:                          WithPattern("("),
		`WithGroupProtocol("consumer"): `:             WithGroupProtocol(ConsumerProtocol),
		`WithDialer(nil): `:                           WithDialer(nil),
		`WithRebalanceListener(kafka.RebalanceFuncs)`: WithRebalanceListener(RebalanceFuncs{}),
		`WithMaxPollRecords(-1): `:                    WithMaxPollRecords(-1),
		`WithBootstrapServers("a:+1"): `:              WithBootstrapServers("a:+1"),
	} {
		_, got := configProblems(t, opt)
		require.Contains(t, got, text)
		require.NotContains(t, got, "\n")
	}
}

// What stands before the host may be a password.
func TestConfig_AnAddressWithAUserIsNotRepeated(t *testing.T) {
	for _, addr := range []string{"me:secret@localhost:9092", "kafka://me:secret@localhost:9092"} {
		_, text := configProblems(t, WithBootstrapServers(addr))
		require.Contains(t, text, `WithBootstrapServers("…@localhost:9092")`)
		require.NotContains(t, text, "secret")
	}
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
	require.Equal(t, []Assignor{RangeAssignor, CooperativeStickyAssignor, RoundRobinAssignor}, cfg.assignors)
	require.Equal(t, ClassicProtocol, cfg.groupProtocol)
	require.Equal(t, []time.Duration{5 * time.Second, 45 * time.Second, 3 * time.Second, 5 * time.Minute, 5 * time.Minute, 3 * time.Second},
		[]time.Duration{cfg.autoCommitEvery, cfg.sessionTimeout, cfg.heartbeatInterval, cfg.maxPollInterval, cfg.rebalanceTimeout, cfg.revokeGrace})
	require.True(t, cfg.autoCommit)
	require.False(t, c.autoCommits(), "there is no group id")
	require.True(t, cfg.excludeInternal)
	require.Empty(t, cfg.topics)
	require.Empty(t, cfg.pattern+cfg.groupID+cfg.instanceID+cfg.rackID)
	require.NoError(t, c.Close())

	grouped, err := NewConsumer(WithGroupID("g"))
	require.NoError(t, err)
	require.True(t, grouped.autoCommits())
	require.NoError(t, grouped.Close())
}

// A connection that nobody takes is given up after WithConnectTimeout, and tried again.
func TestConfig_ConnectTimeoutBoundsEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration // one dial at a time: there is one address
		hangs := func(ctx context.Context, _, _ string) (net.Conn, error) {
			began := time.Now()
			<-ctx.Done()
			took = append(took, time.Since(began))
			return nil, ctx.Err()
		}
		c, err := NewConsumer(WithLogger(nil), WithBootstrapServers("10.0.0.1"), WithDialer(hangs), WithConnectTimeout(700*time.Millisecond))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, c.Start(ctx), context.DeadlineExceeded)
		require.Greater(t, len(took), 4)
		for _, d := range took[:len(took)-1] { // the last one ended with the start
			require.Equal(t, 700*time.Millisecond, d)
		}
		require.NoError(t, c.Close())
	})
}

func TestConfig_AddressesGetTheirPort(t *testing.T) {
	for given, want := range map[string]string{
		"a": "a:9092", "a:1": "a:1", "10.0.0.1": "10.0.0.1:9092", "::1": "[::1]:9092", "[::1]": "[::1]:9092", "[::1]:5": "[::1]:5",
		"[fe80::1%eth0]:5": "[fe80::1%eth0]:5", "broker_1.example.": "broker_1.example.:9092", "bröker:5": "bröker:5",
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
