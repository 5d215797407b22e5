package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/internal/cluster"
)

// A Consumer reads messages from a Kafka cluster. It is safe for concurrent use by many goroutines.
//
// NewConsumer makes one, Start connects it, and Messages, All, GetOne or GetMany hand out messages until Stop.
type Consumer struct {
	cfg     config
	log     *slog.Logger
	sub     *subscription
	fetcher *fetcher
	group   *group // nil without a group id

	lifeMu sync.Mutex // for changes of state, and what Start makes; never held across I/O
	state  atomic.Int32
	// stopping is closed when Stop begins, ended when a Stop has done all it will do.
	stopping, ended chan struct{}
	// callback is true while a listener is called: its calls work also before Start has returned, and when Stop has begun.
	callback atomic.Bool

	// Made by each Start, for as long as the consumer runs.
	cluster   *cluster.Client
	life      context.Context // of the background work
	cancel    context.CancelFunc
	startDone chan struct{} // closed when Start has returned

	work sync.WaitGroup // the background work

	decodeWork   chan struct{} // cap: one per worker
	positionWork chan struct{} // cap 1
	topicWork    chan struct{} // cap 1
	commits      commitQueue   // whose commit is on its way, and who waits for it

	listeners     *listenerQueue // of this Start; nil before the first and after one that failed; guarded by sub.mu
	listenersPast *listenerQueue // of the last Start that failed; only Start uses it

	errMu   sync.Mutex
	loopErr error // why the last Messages loop ended
}

// The values of Consumer.state.
const (
	stateNew int32 = iota
	stateStarting
	stateRunning
	stateStopped
)

// softwareName and softwareVersion are what brokers see of this library (KIP-511).
const (
	softwareName    = "seed-kafka-go"
	softwareVersion = "0.1.0"
)

