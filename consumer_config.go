package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
)

// warnHandler lets WARN and above through to the program's default logger, whichever that is at the time of the call.
type warnHandler struct {
	wrap func(slog.Handler) slog.Handler
}

func (h warnHandler) target() slog.Handler {
	if h.wrap == nil {
		return slog.Default().Handler()
	}
	return h.wrap(slog.Default().Handler())
}

func (h warnHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.target().Enabled(ctx, l)
}

func (h warnHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.target().Handle(ctx, r)
}

func (h warnHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.then(func(t slog.Handler) slog.Handler { return t.WithAttrs(attrs) })
}

func (h warnHandler) WithGroup(name string) slog.Handler {
	return h.then(func(t slog.Handler) slog.Handler { return t.WithGroup(name) })
}

func (h warnHandler) then(next func(slog.Handler) slog.Handler) slog.Handler {
	before := h.wrap
	return warnHandler{wrap: func(t slog.Handler) slog.Handler {
		if before != nil {
			t = before(t)
		}
		return next(t)
	}}
}

func defaultLogger() *slog.Logger { return slog.New(warnHandler{}) }

// problems collects what is wrong with a config, so that all of it is told at once.
type problems []error

func (p *problems) add(option string, value any, reason string) {
	*p = append(*p, &ConfigError{Option: option, Value: value, Reason: reason})
}

func (p *problems) inRange(option string, value, low, high int) (ok bool) {
	if value < low || value > high {
		p.add(option, value, fmt.Sprintf("must be from %d to %d", low, high))
		return false
	}
	return true
}

// sendable wants a string that requests can carry: its length has 16 bits, and one without bytes means nothing.
func (p *problems) sendable(option, value string) {
	if value == "" || len(value) > math.MaxInt16 {
		p.add(option, value, "must have 1 to 32767 bytes")
	}
}

func (p *problems) durationInRange(option string, value, low, high time.Duration) (ok bool) {
	return p.partInRange(option, "", value, low, high)
}

// partInRange is for an option of several values, of which part says which it is.
func (p *problems) partInRange(option, part string, value, low, high time.Duration) (ok bool) {
	if value < low || value > high {
		p.add(option, value, fmt.Sprintf("%smust be from %v to %v", part, low, high))
		return false
	}
	return true
}

// validate reports everything that is wrong with the options, joined, as *ConfigError values. Of two that do not fit together it
// is one that was set that is reported, never a default, and none where one of the two is wrong by itself.
func (c *config) validate() error {
	var p problems
	c.validateNames(&p)
	c.validateSizes(&p)
	c.validateTimes(&p)
	c.validateGroup(&p)
	return errors.Join(p...)
}

func (c *config) validateNames(p *problems) {
	if len(c.bootstrap) == 0 {
		p.add("WithBootstrapServers", c.bootstrap, "needs at least one address")
	}
	for i, addr := range c.bootstrap {
		full, err := normalizeAddr(addr)
		if err != nil {
			p.add("WithBootstrapServers", withoutUser(addr), err.Error())
			continue
		}
		c.bootstrap[i] = full
	}
	p.sendable("WithClientID", c.clientID)
	if c.rackSet {
		p.sendable("WithRackID", c.rackID)
	}
	if c.groupSet {
		p.sendable("WithGroupID", c.groupID)
	}
	if c.dialSet && c.dial == nil {
		p.add("WithDialer", nil, "must not be nil; without the option a net.Dialer is used")
	}
	if c.patternSet {
		if _, err := compilePattern(c.pattern); err != nil {
			p.add("WithPattern", c.pattern, err.Error())
		}
		if c.topicsSet {
			p.add("WithPattern", c.pattern, "excludes WithTopics: subscribe to topics or to a pattern")
		}
	}
	switch {
	case c.listenerSet && c.listener == nil:
		p.add("WithRebalanceListener", nil, "must not be nil; leave the option out where nobody is to be told")
	case c.listenerSet && !c.patternSet && !c.topicsSet:
		p.add("WithRebalanceListener", c.listener, "is for WithTopics and WithPattern; give Subscribe its own with WithListener")
	}
	if c.topicsSet {
		if err := validateTopics(c.topics); err != nil {
			p.add("WithTopics", c.topics, err.Error())
		}
	}
	if !c.reset.valid() {
		p.add("WithAutoOffsetReset", c.reset, "must be ResetLatest, ResetEarliest, ResetNone or ResetByDuration of more than 0")
	}
	if c.isolation != ReadUncommitted && c.isolation != ReadCommitted {
		p.add("WithIsolationLevel", int(c.isolation), "must be ReadUncommitted or ReadCommitted")
	}
}

