package broker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// Defaults of the zero fields of Config.
const (
	DefaultConnectTimeout   = 10 * time.Second
	DefaultRequestTimeout   = 30 * time.Second
	DefaultMaxResponseBytes = 100 << 20
	// MaxThrottle bounds how long a broker's throttle_time_ms is obeyed.
	MaxThrottle = 60 * time.Second
)

// Config says how connections are made. The zero value works; it is not changed after Dial.
type Config struct {
	// ClientID goes into every request header; brokers use it in quotas and logs.
	ClientID string
	// SoftwareName and SoftwareVersion are told to the broker in ApiVersions v3 and later (KIP-511).
	// Characters the broker would refuse are replaced.
	SoftwareName, SoftwareVersion string
	// Dial opens the transport; nil uses net.Dialer with keepalive. It should end when its context does; one that
	// does not is abandoned.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolve gives the addresses of a host name, each of which is tried. Nil uses the system's resolver when
	// Dial is nil too, and leaves names to Dial otherwise.
	Resolve func(ctx context.Context, host string) ([]string, error)
	// TLS, when set, wraps every connection. It is cloned; ServerName is the host dialed unless set.
	TLS *tls.Config
	// ConnectTimeout bounds one Dial, from name resolution to the end of the version handshake. Default 10 s.
	ConnectTimeout time.Duration
	// RequestTimeout bounds a request from its first byte written to its last byte read. Default 30 s.
	RequestTimeout time.Duration
	// MaxResponseBytes bounds one response frame, but for those that are streamed; a larger one closes the connection. Default 100 MiB.
	MaxResponseBytes int
	// Logger gets the rare lines a person should see; nil discards.
	Logger *slog.Logger
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	if c.RequestTimeout <= 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	if c.MaxResponseBytes <= 0 {
		c.MaxResponseBytes = DefaultMaxResponseBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		if c.Resolve == nil {
			c.Resolve = net.DefaultResolver.LookupHost
		}
		d := &net.Dialer{KeepAliveConfig: keepAlive}
		c.Dial = d.DialContext
	}
	c.SoftwareName = softwareText(c.SoftwareName, "kafka-go-consumer")
	c.SoftwareVersion = softwareText(c.SoftwareVersion, "unknown")
	return c
}

// keepAlive finds a peer that has gone without a word in about half a minute, also while nothing is asked of it.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4}

// tune turns keepalive and nodelay on for TCP, whoever dialed.
func tune(nc net.Conn) {
	if tc, ok := nc.(*net.TCPConn); ok {
		// Failures here leave a connection that works, only less briskly.
		_ = tc.SetNoDelay(true)
		_ = tc.SetKeepAliveConfig(keepAlive)
	}
}

// softwareText makes s match the pattern that ApiVersions v3+ demands (KIP-511: letters, digits, '-' and '.',
// first and last neither), or gives the fallback when nothing is left.
func softwareText(s, fallback string) string {
	b := []byte(s)
	alnum := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	for i, c := range b {
		if !alnum(c) && c != '.' {
			b[i] = '-'
		}
	}
	for len(b) > 0 && !alnum(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && !alnum(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return fallback
	}
	return string(b)
}
