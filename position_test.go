package kafka

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// What keeps a partition from having a position is beside the end of the ctx.
func TestPosition_ThatTimesOutSaysWhatIsMissing(t *testing.T) {
	failing := func(key protocol.APIKey, answer func(resp protocol.Response)) func(k *fakebroker.Cluster) {
		return func(k *fakebroker.Cluster) {
			k.Handle(key, func(call *fakebroker.Call) fakebroker.Reply {
				resp := call.Default()
				answer(resp)
				return fakebroker.Reply{Response: resp}
			})
		}
	}
	for name, c := range map[string]struct {
		tp      TopicPartition
		opts    []ConsumerOption
		prepare func(k *fakebroker.Cluster)
		code    protocol.ErrorCode
		says    string
	}{
		"no such topic":        {tp: TopicPartition{"missing", 0}, code: protocol.UnknownTopicOrPartition, says: "Metadata for missing-0 at broker "},
		"no such partition":    {tp: TopicPartition{"t", 7}, code: protocol.UnknownTopicOrPartition, says: "create the topic, or check its name and the partition number"},
		"a group and no topic": {tp: TopicPartition{"missing", 0}, opts: []ConsumerOption{WithGroupID("g")}, code: protocol.UnknownTopicOrPartition, says: "Metadata for missing-0"},
		"no leader":            {tp: TopicPartition{"t", 0}, code: protocol.LeaderNotAvailable, says: "Metadata for t-0", prepare: func(k *fakebroker.Cluster) { k.MoveLeader("t", 0, -1) }},
		"a leader that refuses": {tp: TopicPartition{"t", 0}, code: protocol.NotLeaderOrFollower, says: "ListOffsets for t-0 at broker 1", prepare: failing(protocol.KeyListOffsets, func(resp protocol.Response) {
			resp.(*protocol.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode = protocol.NotLeaderOrFollower
		})},
		"no coordinator": {tp: TopicPartition{"t", 0}, opts: []ConsumerOption{WithGroupID("g")}, code: protocol.CoordinatorNotAvailable, says: "FindCoordinator of group g", prepare: failing(protocol.KeyFindCoordinator, func(resp protocol.Response) {
			found := resp.(*protocol.FindCoordinatorResponse)
			found.ErrorCode = protocol.CoordinatorNotAvailable
			for i := range found.Coordinators {
				found.Coordinators[i].ErrorCode = protocol.CoordinatorNotAvailable
			}
		})},
		"a coordinator that loads": {tp: TopicPartition{"t", 0}, opts: []ConsumerOption{WithGroupID("g")}, code: protocol.CoordinatorLoadInProgress, says: "OffsetFetch of group g at broker 1", prepare: failing(protocol.KeyOffsetFetch, func(resp protocol.Response) {
			fetched := resp.(*protocol.OffsetFetchResponse)
			fetched.ErrorCode = protocol.CoordinatorLoadInProgress
			for i := range fetched.Groups {
				fetched.Groups[i].ErrorCode = protocol.CoordinatorLoadInProgress
			}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
				k.CreateTopic("t", 1)
				if c.prepare != nil {
					c.prepare(k)
				}
				consumer := startConsumer(t, k, c.opts...)
				require.NoError(t, consumer.Assign(c.tp))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := consumer.Position(ctx, c.tp)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, c.code)
				require.ErrorContains(t, err, "kafka: Position of "+c.tp.String()+": ")
				require.ErrorContains(t, err, c.says)
				stopClean(t, consumer)
			})
		})
	}
}

func TestPosition_ThatTimesOutSaysThatNoBrokerAnswers(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		c := startConsumer(t, k)
		k.StopNode(1)
		require.NoError(t, c.Assign(TopicPartition{"t", 0}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.Position(ctx, TopicPartition{"t", 0})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "connection refused")
		stopClean(t, c)
	})
}

// A position that cannot be found for long, for a reason that may pass, is logged, every now and then, until it is found.
func TestPosition_LookedForInVainIsLogged(t *testing.T) {
	inBubble(t, fakebroker.Options{Nodes: 1}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 3)
		var refuses atomic.Bool
		refuses.Store(true)
		k.Handle(protocol.KeyOffsetFetch, func(call *fakebroker.Call) fakebroker.Reply {
			resp := call.Default().(*protocol.OffsetFetchResponse)
			if refuses.Load() {
				resp.ErrorCode = protocol.NotCoordinator
				for i := range resp.Groups {
					resp.Groups[i].ErrorCode = protocol.NotCoordinator
				}
			}
			return fakebroker.Reply{Response: resp}
		})
		var log lockedLog // it is read while the consumer runs
		c := startConsumer(t, k, WithGroupID("g"), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		tps := []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}}
		require.NoError(t, c.Assign(tps...))
		time.Sleep(lookupWarnAfter - time.Second)
		synctest.Wait()
		require.NotContains(t, log.String(), "level=WARN")
		time.Sleep(lookupWarnAfter + 5*time.Second) // each try is up to a second after the one before
		synctest.Wait()
		require.Equal(t, 2, strings.Count(log.String(), "level=WARN"), log.String())
		require.Contains(t, log.String(), `partitions=3 for=1m`)
		require.Contains(t, log.String(), `msg="kafka: a position is still being looked for" topic=t partition=`)
		require.Contains(t, log.String(), "OffsetFetch of group g at broker 1: NOT_COORDINATOR")

		refuses.Store(false)
		for _, tp := range tps {
			_, err := c.Position(t.Context(), tp)
			require.NoError(t, err)
		}
		time.Sleep(2 * lookupWarnAfter)
		synctest.Wait()
		require.Equal(t, 2, strings.Count(log.String(), "level=WARN"), log.String())
		stopClean(t, c)
	})
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
