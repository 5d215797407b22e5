package kafkatest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// opTimeout bounds every single thing the harness itself asks of a cluster.
const opTimeout = 30 * time.Second

// Cluster is a Kafka cluster under test.
type Cluster struct {
	name      string
	bootstrap []string
	nodes     []*Node
	dial      DialFunc
	client    *kgo.Client
	admin     *kadm.Client
	shared    bool // outlives the test: topics are removed after use

	fake   *kfake.Cluster  // nil unless fake
	epochs *fakeEpochs     // nil unless fake
	held   atomic.Bool     // a fake elects nobody by itself
	real   *launch.Cluster // nil unless real
}

// DialFunc is how clients reach a cluster: the form of net.Dialer.DialContext.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// connect completes a cluster with the harness's own client.
func (c *Cluster) connect() (err error) {
	if c.client, err = kgo.NewClient(c.ClientOptions(kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RequestRetries(20), kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }))...); err != nil {
		return err
	}
	c.admin = kadm.NewClient(c.client)
	return nil
}

// Name says what kind of cluster this is: "kfake", "kfake-2.8", "kafka-4.3.1", "external".
func (c *Cluster) Name() string { return c.name }

// Bootstrap is where clients start: the plaintext addresses of all nodes.
func (c *Cluster) Bootstrap() []string { return append([]string(nil), c.bootstrap...) }

// ProxyBootstrap is where clients start whose connections are to go through the nodes' proxies.
func (c *Cluster) ProxyBootstrap(t testing.TB) []string {
	t.Helper()
	var addrs []string
	for _, n := range c.nodes {
		if n.Proxy != nil {
			addrs = append(addrs, n.Proxy.Addr())
		}
	}
	if len(addrs) == 0 {
		t.Fatalf("%s has no proxies", c.name)
	}
	return addrs
}

// Dial reaches the cluster's addresses. A client of an in-memory cluster must use it; for others it is a plain dialer.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, network, addr)
}

// Nodes are the brokers, in order of id; none for an external cluster.
func (c *Cluster) Nodes() []*Node { return append([]*Node(nil), c.nodes...) }

// Node finds a broker by id.
func (c *Cluster) Node(t testing.TB, id int32) *Node {
	t.Helper()
	for _, n := range c.nodes {
		if n.ID == id {
			return n
		}
	}
	t.Fatalf("%s has no node %d that the test could control", c.name, id)
	return nil
}

// Fake is the fake broker behind the cluster, for faults that only it can inject; nil for other kinds.
func (c *Cluster) Fake() *kfake.Cluster { return c.fake }

// Real is the real broker's processes, for what only they have (TLS and SASL listeners, logs); nil for other kinds.
func (c *Cluster) Real() *launch.Cluster { return c.real }

// Client is a franz-go client of the harness; tests must not close it.
func (c *Cluster) Client() *kgo.Client { return c.client }

// Admin is an administration client of the harness; tests must not close it.
func (c *Cluster) Admin() *kadm.Client { return c.admin }

// ClientOptions are what a franz-go client needs to reach the cluster, with more appended.
func (c *Cluster) ClientOptions(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(c.bootstrap...),
		kgo.Dialer(c.ownDial),
	}, more...)
}

// ownDial dials for the harness's own clients: past the proxies, and with sockets that the leak check leaves out.
func (c *Cluster) ownDial(ctx context.Context, network, addr string) (net.Conn, error) {
	for _, n := range c.nodes {
		if n.Proxy != nil && n.Proxy.Addr() == addr {
			addr = n.Addr
		}
	}
	conn, err := c.dial(ctx, network, addr)
	if err == nil {
		ownSockets.add(conn)
	}
	return conn, err
}

// HoldElections makes a fake leave leaderships with nodes that are killed or paused from here on, as a real cluster does until it
// misses them. The test's MoveLeader is the election then.
func (c *Cluster) HoldElections() { c.held.Store(true) }

func (c *Cluster) close() {
	c.admin.Close() // closes client
	if c.fake != nil {
		c.fake.Close()
	}
	for _, n := range c.nodes {
		if n.Proxy != nil {
			n.Proxy.close()
		}
	}
}

var topicCount atomic.Int64

// TopicName gives a name no other test of this or another run uses, after the test's own.
func TopicName(t testing.TB) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		case r == '/':
			return '.'
		default: // '_' too: Kafka warns of names that mix '_' and '.'
			return '-'
		}
	}, t.Name())
	if len(clean) > 150 {
		clean = clean[:150]
	}
	return fmt.Sprintf("%s.%x.%d", clean, time.Now().UnixNano()&0xffffffffff, topicCount.Add(1))
}
