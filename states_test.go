package kafka

import (
	"context"
	"errors"
	"flag"
	"iter"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

var updateStates = flag.Bool("update", false, "write the tables of docs/internals.md from what the methods do")

// callLimit is the ctx of each call, on the bubble's clock. It is longer than WithRetryBackoff's max, so that a lasting
// error that was told once is told again.
const callLimit = 3 * time.Second

// The outcomes of a call, as the tables have them; a sentinel error stands for itself.
const (
	works   = "works"
	waits   = "waits"     // until its ctx ended, or Stop where it has none
	zero    = "empty"     // the zero value, of a method without an error
	value   = "has it"    // another value
	lasting = "the error" // the one that lasts
	lost    = "CommitFailedError"
)

// TestStates_EveryMethodDoesWhatItsTableSays brings a consumer into each state, makes each call, and compares the outcome with
// the tables of docs/internals.md. A method without a row fails it; -update writes the tables.
func TestStates_EveryMethodDoesWhatItsTableSays(t *testing.T) {
	page := readStatePage(t)
	labels := page.labels()
	require.ElementsMatch(t, slices.Collect(maps.Keys(states)), slices.Collect(maps.Keys(labels)), "the states of the tables")
	for state, rows := range labels {
		require.Empty(t, methodsWithoutRow(rows), "exported methods without a row in %s, in the state %q", statePage, state)
	}
	for i := range page.cells {
		cell := &page.cells[i]
		t.Run(cell.state+"/"+cell.label, func(t *testing.T) {
			require.NotEmpty(t, calls[cell.label], "a row that the test knows")
			unwritten := *updateStates
			for way, enter := range states[cell.state] {
				for method, call := range calls[cell.label] {
					got := outcomeOf(t, enter, call)
					if unwritten {
						cell.text, unwritten = got, false
					}
					require.Equal(t, cell.text, got, "%s, in the state %q (%s)", method, cell.state, way)
				}
			}
		})
	}
	if *updateStates {
		page.write(t)
	}
}

// outcomeOf makes a call in a state.
func outcomeOf(t *testing.T, enter stateEntry, call stateCall) (outcome string) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("orders", 1)
		groupOfOne(k)
		c, ctx := enter(t, k)
		defer func() {
			ended, end := context.WithCancel(context.Background())
			end()
			_ = c.Stop(ended) // its error says what was skipped for want of time
		}()
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		start := time.Now()
		outcome = classify(t, call(ctx, c))
		if took := time.Since(start); outcome == waits {
			require.GreaterOrEqual(t, took, callLimit*9/10, "it gave up early") // Stop and Unsubscribe keep a little for what follows
		} else {
			require.Less(t, took, callLimit)
		}
	})
	return outcome
}

// classify gives the word of the tables for how a call ended.
func classify(t *testing.T, err error) string {
	for _, sentinel := range []struct {
		err  error
		word string
	}{
		{errZero, zero}, {errValue, value}, {errEndless, waits}, {ErrNotStarted, "ErrNotStarted"},
		{ErrConsumerStopped, "ErrConsumerStopped"}, {ErrIllegalState, "ErrIllegalState"},
	} {
		if errors.Is(err, sentinel.err) {
			return sentinel.word
		}
	}
	if _, ok := errors.AsType[*NoOffsetForPartitionError](err); ok {
		return lasting
	}
	if _, ok := errors.AsType[*CommitFailedError](err); ok {
		return lost
	}
	if errors.Is(err, protocol.FencedInstanceID) {
		return lasting
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return waits
	}
	require.NoError(t, err, "no outcome that the tables have a word for")
	return works
}

// A stateCall makes one call; values are told with the errors below.
type stateCall func(ctx context.Context, c *Consumer) error

var (
	errZero    = errors.New("the zero value")
	errValue   = errors.New("a value")
	errEndless = errors.New("only Stop ends it")
)

// gives is for methods without an error.
func gives(values ...any) error {
	for _, v := range values {
		if !reflect.ValueOf(v).IsZero() { // of a slice: nil
			return errValue
		}
	}
	return errZero
}

