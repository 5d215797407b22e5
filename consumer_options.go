package kafka

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// A ConsumerOption sets one option of a consumer. Where an option is repeated, the last one wins.
type ConsumerOption func(*config)

// OffsetReset says where a partition starts that has no valid position, no committed offset or one that is out of range:
// ResetLatest, ResetEarliest, ResetNone or ResetByDuration.
type OffsetReset struct {
	kind resetKind
	ago  time.Duration
}

type resetKind int8

const (
	resetInvalid resetKind = iota // the zero value
	resetLatest
	resetEarliest
	resetNone
	resetByDuration
)

var (
	// ResetLatest starts at the end of the partition: only messages written from now on. The default.
	ResetLatest = OffsetReset{kind: resetLatest}
	// ResetEarliest starts at the first message the partition still has.
	ResetEarliest = OffsetReset{kind: resetEarliest}
	// ResetNone starts nowhere: Get calls return a [*NoOffsetForPartitionError] or an [*OffsetOutOfRangeError] until the
	// partition is sought.
	ResetNone = OffsetReset{kind: resetNone}
)

// ResetByDuration starts at the first message that is at most d old, by its timestamp; at the end where nothing is that
// young (KIP-1106). Range: more than 0.
func ResetByDuration(d time.Duration) OffsetReset {
	return OffsetReset{kind: resetByDuration, ago: d}
}

// String gives the name Kafka's auto.offset.reset has for it.
func (r OffsetReset) String() string {
	switch r.kind {
	case resetLatest:
		return "latest"
	case resetEarliest:
		return "earliest"
	case resetNone:
		return "none"
	case resetByDuration:
		return "by_duration:" + r.ago.String()
	}
	return "invalid"
}

func (r OffsetReset) valid() bool {
	return r.kind != resetInvalid && (r.kind != resetByDuration || r.ago > 0)
}

// at gives the timestamp to ask ListOffsets for.
func (r OffsetReset) at(now time.Time) int64 {
	switch r.kind {
	case resetEarliest:
		return earliestTimestamp
	case resetByDuration:
		return max(0, now.Add(-r.ago).UnixMilli())
	}
	return latestTimestamp
}

// IsolationLevel says which messages of transactions are handed out (KIP-98).
type IsolationLevel int8

const (
	// ReadUncommitted hands out every message, also of transactions that are open or were aborted. The default.
	ReadUncommitted IsolationLevel = 0
	// ReadCommitted hands out messages of committed transactions and those written outside of one, and reads up to
	// the last stable offset: the first message of the oldest open transaction.
	ReadCommitted IsolationLevel = 1
)

// String gives the name Kafka's isolation.level has for it.
func (l IsolationLevel) String() string {
	switch l {
	case ReadUncommitted:
		return "read_uncommitted"
	case ReadCommitted:
		return "read_committed"
	}
	return "invalid"
}

// config holds the options of a consumer; made by NewConsumer, read-only afterwards.
type config struct {
	bootstrap         []string
	clientID          string
	topics            []string
	topicsSet         bool
	pattern           string
	patternSet        bool
	excludeInternal   bool
	listener          RebalanceListener
	listenerSet       bool
	rebalanceTimeout  time.Duration
	rebalanceSet      bool
	instanceID        string
	instanceSet       bool
	assignors         []Assignor
	sessionTimeout    time.Duration
	heartbeatInterval time.Duration
	heartbeatSet      bool
	maxPollInterval   time.Duration
	revokeGrace       time.Duration
	revokeGraceSet    bool
	groupProtocol     GroupProtocol
	groupID           string
	groupSet          bool
	autoCommit        bool
	autoCommitEvery   time.Duration
	reset             OffsetReset
	rackID            string
	rackSet           bool
	isolation         IsolationLevel
	fetchMinBytes     int
	fetchMaxBytes     int
	maxPartitionBytes int
	fetchMaxWait      time.Duration
	maxPollRecords    int
	maxBufferedBytes  int
	bufferedSet       bool
	maxBatchBytes     int
	checkCRCs         bool
	requestTimeout    time.Duration
	connectTimeout    time.Duration
	backoffMin        time.Duration
	backoffMax        time.Duration
	metadataMaxAge    time.Duration
	connMaxIdle       time.Duration
	dial              func(ctx context.Context, network, addr string) (net.Conn, error)
	dialSet           bool
	logger            *slog.Logger
}

