// Package fakebroker is a small scripted double of a Kafka cluster for unit tests, Examples and hostile cases. It is
// never a product: no replication, no log cleaning, no group membership.
//
// A Cluster has nodes with real loopback listeners, or none at all and a dialer over net.Pipe, which works inside
// testing/synctest. Topics are seeded with record batches; default handlers answer ApiVersions, Metadata, Fetch (with
// sessions), ListOffsets, OffsetForLeaderEpoch, FindCoordinator, OffsetCommit and OffsetFetch as Kafka does. Handle puts a
// function before them that may answer otherwise, delay, hang, drop the connection, or send any bytes.
package fakebroker
