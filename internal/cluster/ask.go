package cluster

import (
	"context"
	"errors"
	"slices"
	"time"
)

// noRefuser is for a question that no node has refused.
const noRefuser = -1

// askOrder gives the nodes to put a question to, best first; none when every one of them is in backoff. The refuser is the
// node that could not answer it the last time.
func (c *Client) askOrder(refuser int32) []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	cs := make([]candidate, 0, len(c.nodes))
	for id, n := range c.nodes {
		cs = append(cs, candidate{id: id, connected: n.connected(), refused: id == refuser, suspect: n.suspect, retryAt: n.retryAt})
	}
	return order(cs, now(), c.cfg.Rand)
}

// noNode says why there is no node to ask.
func (c *Client) noNode() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state {
	case closed:
		return ErrClosed
	case idle:
		return ErrNotStarted
	}
	for id, n := range c.nodes {
		return &BrokerDownError{Node: id, Addr: n.Addr(), RetryAt: n.retryAt, Err: n.lastErr}
	}
	return &UnknownBrokerError{Node: -1}
}

// asking is where a question stands that any node can answer.
type asking struct {
	out    []int32        // nodes asked that have not answered, oldest first
	failed map[int32]bool // nodes that have failed to answer it
}

// next picks the node to ask next from those that can be asked, best first. With again it may be one that has failed, for
// want of a better one, while others are being waited for.
func (a *asking) next(order []int32, again bool) (id int32, ok bool) {
	second := int32(-1)
	for _, id := range order {
		switch {
		case slices.Contains(a.out, id):
		case !a.failed[id]:
			return id, true
		case second < 0:
			second = id
		}
	}
	return second, again && second >= 0 && len(a.out) > 0
}

// failedAt takes a node that has failed off those waited for.
func (a *asking) failedAt(id int32) {
	a.out = slices.DeleteFunc(a.out, func(other int32) bool { return other == id })
	a.failed[id] = true
}

// firstOf puts a question that any node can answer to the best one, to the next at once when that fails, and to the next
// beside it every time Config.Hedge has passed in silence, which makes the silent one a suspect. The first answer wins and
// the other questions are abandoned.
func firstOf[T any](ctx context.Context, c *Client, refuser int32, ask func(context.Context, int32) (T, error)) (T, error) {
	type result struct {
		node int32
		v    T
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	hedge := time.NewTimer(c.cfg.Hedge)
	defer hedge.Stop()
	var none T
	var lastErr error
	state := asking{failed: map[int32]bool{}}
	for again := false; ; {
		if id, ok := state.next(c.askOrder(refuser), again); ok {
			state.out = append(state.out, id)
			// Ends with ask, which ctx bounds.
			if !c.spawn(func() {
				v, err := ask(ctx, id)
				select {
				case results <- result{id, v, err}:
				case <-ctx.Done():
				}
			}) {
				return none, ErrClosed
			}
			hedge.Reset(c.cfg.Hedge)
		}
		if len(state.out) == 0 {
			if lastErr == nil {
				lastErr = c.noNode()
			}
			return none, lastErr
		}
		select {
		case <-hedge.C:
			c.Avoid(state.out[len(state.out)-1])
			hedge.Reset(c.cfg.Hedge)
			again = true
		case r := <-results:
			if r.err == nil {
				return r.v, nil
			}
			lastErr = r.err
			if errors.Is(r.err, ErrClosed) {
				return none, r.err
			}
			state.failedAt(r.node)
			again = false
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
}
