package acceptance

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A longWay is a network on which an answer takes its time to begin, and then comes as fast as any.
type longWay struct {
	net.Conn
	way *atomic.Int64 // there and back

	mu    sync.Mutex
	asked time.Time // the answer to this has not begun
}

func (c *longWay) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.asked = time.Now()
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *longWay) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	asked := c.asked
	c.asked = time.Time{}
	c.mu.Unlock()
	if !asked.IsZero() {
		time.Sleep(time.Until(asked.Add(time.Duration(c.way.Load()))))
	}
	return n, err
}

// A broker at the end of a long way is asked for more at a time, and a partition's next part before what there is of it runs out; one that
// comes near is asked for little again.
func TestReach_AFarBrokerIsAskedForMoreAtATime(t *testing.T) {
	bubble(t, kafkatest.FakeOptions{}, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		var asked atomic.Int32
		watchRequests(c, kmsg.Fetch, func(r kmsg.Request) {
			asked.Store(r.(*kmsg.FetchRequest).MaxBytes)
		})
		var way atomic.Int64
		consumer := start(t, c, kafka.WithTopics(topic), kafka.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := c.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &longWay{Conn: conn, way: &way}, nil
		}))
		readSome := func(times int) int32 {
			for range times {
				produce(t, c, topic, 0, string(make([]byte, 100<<10)))
				read(t, consumer, 1)
			}
			synctest.Wait() // the next fetch is out
			return asked.Load()
		}
		near := readSome(5)
		require.LessOrEqual(t, near, int32(3<<20))
		way.Store(int64(20 * time.Millisecond))
		require.Greater(t, readSome(5), int32(8<<20))
		way.Store(0)
		require.Equal(t, near, readSome(5))
	})
}
