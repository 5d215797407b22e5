package kafkatest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// FakeOptions describe a fake cluster. The zero value is one node, newest versions, real sockets.
type FakeOptions struct {
	Nodes    int         // default 1; ids are 0…n-1
	Version  string      // speak no newer than this release ("2.1", "2.8", "3.5"); "" is the newest kfake knows
	Proxied  bool        // a Proxy before every node; not in memory
	InMemory bool        // no sockets: for testing/synctest, where clients must use Cluster.Dial
	Options  []kfake.Opt // appended
}

// OldVersions are the releases that fakes stand in for.
var OldVersions = []string{"2.1", "2.8", "3.5"}

// Fake starts a fake cluster that ends with the test. Inside a synctest bubble it must be made in the bubble, in memory.
func Fake(t testing.TB, o FakeOptions) *Cluster {
	t.Helper()
	c, err := startFake(o)
	if err != nil {
		t.Fatalf("start a fake cluster: %v", err)
	}
	t.Cleanup(c.close)
	return c
}

func startFake(o FakeOptions) (*Cluster, error) {
	o.Nodes = max(o.Nodes, 1)
	c := &Cluster{name: "kfake"}
	options := []kfake.Opt{kfake.NumBrokers(o.Nodes), kfake.GroupMinSessionTimeout(500 * time.Millisecond)} // as the real ones are set
	if o.Version != "" {
		versions := kversion.FromString("v" + strings.TrimPrefix(o.Version, "v"))
		if versions == nil {
			return nil, fmt.Errorf("kversion knows no release %q", o.Version)
		}
		c.name += "-" + o.Version
		options = append(options, kfake.MaxVersions(versions))
	}
	listen, dial := listenFunc(net.Listen), DialFunc(new(net.Dialer).DialContext)
	if o.InMemory {
		var network kfake.VirtualNetwork
		listen, dial = network.Listen, refusing(network.DialContext)
		ports := make([]int, o.Nodes) // the virtual network has no port 0
		for i := range ports {
			ports[i] = 9092 + i
		}
		options = append(options, kfake.Ports(ports...))
	}
	c.dial = dial
	options = append(options, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		g, err := newGate(listen, network, address)
		if err != nil {
			return nil, err
		}
		node := &Node{ID: int32(len(c.nodes)), Addr: g.addr.String(), cluster: c}
		node.control = fakeNode{c, node.ID, g}
		if o.Proxied {
			if node.Proxy, err = startProxy(node.Addr); err != nil {
				g.Close()
				return nil, err
			}
			g.public = node.Proxy.listener.Addr()
		}
		c.nodes, c.bootstrap = append(c.nodes, node), append(c.bootstrap, g.public.String())
		return g, nil
	}))
	fake, err := kfake.NewCluster(append(options, o.Options...)...)
	if err != nil {
		return nil, err
	}
	c.fake, c.epochs = fake, newFakeEpochs(fake)
	if err := c.connect(); err != nil {
		fake.Close()
		return nil, err
	}
	return c, nil
}

// refusing gives the virtual network's refusals the form that real ones have, by which clients tell them from other failures.
func refusing(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil && ctx.Err() == nil {
			err = &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%w (%w)", syscall.ECONNREFUSED, err)}
		}
		return conn, err
	}
}

// fakeNode does to a fake node what signals do to a real one. The leaders a real controller would elect after the session
// timeout are moved at once.
type fakeNode struct {
	cluster *Cluster
	id      int32
	gate    *gate
}

func (n fakeNode) kill(ctx context.Context) error  { return n.leave(ctx, gateDown) }
func (n fakeNode) stop(ctx context.Context) error  { return n.leave(ctx, gateDown) }
func (n fakeNode) pause(ctx context.Context) error { return n.leave(ctx, gatePaused) }

func (n fakeNode) start(context.Context) error {
	_, err := n.gate.set(gateOpen)
	return err
}

func (n fakeNode) resume(ctx context.Context) error { return n.start(ctx) }

func (n fakeNode) running() bool {
	n.gate.mu.Lock()
	defer n.gate.mu.Unlock()
	return n.gate.state != gateDown
}

// leave puts the node out of reach and its leaderships on the others in turn, but for HoldElections.
func (n fakeNode) leave(ctx context.Context, state gateState) error {
	changed, err := n.gate.set(state)
	if err != nil || !changed || n.cluster.held.Load() {
		return err
	}
	var others []int32
	for _, other := range n.cluster.nodes {
		if other.ID != n.id && other.serving() {
			others = append(others, other.ID)
		}
	}
	if len(others) == 0 {
		return nil // nobody left to lead
	}
	response, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, n.cluster.client.Broker(int(others[0])))
	if err != nil {
		return fmt.Errorf("list topics to move leaders from node %d: %w", n.id, err)
	}
	moved := 0
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			if p.Leader != n.id || topic.Topic == nil {
				continue
			}
			if err := n.cluster.epochs.move(*topic.Topic, p.Partition, others[moved%len(others)]); err != nil {
				return err
			}
			moved++
		}
	}
	return nil
}
