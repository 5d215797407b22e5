package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// fixed gives a source of numbers in [0, 1) that always says x.
func fixed(x float64) func() float64 { return func() float64 { return x } }

func TestBackoff_DoublesUpToItsMaxWithJitter(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		attempt      int
		least, plain time.Duration
		most         time.Duration
	}{
		{-1, 0, 0, 0},
		{0, 0, 0, 0},
		{1, 80 * ms, 100 * ms, 120 * ms},
		{2, 160 * ms, 200 * ms, 240 * ms},
		{3, 320 * ms, 400 * ms, 480 * ms},
		{4, 640 * ms, 800 * ms, 960 * ms},
		{5, 800 * ms, 1000 * ms, 1200 * ms},
		{1 << 30, 800 * ms, 1000 * ms, 1200 * ms},
	} {
		b := Backoff{Min: 100 * ms, Max: time.Second}
		b.Rand = fixed(0)
		require.Equal(t, tt.least, b.After(tt.attempt), "attempt %d", tt.attempt)
		b.Rand = fixed(0.5)
		require.Equal(t, tt.plain, b.After(tt.attempt), "attempt %d", tt.attempt)
		b.Rand = fixed(1)
		require.Equal(t, tt.most, b.After(tt.attempt), "attempt %d", tt.attempt)
	}
}

func TestOrder_BestBrokerFirst(t *testing.T) {
	now := time.Unix(1000, 0)
	later, before := now.Add(time.Second), now.Add(-time.Second)
	for _, tt := range []struct {
		name string
		in   []candidate
		want []int32
	}{
		{"none", nil, nil},
		{"connected before not connected", []candidate{{id: 1}, {id: 2, connected: true}}, []int32{2, 1}},
		{"suspects last, connected or not", []candidate{{id: 1, connected: true, suspect: true}, {id: 2}, {id: 3, suspect: true}}, []int32{2, 1, 3}},
		{"who has refused after all that may be well, before suspects", []candidate{{id: 1, connected: true, refused: true}, {id: 2}, {id: 3, suspect: true}, {id: 4, connected: true}}, []int32{4, 2, 1, 3}},
		{"a suspect that has refused is a suspect", []candidate{{id: 1, refused: true, suspect: true}, {id: 2, suspect: true, connected: true}}, []int32{2, 1}},
		{"who has refused, in backoff", []candidate{{id: 1, refused: true, retryAt: later}}, nil},
		{"who has refused, and is alone", []candidate{{id: 1, refused: true}}, []int32{1}},
		{"backoff leaves out", []candidate{{id: 1, retryAt: later}, {id: 2, retryAt: before}}, []int32{2}},
		{"but not what is connected", []candidate{{id: 1, retryAt: later, connected: true}}, []int32{1}},
		{"all in backoff", []candidate{{id: 1, retryAt: later}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, order(tt.in, now, fixed(0.99)))
		})
	}
	spread := map[int32]bool{}
	for i := range 10 {
		spread[order([]candidate{{id: 1}, {id: 2}, {id: 3}}, now, fixed(float64(i)/10))[0]] = true
	}
	require.Len(t, spread, 3, "clients spread over the brokers")
}

func TestAsking_WhomToAskNext(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state asking
		order []int32
		again bool
		want  int32 // -1: nobody
	}{
		{"the best", asking{}, []int32{2, 1}, false, 2},
		{"not who is being asked", asking{out: []int32{2}}, []int32{2, 1}, false, 1},
		{"not who has failed", asking{failed: map[int32]bool{2: true}}, []int32{2, 1}, true, 1},
		{"who has failed, while another is silent", asking{out: []int32{1}, failed: map[int32]bool{2: true}}, []int32{1, 2}, true, 2},
		{"but not at once", asking{out: []int32{1}, failed: map[int32]bool{2: true}}, []int32{1, 2}, false, -1},
		{"all have failed", asking{failed: map[int32]bool{1: true, 2: true}}, []int32{2, 1}, true, -1},
		{"nobody can be asked", asking{}, nil, true, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, ok := tt.state.next(tt.order, tt.again)
			require.Equal(t, tt.want >= 0, ok)
			if ok {
				require.Equal(t, tt.want, id)
			}
		})
	}
}

