// Package kafkatest gives tests Kafka clusters, records in them, faults in front of them, and checks for what a test leaves behind.
//
// A [Cluster] is one of three kinds, and a test written against it runs on all of them (see [Each]):
//
//   - fake: franz-go's kfake, in this process, over real sockets or over an in-memory network inside testing/synctest ([Fake]);
//   - real: Apache Kafka's own broker, as child processes on loopback ([Shared], [Shared3], [StartCluster]);
//   - external: whatever KAFKA_BOOTSTRAP points at; there nodes cannot be killed or paused, and tests that need that are skipped.
//
// Tests of real brokers are built with the tag kafka. There a broker that cannot be started is a failure, never a skip.
// A package that uses shared clusters has a TestMain that calls [Main].
package kafkatest
