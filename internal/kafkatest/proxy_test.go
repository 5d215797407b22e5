package kafkatest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// echo serves connections that get back what they send.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func roundTrip(conn net.Conn, data []byte, within time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := conn.Write(data); err != nil {
		return err
	}
	back := make([]byte, len(data))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return errors.New("other bytes came back")
	}
	return nil
}

func TestProxy_PassesBytesOnWholeAndInPieces(t *testing.T) {
	p := kafkatest.NewProxy(t, echo(t))
	conn := dial(t, p.Addr())
	data := bytes.Repeat([]byte("0123456789"), 5000)
	for _, chunk := range []int{0, 1000, 1} {
		p.Split(chunk)
		if err := roundTrip(conn, data[:min(len(data), 1+chunk*50+50)], 20*time.Second); err != nil {
			t.Errorf("in pieces of %d: %v", chunk, err)
		}
	}
}

func TestProxy_SilenceHoldsDataUntilLifted(t *testing.T) {
	for name, ways := range map[string]kafkatest.Direction{
		"to broker": kafkatest.ToBroker, "to client": kafkatest.ToClient, "both": kafkatest.BothWays,
	} {
		t.Run(name, func(t *testing.T) {
			p := kafkatest.NewProxy(t, echo(t))
			conn := dial(t, p.Addr())
			p.Silence(ways)
			if err := roundTrip(conn, []byte("x"), 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("during silence: %v", err)
			}
			p.Silence(0)
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

func TestProxy_DelayDropAndRefuse(t *testing.T) {
	p := kafkatest.NewProxy(t, echo(t))
	conn := dial(t, p.Addr())
	p.Delay(50 * time.Millisecond)
	began := time.Now()
	if err := roundTrip(conn, []byte("x"), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("two delays of 50 ms took %v", took)
	}
	p.Heal()
	p.Drop()
	if err := roundTrip(conn, []byte("x"), 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after Drop: %v", err)
	}
	p.Refuse(true)
	refused, err := net.Dial("tcp", p.Addr())
	if err == nil {
		err = roundTrip(refused, []byte("x"), 10*time.Second)
		refused.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("while refusing: %v", err)
	}
	p.Refuse(false)
	if err := roundTrip(dial(t, p.Addr()), []byte("x"), 10*time.Second); err != nil {
		t.Errorf("after refusing: %v", err)
	}
}

// Brokers advertise their proxies, so a client that starts there stays behind them.
func TestProxy_BrokersAdvertiseTheirProxies(t *testing.T) {
	kafkatest.Each3(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		leader := c.Node(t, c.Leader(t, topic, 0))
		client, err := kgo.NewClient(kgo.SeedBrokers(c.ProxyBootstrap(t)...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.ProduceSync(t.Context(), kgo.StringRecord("one")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if leader.Proxy.Conns() == 0 {
			t.Errorf("produced to node %d, but not through its proxy", leader.ID)
		}
		leader.Proxy.Silence(kafkatest.BothWays)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		client.Produce(t.Context(), kgo.StringRecord("two"), func(_ *kgo.Record, err error) { done <- err })
		select {
		case err := <-done:
			t.Errorf("produced through a silent proxy: %v", err)
		case <-ctx.Done():
		}
		leader.Proxy.Silence(0)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
