package launch

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds a start when the caller's context does not.
const startTimeout = 2 * time.Minute

// Cluster is a running Kafka cluster on loopback. Its nodes have the ids 1…n.
type Cluster struct {
	Version   string
	Nodes     []*Node
	Authority *Authority // signed the TLS listeners' certificates
	Dir       string     // everything of the cluster: logs, data, configuration
	Options   Options    // as started, defaults filled in

	install *Install
}

// Start brings a cluster up and returns once every node is in the metadata. What it started is gone again when it fails, but for
// the log files, whose place the error names.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, 5*startTimeout) // the first use of a version downloads it
	defer cancel()
	install, err := Resolve(ctx, o.Version)
	if err != nil {
		return nil, err
	}
	return startInstalled(ctx, install, o)
}

// startInstalled tries again with other ports where another process took one of ours between our look and the broker's.
func startInstalled(ctx context.Context, install *Install, o Options) (*Cluster, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	const attempts = 3
	for attempt := 1; ; attempt++ {
		c, err := newCluster(install, o)
		if err != nil {
			return nil, err
		}
		if err = c.start(ctx); err == nil {
			return c, nil
		}
		c.Kill()
		if attempt < attempts && c.portTaken() {
			os.RemoveAll(c.Dir)
			continue
		}
		return nil, fmt.Errorf("start Kafka %s with %d nodes (logs in %s): %w", o.Version, o.Nodes, c.CloseKeepingLogs(), err)
	}
}

// newCluster lays out the folders and configuration of a cluster.
func newCluster(install *Install, o Options) (*Cluster, error) {
	sweep(o.Dir)
	dir, err := os.MkdirTemp(o.Dir, fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	c := &Cluster{Version: o.Version, Dir: dir, Options: o, install: install}
	if c.Authority, err = NewAuthority(); err != nil {
		return nil, err
	}
	keystore, truststore, err := c.Authority.writeStores(dir)
	if err != nil {
		return nil, err
	}
	listeners := o.listeners()
	ports, err := freePorts(o.Nodes * len(listeners))
	if err != nil {
		return nil, err
	}
	var voters []string
	for i := range o.Nodes {
		n := newNode(c, int32(i+1), listeners, ports[i*len(listeners):])
		c.Nodes = append(c.Nodes, n)
		voters = append(voters, fmt.Sprintf("%d@%s", n.ID, n.addrs[controller]))
	}
	for _, n := range c.Nodes {
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return nil, err
		}
		if err := writeProperties(n.config, properties(o, n, strings.Join(voters, ","), keystore, truststore)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// start formats and starts all nodes at once: a quorum needs them together.
func (c *Cluster) start(ctx context.Context) error {
	id := make([]byte, 16)
	rand.Read(id)
	clusterID := base64.RawURLEncoding.EncodeToString(id)
	if strings.HasPrefix(clusterID, "-") { // would look like a flag
		clusterID = "k" + clusterID[1:]
	}
	if err := c.each(func(n *Node) error { return n.format(ctx, clusterID) }); err != nil {
		return err
	}
	if err := c.each(func(n *Node) error { return n.Launch() }); err != nil {
		return err
	}
	return c.AwaitNodes(ctx, c.Nodes...)
}

// each runs f for all nodes at the same time.
func (c *Cluster) each(f func(*Node) error) error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = f(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Node finds a node by its id; nil when there is none.
func (c *Cluster) Node(id int32) *Node {
	for _, n := range c.Nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// Addrs are the addresses of all nodes at a listener.
func (c *Cluster) Addrs(l Listener) []string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr(l))
	}
	return addrs
}

// Kill ends all nodes at once, as a power cut would, and waits for their processes.
func (c *Cluster) Kill() {
	for _, n := range c.Nodes {
		n.Kill()
	}
}

// Close kills all nodes and removes everything the cluster wrote.
func (c *Cluster) Close() error {
	c.Kill()
	return os.RemoveAll(c.Dir)
}

// CloseKeepingLogs kills all nodes and removes their data, but not their logs and configuration; it returns the folder that holds them.
func (c *Cluster) CloseKeepingLogs() string {
	c.Kill()
	for _, n := range c.Nodes {
		os.RemoveAll(filepath.Join(n.dir, "data"))
	}
	kept := filepath.Join(filepath.Dir(c.Dir), strings.Replace(filepath.Base(c.Dir), dirPrefix, dirPrefix+"logs-", 1))
	if err := os.Rename(c.Dir, kept); err != nil {
		return c.Dir
	}
	return kept
}

// dirPrefix begins the name of a cluster's folder; the id of the process that owns it follows.
const dirPrefix = "kafkatest-"

// sweep removes the folders of processes that were killed before they could do it. Kept logs have another form of name, and stay.
func sweep(dir string) {
	if dir == "" {
		dir = os.TempDir()
	}
	folders, err := filepath.Glob(filepath.Join(dir, dirPrefix+"*-*"))
	if err != nil {
		return // only for a malformed pattern
	}
	for _, folder := range folders {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), dirPrefix), "-")
		if pid, err := strconv.Atoi(owner); err == nil && !alive(pid) {
			os.RemoveAll(folder)
		}
	}
}

// alive tells whether a process exists, be it another user's.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// portTaken tells from the logs whether a node died because a port of its was in use.
func (c *Cluster) portTaken() bool {
	for _, n := range c.Nodes {
		log, err := os.ReadFile(n.LogFile)
		if err == nil && strings.Contains(string(log), "Address already in use") {
			return true
		}
	}
	return false
}