var (
	orders  = TopicPartition{Topic: "orders"}
	longAgo = time.UnixMilli(1)
)

// calls are what the first columns of the tables stand for: for each label, the methods that have the row.
var calls = map[string]map[string]stateCall{
	"Start":                  {"Start": func(ctx context.Context, c *Consumer) error { return c.Start(ctx) }},
	"Stop":                   {"Stop": func(ctx context.Context, c *Consumer) error { return c.Stop(ctx) }},
	"Close":                  {"Close": func(_ context.Context, c *Consumer) error { return c.Close() }},
	"GetOne":                 callGetOne(),
	"GetMany":                callGetMany(),
	"GetMany, WaitFor(0)":    callGetMany(WaitFor(0)),
	"GetOne, FromPartitions": callGetOne(FromPartitions(orders)),
	"GetOne, WaitFor":        callGetOne(WaitFor(time.Second)),
	"Messages, Err":          {"Messages": callMessages, "Err": callMessages, "Typed.Messages": callTypedMessages, "Typed.Err": callTypedMessages},
	"All": {
		"All":       func(ctx context.Context, c *Consumer) error { return firstError(c.All(ctx)) },
		"Typed.All": func(ctx context.Context, c *Consumer) error { return firstError(Typed(c, Bytes, Bytes).All(ctx)) },
	},
	"Batches":          {"Batches": func(ctx context.Context, c *Consumer) error { return firstError(c.Batches(ctx)) }},
	"Position":         {"Position": func(ctx context.Context, c *Consumer) error { _, err := c.Position(ctx, orders); return err }},
	"Seek":             {"Seek": func(_ context.Context, c *Consumer) error { return c.Seek(orders, 1) }},
	"SeekToBeginning":  {"SeekToBeginning": func(ctx context.Context, c *Consumer) error { return c.SeekToBeginning(ctx, orders) }},
	"SeekToEnd":        {"SeekToEnd": func(ctx context.Context, c *Consumer) error { return c.SeekToEnd(ctx, orders) }},
	"SeekToTime":       {"SeekToTime": func(ctx context.Context, c *Consumer) error { return c.SeekToTime(ctx, longAgo, orders) }},
	"SeekToCommitted":  {"SeekToCommitted": func(ctx context.Context, c *Consumer) error { return c.SeekToCommitted(ctx, orders) }},
	"BeginningOffsets": {"BeginningOffsets": func(ctx context.Context, c *Consumer) error { _, err := c.BeginningOffsets(ctx, orders); return err }},
	"EndOffsets":       {"EndOffsets": func(ctx context.Context, c *Consumer) error { _, err := c.EndOffsets(ctx, orders); return err }},
	"OffsetsForTimes":  {"OffsetsForTimes": callOffsetsForTimes},
	"Topics":           {"Topics": func(ctx context.Context, c *Consumer) error { _, err := c.Topics(ctx); return err }},
	"PartitionsForTopic": {"PartitionsForTopic": func(ctx context.Context, c *Consumer) error {
		_, err := c.PartitionsForTopic(ctx, "orders")
		return err
	}},
	"Commit": {"Commit": func(ctx context.Context, c *Consumer) error { return c.Commit(ctx) }},
	"CommitOffsets": {"CommitOffsets": func(ctx context.Context, c *Consumer) error {
		return c.CommitOffsets(ctx, map[TopicPartition]OffsetAndMetadata{orders: {Offset: 1}})
	}},
	"CommitMessages": {"CommitMessages": func(ctx context.Context, c *Consumer) error { return c.CommitMessages(ctx, &Message{Topic: "orders"}) }},
	"Committed":      {"Committed": func(ctx context.Context, c *Consumer) error { _, err := c.Committed(ctx, orders); return err }},
	"Pause":          {"Pause": func(_ context.Context, c *Consumer) error { return c.Pause(orders) }},
	"Resume":         {"Resume": func(_ context.Context, c *Consumer) error { return c.Resume(orders) }},
	"Highwater, Lag, LastStableOffset, LastPollTimestamp": {
		"Highwater":         func(_ context.Context, c *Consumer) error { v, ok := c.Highwater(orders); return gives(v, ok) },
		"Lag":               func(_ context.Context, c *Consumer) error { v, ok := c.Lag(orders); return gives(v, ok) },
		"LastStableOffset":  func(_ context.Context, c *Consumer) error { v, ok := c.LastStableOffset(orders); return gives(v, ok) },
		"LastPollTimestamp": func(_ context.Context, c *Consumer) error { v, ok := c.LastPollTimestamp(orders); return gives(v, ok) },
	},
	"Subscribe":        {"Subscribe": func(_ context.Context, c *Consumer) error { return c.Subscribe([]string{"orders"}) }},
	"SubscribePattern": {"SubscribePattern": func(_ context.Context, c *Consumer) error { return c.SubscribePattern("ord.*") }},
	"Assign":           {"Assign": func(_ context.Context, c *Consumer) error { return c.Assign(orders) }},
	"Unsubscribe":      {"Unsubscribe": func(ctx context.Context, c *Consumer) error { return c.Unsubscribe(ctx) }},
	"Subscription":     {"Subscription": func(_ context.Context, c *Consumer) error { return gives(c.Subscription()) }},
	"Assignment":       {"Assignment": func(_ context.Context, c *Consumer) error { return gives(c.Assignment()) }},
	"Paused":           {"Paused": func(_ context.Context, c *Consumer) error { return gives(c.Paused()) }},
	"GroupMetadata":    {"GroupMetadata": func(_ context.Context, c *Consumer) error { v, ok := c.GroupMetadata(); return gives(v, ok) }},
	"EnforceRebalance": {"EnforceRebalance": func(_ context.Context, c *Consumer) error { return c.EnforceRebalance("a test") }},
}