func TestIdleConns(t *testing.T) {
	now := time.Unix(10_000, 0)
	const limit = time.Minute
	for _, tt := range []struct {
		name string
		in   []usage
		idle []int
		next time.Duration
	}{
		{"none: look again after the limit", nil, nil, limit},
		{"idle for long enough", []usage{{lastUsed: now.Add(-limit)}}, []int{0}, limit},
		{"not yet", []usage{{lastUsed: now.Add(-limit + time.Second)}}, nil, time.Second},
		{"in use, however long", []usage{{lastUsed: now.Add(-time.Hour), inFlight: 1}}, nil, limit},
		{"the earliest counts", []usage{{lastUsed: now.Add(-time.Hour)}, {lastUsed: now.Add(-10 * time.Second)}, {lastUsed: now.Add(-50 * time.Second)}}, []int{0}, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idle, next := idleConns(tt.in, limit, now)
			require.Equal(t, tt.idle, idle)
			require.Equal(t, tt.next, next.Sub(now))
		})
	}
}

func TestRefreshState_NextNeverHotNeverLate(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: time.Second, Rand: fixed(0.5)}
	ms := time.Millisecond
	t0 := time.Unix(1000, 0)
	base := refreshState{ended: t0, answered: t0, maxAge: 5 * time.Minute}
	with := func(change func(s *refreshState)) refreshState {
		s := base
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name  string
		state refreshState
		now   time.Time
		want  time.Duration // after t0
	}{
		{"calm: by age", base, t0, 5 * time.Minute},
		{"wanted: soon", with(func(s *refreshState) { s.wanted = "x" }), t0, 100 * ms},
		{"wanted again and again: at most 250 ms", with(func(s *refreshState) { s.wanted, s.streak = "x", 50 }), t0, 250 * ms},
		{"a leader missing: growing gaps", with(func(s *refreshState) { s.trouble, s.streak, s.since = urgent, 1, t0 }), t0, 200 * ms},
		{"a leader missing: at most 250 ms", with(func(s *refreshState) { s.trouble, s.streak, s.since = urgent, 9, t0 }), t0, 250 * ms},
		{"a leader missing for over a minute: at most the max", with(func(s *refreshState) { s.trouble, s.streak, s.since = urgent, 900, t0 }), t0.Add(time.Minute), time.Second},
		{"a topic missing", with(func(s *refreshState) { s.trouble, s.streak = uneasy, 2 }), t0, 400 * ms},
		{"a topic missing for long", with(func(s *refreshState) { s.trouble, s.streak = uneasy, 1000 }), t0, time.Second},
		{"wanted by those who miss the topic: no faster", with(func(s *refreshState) { s.trouble, s.wanted, s.streak = uneasy, "x", 1000 }), t0, time.Second},
		{"failing: backoff", with(func(s *refreshState) { s.done(t0, io.EOF, 0, b) }), t0, 100 * ms},
		{"failing and wanted: backoff all the same", with(func(s *refreshState) { s.failures, s.pause, s.wanted, s.trouble = 7, time.Second, "x", urgent }), t0, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.state.next(b, tt.now).Sub(t0))
		})
	}
}

func TestRefreshState_StreakEndsWithAQuietTime(t *testing.T) {
	t0 := time.Unix(1000, 0)
	var s refreshState
	for range 5 {
		s.want("x")
		s.began(t0, time.Second)
		s.done(t0, nil, time.Minute, Backoff{})
	}
	require.Equal(t, 4, s.streak)
	s.want("x")
	s.began(t0.Add(2*time.Second), time.Second)
	require.Zero(t, s.streak)
	require.Empty(t, s.wanted)
}

func TestRefreshState_Overdue(t *testing.T) {
	t0 := time.Unix(1000, 0)
	s := refreshState{answered: t0, failures: 1}
	require.False(t, s.overdue(time.Minute, t0.Add(59*time.Second)))
	require.True(t, s.overdue(time.Minute, t0.Add(time.Minute)))
	s.failures = 0
	require.False(t, s.overdue(time.Minute, t0.Add(time.Hour)), "old but never refused")
}

