package acceptance

import (
	"context"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// refusing gives an address on loopback that nobody listens at.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	return addr
}

// serving listens on loopback and gives every connection to handle.
func serving(t *testing.T, handle func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func startError(t *testing.T, ctx context.Context, opts ...kafka.ConsumerOption) (*kafka.Consumer, error) {
	t.Helper()
	leavesNothing(t)
	consumer, err := kafka.NewConsumer(append([]kafka.ConsumerOption{kafka.WithLogger(testLogger())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, consumer.Close()) })
	err = consumer.Start(ctx)
	require.Error(t, err)
	return consumer, err
}

// aiokafka tries each address once and gives up; here they are tried until ctx ends, one WARN names them within a second, and so
// does the error.
func TestStart_RefusedAddressesAreTriedUntilTheContextEndsAndNamed(t *testing.T) {
	leavesNothing(t)
	one, two := refusing(t), refusing(t)
	var book logBook
	began := time.Now()
	_, err := startError(t, until(t, 1500*time.Millisecond), kafka.WithBootstrapServers(one, two), kafka.WithLogger(book.logger(slog.LevelWarn)))
	took := time.Since(began)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorContains(t, err, one)
	require.ErrorContains(t, err, two)
	require.ErrorContains(t, err, "refused")
	require.GreaterOrEqual(t, took, 1400*time.Millisecond, "it goes on trying")
	require.Less(t, took, soon)
	book.has(t, 1, "WARN", one, two)
	book.has(t, 1, "")
}

func TestStart_SucceedsOnceABrokerComesUp(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		leavesNothing(t)
		proxy := c.Nodes()[0].Proxy
		proxy.Refuse(true)
		consumer := newConsumer(t, c, kafka.WithBootstrapServers(proxy.Addr()), kafka.WithTopics(topic))
		t.Cleanup(func() { require.NoError(t, consumer.Close()) })
		starting := inBackground(func() error { return consumer.Start(within(t)) })
		blocked(t, starting)
		require.ErrorIs(t, consumer.Start(within(t)), kafka.ErrIllegalState, "while another Start runs")
		proxy.Refuse(false)
		require.NoError(t, ended(t, starting).err)
		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
	})
}

func TestStart_OneGoodAddressAmongBadOnesIsEnough(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		silent := serving(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		bad := []string{refusing(t), silent, serving(t, func(conn net.Conn) {}), refusing(t), silent}
		began := time.Now()
		consumer := start(t, c, kafka.WithBootstrapServers(append(bad, c.Bootstrap()...)...), kafka.WithTopics(topic))
		require.Less(t, time.Since(began), 5*time.Second, "addresses that say nothing are not waited for")
		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
	})
}

func TestStart_NotKafkaAtThePortFailsAtOnce(t *testing.T) {
	for name, reply := range map[string]string{
		"HTTP": "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"TLS":  "\x15\x03\x01\x00\x02\x02\x46", // alert: protocol version
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t)
			addr := serving(t, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = io.WriteString(conn, reply)
			})
			began := time.Now()
			_, err := startError(t, within(t), kafka.WithBootstrapServers(addr))
			require.Less(t, time.Since(began), soon)
			require.ErrorContains(t, err, addr)
			require.ErrorContains(t, err, name)
		})
	}
}

func TestStart_MayBeCalledAgainAfterAFailure(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 2})
		produce(t, c, topic, 0, "a")
		leavesNothing(t)
		for _, n := range c.Nodes() {
			n.Proxy.Silence(kafkatest.BothWays)
		}
		consumer := newConsumer(t, c, kafka.WithBootstrapServers(c.ProxyBootstrap(t)...), kafka.WithTopics(topic))
		t.Cleanup(func() { require.NoError(t, consumer.Close()) })
		for range 2 {
			began := time.Now()
			err := consumer.Start(until(t, 300*time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, c.Nodes()[0].Proxy.Addr())
			require.Less(t, time.Since(began), soon, "hung brokers do not hold it")
			_, err = consumer.GetOne(within(t))
			require.ErrorIs(t, err, kafka.ErrNotStarted)
		}
		for _, n := range c.Nodes() {
			n.Proxy.Heal()
		}
		require.NoError(t, consumer.Start(within(t)))
		require.Len(t, consumer.Assignment(), 2)
		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
	})
}

func TestStart_StopDuringStartEndsIt(t *testing.T) {
	leavesNothing(t)
	silent := serving(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers(silent), kafka.WithLogger(testLogger()))
	require.NoError(t, err)
	starting := inBackground(func() error { return consumer.Start(within(t)) })
	blocked(t, starting)
	require.NoError(t, consumer.Stop(within(t)))
	r := ended(t, starting)
	require.ErrorIs(t, r.err, kafka.ErrConsumerStopped)
	require.Less(t, r.took, 5*time.Second)
}

func TestStart_ReturnsWithTheAssignment(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
		consumer := start(t, c, kafka.WithTopics(topic))
		require.Equal(t, []kafka.TopicPartition{tpOf(topic, 0), tpOf(topic, 1), tpOf(topic, 2)}, consumer.Assignment())
		require.Equal(t, []string{topic}, consumer.Subscription())
	})
}
