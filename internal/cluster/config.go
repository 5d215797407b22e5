package cluster

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
)

// Config says how a Client behaves. Only Bootstrap has no default.
type Config struct {
	// Bootstrap lists addresses (host:port) to find the cluster by.
	Bootstrap []string
	// Broker says how connections are made.
	Broker broker.Config
	// MetadataMaxAge is how old metadata may get before it is asked for again, ±10 %. Default 5 min.
	MetadataMaxAge time.Duration
	// RebootstrapAfter is how long metadata may not be had before the bootstrap list is tried again (KIP-1102).
	// Default 5 min.
	RebootstrapAfter time.Duration
	// ConnectionsMaxIdle closes connections unused for this long. Default 9 min, under the brokers' 10.
	ConnectionsMaxIdle time.Duration
	// BackoffMin and BackoffMax bound the exponential backoff of dials and refreshes. Default 100 ms and 1 s.
	BackoffMin, BackoffMax time.Duration
	// Hedge is how long a question that any broker can answer waits before another one is asked too. Default 1 s.
	Hedge time.Duration
	// Logger gets what a person should look at; nil discards.
	Logger *slog.Logger
	// Rand gives numbers in [0, 1) for jitter and shuffling; nil is random. It must be safe for concurrent use.
	Rand func() float64
}

const (
	// bootstrapParallel bounds how many bootstrap addresses are tried at once.
	bootstrapParallel = 4
	// urgentGap is the longest wait between two refreshes while a partition has no leader that answers.
	urgentGap = 250 * time.Millisecond
	// urgentFor is how long such a state stays urgent; then it is a fact of life, looked at every BackoffMax.
	urgentFor = time.Minute
	// warnAfter is when Start, and a broker that cannot be reached, become worth a WARN.
	startWarnAfter  = 900 * time.Millisecond
	brokerWarnAfter = 5 * time.Second
)

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.MetadataMaxAge, 5*time.Minute)
	def(&c.RebootstrapAfter, 5*time.Minute)
	def(&c.ConnectionsMaxIdle, 9*time.Minute)
	def(&c.BackoffMin, 100*time.Millisecond)
	def(&c.BackoffMax, time.Second)
	def(&c.Hedge, time.Second)
	c.BackoffMax = max(c.BackoffMax, c.BackoffMin)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

// backoff is the Backoff of this configuration.
func (c *Config) backoff() Backoff {
	return Backoff{Min: c.BackoffMin, Max: c.BackoffMax, Rand: c.Rand}
}