func TestJudge(t *testing.T) {
	view := func(topics ...*Topic) *Metadata {
		m := emptyMetadata()
		for _, topic := range topics {
			m.put(topic)
		}
		return m
	}
	led := []Partition{{Leader: 1}, {Leader: 2}}
	for _, tt := range []struct {
		name string
		meta *Metadata
		want trouble
	}{
		{"all is well", view(&Topic{Name: "t", Partitions: led}), calm},
		{"not heard of yet", view(), uneasy},
		{"does not exist", view(&Topic{Name: "t", Err: protocol.UnknownTopicOrPartition}), uneasy},
		{"being made", view(&Topic{Name: "t", Err: protocol.LeaderNotAvailable}), urgent},
		{"no leader", view(&Topic{Name: "t", Partitions: []Partition{{Leader: 1}, {Leader: -1}}}), urgent},
		{"a leader that is down", view(&Topic{Name: "t", Partitions: []Partition{{Leader: 1}, {Leader: 9}}}), urgent},
		{"not ours to read", view(&Topic{Name: "t", Err: protocol.TopicAuthorizationFailed}), calm},
		{"no such name", view(&Topic{Name: "t", Err: protocol.InvalidTopic}), calm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, judge(tt.meta, map[string]bool{"t": true}, false, func(id int32) bool { return id == 9 }))
		})
	}
	require.Equal(t, calm, judge(view(), map[string]bool{}, true, nil))
}

func TestJudge_ErrorCodesOfTopics(t *testing.T) {
	cases := map[protocol.ErrorCode]trouble{
		protocol.LeaderNotAvailable:       urgent,
		protocol.ListenerNotFound:         uneasy,
		protocol.UnknownTopicOrPartition:  uneasy,
		protocol.UnknownTopicID:           uneasy,
		protocol.UnknownServerError:       uneasy,
		protocol.TopicAuthorizationFailed: calm,
		protocol.InvalidTopic:             calm,
		protocol.RequestTimedOut:          uneasy, // no rule is for it
		protocol.InvalidRequest:           uneasy,
	}
	for code := range topicTroubles {
		require.Contains(t, cases, code)
	}
	nobody := func(int32) bool { return false }
	for code, want := range cases {
		m := emptyMetadata()
		m.put(&Topic{Name: "t", Err: code, Partitions: []Partition{{Leader: 1}}})
		require.Equal(t, want, judge(m, map[string]bool{"t": true}, false, nobody), code.Name())
	}
}

func TestIsRetriable(t *testing.T) {
	request := func(err error) error { return &broker.RequestError{API: protocol.KeyFetch, Addr: "a:1", Err: err} }
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{ErrClosed, false},
		{request(io.EOF), true},
		{request(broker.ErrTimeout), true},
		{request(context.Canceled), false},
		{request(context.DeadlineExceeded), false},
		{request(&broker.UnsupportedVersionError{}), false},
		{request(&protocol.EncodeError{}), false},
		{protocol.NotLeaderOrFollower, true},
		{fmt.Errorf("wrapped: %w", protocol.CoordinatorLoadInProgress), true},
		{protocol.GroupAuthorizationFailed, false},
		{&UnknownBrokerError{Node: 3}, true},
		{&BrokerDownError{Err: &broker.DialError{Err: errors.New("refused")}}, true},
		{&BrokerDownError{Err: &broker.DialError{Err: context.DeadlineExceeded}}, true},
		{&BrokerDownError{Err: &broker.HandshakeError{Permanent: true, Err: io.EOF}}, false},
		{&BootstrapError{Permanent: true}, false},
		{&BootstrapError{Err: context.Canceled}, true},
	} {
		require.Equal(t, tt.want, IsRetriable(tt.err), "%v", tt.err)
	}
}

