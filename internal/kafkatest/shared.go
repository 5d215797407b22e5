package kafkatest

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest/launch"
)

// The clusters that outlive a test. Both are started by the first test that asks, and ended by Main.
var shared struct {
	sync.Mutex
	clusters map[int]*Cluster // by number of nodes; 0 is the external one
	failed   bool             // a test that used one has failed: keep logs
}

// Shared is a real cluster of one node for all tests of the run (or the one at KAFKA_BOOTSTRAP). Topics made through it go with their test.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	if external() != "" {
		return sharedCluster(t, 0)
	}
	return sharedCluster(t, 1)
}

// Shared3 is a real cluster of three nodes, in racks a, b and c, for all tests of the run that harm nodes one after the other:
// what a test kills or pauses is brought back after it. With KAFKA_BOOTSTRAP set the test is skipped.
func Shared3(t testing.TB) *Cluster {
	t.Helper()
	if external() != "" {
		t.Skip("kills and pauses nodes, which it cannot do to the cluster at KAFKA_BOOTSTRAP")
	}
	c := sharedCluster(t, 3)
	t.Cleanup(func() { c.heal(t) })
	return c
}

func sharedCluster(t testing.TB, nodes int) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	c := shared.clusters[nodes]
	if c == nil {
		var err error
		if c, err = startShared(nodes); err != nil {
			t.Fatal(err)
		}
		if shared.clusters == nil {
			shared.clusters = make(map[int]*Cluster)
		}
		shared.clusters[nodes] = c
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		shared.Lock()
		defer shared.Unlock()
		shared.failed = true
	})
	return c
}

func startShared(nodes int) (*Cluster, error) {
	if nodes == 0 {
		c := &Cluster{name: "external", shared: true, bootstrap: strings.Split(external(), ","), dial: new(net.Dialer).DialContext}
		return c, c.connect()
	}
	c, err := startReal(launch.Options{Nodes: nodes, Racks: []string{"a", "b", "c"}[:nodes]})
	if err != nil {
		return nil, err
	}
	c.shared = true
	return c, nil
}

// Main runs the tests of a package and ends the shared clusters: func TestMain(m *testing.M) { kafkatest.Main(m) }.
func Main(m *testing.M) {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	for _, c := range shared.clusters {
		c.close()
		if c.real == nil {
			continue
		}
		if shared.failed {
			fmt.Fprintf(os.Stderr, "broker logs of %s: %s\n", c.name, c.real.CloseKeepingLogs())
		} else if err := c.real.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "remove %s: %v\n", c.real.Dir, err)
		}
	}
	os.Exit(code)
}
