package launch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Node is one broker and controller. Its methods may be called from any goroutine.
type Node struct {
	ID      int32
	LogFile string // what the broker printed, over all its starts

	cluster *Cluster
	dir     string
	config  string
	addrs   map[Listener]string

	mu      sync.Mutex // guards process
	process *process   // the running or last child; nil before the first start
}

func newNode(c *Cluster, id int32, listeners []Listener, ports []int) *Node {
	dir := filepath.Join(c.Dir, fmt.Sprintf("node-%d", id))
	n := &Node{
		ID: id, cluster: c, dir: dir,
		LogFile: filepath.Join(dir, "server.log"),
		config:  filepath.Join(dir, "server.properties"),
		addrs:   make(map[Listener]string),
	}
	for i, l := range listeners {
		n.addrs[l] = fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	return n
}

// Addr is where the node listens; "" for a listener it does not have.
func (n *Node) Addr(l Listener) string { return n.addrs[l] }

// format prepares the node's storage, and the SCRAM credentials with it (KIP-900).
func (n *Node) format(ctx context.Context, clusterID string) error {
	args := append(n.jvm(false), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.config)
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, User, Password))
	}
	if _, err := run(ctx, n.dir, n.cluster.install.Java, args...); err != nil {
		return fmt.Errorf("format storage of node %d: %w", n.ID, err)
	}
	return nil
}

// jvm gives the flags and the class path. The caller's flags are for brokers only.
func (n *Node) jvm(broker bool) []string {
	install := n.cluster.install
	flags := jvmFlags(n.cluster.Options.HeapMB)
	if install.archive != "" {
		flags = append(flags, "-XX:SharedArchiveFile="+install.archive)
	}
	if broker {
		flags = append(flags, n.cluster.Options.JVMFlags...)
	}
	return append(flags, "-cp", install.Classpath)
}

// Launch starts the broker's process, without waiting for it to serve.
func (n *Node) Launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil && n.process.running() {
		return fmt.Errorf("node %d is running", n.ID)
	}
	p, err := startProcess(n.dir, n.LogFile, n.cluster.install.Java, append(n.jvm(true), "kafka.Kafka", n.config)...)
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.ID, err)
	}
	n.process = p
	return nil
}

func (n *Node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// Running tells whether the node's process lives (a paused one does).
func (n *Node) Running() bool {
	p := n.current()
	return p != nil && p.running()
}

// Kill ends the node as kill -9 does, and waits until the process is gone. A node that is down stays down.
func (n *Node) Kill() {
	if p := n.current(); p != nil && p.running() {
		_ = p.signal(syscall.SIGKILL) // lost only to the process ending by itself
		<-p.done
	}
}

// Stop shuts the node down in good order (SIGTERM: leaders are moved away first) and waits for the process.
func (n *Node) Stop(ctx context.Context) error {
	p := n.current()
	if p == nil || !p.running() {
		return nil
	}
	if err := p.signal(syscall.SIGCONT); err != nil { // a paused process would never see the other
		return err
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.wait(ctx)
}

// Pause freezes the node (SIGSTOP), and returns when it stands still: its sockets stay open and say nothing.
func (n *Node) Pause() error { return n.do((*process).pause) }

// Continue wakes a paused node.
func (n *Node) Continue() error {
	return n.do(func(p *process) error { return p.signal(syscall.SIGCONT) })
}

func (n *Node) do(f func(*process) error) error {
	p := n.current()
	if p == nil {
		return fmt.Errorf("node %d was never started", n.ID)
	}
	return f(p)
}

// Start brings a node that is down up again on the same ports and data, and returns when the cluster counts it in.
func (n *Node) Start(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.cluster.AwaitNodes(ctx, n)
}

// Restart is Stop and Start.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Stop(ctx); err != nil {
		return err
	}
	return n.Start(ctx)
}

// LogTail gives the last lines of the node's log.
func (n *Node) LogTail(lines int) string {
	log, err := os.ReadFile(n.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(tail(log, lines))
}