// NewConsumer makes a consumer. It checks every option, reports all that is wrong as joined [*ConfigError] values, and
// touches no network.
func NewConsumer(opts ...ConsumerOption) (*Consumer, error) {
	cfg := defaultConfig()
	for _, o := range opts {
		if o != nil {
			o(&cfg)
		}
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	workers := runtime.GOMAXPROCS(0)
	c := &Consumer{
		cfg: cfg, log: cfg.logger, sub: newSubscription(),
		stopping:     make(chan struct{}),
		ended:        make(chan struct{}),
		decodeWork:   make(chan struct{}, workers),
		positionWork: make(chan struct{}, 1),
		topicWork:    make(chan struct{}, 1),
	}
	c.connectRooms(workers)
	var err error
	switch {
	case cfg.topicsSet:
		err = c.Subscribe(cfg.topics, WithListener(cfg.listener))
	case cfg.patternSet:
		err = c.SubscribePattern(cfg.pattern, WithListener(cfg.listener))
	}
	return c, err
}

// connectRooms gives the subscription its ways to wake the others.
func (c *Consumer) connectRooms(workers int) {
	s := c.sub
	c.fetcher = newFetcher(&c.cfg, s, nil)
	if c.cfg.groupID != "" {
		c.group = newGroup(c)
	}
	// The reserve lets any one batch be decoded: its decompressed bytes, and its largest slab.
	s.budget = newBudget(int64(c.cfg.maxBufferedBytes), 2*int64(c.cfg.maxBatchBytes), func() {
		c.fetcher.wake()
		c.wakeDecoder()
	})
	s.settles = c.autoCommits()
	s.parallel, s.batchLimit = workers+1, c.cfg.maxBatchBytes
	s.wakeFetcher, s.wakeDecoder, s.wakePositions, s.wakeTopics = c.fetcher.wake, c.wakeDecoder, c.wakePositions, c.wakeTopics
	s.dirty, s.backOff = c.fetcher.markDirty, c.fetcher.backOff
}

func (c *Consumer) wakeDecoder()   { kick(c.decodeWork) }
func (c *Consumer) wakePositions() { kick(c.positionWork) }
func (c *Consumer) wakeTopics()    { kick(c.topicWork) }

// spawn runs f in a goroutine that Stop waits for. All goroutines of the consumer itself start here.
func (c *Consumer) spawn(f func()) { c.work.Go(f) }

// spawnRunning is spawn for calls of the application, which may come while Stop waits already: then it does nothing, and
// says so.
func (c *Consumer) spawnRunning(f func()) bool {
	c.lifeMu.Lock()
	defer c.lifeMu.Unlock()
	if c.state.Load() != stateRunning {
		return false
	}
	c.spawn(f)
	return true
}

// Start connects to the cluster and returns with the first assignment; ctx bounds the start only. Addresses that refuse
// or time out are tried again in rounds until ctx ends; where every address fails for good, Start fails at once. Its
// error names every address and why it failed; nothing is left behind then, and Start may be called again. Errors of a
// topic come from the Get calls. On a running consumer it is ErrIllegalState, after Stop ErrConsumerStopped.
func (c *Consumer) Start(ctx context.Context) error {
	c.lifeMu.Lock()
	switch c.state.Load() {
	case stateStarting, stateRunning:
		c.lifeMu.Unlock()
		return illegalState("Start", "the consumer is started already")
	case stateStopped:
		c.lifeMu.Unlock()
		return ErrConsumerStopped
	}
	c.state.Store(stateStarting)
	life, cancel := context.WithCancel(context.Background())
	c.life, c.cancel, c.startDone = life, cancel, make(chan struct{})
	defer close(c.startDone)
	cl := cluster.New(c.clusterConfig())
	c.cluster = cl
	c.fetcher.cluster = cl
	c.lifeMu.Unlock()

	// A Stop during the start ends it.
	ctx, unhook := context.WithCancelCause(ctx)
	defer unhook(nil)
	defer context.AfterFunc(life, func() { unhook(ErrConsumerStopped) })()
	c.startListener()
	c.watchTopics()
	if err := cl.Start(ctx); err != nil {
		return c.startFailed(ctx, err)
	}
	c.spawn(func() { c.metadataLoop(life) })
	c.spawn(func() { c.positionLoop(life) })
	c.spawn(func() { c.watchSilence(life) })
	c.spawn(func() { c.fetcher.run(life, c.spawn) })
	for range cap(c.decodeWork) {
		c.spawn(func() { c.decodeLoop(life) })
	}
	if c.autoCommits() {
		c.spawn(func() { c.autoCommitLoop(life) })
	}
	if c.group != nil {
		c.spawn(func() { c.group.loop(life) })
		c.spawn(func() { c.group.watchPolls(life) })
	}
	if err := c.awaitAssignment(ctx); err != nil {
		return c.startFailed(ctx, err)
	}
	if !c.state.CompareAndSwap(stateStarting, stateRunning) {
		return c.startFailed(ctx, ErrConsumerStopped)
	}
	return nil
}

// startFailed takes everything down again and gives the public error.
func (c *Consumer) startFailed(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	c.cancel()
	bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if c.group != nil {
		c.group.leaveAtOnce(bounded)
	}
	closeErr := c.cluster.Close(bounded)
	c.work.Wait()
	c.sub.mu.Lock() // nothing adds partitions any more
	c.loseWhatWasTold(context.Background(), time.Now().Add(c.rebalanceTimeout()))
	c.sub.mu.Unlock()
	closeErr = errors.Join(c.stopListener(bounded), closeErr)
	c.lifeMu.Lock()
	defer c.lifeMu.Unlock()
	if c.state.Load() == stateStopped || errors.Is(cause, ErrConsumerStopped) {
		return ErrConsumerStopped
	}
	c.state.Store(stateNew)
	c.sub.mu.Lock()
	c.listeners, c.listenersPast = nil, c.listeners
	c.sub.mu.Unlock()
	closeErr = errors.Join(closeErr, c.sub.forgetCluster())
	if c.group != nil {
		c.group.startOver()
	}
	c.fetcher.startOver()
	return errors.Join(callFailed("Start", err), closeErr)
}

// awaitAssignment waits for the first assignment, where topics are subscribed.
func (c *Consumer) awaitAssignment(ctx context.Context) error {
	s := c.sub
	for {
		s.mu.Lock()
		if !s.kind.following() || (s.assigned && s.listening == 0) {
			s.mu.Unlock()
			return nil
		}
		changed := s.watch()
		topics := slices.Clone(s.topics)
		s.mu.Unlock()
		if c.group != nil {
			if err := c.group.failed(); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the partitions of %q: %w", topics, ctx.Err())
		}
	}
}

// Stop ends the consumer: fetching stops, connections are closed, blocked calls return ErrConsumerStopped. It returns
// within ctx whatever the brokers do; everything is closed all the same, for which an ended ctx leaves a moment. Its error joins what
// went wrong with the last commit, the listener and leaving the group; a commit that gets no answer leaves half of the time to the
// listener and the leave. With a ctx that has ended, the commit and the leave are skipped, and the error says so. A listener that hangs
// is named and left behind. It may be called from any goroutine, also while Start runs. A second Stop, or one before Start, is nil.
func (c *Consumer) Stop(ctx context.Context) error {
	if c.insideListener(ctx) {
		return illegalState("Stop", "it was called from a rebalance listener, for which it would wait")
	}
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, 2*c.cfg.requestTimeout)
		defer cancel()
		ctx = bounded
	}
	c.lifeMu.Lock()
	before := c.state.Swap(stateStopped)
	if before != stateStopped {
		close(c.stopping)
	}
	c.lifeMu.Unlock()
	switch before {
	case stateNew:
		_ = c.sub.unsubscribe() // no listener was called yet
		close(c.ended)
		return nil
	case stateStopped:
		select { // the first Stop does the work
		case <-c.ended:
		case <-ctx.Done():
		}
		return nil
	}
	defer close(c.ended)
	var errs []error
	if before == stateRunning {
		errs = append(errs, c.giveUpAll(ctx))
	}
	c.cancel()
	if before != stateRunning {
		select { // Start takes down what it has put up
		case <-c.startDone:
		case <-ctx.Done():
			return fmt.Errorf("kafka: Stop: the start has not ended: %w", ctx.Err())
		}
	}
	// What is ours first: a listener that hangs may take all the time there is.
	errs = append(errs, c.cluster.Close(ctx), c.awaitWork(ctx))
	if before == stateRunning {
		errs = append(errs, c.stopListener(ctx))
	}
	if err := errors.Join(append(errs, c.sub.unsubscribe())...); err != nil {
		return &callError{call: "Stop", err: err}
	}
	return nil
}

