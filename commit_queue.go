package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// A commitQueue lets one commit be on its way at a time, in the order of the calls. A place in it is taken without waiting,
// so that whoever commits in the background has it before the call that wants that returns.
type commitQueue struct {
	mu     sync.Mutex
	places []*commitPlace // the first one's turn it is
}

// A commitPlace is one commit's place in the queue. Whoever entered has to leave, whether it came to its turn or not.
type commitPlace struct {
	queue *commitQueue
	turn  chan struct{} // closed when it is its turn
}

// enter takes the last place. What a commit is to send is looked up behind it: then no later one has older offsets.
func (q *commitQueue) enter() *commitPlace {
	p := &commitPlace{queue: q, turn: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.places = append(q.places, p)
	if len(q.places) == 1 {
		close(p.turn)
	}
	return p
}

// wait waits for the turn of call's commit; an error when ctx ends first. One whose turn it is may begin, also with a ctx that has ended:
// nothing keeps it from that.
func (p *commitPlace) wait(ctx context.Context, call string) error {
	select {
	case <-p.turn:
		return nil
	default:
	}
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
		return timedOut(call, ctx, errors.New("an earlier commit has not ended"))
	}
}

// leave gives the place up. Where it was its turn, it is the next one's.
func (p *commitPlace) leave() {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.places, p)
	q.places = slices.Delete(q.places, i, i+1)
	if i == 0 && len(q.places) > 0 {
		close(q.places[0].turn)
	}
}
