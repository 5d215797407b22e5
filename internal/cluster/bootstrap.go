package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// Start finds the cluster: it tries the bootstrap list in rounds until an address answers with metadata, ctx ends, or every
// address fails for good. Within a second of trouble one WARN names the addresses that fail. After an error, a *BootstrapError,
// nothing is left behind and Start may be called again.
func (c *Client) Start(ctx context.Context) error {
	if err := c.enter(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	r, err := c.bootstrap(ctx)
	if err != nil {
		c.mu.Lock()
		if c.state == starting {
			c.state = idle
		} else {
			err = ErrClosed
		}
		c.mu.Unlock()
		return err
	}
	c.mu.Lock()
	if c.state != starting {
		c.mu.Unlock()
		r.conn.Close(broker.ErrClosed)
		r.conn.Wait()
		return ErrClosed
	}
	c.state = running
	c.refresh.began(now(), 0)
	c.mu.Unlock()
	c.refreshed(r.answer, r.conn, nil)
	c.spawn(c.refreshLoop) // ended by Close
	c.spawn(c.reapLoop)    // ended by Close
	return nil
}

// enter takes the client from idle to starting.
func (c *Client) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state {
	case idle:
		c.state = starting
		c.lastSeen = map[string]error{}
		return nil
	case closed:
		return ErrClosed
	default:
		return errors.New("cluster client already started")
	}
}

// bootstrap tries rounds until one succeeds.
func (c *Client) bootstrap(ctx context.Context) (*round, error) {
	warn := time.NewTimer(startWarnAfter)
	defer warn.Stop()
	for attempt := 1; ; attempt++ {
		r, err := c.bootstrapRound(ctx, c.trackedRequest(), warn.C)
		if err == nil {
			return r, nil
		}
		if r.permanent(len(c.cfg.Bootstrap)) {
			return nil, c.bootstrapError(true, nil)
		}
		wait := time.NewTimer(c.cfg.backoff().After(attempt))
		for waiting := true; waiting; {
			select {
			case <-wait.C:
				waiting = false
			case <-warn.C:
				c.warnBootstrap()
			case <-ctx.Done():
				wait.Stop()
				return nil, c.bootstrapError(false, ctx.Err())
			}
		}
	}
}

// warnBootstrap says which addresses have failed so far, and which have not been heard of.
func (c *Client) warnBootstrap() {
	var failed, silent []string
	c.mu.Lock()
	for _, addr := range c.cfg.Bootstrap {
		if err := c.lastSeen[addr]; err != nil {
			failed = append(failed, describe(Attempt{addr, err}))
		} else {
			silent = append(silent, addr)
		}
	}
	c.mu.Unlock()
	c.cfg.Logger.Warn("no bootstrap broker has answered yet, trying on", "failed", failed, "unanswered", silent)
}

// bootstrapError joins the latest failure of every address.
func (c *Client) bootstrapError(permanent bool, cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &BootstrapError{Permanent: permanent, Err: cause}
	for _, addr := range c.cfg.Bootstrap {
		err := c.lastSeen[addr]
		if err == nil {
			err = errNoAnswer
		}
		e.Attempts = append(e.Attempts, Attempt{addr, err})
	}
	return e
}

// errNoAnswer is what is known of an address whose first attempt has not ended.
var errNoAnswer = errors.New("no answer yet")

// round is one pass over the bootstrap list.
type round struct {
	answer answer
	conn   *broker.Conn // the connection that gave the answer; the caller's to adopt or close
	errs   []error
}

// permanent reports whether every one of n addresses has failed for good.
func (r *round) permanent(n int) bool {
	return len(r.errs) == n && !slices.ContainsFunc(r.errs, func(err error) bool { return !broker.Permanent(err) })
}

// bootstrapRound tries every bootstrap address once, in random order, some in parallel; the first that answers the
// request wins. warn, when it fires, has the failures so far told.
func (c *Client) bootstrapRound(ctx context.Context, req *protocol.MetadataRequest, warn <-chan time.Time) (*round, error) {
	type result struct {
		addr   string
		answer answer
		conn   *broker.Conn
		err    error
	}
	addrs := slices.Clone(c.cfg.Bootstrap)
	shuffle(addrs, c.cfg.Rand)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addrs))
	r := &round{}
	for started, running := 0, 0; ; {
		for started < len(addrs) && running < bootstrapParallel && r.conn == nil && ctx.Err() == nil {
			addr := addrs[started]
			started, running = started+1, running+1
			// Ends with its attempt, which ctx bounds; the round receives every result before it returns.
			if !c.spawn(func() {
				a, conn, err := c.trySeed(ctx, addr, req)
				results <- result{addr, a, conn, err}
			}) {
				running--
				cancel()
			}
		}
		if running == 0 {
			break
		}
		select {
		case <-warn:
			c.warnBootstrap()
		case res := <-results:
			running--
			switch {
			case res.err != nil:
				r.errs = append(r.errs, res.err)
				c.noteSeed(ctx, res.addr, res.err)
			case r.conn == nil:
				r.answer, r.conn = res.answer, res.conn
				cancel()
			default:
				res.conn.Close(broker.ErrClosed)
				res.conn.Wait()
			}
		}
	}
	if r.conn != nil {
		return r, nil
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	return r, &BootstrapError{Attempts: c.attempts()}
}

// trySeed asks one bootstrap address for metadata.
func (c *Client) trySeed(ctx context.Context, addr string, req *protocol.MetadataRequest) (answer, *broker.Conn, error) {
	conn, err := broker.Dial(ctx, c.cfg.Broker, addr)
	if err != nil {
		return answer{}, nil, err
	}
	resp, version, err := conn.Do(ctx, req, broker.CallOptions{Timeout: c.cfg.Broker.ConnectTimeout})
	var a answer
	if err == nil {
		a, err = readAnswer(req, resp, version, addr)
	}
	if err != nil {
		conn.Close(broker.ErrClosed)
		conn.Wait()
		return answer{}, nil, err
	}
	return a, conn, nil
}

// noteSeed remembers why an address failed. That a round was cut short says nothing new about an address.
func (c *Client) noteSeed(ctx context.Context, addr string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastSeen == nil {
		c.lastSeen = map[string]error{}
	}
	// A dial that the end of ctx has cut short says less than what an earlier one has met.
	end, bounded := ctx.Deadline()
	cut := ctx.Err() != nil || bounded && !now().Before(end)
	if !cut || c.lastSeen[addr] == nil {
		c.lastSeen[addr] = err
	}
}

// attempts gives the latest failure of every bootstrap address that has one.
func (c *Client) attempts() []Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	var as []Attempt
	for _, addr := range c.cfg.Bootstrap {
		if err := c.lastSeen[addr]; err != nil {
			as = append(as, Attempt{addr, err})
		}
	}
	return as
}
