package acceptance

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// Fetching from the closest replica (KIP-392) where only a fake can play the broker's part; closest_kafka_test.go has the real thing.

// racks is a fake of three nodes whose leaders send consumers with a rack to node 2, and counts the fetches of the partition there and
// elsewhere.
type racks struct {
	c               *kafkatest.Cluster
	tp              kafka.TopicPartition
	near, elsewhere atomic.Int64
	leads           atomic.Bool // the leader answers itself
}

const near = 2

func newRacks(t *testing.T) *racks {
	t.Helper()
	c := kafkatest.Fake(t, kafkatest.FakeOptions{Nodes: 3})
	r := &racks{c: c, tp: tpOf(c.NewTopic(t, kafkatest.Topic{Replicas: 3}), 0)}
	c.MoveLeader(t, r.tp.Topic, 0, 0)
	c.Fake().SetFollowers(r.tp.Topic, 0, []int32{near})
	c.Fake().ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		node, leads := c.Fake().CurrentNode(), c.Fake().PartitionInfo(r.tp.Topic, 0).Leader
		switch {
		case node == near:
			r.near.Add(1)
			return nil, nil, false
		case node != leads || req.Rack == "" || r.leads.Load():
			r.elsewhere.Add(1)
			return nil, nil, false
		}
		r.elsewhere.Add(1)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range req.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.PreferredReadReplica = p.Partition, near
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	return r
}

// reads writes messages and sees them come, each once, and how many fetches of it went where.
func (r *racks) reads(t *testing.T, consumer *kafka.Consumer, from, to int) (nearby, elsewhere int64) {
	t.Helper()
	n, e := r.near.Load(), r.elsewhere.Load()
	for i := from; i < to; i++ {
		produce(t, r.c, r.tp.Topic, 0, numbered(i, i+1)...)
		require.Equal(t, numbered(i, i+1), texts(read(t, consumer, 1)))
	}
	return r.near.Load() - n, r.elsewhere.Load() - e
}

func TestClosest_WithoutARackTheLeaderIsAsked(t *testing.T) {
	r := newRacks(t)
	consumer := start(t, r.c, kafka.WithTopics(r.tp.Topic))
	nearby, _ := r.reads(t, consumer, 0, 10)
	require.Zero(t, nearby)
}

func TestClosest_TheNamedReplicaIsAskedFromThenOn(t *testing.T) {
	r := newRacks(t)
	consumer := start(t, r.c, kafka.WithTopics(r.tp.Topic), kafka.WithRackID("near"))
	r.reads(t, consumer, 0, 2)
	nearby, elsewhere := r.reads(t, consumer, 2, 22)
	require.GreaterOrEqual(t, nearby, int64(19), "one for each; the first may have been out already")
	require.Zero(t, elsewhere)
	ends, err := consumer.EndOffsets(within(t))
	require.NoError(t, err, "offsets are asked of the leader: the replica would refuse")
	require.EqualValues(t, 22, ends[r.tp])
	require.NoError(t, consumer.SeekToBeginning(within(t)))
	consecutive(t, 0, read(t, consumer, 22))
}

// The preference holds for as long as metadata does; the leader is asked then, and says again.
func TestClosest_PreferenceAges(t *testing.T) {
	r := newRacks(t)
	consumer := start(t, r.c, kafka.WithTopics(r.tp.Topic), kafka.WithRackID("near"), kafka.WithMetadataMaxAge(200*time.Millisecond),
		kafka.WithFetchMaxWait(20*time.Millisecond))
	r.reads(t, consumer, 0, 2)
	before := r.elsewhere.Load()
	eventually(t, func() bool { return r.elsewhere.Load() > before+2 }, "the leader is not asked again")
	r.reads(t, consumer, 2, 5)
}

// What the replica cannot serve sends the partition back to its leader at once: nothing is lost, and no position reset, for it may only
// lag behind.
func TestClosest_ErrorsOfTheReplicaSendBackToTheLeader(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.OffsetOutOfRange, kerr.NotLeaderForPartition, kerr.OffsetNotAvailable, kerr.UnknownTopicOrPartition, kerr.KafkaStorageError} {
		t.Run(code.Message, func(t *testing.T) {
			r := newRacks(t)
			var book logBook
			consumer := start(t, r.c, quickRetry, kafka.WithTopics(r.tp.Topic), kafka.WithRackID("near"), kafka.WithLogger(book.logger(-4)))
			r.reads(t, consumer, 0, 3)
			refusal := r.c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Nodes: []int32{near}, Topic: r.tp.Topic, Err: code, Count: 1})
			_, elsewhere := r.reads(t, consumer, 3, 6)
			require.Equal(t, 1, refusal.Hits())
			require.Positive(t, elsewhere, "the leader is asked")
			require.Empty(t, book.matching("WARN", "reset"))
		})
	}
}

// A replica that is gone is left for the leader; one that the leader goes on to name is tried at the pace of the backoff.
func TestClosest_ReplicaThatIsGone(t *testing.T) {
	r := newRacks(t)
	consumer := start(t, r.c, kafka.WithTopics(r.tp.Topic), kafka.WithRackID("near"), kafka.WithRetryBackoff(50*time.Millisecond, 200*time.Millisecond))
	r.reads(t, consumer, 0, 3)
	r.c.Node(t, near).Kill(t)
	before := r.elsewhere.Load()
	produce(t, r.c, r.tp.Topic, 0, numbered(3, 4)...)
	nothing(t, consumer)
	eventually(t, func() bool { return r.elsewhere.Load() > before }, "the leader is not asked")
	before, began := r.elsewhere.Load(), time.Now()
	for time.Since(began) < time.Second {
		nothing(t, consumer)
	}
	require.Less(t, r.elsewhere.Load()-before, int64(30), "no hot loop between the two")
	r.leads.Store(true)
	require.Equal(t, numbered(3, 4), texts(read(t, consumer, 1)))
	r.reads(t, consumer, 4, 8)
}
