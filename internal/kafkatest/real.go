package kafkatest

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// StartCluster starts a real cluster for one test. Where the test fails, the brokers' logs are kept and their place is logged. With
// KAFKA_BOOTSTRAP set the test is skipped: what it wants is a cluster of a certain make.
func StartCluster(t testing.TB, o launch.Options) *Cluster {
	t.Helper()
	if external() != "" {
		t.Skip("needs a cluster of its own; KAFKA_BOOTSTRAP names another")
	}
	c, err := startReal(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.close()
		if t.Failed() {
			t.Logf("broker logs of %s: %s", c.name, c.real.CloseKeepingLogs())
			return
		}
		if err := c.real.Close(); err != nil {
			t.Errorf("remove %s: %v", c.real.Dir, err)
		}
	})
	return c
}

// startReal starts a cluster with a proxy before each node.
func startReal(o launch.Options) (_ *Cluster, err error) {
	c := new(Cluster)
	defer func() {
		if err == nil {
			return
		}
		for _, n := range c.nodes {
			n.Proxy.close()
		}
	}()
	if o.Version == "" {
		o.Version = defaultVersion()
	}
	o.Proxied = make(map[int32]string)
	for id := int32(1); id <= int32(max(o.Nodes, 1)); id++ {
		proxy, err := startProxy("")
		if err != nil {
			return nil, err
		}
		o.Proxied[id] = proxy.Addr()
		c.nodes = append(c.nodes, &Node{ID: id, Proxy: proxy, cluster: c})
	}
	if c.real, err = launch.Start(context.Background(), o); err != nil {
		return nil, err
	}
	c.name = "kafka-" + c.real.Version
	c.bootstrap, c.dial = c.real.Addrs(launch.Plain), new(net.Dialer).DialContext
	for i, n := range c.real.Nodes {
		node := c.nodes[i]
		node.Addr, node.control = n.Addr(launch.Plain), realNode{n}
		node.Proxy.SetTarget(n.Addr(launch.Proxied))
	}
	if err := c.connect(); err != nil {
		c.real.Close()
		return nil, err
	}
	return c, nil
}

// heal brings every node of a real cluster back, for the next test.
func (c *Cluster) heal(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	healthy := true
	for _, n := range c.nodes {
		n.Proxy.Heal()
		n.paused.Store(false)
	}
	for _, n := range c.real.Nodes {
		if n.Running() {
			if err := n.Continue(); err != nil {
				t.Errorf("continue node %d: %v", n.ID, err)
			}
			continue
		}
		healthy = false
		if err := n.Launch(); err != nil {
			t.Errorf("bring back node %d: %v", n.ID, err)
		}
	}
	began := time.Now()
	if err := c.real.AwaitNodes(ctx, c.real.Nodes...); err != nil {
		t.Errorf("%s did not come back: %v", c.name, err)
	} else if !healthy {
		t.Logf("%s is whole again after %v", c.name, time.Since(began).Round(time.Millisecond))
	}
}

// external is the address list in KAFKA_BOOTSTRAP, "" for none.
func external() string { return os.Getenv("KAFKA_BOOTSTRAP") }

// defaultVersion is the release that shared clusters run: KAFKA_VERSION, or the newest.
func defaultVersion() string {
	if v := os.Getenv("KAFKA_VERSION"); v != "" {
		return v
	}
	return launch.DefaultVersion
}