func callOffsetsForTimes(ctx context.Context, c *Consumer) error {
	_, err := c.OffsetsForTimes(ctx, map[TopicPartition]time.Time{orders: longAgo})
	return err
}

func callGetOne(opts ...GetOption) map[string]stateCall {
	return map[string]stateCall{
		"GetOne": func(ctx context.Context, c *Consumer) error { _, err := c.GetOne(ctx, opts...); return err },
		"Typed.GetOne": func(ctx context.Context, c *Consumer) error {
			_, err := Typed(c, Bytes, Bytes).GetOne(ctx, opts...)
			return err
		},
	}
}

func callGetMany(opts ...GetOption) map[string]stateCall {
	return map[string]stateCall{
		"GetMany": func(ctx context.Context, c *Consumer) error { _, err := c.GetMany(ctx, opts...); return err },
		"Typed.GetMany": func(ctx context.Context, c *Consumer) error {
			_, err := Typed(c, Bytes, Bytes).GetMany(ctx, opts...)
			return err
		},
	}
}

// firstError gives the error of a loop's first turn.
func firstError[M any](loop iter.Seq2[M, error]) error {
	for _, err := range loop {
		return err
	}
	return nil
}

func callMessages(ctx context.Context, c *Consumer) error { return loopOnce(ctx, c.Messages(), c.Err) }

func callTypedMessages(ctx context.Context, c *Consumer) error {
	typed := Typed(c, Bytes, Bytes)
	return loopOnce(ctx, typed.Messages(), typed.Err)
}

// loopOnce takes one message in a loop. A loop that waits is ended by the Stop that follows every call.
func loopOnce[M any](ctx context.Context, loop iter.Seq[M], why func() error) error {
	ended := make(chan error, 1)
	go func() {
		for range loop {
			break
		}
		ended <- why()
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return errEndless
	}
}

// A stateEntry brings a consumer into a state, and gives the ctx to call it with.
type stateEntry func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context)