func (c *config) validateSizes(p *problems) {
	least := p.inRange("WithFetchMinBytes", c.fetchMinBytes, 1, math.MaxInt32)
	most := p.inRange("WithFetchMaxBytes", c.fetchMaxBytes, 1, math.MaxInt32)
	p.inRange("WithMaxPartitionFetchBytes", c.maxPartitionBytes, 1, math.MaxInt32)
	p.inRange("WithMaxPollRecords", c.maxPollRecords, 0, math.MaxInt32)
	if least && most && c.fetchMinBytes > c.fetchMaxBytes {
		p.add("WithFetchMinBytes", c.fetchMinBytes, fmt.Sprintf("must be at most WithFetchMaxBytes, %d: every fetch would wait its full time", c.fetchMaxBytes))
	}
	batch := p.inRange("WithMaxBatchBytes", c.maxBatchBytes, 1<<10, math.MaxInt32)
	switch {
	case c.bufferedSet && c.maxBufferedBytes < 4<<10:
		p.add("WithMaxBufferedBytes", c.maxBufferedBytes, "must be at least four times WithMaxBatchBytes, which is 1024 or more")
	case !batch || c.maxBufferedBytes >= 4*c.maxBatchBytes:
	case c.bufferedSet:
		p.add("WithMaxBufferedBytes", c.maxBufferedBytes, fmt.Sprintf("must be at least four times WithMaxBatchBytes, %d", 4*c.maxBatchBytes))
	default:
		p.add("WithMaxBatchBytes", c.maxBatchBytes, fmt.Sprintf("must be at most a quarter of WithMaxBufferedBytes, which is %d unless set: set it to %d or more",
			c.maxBufferedBytes, 4*c.maxBatchBytes))
	}
}

func (c *config) validateTimes(p *problems) {
	const day = 24 * time.Hour
	p.durationInRange("WithFetchMaxWait", c.fetchMaxWait, time.Millisecond, time.Hour)
	p.durationInRange("WithRequestTimeout", c.requestTimeout, 10*time.Millisecond, time.Hour)
	p.durationInRange("WithConnectTimeout", c.connectTimeout, time.Millisecond, time.Hour)
	least := p.partInRange("WithRetryBackoff", "min ", c.backoffMin, time.Millisecond, time.Hour)
	most := p.partInRange("WithRetryBackoff", "max ", c.backoffMax, time.Millisecond, time.Hour)
	if least && most && c.backoffMin > c.backoffMax {
		p.add("WithRetryBackoff", c.backoffMin, fmt.Sprintf("min must be at most max, %v", c.backoffMax))
	}
	p.durationInRange("WithAutoCommitInterval", c.autoCommitEvery, time.Millisecond, day)
	p.durationInRange("WithMetadataMaxAge", c.metadataMaxAge, 10*time.Millisecond, day)
	p.durationInRange("WithConnectionsMaxIdle", c.connMaxIdle, 10*time.Millisecond, 365*day)
}

