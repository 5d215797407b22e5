package kafka

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A consumer that waits for what does not come says so, every 30 s, and no more once it has come.
func TestSilence_IsLogged(t *testing.T) {
	refuse := func(key protocol.APIKey, change func(protocol.Response)) func(k *fakebroker.Cluster) (heal func()) {
		return func(k *fakebroker.Cluster) func() {
			k.Handle(key, func(call *fakebroker.Call) fakebroker.Reply {
				resp := call.Default()
				if resp == nil { // the connection has ended
					return fakebroker.Reply{Drop: true}
				}
				change(resp)
				return fakebroker.Reply{Response: resp}
			})
			return func() { k.Handle(key, nil) }
		}
	}
	for name, c := range map[string]struct {
		breaks func(k *fakebroker.Cluster) (heal func())
		first  bool // before the consumer has partitions
		says   []string
	}{
		"no position": {
			first: true,
			breaks: refuse(protocol.KeyOffsetFetch, func(resp protocol.Response) {
				r := resp.(*protocol.OffsetFetchResponse)
				r.ErrorCode = protocol.NotCoordinator
				for i := range r.Groups {
					r.Groups[i].ErrorCode = protocol.NotCoordinator
				}
			}),
			says: []string{"partitions=3", "OffsetFetch of group g at broker 1: NOT_COORDINATOR"},
		},
		"no leader": {
			breaks: func(k *fakebroker.Cluster) func() {
				k.MoveLeader("t", 1, -1)
				return func() { k.MoveLeader("t", 1, 1) }
			},
			says: []string{"partition=1 partitions=1", "Metadata for t-1 at broker 1: LEADER_NOT_AVAILABLE"},
		},
		"no leader from the start": {
			first: true,
			breaks: func(k *fakebroker.Cluster) func() {
				k.MoveLeader("t", 1, -1)
				return func() { k.MoveLeader("t", 1, 1) }
			},
			says: []string{"partition=1 partitions=1", "Metadata for t-1 at broker 1: LEADER_NOT_AVAILABLE"},
		},
		"a partition that is refused": {
			breaks: refuse(protocol.KeyFetch, func(resp protocol.Response) {
				r := resp.(*protocol.FetchResponse)
				for i := range r.Responses {
					for j := range r.Responses[i].Partitions {
						r.Responses[i].Partitions[j].ErrorCode = protocol.UnknownServerError
					}
				}
			}),
			says: []string{"Fetch for t-", "at broker 1: UNKNOWN_SERVER_ERROR"},
		},
		"a broker that hangs": {
			breaks: func(k *fakebroker.Cluster) func() {
				k.Handle(protocol.KeyFetch, func(*fakebroker.Call) fakebroker.Reply { return fakebroker.Reply{Hang: true} })
				return func() { k.Handle(protocol.KeyFetch, nil) }
			},
			says: []string{"partitions=3", "Fetch went unanswered"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 3)
				for i := range int32(3) {
					k.AppendValues("t", i, "one")
				}
				var log lockedLog // it is read while the consumer runs
				consumer := startConsumer(t, k, WithGroupID("g"), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				tps := []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}}
				warned := func() int {
					return strings.Count(log.String(), `level=WARN msg="kafka: a partition cannot be read" topic=t partition=`)
				}
				heal := func() {}
				if c.first {
					heal = c.breaks(k)
				}
				require.NoError(t, consumer.Assign(tps...))
				if !c.first {
					for _, tp := range tps {
						_, err := consumer.Position(t.Context(), tp)
						require.NoError(t, err)
					}
					time.Sleep(2 * time.Second)
					heal = c.breaks(k)
					for _, tp := range tps { // what is buffered is not waited for
						require.NoError(t, consumer.Seek(tp, 0))
					}
				}
				time.Sleep(silenceWarnAfter - time.Second)
				synctest.Wait()
				require.Zero(t, warned(), log.String())
				time.Sleep(2*silenceTick + 2*time.Second)
				synctest.Wait()
				require.Equal(t, 1, warned(), log.String())
				for _, s := range c.says {
					require.Contains(t, log.String(), s)
				}
				time.Sleep(silenceWarnAfter)
				synctest.Wait()
				require.Equal(t, 2, warned(), log.String())

				heal()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				require.Equal(t, 2, warned(), log.String())
				from := map[int32]bool{}
				for range tps {
					m, err := consumer.GetOne(t.Context())
					require.NoError(t, err)
					from[m.Partition] = true
				}
				require.Len(t, from, len(tps))
				stopClean(t, consumer)
			})
		})
	}
}