func defaultConfig() config {
	return config{
		bootstrap:         []string{"localhost:9092"},
		clientID:          "kafka-go-consumer",
		excludeInternal:   true,
		assignors:         []Assignor{RangeAssignor, CooperativeStickyAssignor, RoundRobinAssignor},
		sessionTimeout:    45 * time.Second,
		heartbeatInterval: 3 * time.Second,
		maxPollInterval:   5 * time.Minute,
		revokeGrace:       3 * time.Second,
		groupProtocol:     ClassicProtocol,
		autoCommit:        true,
		autoCommitEvery:   5 * time.Second,
		reset:             ResetLatest,
		isolation:         ReadUncommitted,
		fetchMinBytes:     1,
		fetchMaxBytes:     50 << 20,
		maxPartitionBytes: 1 << 20,
		fetchMaxWait:      500 * time.Millisecond,
		maxPollRecords:    500,
		maxBufferedBytes:  128 << 20,
		maxBatchBytes:     32 << 20,
		checkCRCs:         true,
		requestTimeout:    30 * time.Second,
		connectTimeout:    10 * time.Second,
		backoffMin:        100 * time.Millisecond,
		backoffMax:        time.Second,
		metadataMaxAge:    5 * time.Minute,
		connMaxIdle:       9 * time.Minute,
		logger:            defaultLogger(),
	}
}

// WithBootstrapServers names brokers to learn the cluster from, as "host:port" or "host" (port 9092 then). They are
// tried in random order, every address of a name, until one answers; the whole cluster is learned from it.
// Default: localhost:9092. Range: at least one.
func WithBootstrapServers(addrs ...string) ConsumerOption {
	return func(c *config) { c.bootstrap = append([]string(nil), addrs...) }
}

// WithClientID sets the name that brokers see in requests, quotas and logs. Default: "kafka-go-consumer". Range: 1 to 32767
// bytes.
func WithClientID(id string) ConsumerOption {
	return func(c *config) { c.clientID = id }
}

// WithTopics subscribes to the topics at Start, as [Consumer.Subscribe] does. Default: none. Range: at least one legal topic
// name; excludes WithPattern.
func WithTopics(topics ...string) ConsumerOption {
	return func(c *config) { c.topics, c.topicsSet = append([]string(nil), topics...), true }
}

// WithPattern subscribes at Start to the topics whose whole name matches, as [Consumer.SubscribePattern] does. Default: none.
// Range: RE2 syntax, not empty; excludes WithTopics.
func WithPattern(re string) ConsumerOption {
	return func(c *config) { c.pattern, c.patternSet = re, true }
}

// WithExcludeInternalTopics says whether a pattern leaves Kafka's internal topics out. Default: true.
func WithExcludeInternalTopics(on bool) ConsumerOption {
	return func(c *config) { c.excludeInternal = on }
}

// WithRebalanceListener has l told when partitions of WithTopics or WithPattern come and go. Default: none. Range: not nil,
// with WithTopics or WithPattern.
func WithRebalanceListener(l RebalanceListener) ConsumerOption {
	return func(c *config) { c.listener, c.listenerSet = l, true }
}

// WithGroupID names the group whose committed offsets are used: partitions assigned by hand start at them, and Commit and
// autocommit write them. Default: none, without which nothing is committed. Range: 1 to 32767 bytes.
func WithGroupID(id string) ConsumerOption {
	return func(c *config) { c.groupID, c.groupSet = id, true }
}

// WithGroupInstanceID makes this a static member of the group (KIP-345): its place, and its partitions, are kept for the
// session timeout while it is away, so that a restart causes no rebalance. Each running consumer needs an id of its own;
// of two with the same, the older is fenced for good. Default: none. Range: 1 to 249 bytes, with a group id.
func WithGroupInstanceID(id string) ConsumerOption {
	return func(c *config) { c.instanceID, c.instanceSet = id, true }
}

// A GroupProtocol is how members of a group agree on who reads what.
type GroupProtocol string

const (
	// ClassicProtocol is the one every broker knows: a member, the leader, assigns the partitions.
	ClassicProtocol GroupProtocol = "classic"
	// ConsumerProtocol is that of KIP-848, where the broker does. It is not supported yet: an error.
	ConsumerProtocol GroupProtocol = "consumer"
)

// WithGroupProtocol chooses the group protocol. Default: ClassicProtocol, the only one so far.
func WithGroupProtocol(p GroupProtocol) ConsumerOption {
	return func(c *config) { c.groupProtocol = p }
}