// states are what heads the tables' columns, with the ways to come there.
var states = map[string]map[string]stateEntry{
	"before Start":       {"new": enterNew},
	"nothing subscribed": {"started": enterStarted},
	"pending":            {"metadata hangs": enterPending},
	"listener": {"partitions come": func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
		return enterListener(t, k, false)
	}},
	"error":    {"no offset under ResetNone": enterError},
	"no group": {"reads": enterNoGroup},
	"stopped":  {"after Start": enterStopped, "before Start": enterNeverStarted},
	"in the listener": {"partitions come": func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
		return enterListener(t, k, true)
	}},
	"joining, eager": {"rejoins": func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
		return enterJoining(t, k, RangeAssignor)
	}},
	"joining, cooperative": {"rejoins": func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
		return enterJoining(t, k, CooperativeStickyAssignor)
	}},
	"parked": {"takes nothing": func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) { return enterParked(t, k) }},
	"fenced": {"a heartbeat says so": func(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) { return enterFenced(t, k) }},
}

func enterNew(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	return groupConsumer(t, k), t.Context()
}

func enterStarted(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	return startGroup(t, groupConsumer(t, k)), t.Context()
}

func enterPending(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	c := startGroup(t, groupConsumer(t, k))
	k.HangNode(1)
	require.NoError(t, c.Subscribe([]string{"orders"}))
	synctest.Wait()
	return c, t.Context()
}

// enterListener gives a consumer whose listener runs until the test ends, and with inside, the listener's ctx.
func enterListener(t *testing.T, k *fakebroker.Cluster, inside bool) (*Consumer, context.Context) {
	c := startGroup(t, groupConsumer(t, k))
	came, leave := make(chan context.Context, 1), make(chan struct{})
	t.Cleanup(func() { close(leave) })
	assigned := func(ctx context.Context, _ *Consumer, _ []TopicPartition) error {
		came <- ctx
		<-leave
		return nil
	}
	require.NoError(t, c.Subscribe([]string{"orders"}, WithListener(RebalanceFuncs{Assigned: assigned})))
	ctx := <-came
	synctest.Wait()
	if !inside {
		ctx = t.Context()
	}
	return c, ctx
}

func enterError(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAutoOffsetReset(ResetNone)))
	_, err := c.GetOne(t.Context())
	require.Equal(t, lasting, classify(t, err))
	return c, t.Context()
}

func enterNoGroup(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	k.AppendValues("orders", 0, "first", "second", "third")
	c, err := NewConsumer(WithLogger(nil), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithTopics("orders"), WithAutoOffsetReset(ResetEarliest))
	require.NoError(t, err)
	receive(t, startGroup(t, c), 1)
	return c, t.Context()
}

func enterStopped(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	c := startGroup(t, groupConsumer(t, k, WithTopics("orders")))
	require.NoError(t, c.Stop(t.Context()))
	return c, t.Context()
}

func enterNeverStarted(t *testing.T, k *fakebroker.Cluster) (*Consumer, context.Context) {
	c := groupConsumer(t, k, WithTopics("orders"))
	require.NoError(t, c.Stop(t.Context()))
	return c, t.Context()
}

