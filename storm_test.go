package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

const (
	stormPartitions = 5
	stormPerBatch   = 20
	stormMost       = 600 // messages of a partition, after which nothing more is written
)

// A storm is a cluster that is shaken, and what has been read of it.
type storm struct {
	t      *testing.T
	random *rand.Rand
	k      *fakebroker.Cluster
	c      *Consumer
	end    int64                    // of every partition
	next   map[TopicPartition]int64 // the offset that has to come next
	down   int32                    // the node that is stopped, 0 for none
}

// A consumer with little memory, three brokers whose leaders move and whose connections break, and an application that
// seeks, pauses and filters as it likes: every message comes once, in order, and it never comes to a halt.
func TestStorm_EveryMessageOnceInOrder(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 3, NoSessions: seed%5 == 4}, func(t *testing.T, k *fakebroker.Cluster) {
				s := &storm{t: t, random: rand.New(rand.NewPCG(seed, 7)), k: k, next: make(map[TopicPartition]int64)}
				k.CreateTopic("t", stormPartitions)
				for range 12 {
					s.produce()
				}
				opts := append(small(64<<10), WithTopics("t"), WithFetchMaxWait(100*time.Millisecond), WithMaxPollRecords(1+s.random.IntN(100)))
				if s.random.IntN(2) == 0 {
					opts = append(opts, WithMaxPartitionFetchBytes(8<<10))
				}
				s.c = startConsumer(t, k, opts...)
				for range 150 {
					s.shake()
					s.poll()
				}
				s.calm()
				stopClean(t, s.c)
			})
		})
	}
}

// produce writes a batch to every partition.
func (s *storm) produce() {
	for p := range int32(stormPartitions) {
		codec := compress.Codec(s.random.IntN(5))
		values := make([]string, stormPerBatch)
		for i := range values {
			values[i] = fmt.Sprint(s.end+int64(i), string(make([]byte, s.random.IntN(1500))))
		}
		s.k.AppendRaw("t", p, valuesBatch(s.end, values, withCodec(codec)))
	}
	s.end += stormPerBatch
}

// tp is any partition, node any node.
func (s *storm) tp() TopicPartition { return TopicPartition{"t", s.random.Int32N(stormPartitions)} }
func (s *storm) node() int32        { return s.random.Int32N(3) + 1 }

// shake does something to the cluster, or what an application may do; at times nothing.
func (s *storm) shake() {
	switch s.random.IntN(12) {
	case 0:
		require.NoError(s.t, s.c.Pause(s.tp(), s.tp()))
	case 1:
		require.NoError(s.t, s.c.Resume(s.c.Paused()...))
	case 2:
		at := s.tp()
		s.next[at] = s.random.Int64N(s.end)
		require.NoError(s.t, s.c.Seek(at, s.next[at]))
	case 3:
		if n := s.node(); n != s.down {
			s.k.MoveLeader("t", s.random.Int32N(stormPartitions), n)
		}
	case 4:
		s.k.DropConns(s.node())
	case 5:
		s.bounce()
	case 6:
		s.k.ForgetSessions()
	case 7:
		if s.end < stormMost {
			s.produce()
		}
	}
}

// bounce stops a node, whose leaderships go to another, or starts the one that is down.
func (s *storm) bounce() {
	if s.down != 0 {
		require.NoError(s.t, s.k.StartNode(s.down))
		s.down = 0
		return
	}
	s.down = s.node()
	s.k.StopNode(s.down)
	for p := range int32(stormPartitions) {
		if leader, _ := s.k.Leader("t", p); leader == s.down {
			s.k.MoveLeader("t", p, s.down%3+1)
		}
	}
}

// poll takes what there is, at times of two partitions only.
func (s *storm) poll() {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	opts := []GetOption{WaitFor(time.Duration(s.random.IntN(300)) * time.Millisecond)}
	if s.random.IntN(3) == 0 {
		opts = append(opts, FromPartitions(s.tp(), s.tp()))
	}
	got, err := s.c.GetMany(ctx, opts...)
	require.NoError(s.t, err)
	s.check(got)
}

// check sees that every message is the one that had to come next.
func (s *storm) check(got map[TopicPartition][]*Message) {
	for tp, msgs := range got {
		for _, m := range msgs {
			require.Equal(s.t, s.next[tp], m.Offset, "%v", tp)
			var n int64
			_, err := fmt.Sscan(string(m.Value), &n)
			require.NoError(s.t, err)
			require.Equal(s.t, m.Offset, n)
			s.next[tp]++
		}
	}
}

// calm ends the storm and reads everything to its end.
func (s *storm) calm() {
	if s.down != 0 {
		require.NoError(s.t, s.k.StartNode(s.down))
	}
	require.NoError(s.t, s.c.Resume(s.c.Paused()...))
	start := time.Now()
	for !s.done() {
		got, err := s.c.GetMany(s.t.Context(), WaitFor(time.Second))
		require.NoError(s.t, err)
		s.check(got)
		if time.Since(start) > time.Minute {
			require.Fail(s.t, "it has come to a halt", "at %v of %d:\n%s", s.next, s.end, state(s.c))
		}
	}
}

func (s *storm) done() bool {
	for p := range int32(stormPartitions) {
		if s.next[TopicPartition{"t", p}] < s.end {
			return false
		}
	}
	return true
}