// WithAssignors offers the group ways to share partitions, in order of preference; all members have to share one. One
// eager assignor in the list makes the member eager: it gives everything up before each rebalance. The default joins
// nearly every existing group, and is eager as Java's; for groups of your own, WithAssignors(CooperativeStickyAssignor)
// keeps what stays through a rebalance. Default: RangeAssignor, CooperativeStickyAssignor, RoundRobinAssignor. Range: at
// least one, each name once.
func WithAssignors(a ...Assignor) ConsumerOption {
	return func(c *config) { c.assignors = append([]Assignor(nil), a...) }
}

// WithSessionTimeout says how long the group waits for a member that gives no sign of life until it shares its partitions
// among the others. Brokers bound it, by default to 6 s to 30 min. Default: 45 s. Range: 1 ms to 1 hour.
func WithSessionTimeout(d time.Duration) ConsumerOption {
	return func(c *config) { c.sessionTimeout = d }
}

// WithHeartbeatInterval sets the time between signs of life, which are sent in the background whatever the application
// does. Default: 3 s. Range: 1 ms up to below the session timeout.
func WithHeartbeatInterval(d time.Duration) ConsumerOption {
	return func(c *config) { c.heartbeatInterval, c.heartbeatSet = d, true }
}

// WithMaxPollInterval bounds how long messages may wait without the application taking any; past it the member commits
// what is settled, calls OnPartitionsRevoked and leaves the group, until the next Get call. Default: 5 min. Range: 1 ms
// to 24 days.
func WithMaxPollInterval(d time.Duration) ConsumerOption {
	return func(c *config) { c.maxPollInterval = d }
}

// WithRebalanceTimeout says how long members may take in a rebalance to give their partitions up; a listener's ctx ends
// with it. Default: the max poll interval. Range: 1 ms to 24 days.
func WithRebalanceTimeout(d time.Duration) ConsumerOption {
	return func(c *config) { c.rebalanceTimeout, c.rebalanceSet = d, true }
}

// WithRevokeGrace says how long, with autocommit on, a rebalance waits for the messages in hand to be settled before
// their partitions are given up. Default: 3 s, or half the rebalance timeout where that is less. Range: 0, which is no
// wait, to half the rebalance timeout.
func WithRevokeGrace(d time.Duration) ConsumerOption {
	return func(c *config) { c.revokeGrace, c.revokeGraceSet = d, true }
}

// WithAutoCommit says whether settled offsets are committed by time, in the background: those of messages for which the
// application has asked for the next one, so that a crash in the middle of a message delivers it again. Without a group
// id it is off. Default: true.
func WithAutoCommit(on bool) ConsumerOption {
	return func(c *config) { c.autoCommit = on }
}

// WithAutoCommitInterval sets the time between automatic commits. Default: 5 s. Range: 1 ms to 24 hours.
func WithAutoCommitInterval(d time.Duration) ConsumerOption {
	return func(c *config) { c.autoCommitEvery = d }
}

// WithAutoOffsetReset says where to start where there is no valid position: none was set yet, or it is out of the
// partition's range. Default: [ResetLatest].
func WithAutoOffsetReset(r OffsetReset) ConsumerOption {
	return func(c *config) { c.reset = r }
}

// WithRackID says in which rack this consumer runs, so that brokers that are set up for it
// (replica.selector.class, KIP-392) let it fetch from the closest replica. Default: none. Range: 1 to 32767 bytes.
func WithRackID(id string) ConsumerOption {
	return func(c *config) { c.rackID, c.rackSet = id, true }
}

// WithIsolationLevel says which messages of transactions are handed out. Default: [ReadUncommitted].
func WithIsolationLevel(l IsolationLevel) ConsumerOption {
	return func(c *config) { c.isolation = l }
}

// WithFetchMinBytes makes a broker wait, for up to WithFetchMaxWait, until it has n bytes to answer a fetch with. More
// than 1 trades latency for fewer requests. Default: 1. Range: 1 to 2 GiB−1, at most WithFetchMaxBytes.
func WithFetchMinBytes(n int) ConsumerOption {
	return func(c *config) { c.fetchMinBytes = n }
}