// enterJoining gives a member that has taken a message, with others to come, and whose next JoinGroup is not answered.
func enterJoining(t *testing.T, k *fakebroker.Cluster, a Assignor) (*Consumer, context.Context) {
	k.AppendValues("orders", 0, "first", "second", "third")
	c := startGroup(t, groupConsumer(t, k, WithTopics("orders"), WithAssignors(a), WithAutoOffsetReset(ResetEarliest)))
	receive(t, c, 1)
	k.Handle(protocol.KeyJoinGroup, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
	joins := k.Count(protocol.KeyJoinGroup)
	require.NoError(t, c.EnforceRebalance("a test"))
	require.NoError(t, k.AwaitCount(t.Context(), protocol.KeyJoinGroup, joins+1))
	synctest.Wait()
	return c, t.Context()
}

// enterParked gives a member that has taken a message, and then none for the max poll interval, with others to come.
func enterParked(t *testing.T, k *fakebroker.Cluster, opts ...ConsumerOption) (*Consumer, context.Context) {
	k.AppendValues("orders", 0, "first", "second", "third")
	c := startGroup(t, groupConsumer(t, k, append(opts, WithTopics("orders"), WithAutoOffsetReset(ResetEarliest), WithMaxPollInterval(10*time.Second))...))
	receive(t, c, 1)
	require.NoError(t, k.AwaitCount(t.Context(), protocol.KeyLeaveGroup, 1))
	synctest.Wait()
	return c, t.Context()
}

// enterFenced gives a static member that has taken a message, and whose place another consumer has taken.
func enterFenced(t *testing.T, k *fakebroker.Cluster, opts ...ConsumerOption) (*Consumer, context.Context) {
	k.AppendValues("orders", 0, "first", "second", "third")
	c := startGroup(t, groupConsumer(t, k, append(opts, WithTopics("orders"), WithAutoOffsetReset(ResetEarliest), WithGroupInstanceID("a"))...))
	receive(t, c, 1)
	k.Handle(protocol.KeyHeartbeat, func(*fakebroker.Call) fakebroker.Reply {
		return fakebroker.Reply{Response: &protocol.HeartbeatResponse{ErrorCode: protocol.FencedInstanceID}}
	})
	require.NoError(t, k.AwaitCount(t.Context(), protocol.KeyHeartbeat, k.Count(protocol.KeyHeartbeat)+1))
	synctest.Wait()
	return c, t.Context()
}

func groupConsumer(t *testing.T, k *fakebroker.Cluster, opts ...ConsumerOption) *Consumer {
	c, err := NewConsumer(append([]ConsumerOption{
		WithLogger(nil), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithGroupID("billing"), WithAutoCommit(false),
	}, opts...)...)
	require.NoError(t, err)
	return c
}

func startGroup(t *testing.T, c *Consumer) *Consumer {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.Start(ctx))
	return c
}

// groupOfOne makes a cluster's coordinator take one member, that leads and gets what it assigns to itself.
func groupOfOne(k *fakebroker.Cluster) {
	ours := []protocol.APIKey{protocol.KeyJoinGroup, protocol.KeySyncGroup, protocol.KeyHeartbeat, protocol.KeyLeaveGroup}
	k.Handle(protocol.KeyApiVersions, func(call *fakebroker.Call) fakebroker.Reply {
		resp := call.Default().(*protocol.ApiVersionsResponse)
		for _, key := range ours {
			lo, hi, _ := protocol.Versions(key)
			resp.ApiKeys = append(resp.ApiKeys, protocol.ApiVersionsResponseKey{ApiKey: key, MinVersion: lo, MaxVersion: hi})
		}
		return fakebroker.Reply{Response: resp}
	})
	generation := int32(0)
	k.Handle(protocol.KeyJoinGroup, func(call *fakebroker.Call) fakebroker.Reply {
		generation++
		return fakebroker.Reply{Response: joinedAlone(call.Request.(*protocol.JoinGroupRequest), generation)}
	})
	k.Handle(protocol.KeySyncGroup, func(call *fakebroker.Call) fakebroker.Reply {
		req := call.Request.(*protocol.SyncGroupRequest)
		resp := &protocol.SyncGroupResponse{ProtocolType: req.ProtocolType, ProtocolName: req.ProtocolName}
		for _, a := range req.Assignments {
			resp.Assignment = a.Assignment
		}
		return fakebroker.Reply{Response: resp}
	})
	k.Handle(protocol.KeyHeartbeat, func(*fakebroker.Call) fakebroker.Reply {
		return fakebroker.Reply{Response: &protocol.HeartbeatResponse{}}
	})
	k.Handle(protocol.KeyLeaveGroup, func(*fakebroker.Call) fakebroker.Reply {
		return fakebroker.Reply{Response: &protocol.LeaveGroupResponse{}}
	})
}

