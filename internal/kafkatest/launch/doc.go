// Package launch runs real Apache Kafka clusters on this machine: it fetches the broker's own artifacts through Maven once,
// formats storage with Kafka's StorageTool, and starts KRaft nodes (combined broker and controller) as child processes that listen on
// loopback only. It knows nothing of the testing package; kafkatest wraps it for tests.
//
// It needs a java command (17 or newer) and, the first time a version is used, mvn. It runs on Unix: nodes are paused and
// killed by signal.
package launch
