//go:build kafka

package launch

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// own skips a test where KAFKA_BOOTSTRAP names the cluster that this run is about: there need not be a Java then, and it is not the
// launcher that is under test.
func own(t *testing.T) {
	t.Helper()
	if os.Getenv("KAFKA_BOOTSTRAP") != "" {
		t.Skip("starts brokers of its own; KAFKA_BOOTSTRAP names the cluster to test on")
	}
}

// start brings a cluster up and says how long that took.
func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	own(t)
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if _, err := Resolve(t.Context(), o.Version); err != nil { // a download is not part of what is timed
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	began := time.Now()
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d node(s) of Kafka %s up after %v", len(c.Nodes), c.Version, time.Since(began).Round(time.Millisecond))
	return c
}

func TestStart_OneNode(t *testing.T) { start(t, Options{}) }

func TestStart_ThreeNodesInRacks(t *testing.T) {
	c := start(t, Options{Nodes: 3, Racks: []string{"a", "b", "c"}})
	for _, n := range c.Nodes {
		ping(t, n.Addr(Plain))
	}
}

func TestStart_OlderRelease(t *testing.T) {
	c := start(t, Options{Version: "3.9.1"})
	ping(t, c.Nodes[0].Addr(Plain))
}

func TestStart_TLSAndSASLListenersAnswer(t *testing.T) {
	c := start(t, Options{})
	trust, err := c.Authority.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	node := c.Nodes[0]
	ping(t, node.Addr(TLS), kgo.DialTLSConfig(trust))
	good, bad := scram.Auth{User: User, Pass: Password}, scram.Auth{User: User, Pass: "wrong"}
	for name, mechanism := range map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: User, Pass: Password}.AsMechanism(),
		"SCRAM-SHA-256": good.AsSha256Mechanism(),
		"SCRAM-SHA-512": good.AsSha512Mechanism(),
	} {
		t.Run(name, func(t *testing.T) {
			ping(t, node.Addr(SASL), kgo.SASL(mechanism))
			ping(t, node.Addr(SASLTLS), kgo.SASL(mechanism), kgo.DialTLSConfig(trust))
		})
	}
	if err := tryPing(t, node.Addr(SASL), kgo.SASL(bad.AsSha256Mechanism())); err == nil {
		t.Error("a wrong password was let in")
	}
	if err := tryPing(t, node.Addr(SASL)); err == nil {
		t.Error("the SASL listener let a client in without credentials")
	}
}

func TestNode_ProcessIsGoneAfterKillAndStop(t *testing.T) {
	c := start(t, Options{})
	node := c.Nodes[0]
	node.Kill()
	if node.Running() {
		t.Fatal("runs after Kill")
	}
	began := time.Now()
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("back %v after a kill", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if err := node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	if node.Running() {
		t.Fatal("runs after Stop")
	}
	if err := node.Pause(); err == nil {
		t.Error("paused a node that is down")
	}
}

func TestStart_UnknownVersionIsAnErrorThatNamesIt(t *testing.T) {
	own(t)
	_, err := Start(t.Context(), Options{Version: "0.0.1", Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "0.0.1") {
		t.Errorf("got %v", err)
	}
}

func TestStart_PropertyThatKafkaRefusesIsInTheError(t *testing.T) {
	own(t)
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Properties: map[string]string{"num.io.threads": "none"}})
	if err == nil || !strings.Contains(err.Error(), "num.io.threads") {
		t.Errorf("got %v", err)
	}
}

func TestStart_BrokerThatDiesWhileStartingEndsTheWait(t *testing.T) {
	own(t)
	began := time.Now()
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), JVMFlags: []string{"-XX:+NoSuchFlag"}})
	if err == nil || !strings.Contains(err.Error(), "ended while starting") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > startTimeout/2 {
		t.Errorf("took %v to notice", took)
	}
}

func ping(t *testing.T, addr string, options ...kgo.Opt) {
	t.Helper()
	if err := tryPing(t, addr, options...); err != nil {
		t.Errorf("%s: %v", addr, err)
	}
}

func tryPing(t *testing.T, addr string, options ...kgo.Opt) error {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(addr), kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return client.Ping(ctx)
}