// joinedAlone is the answer to the only member of a group.
func joinedAlone(req *protocol.JoinGroupRequest, generation int32) *protocol.JoinGroupResponse {
	resp := protocol.NewJoinGroupResponse()
	resp.GenerationID, resp.MemberID, resp.Leader = generation, "member", "member"
	resp.ProtocolType, resp.ProtocolName = &req.ProtocolType, &req.Protocols[0].Name
	resp.Members = []protocol.JoinGroupResponseMember{{MemberID: "member", Metadata: req.Protocols[0].Metadata}}
	return resp
}

// methodsWithoutRow gives the exported methods of Consumer and TypedConsumer that none of a state's labels has a call for.
func methodsWithoutRow(labels []string) []string {
	covered := make(map[string]bool)
	for _, label := range labels {
		for method := range calls[label] {
			covered[method] = true
		}
	}
	var missing []string
	for m := range reflect.TypeFor[*Consumer]().Methods() {
		if !covered[m.Name] {
			missing = append(missing, m.Name)
		}
	}
	for m := range reflect.TypeFor[*TypedConsumer[[]byte, []byte]]().Methods() {
		if !covered["Typed."+m.Name] {
			missing = append(missing, "Typed."+m.Name)
		}
	}
	return missing
}

// A call that comes too late is told so, whatever else is wrong with it.
func TestStates_StoppedComesBeforeWrongArguments(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		groupOfOne(k)
		k.CreateTopic("orders", 1)
		c, ctx := enterStopped(t, k)
		for name, call := range map[string]func() error{
			"Subscribe":        func() error { return c.Subscribe(nil) },
			"SubscribePattern": func() error { return c.SubscribePattern("(") },
			"Assign":           func() error { return c.Assign() },
			"Seek":             func() error { return c.Seek(orders, -1) },
			"SeekToTime":       func() error { return c.SeekToTime(ctx, time.UnixMilli(-1)) },
			"CommitMessages":   func() error { return c.CommitMessages(ctx, nil) },
			"GetOne":           func() error { _, err := c.GetOne(ctx, UpTo(1)); return err },
			"GetMany, UpTo":    func() error { _, err := c.GetMany(ctx, UpTo(0)); return err },
			"GetMany, WaitFor": func() error { _, err := c.GetMany(ctx, WaitFor(-1)); return err },
		} {
			require.ErrorIs(t, call(), ErrConsumerStopped, name)
		}
	})
}

// Stop closes the client while calls wait for it, and they may see that before their ctx says so.
func TestStates_ACallWhoseClientIsClosedWasStopped(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		groupOfOne(k)
		k.CreateTopic("orders", 1)
		c := startGroup(t, groupConsumer(t, k, WithTopics("orders")))
		defer c.Close() // its own leave finds the client closed, too
		require.NoError(t, c.cluster.Close(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), callLimit)
		defer cancel()
		for _, name := range []string{"CommitOffsets", "Committed", "BeginningOffsets", "OffsetsForTimes", "SeekToTime", "SeekToCommitted", "Topics"} {
			require.ErrorIs(t, calls[name][name](ctx, c), ErrConsumerStopped, name)
		}
		_, err := c.PartitionsForTopic(ctx, "other") // of one that it reads it knows them
		require.ErrorIs(t, err, ErrConsumerStopped)
	})
}

// A loop that goes on after each error would come round without a pause, and the listener would never return.
func TestAll_EndsAfterItsErrorInsideAListener(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		groupOfOne(k)
		k.CreateTopic("orders", 1)
		c, ctx := enterListener(t, k, true)
		var errs []error
		for _, err := range c.All(ctx) {
			errs = append(errs, err)
			require.Less(t, len(errs), 5)
		}
		for _, err := range Typed(c, Bytes, Bytes).All(ctx) {
			errs = append(errs, err)
			require.Less(t, len(errs), 5)
		}
		require.Len(t, errs, 2)
		for _, err := range errs {
			require.ErrorIs(t, err, ErrIllegalState)
		}
		ended, end := context.WithCancel(context.Background())
		end()
		require.ErrorContains(t, c.Stop(ended), onAssigned)
	})
}
