package launch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Listener names one of the doors of a node.
type Listener string

// The listeners of every node. Proxied exists where Options.Proxied names addresses for it.
const (
	Plain   Listener = "CLIENT"  // PLAINTEXT
	TLS     Listener = "TLS"     // SSL; a client certificate is asked for, not required
	SASL    Listener = "SASL"    // SASL_PLAINTEXT: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	SASLTLS Listener = "SASLTLS" // SASL_SSL, same mechanisms
	Proxied Listener = "PROXIED" // PLAINTEXT, advertised at an address given by the caller

	internal   Listener = "INTERNAL"   // between brokers, so that faults put in front of clients spare replication
	controller Listener = "CONTROLLER" // the KRaft quorum
)

var protocols = map[Listener]string{
	Plain: "PLAINTEXT", TLS: "SSL", SASL: "SASL_PLAINTEXT", SASLTLS: "SASL_SSL", Proxied: "PLAINTEXT",
	internal: "PLAINTEXT", controller: "PLAINTEXT",
}

// The one user that the SASL listeners know.
const (
	User     = "alice"
	Password = "alice-secret"
)

// Options describe a cluster. The zero value is one node of the default version.
type Options struct {
	Version string   // default DefaultVersion
	Nodes   int      // default 1
	Racks   []string // rack of each node, in order of id; shorter lists leave the rest without one
	Dir     string   // where the cluster's folder is made; default the system's temporary folder
	HeapMB  int      // most heap of each node; default 384

	// SessionTimeout is how long a node may be silent before the controller elects other leaders (broker.session.timeout.ms);
	// default 3 s. It decides how long a kill -9 is felt.
	SessionTimeout time.Duration

	Properties map[string]string // server properties of every node, over the defaults
	JVMFlags   []string          // appended to the defaults

	// Proxied maps node ids (1…n) to the host:port that stands before the node's Proxied listener and is advertised for it.
	Proxied map[int32]string
}

// DefaultVersion is the newest release line that the tests run against.
const DefaultVersion = "4.3.1"

func (o Options) withDefaults() Options {
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if o.Nodes <= 0 {
		o.Nodes = 1
	}
	if o.HeapMB <= 0 {
		o.HeapMB = 384
	}
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = 3 * time.Second
	}
	return o
}

// listeners lists what a node listens on, in a fixed order.
func (o Options) listeners() []Listener {
	all := []Listener{Plain, TLS, SASL, SASLTLS, internal, controller}
	if len(o.Proxied) > 0 {
		all = append(all, Proxied)
	}
	return all
}

// properties are the server properties of one node: everything is small, and everything that makes tests wait is short.
func properties(o Options, n *Node, voters, keystore, truststore string) map[string]string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	replicas := strconv.Itoa(min(o.Nodes, 3))
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(int(n.ID)),
		"controller.quorum.voters":       voters,
		"controller.listener.names":      string(controller),
		"inter.broker.listener.name":     string(internal),
		"log.dirs":                       filepath.Join(n.dir, "data"),
		"auto.create.topics.enable":      "false",
		"unclean.leader.election.enable": "false",

		// Quick failover.
		"broker.session.timeout.ms":                                   ms(o.SessionTimeout),
		"broker.heartbeat.interval.ms":                                ms(min(o.SessionTimeout/6, time.Second)),
		"controller.quorum.election.timeout.ms":                       "500",
		"controller.quorum.fetch.timeout.ms":                          "1000",
		"controller.quorum.request.timeout.ms":                        "1000",
		"controller.quorum.election.backoff.max.ms":                   "200",
		"replica.lag.time.max.ms":                                     ms(max(o.SessionTimeout, 2*time.Second)),
		"replica.fetch.wait.max.ms":                                   "200",
		"replica.fetch.backoff.ms":                                    "100",
		"leader.imbalance.check.interval.seconds":                     "3600",
		"controlled.shutdown.enable":                                  "true",
		"initial.broker.registration.timeout.ms":                      "30000",
		"transaction.max.timeout.ms":                                  "900000",
		"transaction.state.log.num.partitions":                        "4",
		"transaction.state.log.replication.factor":                    replicas,
		"transaction.state.log.min.isr":                               "1",
		"share.coordinator.state.topic.num.partitions":                "2",
		"share.coordinator.state.topic.replication.factor":            replicas,
		"share.coordinator.state.topic.min.isr":                       "1",
		"offsets.topic.num.partitions":                                "4",
		"offsets.topic.replication.factor":                            replicas,
		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "500",
		"group.consumer.min.session.timeout.ms":                       "500",
		"group.consumer.min.heartbeat.interval.ms":                    "100",
		"log.initial.task.delay.ms":                                   "500",
		"log.cleaner.backoff.ms":                                      "500",
		"log.retention.check.interval.ms":                             "1000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",

		// Small: a few nodes share a laptop's cores with the tests.
		"num.network.threads":               "1",
		"num.io.threads":                    "4",
		"num.replica.fetchers":              "1",
		"background.threads":                "2",
		"log.cleaner.threads":               "1",
		"log.cleaner.dedupe.buffer.size":    "8388608",
		"num.recovery.threads.per.data.dir": "1",
		"offsets.load.buffer.size":          "1048576",

		// TLS and SASL for the listeners that want them.
		"ssl.keystore.type":       "PEM",
		"ssl.keystore.location":   keystore,
		"ssl.truststore.type":     "PEM",
		"ssl.truststore.location": truststore,
		"ssl.client.auth":         "requested",
	}
	for _, l := range []Listener{SASL, SASLTLS} {
		prefix := "listener.name." + strings.ToLower(string(l)) + "."
		p[prefix+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		p[prefix+"plain.sasl.jaas.config"] = fmt.Sprintf(
			"org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=\"%s\";", User, Password)
		scram := "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		p[prefix+"scram-sha-256.sasl.jaas.config"] = scram
		p[prefix+"scram-sha-512.sasl.jaas.config"] = scram
	}
	if int(n.ID) <= len(o.Racks) {
		p["broker.rack"] = o.Racks[n.ID-1]
	}
	var bound, advertised, mapped []string
	for _, l := range o.listeners() {
		bound = append(bound, fmt.Sprintf("%s://%s", l, n.addrs[l]))
		mapped = append(mapped, fmt.Sprintf("%s:%s", l, protocols[l]))
		addr := n.addrs[l]
		if l == Proxied {
			addr = o.Proxied[n.ID]
		}
		if l != controller {
			advertised = append(advertised, fmt.Sprintf("%s://%s", l, addr))
		}
	}
	p["listeners"] = strings.Join(bound, ",")
	p["advertised.listeners"] = strings.Join(advertised, ",")
	p["listener.security.protocol.map"] = strings.Join(mapped, ",")
	maps.Copy(p, o.Properties)
	return p
}

// writeProperties writes a Java properties file.
func writeProperties(path string, p map[string]string) error {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", key, strings.ReplaceAll(p[key], `\`, `\\`))
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}