// WithFetchMaxBytes bounds the answer to one fetch, in bytes. A first batch that is larger is still delivered. What is
// asked for is also cut to the room that WithMaxBufferedBytes leaves. Default: 50 MiB. Range: 1 to 2 GiB−1.
func WithFetchMaxBytes(n int) ConsumerOption {
	return func(c *config) { c.fetchMaxBytes = n }
}

// WithMaxPartitionFetchBytes bounds one partition's part of a fetch, in bytes. A first batch that is larger is still
// delivered. Default: 1 MiB. Range: 1 to 2 GiB−1.
func WithMaxPartitionFetchBytes(n int) ConsumerOption {
	return func(c *config) { c.maxPartitionBytes = n }
}

// WithFetchMaxWait bounds how long a broker may hold a fetch for which it has too little data. It is no delay for
// messages that come: a broker answers as soon as it has WithFetchMinBytes. Default: 500 ms. Range: 1 ms to 1 hour.
func WithFetchMaxWait(d time.Duration) ConsumerOption {
	return func(c *config) { c.fetchMaxWait = d }
}

// WithMaxPollRecords bounds how many messages one GetMany returns. It has no influence on what is fetched.
// Default: 500. Range: 0 to 2147483647; 0: no limit.
func WithMaxPollRecords(n int) ConsumerOption {
	return func(c *config) { c.maxPollRecords = n }
}

// WithMaxBufferedBytes bounds the memory of what is fetched and not yet handed out: bytes from the wire, decompressed
// bytes, message and header slabs. It is charged before it is taken. Default: 128 MiB. Range: four times
// WithMaxBatchBytes and up.
func WithMaxBufferedBytes(n int) ConsumerOption {
	return func(c *config) { c.maxBufferedBytes, c.bufferedSet = n, true }
}

// WithMaxBatchBytes bounds a single batch, compressed or decompressed. A larger one is not read into memory: its
// partition stops with a [*RecordTooLargeError], others go on. Default: 32 MiB. Range: 1 KiB to a quarter of
// WithMaxBufferedBytes.
func WithMaxBatchBytes(n int) ConsumerOption {
	return func(c *config) { c.maxBatchBytes = n }
}

// WithCheckCRCs says whether the checksum of every batch is verified. Default: true.
func WithCheckCRCs(on bool) ConsumerOption {
	return func(c *config) { c.checkCRCs = on }
}

// WithRequestTimeout bounds one request to a broker. A call without a deadline of its own, other than those that take
// messages, is bounded by twice this. Default: 30 s. Range: 10 ms to 1 hour.
func WithRequestTimeout(d time.Duration) ConsumerOption {
	return func(c *config) { c.requestTimeout = d }
}

// WithConnectTimeout bounds setting up one connection. Default: 10 s. Range: 1 ms to 1 hour.
func WithConnectTimeout(d time.Duration) ConsumerOption {
	return func(c *config) { c.connectTimeout = d }
}

// WithRetryBackoff sets the waits between tries of what failed: from min, doubling with jitter, to max.
// Default: 100 ms to 1 s. Range: 1 ms to 1 hour, min at most max.
func WithRetryBackoff(min, max time.Duration) ConsumerOption {
	return func(c *config) { c.backoffMin, c.backoffMax = min, max }
}

// WithMetadataMaxAge says how old the picture of the cluster may get before it is asked for again; this is how new
// partitions of a topic are noticed. Errors refresh it at once. Default: 5 min. Range: 10 ms to 24 hours.
func WithMetadataMaxAge(d time.Duration) ConsumerOption {
	return func(c *config) { c.metadataMaxAge = d }
}

// WithConnectionsMaxIdle closes connections that were not used for d; below the brokers' own connections.max.idle.ms
// (10 min) nothing is lost by it. Default: 9 min. Range: 10 ms to 365 days.
func WithConnectionsMaxIdle(d time.Duration) ConsumerOption {
	return func(c *config) { c.connMaxIdle = d }
}

// WithDialer replaces net.Dialer: for proxies, tunnels and tests. The address is "host:port", host as a broker
// advertises it. Default: a net.Dialer with TCP keepalive. Range: not nil.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) ConsumerOption {
	return func(c *config) { c.dial, c.dialSet = dial, true }
}

// WithLogger sets where the consumer logs; nil discards. WARN means a person should look; in steady state nothing is
// logged. Payloads never reach the log. Default: slog.Default(), WARN and above.
func WithLogger(l *slog.Logger) ConsumerOption {
	return func(c *config) {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.logger = l
	}
}
