// Package cluster is the only door to the network: the brokers of a Kafka cluster, the connections to them, the
// metadata of topics, the leaders and coordinators to ask, and when to try again what failed.
//
// Decisions are pure functions over state with time and randomness passed in: which broker to ask next (order),
// how long to wait (Backoff), when to refresh (refreshState), what an answer changes (merge), which connection has
// been idle (idleConns). A Client carries them out in few goroutines, each with a line that says who ends it.
package cluster
