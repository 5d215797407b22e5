package kafka

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/compress"
	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

// headroomBlocks counts the blocks that are there.
func headroomBlocks() (n int) {
	headroom.mu.Lock()
	defer headroom.mu.Unlock()
	for i := range headroom.blocks {
		if headroom.blocks[i].Cap() > 0 {
			n++
		}
	}
	return n
}

func headroomIsThere() bool { return headroomBlocks() > 0 }

// There is one headroom for all consumers that read fast.
func TestHeadroom_IsThereWhileAConsumerReadsFast(t *testing.T) {
	var one, two flow
	now := time.Unix(100, 0)
	read := func(f *flow, n int64, after time.Duration) {
		now = now.Add(after)
		f.add(n, 0, 2*headroomBytes, now, false)
	}
	read(&one, 1000, 0)
	require.False(t, headroomIsThere())
	for range 4 {
		read(&one, fastFlow/4, 300*time.Millisecond)
	}
	require.False(t, headroomIsThere(), "so much in more than a second")
	read(&one, fastFlow/2, 300*time.Millisecond)
	read(&one, fastFlow/2, 300*time.Millisecond)
	require.True(t, headroomIsThere(), "at once, with so much in a second")
	read(&two, fastFlow, 0)
	read(&one, 0, time.Second) // its second was a fast one
	read(&one, 0, time.Second)
	require.True(t, headroomIsThere(), "the other one has it")
	two.end()
	require.False(t, headroomIsThere())
	read(&one, fastFlow, time.Second)
	require.True(t, headroomIsThere())
	one.add(fastFlow, fastFlow, 2*headroomBytes, now, true)
	require.False(t, headroomIsThere(), "a Batches loop leaves no garbage")
	read(&one, fastFlow, time.Second)
	require.True(t, headroomIsThere())
	one.end()
	require.False(t, headroomIsThere())
	read(&one, fastFlow, time.Second)
	require.False(t, headroomIsThere(), "a fetch that lands after the end")
}

// What is not compressed is worth twice as much of it.
func TestHeadroom_IsLargerForWhatIsNotCompressed(t *testing.T) {
	var plain, compressed flow
	now := time.Unix(100, 0)
	compressed.add(fastFlow, 0, 2*headroomBytes-1, now, false)
	require.Zero(t, headroomBlocks(), "little is buffered")
	compressed.add(0, 0, 2*headroomBytes, now, false)
	require.Equal(t, 1, headroomBlocks())
	compressed.add(0, 0, 0, now, false)
	require.Equal(t, 1, headroomBlocks(), "much was buffered in this second")
	plain.add(fastFlow, fastFlow-1, 0, now, false)
	require.Equal(t, 1, headroomBlocks())
	plain.add(fastFlow, 1, 0, now, false)
	require.Equal(t, 2, headroomBlocks())
	now = now.Add(time.Second)
	plain.add(0, 0, 0, now, false)
	plain.add(fastFlow, fastFlow/2, 2*headroomBytes, now, false)
	require.Equal(t, 2, headroomBlocks(), "it was fast in the last second")
	now = now.Add(time.Second)
	plain.add(0, 0, 0, now, false)
	require.Equal(t, 1, headroomBlocks(), "most of what it has read in this one was compressed")
	compressed.end()
	require.Equal(t, 1, headroomBlocks())
	plain.end()
	require.Zero(t, headroomBlocks())
}

// A consumer that has next to nothing to read has none, and one that has read much leaves none behind.
func TestHeadroom_OfAConsumer(t *testing.T) {
	noise := make([]byte, fastFlow/4) // what does not get smaller
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, test := range []struct {
		codec      compress.Codec
		partitions int
		blocks     int
	}{{compress.None, 1, 2}, {compress.LZ4, 1, 0}, {compress.LZ4, 12, 1}} {
		inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
			k.CreateTopic("t", test.partitions)
			c := startConsumer(t, k, WithTopics("t"))
			got, err := c.GetMany(t.Context(), WaitFor(10*time.Second))
			require.NoError(t, err)
			require.Empty(t, got)
			require.False(t, headroomIsThere())
			require.NoError(t, c.Pause(c.Assignment()...)) // so that a fetch brings all there is
			for i := range 12 {
				k.AppendRaw("t", int32(i%test.partitions), valuesBatch(int64(i/test.partitions), []string{string(noise)}, withCodec(test.codec)))
			}
			require.NoError(t, c.Resume(c.Assignment()...))
			synctest.Wait()
			for range 12 {
				_, err := c.GetOne(t.Context())
				require.NoError(t, err)
			}
			require.Equal(t, test.blocks, headroomBlocks(), test)
			require.NoError(t, c.Stop(t.Context()))
			require.False(t, headroomIsThere())
		})
	}
}

func TestHeadroom_AfterAStartThatFailed(t *testing.T) {
	inBubble(t, fakebroker.Options{}, func(t *testing.T, k *fakebroker.Cluster) {
		k.CreateTopic("t", 1)
		k.AppendRaw("t", 0, big(0, fastFlow))
		hangs := make(chan struct{})
		listener := RebalanceFuncs{Assigned: func(context.Context, *Consumer, []TopicPartition) error {
			<-hangs
			return nil
		}}
		c, err := NewConsumer(WithTopics("t"), WithRebalanceListener(listener), WithBootstrapServers(k.Addrs()...), WithDialer(k.Dial), WithLogger(nil), WithAutoOffsetReset(ResetEarliest))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Start(ctx), context.DeadlineExceeded)
		require.False(t, headroomIsThere())

		close(hangs)
		require.NoError(t, c.Start(t.Context()))
		receive(t, c, 1)
		synctest.Wait() // the fetch that brought it has landed
		require.True(t, headroomIsThere())
		stopClean(t, c)
		require.False(t, headroomIsThere())
	})
}