// awaitWork waits for the consumer's own goroutines, that of the listener aside.
func (c *Consumer) awaitWork(ctx context.Context) error {
	done := make(chan struct{})
	go func() { // ends with the last of them
		c.work.Wait()
		close(done)
	}()
	if !endsSoon(ctx, done) {
		return fmt.Errorf("background work has not ended: %w", ctx.Err())
	}
	return nil
}

// giveUpAll commits what is settled and tells the listener that everything goes: for Stop and Unsubscribe. What the listener fails
// with, subscription.unsubscribe gives, and that it hangs, they see for themselves.
func (c *Consumer) giveUpAll(ctx context.Context) error {
	bounded, cancel := lessTime(ctx)
	defer cancel()
	if c.memberOf() {
		c.sub.mu.Lock()
		c.sub.settleReturned()
		c.sub.mu.Unlock()
		if ctx.Err() != nil {
			return fmt.Errorf("the last commit and leaving the group were skipped: %w", ctx.Err())
		}
		return c.group.leaveGroup(bounded)
	}
	err := c.lastCommit(ctx)
	c.sub.mu.Lock()
	call := c.callListener(c.sub.listener, onRevoked, slices.Collect(maps.Keys(c.sub.partitions)))
	c.sub.mu.Unlock()
	if call != nil {
		awaitCalls(ctx, []*listenerCall{call})
	}
	if c.group != nil && bounded.Err() == nil { // an Unsubscribe may have had no time to wait for it
		err = errors.Join(err, c.group.leaveGroup(bounded))
	}
	return err
}

// memberOf says whether this consumer is, or wants to be, a member of its group.
func (c *Consumer) memberOf() bool {
	c.sub.mu.Lock()
	defer c.sub.mu.Unlock()
	return c.group != nil && c.sub.kind.following()
}

// rebalanceTimeout bounds a call of the listener.
func (c *Consumer) rebalanceTimeout() time.Duration { return c.cfg.rebalanceTimeout }

// lastCommit is the one that Stop makes.
func (c *Consumer) lastCommit(ctx context.Context) error {
	if !c.autoCommits() {
		return nil
	}
	c.sub.mu.Lock()
	c.sub.settleReturned()
	c.sub.mu.Unlock()
	if ctx.Err() != nil {
		return fmt.Errorf("the last commit was skipped: %w", ctx.Err())
	}
	ctx, cancel := lessTime(ctx)
	defer cancel()
	return c.commitSettled(ctx)
}

// lessTime gives a ctx that ends a little before the given one, so that what has to follow still has time.
func lessTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(end)
	return context.WithDeadline(ctx, end.Add(-min(left/10, 500*time.Millisecond)))
}

// Close is Stop, waiting for at most 5 s.
func (c *Consumer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.Stop(ctx)
}

// usable says whether brokers can be asked and positions be changed.
func (c *Consumer) usable() error {
	if c.callback.Load() && c.life.Err() == nil {
		return nil
	}
	return c.running()
}

// running says whether messages can be handed out and the subscription be changed.
func (c *Consumer) running() error {
	switch c.state.Load() {
	case stateRunning:
		return nil
	case stateStopped:
		return ErrConsumerStopped
	}
	return ErrNotStarted
}

// notStopped is for calls that may come before Start.
func (c *Consumer) notStopped() error {
	if err := c.running(); errors.Is(err, ErrConsumerStopped) {
		return err
	}
	return nil
}

// bounded gives remote calls their deadline: twice WithRequestTimeout where ctx has none, and the end with Stop.
func (c *Consumer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	cancelTime := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancelTime = context.WithTimeout(ctx, 2*c.cfg.requestTimeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stopping := (<-chan struct{})(c.stopping)
	if c.callback.Load() {
		stopping = c.life.Done()
	}
	go func() { // ends with ctx
		select {
		case <-stopping:
			cancel(ErrConsumerStopped)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		cancelTime()
	}
}

func (c *Consumer) clusterConfig() cluster.Config {
	cfg := &c.cfg
	return cluster.Config{
		Bootstrap: cfg.bootstrap,
		Broker: broker.Config{
			ClientID: cfg.clientID, SoftwareName: softwareName, SoftwareVersion: softwareVersion,
			Dial: cfg.dial, ConnectTimeout: cfg.connectTimeout, RequestTimeout: cfg.requestTimeout,
			Logger: cfg.logger,
		},
		MetadataMaxAge: cfg.metadataMaxAge, ConnectionsMaxIdle: cfg.connMaxIdle,
		BackoffMin: cfg.backoffMin, BackoffMax: cfg.backoffMax, Logger: cfg.logger,
	}
}