// validateGroup checks what is about group membership, and fills in what depends on other options.
func (c *config) validateGroup(p *problems) {
	const longest = 24 * 24 * time.Hour // what fits into 32 bits of milliseconds
	if c.instanceSet {
		if c.instanceID == "" || len(c.instanceID) > 249 {
			p.add("WithGroupInstanceID", c.instanceID, "must have 1 to 249 bytes")
		}
		if c.groupID == "" {
			p.add("WithGroupInstanceID", c.instanceID, "needs WithGroupID")
		}
	}
	if c.groupProtocol != ClassicProtocol {
		p.add("WithGroupProtocol", c.groupProtocol, "only ClassicProtocol is supported so far")
	}
	c.validateAssignors(p)
	session := p.durationInRange("WithSessionTimeout", c.sessionTimeout, time.Millisecond, time.Hour)
	beat := p.durationInRange("WithHeartbeatInterval", c.heartbeatInterval, time.Millisecond, time.Hour)
	switch {
	case !session || !beat || c.heartbeatInterval < c.sessionTimeout:
	case c.heartbeatSet:
		p.add("WithHeartbeatInterval", c.heartbeatInterval, fmt.Sprintf("must be below the session timeout, %v", c.sessionTimeout))
	default:
		p.add("WithSessionTimeout", c.sessionTimeout, fmt.Sprintf("must be above the heartbeat interval, which is %v unless set: set WithHeartbeatInterval below it", c.heartbeatInterval))
	}
	rebalance := p.durationInRange("WithMaxPollInterval", c.maxPollInterval, time.Millisecond, longest)
	if c.rebalanceSet {
		rebalance = p.durationInRange("WithRebalanceTimeout", c.rebalanceTimeout, time.Millisecond, longest)
	} else {
		c.rebalanceTimeout = c.maxPollInterval
	}
	half := c.rebalanceTimeout / 2
	switch {
	case !c.revokeGraceSet:
		c.revokeGrace = min(c.revokeGrace, half)
	case c.revokeGrace < 0 || rebalance && c.revokeGrace > half:
		limit := "half the rebalance timeout"
		if rebalance {
			limit += fmt.Sprintf(", %v", half)
		}
		p.add("WithRevokeGrace", c.revokeGrace, "must be from 0 to "+limit)
	}
}

func (c *config) validateAssignors(p *problems) {
	if len(c.assignors) == 0 {
		p.add("WithAssignors", c.assignors, "needs at least one assignor")
	}
	seen := make(map[string]bool)
	for _, a := range c.assignors {
		switch {
		case a == nil || a.Name() == "":
			p.add("WithAssignors", a, "an assignor is nil or has no name")
		case len(a.Name()) > math.MaxInt16:
			p.sendable("WithAssignors", a.Name())
		case seen[a.Name()]:
			p.add("WithAssignors", a.Name(), "is named twice")
		default:
			seen[a.Name()] = true
		}
	}
}

// backoff is the wait between tries of what failed.
func (c *config) backoff() cluster.Backoff {
	return cluster.Backoff{Min: c.backoffMin, Max: c.backoffMax}
}

// normalizeAddr gives "host:port" for "host", "host:port", "[v6]" or "[v6]:port"; port 9092 where there is none.
func normalizeAddr(addr string) (string, error) {
	const defaultPort = "9092"
	switch {
	case addr == "":
		return "", errors.New("the address is empty")
	case strings.Contains(addr, "://"):
		return "", errors.New("the address has a scheme; give host:port")
	case strings.ContainsAny(addr, ", \t\r\n"):
		return "", errors.New("the address has a comma or a space in it; give each its own argument")
	case strings.Contains(addr, "@"):
		return "", errors.New("the address has a user name; give host:port")
	case strings.Contains(addr, "/"):
		return "", errors.New("the address has a path; give host:port")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		bare := addr
		if strings.HasPrefix(addr, "[") && strings.HasSuffix(addr, "]") {
			bare = addr[1 : len(addr)-1]
		}
		if !legalHost(bare) {
			return "", errors.New("the address is not host:port")
		}
		return net.JoinHostPort(bare, defaultPort), nil
	}
	n, err := strconv.ParseUint(port, 10, 16) // digits alone: no sign
	if !legalHost(host) || err != nil || n < 1 {
		return "", errors.New("the address is not host:port with a port from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// legalHost says whether a host is an IP address, or may be a name.
func legalHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r)
	})
}

// withoutUser leaves out what stands before a host: it may be a password.
func withoutUser(addr string) string {
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		return "…" + addr[i:]
	}
	return addr
}

// legalTopic is Kafka's own rule for topic names (org.apache.kafka.common.internals.Topic).
var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func validateTopics(topics []string) error {
	if len(topics) == 0 {
		return errors.New("no topic is named")
	}
	for _, t := range topics {
		if !legalTopic.MatchString(t) || t == "." || t == ".." {
			return fmt.Errorf("%q is no topic name: 1 to 249 letters, digits, '.', '_' or '-'", t)
		}
	}
	return nil
}
