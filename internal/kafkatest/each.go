package kafkatest

import "testing"

// Each runs a test on every kind of cluster there is in this run: a fake one of one node, and, with the build tag kafka, a real
// one (KAFKA_BOOTSTRAP: the external one).
func Each(t *testing.T, test func(t *testing.T, c *Cluster)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) { test(t, Fake(t, FakeOptions{})) })
	if realTier || external() != "" {
		t.Run("kafka", func(t *testing.T) { test(t, Shared(t)) })
	}
}

// Each3 is Each with clusters of three nodes, each behind a proxy, that the test may harm.
func Each3(t *testing.T, test func(t *testing.T, c *Cluster)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) { test(t, Fake(t, FakeOptions{Nodes: 3, Proxied: true})) })
	if realTier {
		t.Run("kafka", func(t *testing.T) { test(t, Shared3(t)) })
	}
}

// EachVersion is Each, and fakes that speak as the releases in OldVersions do.
func EachVersion(t *testing.T, test func(t *testing.T, c *Cluster)) {
	t.Helper()
	Each(t, test)
	for _, version := range OldVersions {
		t.Run("kfake-"+version, func(t *testing.T) { test(t, Fake(t, FakeOptions{Version: version})) })
	}
}
