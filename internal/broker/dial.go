package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	// stagger is how long one address of a name is tried alone before the next one joins.
	stagger = 250 * time.Millisecond
	// dialGrace is how long a user's dialer may take to notice the end of its context before it is abandoned.
	dialGrace = 100 * time.Millisecond
)

// Dial connects to the broker at addr (host:port) and agrees on versions. Every address of a name is tried, the
// next one when the last has failed or is slow; the first that speaks Kafka wins. The error is a *DialError,
// *HandshakeError or *AddressesError; ctx bounds the dial only, not the connection.
func Dial(ctx context.Context, cfg Config, addr string) (*Conn, error) {
	cfg = cfg.withDefaults()
	late := fmt.Errorf("%w: not connected within %v", ErrTimeout, cfg.ConnectTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.ConnectTimeout, late)
	defer cancel()
	targets, err := cfg.targets(ctx, addr)
	if err != nil {
		return nil, &DialError{Addr: addr, Err: err}
	}
	if len(targets) == 1 {
		return cfg.open(ctx, addr, targets[0])
	}
	return cfg.openFirst(ctx, addr, targets)
}

// targets gives what to dial for addr: every IP of its host, or addr itself where names are left to the dialer.
func (c Config) targets(ctx context.Context, addr string) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if c.Resolve == nil || net.ParseIP(host) != nil {
		return []string{addr}, nil
	}
	ips, err := c.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("no address for %q", host)
	}
	targets := make([]string, len(ips))
	for i, ip := range ips {
		targets[i] = net.JoinHostPort(ip, port)
	}
	return targets, nil
}

// openFirst tries the targets in order, staggered, and gives the first connection that comes up.
func (c Config) openFirst(ctx context.Context, addr string, targets []string) (*Conn, error) {
	type result struct {
		conn *Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(targets))
	next := time.NewTimer(0)
	defer next.Stop()
	var won *Conn
	var errs []error
	started, running := 0, 0
	for started < len(targets) && won == nil || running > 0 {
		select {
		case <-next.C:
			if started < len(targets) && won == nil {
				target := targets[started]
				started, running = started+1, running+1
				// Ends with its attempt, which ctx bounds; openFirst receives every result before it returns.
				go func() {
					conn, err := c.open(ctx, addr, target)
					results <- result{conn, err}
				}()
				next.Reset(stagger)
			}
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				errs = append(errs, r.err)
				next.Reset(0)
			case won == nil:
				won = r.conn
				cancel()
			default:
				r.conn.Close(ErrClosed)
				r.conn.Wait()
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, &AddressesError{Addr: addr, Errs: errs}
}

// open makes one connection to one target.
func (c Config) open(ctx context.Context, addr, target string) (*Conn, error) {
	transport, err := c.transport(ctx, target)
	if err != nil {
		return nil, &DialError{Addr: addr, Target: target, Err: inTime(ctx, err)}
	}
	tune(transport)
	nc := transport
	if c.TLS != nil {
		if nc, err = c.secure(ctx, transport, addr); err != nil {
			_ = transport.Close() // the handshake error is what matters
			return nil, tlsError(addr, target, inTime(ctx, err))
		}
	}
	conn := newConn(c, addr, nc, transport)
	if err := conn.negotiate(ctx); err != nil {
		conn.Close(ErrClosed)
		conn.Wait()
		return nil, versionsError(addr, target, inTime(ctx, err), c.TLS != nil)
	}
	return conn, nil
}

// inTime is err, or that the connect timeout is over if that is what it comes to. The caller's own deadline stays what it is.
func inTime(ctx context.Context, err error) error {
	if late := context.Cause(ctx); errors.Is(err, context.DeadlineExceeded) && errors.Is(late, ErrTimeout) {
		return late
	}
	return err
}

// transport calls the dialer, and leaves one behind that does not end with its context.
func (c Config) transport(ctx context.Context, target string) (net.Conn, error) {
	type result struct {
		nc  net.Conn
		err error
	}
	results := make(chan result, 1)
	// Ends when the dialer returns.
	go func() {
		nc, err := c.Dial(ctx, "tcp", target)
		if err == nil && nc == nil {
			err = errors.New("the dialer gave neither a connection nor an error")
		}
		results <- result{nc, err}
	}()
	select {
	case r := <-results:
		return r.nc, r.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(dialGrace)
	defer grace.Stop()
	select {
	case r := <-results:
		if r.err == nil {
			_ = r.nc.Close() // came too late
		}
	case <-grace.C:
		// Ends when the dialer returns: closes what it brings.
		go func() {
			if r := <-results; r.err == nil {
				_ = r.nc.Close()
			}
		}()
	}
	return nil, ctx.Err()
}

// secure runs the TLS handshake.
func (c Config) secure(ctx context.Context, nc net.Conn, addr string) (net.Conn, error) {
	tc := c.TLS.Clone()
	if tc.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		tc.ServerName = host
	}
	conn := tls.Client(nc, tc)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn, nil
}

// tlsError says whether a failed TLS handshake can be cured by trying again.
func tlsError(addr, target string, err error) error {
	h := &HandshakeError{Addr: addr, Target: target, Stage: "tls", Err: err}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		h.Permanent, h.Advice = true, "the listener does not speak TLS; is it a plaintext one?"
	} else if tlsAlert(err) {
		h.Permanent, h.Advice = true, "the broker refused our certificate or TLS version"
	} else if e, ok := errors.AsType[x509.HostnameError](err); ok {
		h.Permanent, h.Advice = true, fmt.Sprintf("the certificate is not for %q; set ServerName or fix advertised.listeners", e.Host)
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		h.Permanent, h.Advice = true, "the broker's certificate is not trusted; check RootCAs"
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || closedByPeer(err) {
		h.Advice = "the connection was closed during the TLS handshake; is it a plaintext listener?"
	}
	return h
}

// versionsError says what the failure of the first request on a connection means.
func versionsError(addr, target string, err error, secured bool) error {
	h := &HandshakeError{Addr: addr, Target: target, Stage: "versions", Err: err}
	if f, ok := errors.AsType[*FrameError](err); ok {
		h.Permanent = f.Foreign
	}
	switch {
	case tlsAlert(err):
		// TLS 1.3 tells of a refused client certificate only after the client's handshake is over.
		h.Permanent, h.Advice = true, "the broker refused our certificate"
	case closedByPeer(err) && !secured:
		h.Advice = "the listener closed the connection unanswered; does it expect TLS or SASL?"
	case closedByPeer(err):
		h.Advice = "the listener closed the connection unanswered; is it a Kafka listener?"
	}
	return h
}

// closedByPeer reports whether the other side has closed the connection, also with bytes of ours unread or on their way, which
// makes it a reset (RFC 9293 section 3.6.1) or a broken pipe.
func closedByPeer(err error) bool {
	return errors.Is(err, ErrPeerClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// tlsAlert reports whether the other side ended the TLS connection with an alert. crypto/tls keeps the alert's type to itself
// and marks it so.
func tlsAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