// What is meant to be quiet is not told: nothing written, a partition that is paused, or is not there, an application that takes nothing.
func TestSilence_ThatIsMeantIsNotLogged(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 3)
		k.AppendValues("t", 1, "one")
		var log lockedLog
		c := startConsumer(t, k, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithFetchMaxWait(25*time.Second))
		require.NoError(t, c.Assign(TopicPartition{"t", 0}, TopicPartition{"t", 1}, TopicPartition{"t", 2}, TopicPartition{"t", 3}))
		require.NoError(t, c.Pause(TopicPartition{"t", 2}))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
		require.Contains(t, log.String(), "kafka: assigned partitions do not exist; waiting for them")
		stopClean(t, c)
	})
}

// So is a log that a new leader does not say about whether it was cut.
func TestSilence_OfALogThatCannotBeComparedIsLogged(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 2}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.MoveLeader("t", 0, 1)
		k.AppendValues("t", 0, "one")
		var log lockedLog
		c := startConsumer(t, k, WithTopics("t"), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		_, err := c.GetOne(t.Context())
		require.NoError(t, err)
		k.Handle(protocol.KeyOffsetForLeaderEpoch, func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.OffsetForLeaderEpochResponse)
			resp.Topics[0].Partitions[0].ErrorCode = protocol.UnknownServerError
			return fakebroker.Reply{Response: resp}
		})
		k.MoveLeader("t", 0, 2)
		time.Sleep(2 * silenceWarnAfter)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(log.String(), "kafka: a partition cannot be read"), log.String())
		require.Contains(t, log.String(), "OffsetForLeaderEpoch for t-0 at broker 2: UNKNOWN_SERVER_ERROR")

		k.Handle(protocol.KeyOffsetForLeaderEpoch, nil)
		k.AppendValues("t", 0, "two")
		m, err := c.GetOne(t.Context())
		require.NoError(t, err)
		require.Equal(t, "two", string(m.Value))
		stopClean(t, c)
	})
}

// So is a group that does not come to rest.
func TestSilence_OfAGroupIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		reply fakebroker.Reply
		says  string
	}{
		"a coordinator that loads": {
			fakebroker.Reply{Response: &protocol.JoinGroupResponse{ErrorCode: protocol.CoordinatorLoadInProgress, GenerationID: -1}},
			"JoinGroup of group billing at broker 1: COORDINATOR_LOAD_IN_PROGRESS",
		},
		"members that do not come": {fakebroker.Reply{Hang: true}, "state=joining for=30s"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 1)
				groupOfOne(k)
				var log lockedLog
				consumer := startGroup(t, groupConsumer(t, k, WithTopics("t"), WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
				defer stopClean(t, consumer)
				time.Sleep(55 * time.Second)
				k.Handle(protocol.KeyJoinGroup, func(*fakebroker.Call) fakebroker.Reply { return c.reply })
				require.NoError(t, consumer.EnforceRebalance("a test"))
				time.Sleep(silenceWarnAfter - time.Second)
				synctest.Wait()
				require.NotContains(t, log.String(), "level=WARN")
				time.Sleep(2*silenceTick + 2*time.Second)
				synctest.Wait()
				require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
				require.Contains(t, log.String(), `msg="kafka: the group does not come to rest" group=billing state=`)
				require.Contains(t, log.String(), c.says)
				time.Sleep(silenceWarnAfter)
				synctest.Wait()
				require.Equal(t, 2, strings.Count(log.String(), "level=WARN"), log.String())
			})
		})
	}
}

// lockedLog keeps what is logged.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
