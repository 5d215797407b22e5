package kafkatest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// Node is one broker that a test may harm. On a shared cluster every node is brought back when the test ends.
type Node struct {
	ID   int32
	Addr string // its plaintext address

	// Proxy stands before the node for clients that start at Cluster.ProxyBootstrap. Fakes have one where FakeOptions.Proxied asks for it.
	Proxy *Proxy

	cluster *Cluster
	control nodeControl
	paused  atomic.Bool
}

// nodeControl is what fake and real nodes do each in their own way.
type nodeControl interface {
	kill(context.Context) error
	stop(context.Context) error
	start(context.Context) error
	pause(context.Context) error
	resume(context.Context) error
	running() bool
}

// nodeTimeout bounds a node's stop or start; a real one replays its log.
const nodeTimeout = 90 * time.Second

// Kill ends the node as kill -9 does. Leaders move when the controller misses it (launch.Options.SessionTimeout); on a fake, at once.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	n.do(t, "kill", n.control.kill)
	n.paused.Store(false)
}

// Stop shuts the node down in good order: its leaders are moved first.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	n.do(t, "stop", n.control.stop)
	n.paused.Store(false)
}

// Start brings a node that is down back on the same address, with the same data.
func (n *Node) Start(t testing.TB) { t.Helper(); n.do(t, "start", n.control.start) }

// Restart is Stop, then Start.
func (n *Node) Restart(t testing.TB) { t.Helper(); n.Stop(t); n.Start(t) }

// Pause freezes the node as SIGSTOP does: its connections stay and say nothing.
func (n *Node) Pause(t testing.TB) {
	t.Helper()
	n.paused.Store(true)
	n.do(t, "pause", n.control.pause)
}

// Continue wakes a paused node.
func (n *Node) Continue(t testing.TB) {
	t.Helper()
	n.do(t, "continue", n.control.resume)
	n.paused.Store(false)
}

// serving tells whether requests to the node can be expected to be answered.
func (n *Node) serving() bool { return n.control.running() && !n.paused.Load() }

// Running tells whether the node's process lives; a paused one does.
func (n *Node) Running() bool { return n.control.running() }

func (n *Node) do(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("%s node %d of %s: %v", what, n.ID, n.cluster.name, err)
	}
}

// realNode signals a broker's process.
type realNode struct{ *launch.Node }

func (n realNode) kill(context.Context) error      { n.Node.Kill(); return nil }
func (n realNode) stop(ctx context.Context) error  { return n.Node.Stop(ctx) }
func (n realNode) start(ctx context.Context) error { return n.Node.Start(ctx) }
func (n realNode) pause(context.Context) error     { return n.Node.Pause() }
func (n realNode) resume(context.Context) error    { return n.Node.Continue() }
func (n realNode) running() bool                   { return n.Node.Running() }
