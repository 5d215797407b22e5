// Package broker is one connection to one Kafka broker: dialing, TLS, the version handshake, pipelined
// requests with deadlines, and the streaming read of Fetch responses.
//
// It knows nothing of clusters, topics or retries. A connection that has failed in any way is closed and stays
// closed; whoever holds it opens another. Everything waits on channels, contexts and connection deadlines only,
// so that a connection works the same over TCP and over net.Pipe inside testing/synctest.
package broker
