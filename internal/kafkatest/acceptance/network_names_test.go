package acceptance

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A nameServer answers every question for addresses with the same ones, in the same order.
type nameServer struct {
	addrs []net.IP // IPv4
	asked atomic.Int64
}

// serveNames makes the system's resolver ask a name server of the test's until the test ends.
func serveNames(t *testing.T, addrs ...net.IP) *nameServer {
	t.Helper()
	s := &nameServer{addrs: addrs}
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go s.answer(far) // ends when the resolver closes its end
		return near, nil
	}}
	return s
}

// answer serves one connection, on which a size of two bytes stands before each message, as in DNS over TCP (RFC 1035).
func (s *nameServer) answer(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		reply := s.reply(question)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// reply answers the one question of a message: with the addresses if it is for A records, with none if it is for others.
func (s *nameServer) reply(question []byte) []byte {
	const header, typeA = 12, 1
	end := header
	for question[end] != 0 { // the labels of the name
		end += 1 + int(question[end])
	}
	end++
	kind := binary.BigEndian.Uint16(question[end:])
	reply := append([]byte(nil), question[:end+4]...) // without the additional records that may follow
	clear(reply[4:header])
	reply[2], reply[3] = 0x81, 0x80 // a response, recursion wanted and had
	reply[5] = 1
	if kind != typeA {
		return reply
	}
	s.asked.Add(1)
	reply[7] = byte(len(s.addrs))
	for _, ip := range s.addrs {
		reply = append(reply, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the question's name, IN, not to be kept
		reply = append(reply, ip.To4()...)
	}
	return reply
}

// A name may have several addresses, of which some do not answer.
func TestNetwork_EveryAddressOfANameIsTried(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		topic := c.NewTopic(t, kafkatest.Topic{})
		produce(t, c, topic, 0, "a")
		host, port, err := net.SplitHostPort(c.Bootstrap()[0])
		require.NoError(t, err)
		ips, err := net.DefaultResolver.LookupIP(within(t), "ip4", host)
		require.NoError(t, err)
		nobody := net.IPv4(127, 0, 0, 2)
		names := serveNames(t, nobody, ips[0])

		consumer := start(t, c, kafka.WithBootstrapServers("kafka.test:"+port), kafka.WithDialer(new(net.Dialer).DialContext), kafka.WithTopics(topic))

		require.Equal(t, []string{"a"}, texts(read(t, consumer, 1)))
		require.NotZero(t, names.asked.Load())
	})
}
