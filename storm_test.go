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

// A consumer with little memory, three brokers whose leaders move and whose connections break, and an application that
// seeks, pauses and filters as it likes: every message comes once, in order, and it never comes to a halt.
func TestStorm_EveryMessageOnceInOrder(t *testing.T) {
	const partitions, batches, perBatch = 5, 12, 20
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, fakebroker.Options{Nodes: 3, NoSessions: seed%5 == 4}, func(t *testing.T, k *fakebroker.Cluster) {
				random := rand.New(rand.NewPCG(seed, 7))
				k.CreateTopic("t", partitions)
				end := int64(0)
				produce := func() {
					for p := range int32(partitions) {
						codec := compress.Codec(random.IntN(5))
						values := make([]string, perBatch)
						for i := range values {
							values[i] = fmt.Sprint(end+int64(i), string(make([]byte, random.IntN(1500))))
						}
						k.AppendRaw("t", p, valuesBatch(end, values, withCodec(codec)))
					}
					end += perBatch
				}
				for range batches {
					produce()
				}
				opts := append(small(64<<10), WithTopics("t"), WithFetchMaxWait(100*time.Millisecond), WithMaxPollRecords(1+random.IntN(100)))
				if random.IntN(2) == 0 {
					opts = append(opts, WithMaxPartitionFetchBytes(8<<10))
				}
				c := startConsumer(t, k, opts...)

				next := make(map[TopicPartition]int64)
				check := func(got map[TopicPartition][]*Message) {
					for tp, msgs := range got {
						for _, m := range msgs {
							require.Equal(t, next[tp], m.Offset, "%v", tp)
							var n int64
							_, err := fmt.Sscan(string(m.Value), &n)
							require.NoError(t, err)
							require.Equal(t, m.Offset, n)
							next[tp]++
						}
					}
				}
				tp := func() TopicPartition { return TopicPartition{"t", random.Int32N(partitions)} }
				down := int32(0)
				for range 150 {
					switch random.IntN(12) {
					case 0:
						require.NoError(t, c.Pause(tp(), tp()))
					case 1:
						require.NoError(t, c.Resume(c.Paused()...))
					case 2:
						at := tp()
						next[at] = random.Int64N(end)
						require.NoError(t, c.Seek(at, next[at]))
					case 3:
						if n := random.Int32N(3) + 1; n != down {
							k.MoveLeader("t", random.Int32N(partitions), n)
						}
					case 4:
						k.DropConns(random.Int32N(3) + 1)
					case 5:
						if down == 0 {
							down = random.Int32N(3) + 1
							k.StopNode(down)
							for p := range int32(partitions) {
								if leader, _ := k.Leader("t", p); leader == down {
									k.MoveLeader("t", p, down%3+1)
								}
							}
						} else {
							require.NoError(t, k.StartNode(down))
							down = 0
						}
					case 6:
						k.ForgetSessions()
					case 7:
						if end < 600 {
							produce()
						}
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					opts := []GetOption{WaitFor(time.Duration(random.IntN(300)) * time.Millisecond)}
					if random.IntN(3) == 0 {
						opts = append(opts, FromPartitions(tp(), tp()))
					}
					got, err := c.GetMany(ctx, opts...)
					cancel()
					require.NoError(t, err)
					check(got)
				}

				// The storm is over: everything is read to its end.
				if down != 0 {
					require.NoError(t, k.StartNode(down))
				}
				require.NoError(t, c.Resume(c.Paused()...))
				done := func() bool {
					for p := range int32(partitions) {
						if next[TopicPartition{"t", p}] < end {
							return false
						}
					}
					return true
				}
				start := time.Now()
				for !done() {
					got, err := c.GetMany(t.Context(), WaitFor(time.Second))
					require.NoError(t, err)
					check(got)
					if time.Since(start) > time.Minute {
						require.Fail(t, "it has come to a halt", "at %v of %d:\n%s", next, end, state(c))
					}
				}
				stopClean(t, c)
			})
		})
	}
}