func TestCoordinator_ErrorCodes(t *testing.T) {
	cases := map[protocol.ErrorCode]bool{
		protocol.CoordinatorNotAvailable:   true,
		protocol.CoordinatorLoadInProgress: true,
		protocol.RequestTimedOut:           true,
		protocol.UnknownServerError:        true,
		protocol.NetworkException:          true, // no rule is for it, retriable
		protocol.InvalidGroupID:            false,
		protocol.GroupAuthorizationFailed:  false,
		protocol.InvalidRequest:            false,
		protocol.UnsupportedSASLMechanism:  false, // no rule is for it, not retriable
	}
	for code := range coordinatorMayPass {
		require.Contains(t, cases, code)
	}
	for code, want := range cases {
		require.Equal(t, want, IsRetriable(fmt.Errorf("wrapped: %w", &CoordinatorError{Group: "g", Err: code})), code.Name())
	}
	require.True(t, IsRetriable(&CoordinatorError{Err: &broker.RequestError{Err: io.EOF}}), "no answer at all")
	require.False(t, IsRetriable(&CoordinatorError{Err: ErrClosed}))
}

func TestNode_FailuresOfSeveralKindsCountOnce(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 8 * time.Second, Rand: fixed(0.5)}
	t0 := time.Unix(1000, 0)
	n := &node{}
	require.False(t, n.failed(io.EOF, b, t0))
	require.False(t, n.failed(io.EOF, b, t0.Add(time.Millisecond)))
	require.Equal(t, 1, n.failures)
	require.Equal(t, t0.Add(time.Second), n.retryAt)
	require.False(t, n.failed(io.EOF, b, t0.Add(time.Second)))
	require.Equal(t, 2, n.failures)
	require.True(t, n.failed(io.EOF, b, t0.Add(6*time.Second)), "worth a warning after five seconds")
	require.False(t, n.failed(io.EOF, b, t0.Add(60*time.Second)), "once")
	require.True(t, n.succeeded(), "and so is its end")
	require.False(t, n.succeeded())
}

func TestCoordinatorOf(t *testing.T) {
	text := "try later"
	list := func(cs ...protocol.FindCoordinatorResponseCoordinator) *protocol.FindCoordinatorResponse {
		return &protocol.FindCoordinatorResponse{Coordinators: cs}
	}
	found := protocol.FindCoordinatorResponseCoordinator{Key: "g", NodeID: 2, Host: "h", Port: 9092}
	for _, tt := range []struct {
		name    string
		resp    *protocol.FindCoordinatorResponse
		version int16
		want    Broker
		err     error
	}{
		{"single", &protocol.FindCoordinatorResponse{NodeID: 1, Host: "h", Port: 1}, 3, Broker{ID: 1, Host: "h", Port: 1}, nil},
		{"list", list(protocol.FindCoordinatorResponseCoordinator{Key: "x"}, found), 4, Broker{ID: 2, Host: "h", Port: 9092}, nil},
		{"list without the group", list(), 4, Broker{}, protocol.CoordinatorNotAvailable},
		{"error", list(protocol.FindCoordinatorResponseCoordinator{Key: "g", ErrorCode: protocol.GroupAuthorizationFailed, ErrorMessage: &text}), 6, Broker{}, protocol.GroupAuthorizationFailed},
		{"no host", &protocol.FindCoordinatorResponse{NodeID: 1, Port: 1}, 3, Broker{}, protocol.CoordinatorNotAvailable},
		{"port out of range", &protocol.FindCoordinatorResponse{NodeID: 1, Host: "h", Port: 70000}, 3, Broker{}, protocol.CoordinatorNotAvailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _, err := coordinatorOf(tt.resp, tt.version, "g")
			require.Equal(t, tt.want, b)
			require.ErrorIs(t, err, tt.err)
		})
	}
}

func TestShuffle_KeepsEverything(t *testing.T) {
	s := []int{1, 2, 3, 4, 5}
	shuffle(s, fixed(0.3))
	require.NotEqual(t, []int{1, 2, 3, 4, 5}, s)
	slices.Sort(s)
	require.Equal(t, []int{1, 2, 3, 4, 5}, s)
}
