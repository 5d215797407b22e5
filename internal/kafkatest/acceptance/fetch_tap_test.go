package acceptance

import (
	"context"
	"encoding/binary"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// A fetchTap is a dialer that reads along what one client, whichever it is, fetches of a topic.
type fetchTap struct {
	via   kafkatest.DialFunc
	topic string
	id    [16]byte // the topic's

	mu      sync.Mutex
	fetched map[int32]int64 // where what answers have brought of each partition ends
	tapFigure
}

// A tapFigure is what a tap has seen since it was last looked at.
type tapFigure struct {
	dials          int   // all connections
	opened, closed int   // those that carry fetches of the topic
	requests       int   // fetches of the topic
	sessions       int   // fetches of the topic that begin a session, and such as end one
	below          int   // partitions asked for below what was fetched of them
	resent         int64 // records that came again
	records        int64 // all records that came
}

func newFetchTap(c *kafkatest.Cluster, topic string, id [16]byte) *fetchTap {
	return &fetchTap{via: c.Dial, topic: topic, id: id, fetched: make(map[int32]int64)}
}

// take gives the figure, and begins the next one.
func (tap *fetchTap) take() tapFigure {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	f := tap.tapFigure
	tap.tapFigure = tapFigure{}
	return f
}

func (tap *fetchTap) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := tap.via(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tap.mu.Lock()
	tap.dials++
	tap.mu.Unlock()
	return &tappedConn{Conn: conn, tap: tap, versions: make(map[uint32]int16)}, nil
}

// A tappedConn is one connection, whose frames are put together both ways.
type tappedConn struct {
	net.Conn
	tap  *fetchTap
	once sync.Once

	// Guarded by tap.mu.
	out, in  []byte           // of a frame, as far as it has come
	versions map[uint32]int16 // of the fetches that are out, by correlation id
	carries  bool             // it has carried a fetch of the topic
}

func (c *tappedConn) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.out = frames(append(c.out, b...), c.request)
	c.tap.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *tappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.tap.mu.Lock()
	c.in = frames(append(c.in, b[:n]...), c.answer)
	c.tap.mu.Unlock()
	return n, err
}

func (c *tappedConn) Close() error {
	c.once.Do(func() {
		c.tap.mu.Lock()
		defer c.tap.mu.Unlock()
		if c.carries {
			c.tap.closed++
		}
	})
	return c.Conn.Close()
}

// frames takes whole frames, each behind its size in 4 bytes, off a stream, and gives the rest.
func frames(stream []byte, whole func(frame []byte)) []byte {
	for len(stream) >= 4 {
		size := int(binary.BigEndian.Uint32(stream))
		if len(stream) < 4+size {
			break
		}
		whole(stream[4 : 4+size])
		stream = stream[4+size:]
	}
	return append([]byte(nil), stream...)
}

// request notes a fetch: API key, version, correlation id, client id, from version 12 on (KIP-482) tags, of which there are none, and
// the request.
func (c *tappedConn) request(frame []byte) {
	if len(frame) < 10 || kmsg.Key(binary.BigEndian.Uint16(frame)) != kmsg.Fetch {
		return
	}
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
	c.versions[binary.BigEndian.Uint32(frame[4:])] = req.Version
	body := frame[10+max(0, int(int16(binary.BigEndian.Uint16(frame[8:])))):]
	if req.IsFlexible() {
		body = body[1:]
	}
	if err := req.ReadFrom(body); err != nil {
		panic(err)
	}
	tap, names := c.tap, false
	for _, topic := range req.Topics {
		if topic.Topic != tap.topic && topic.TopicID != tap.id {
			continue
		}
		names = true
		for _, p := range topic.Partitions {
			if p.FetchOffset < tap.fetched[p.Partition] {
				tap.below++
			}
		}
	}
	if names {
		tap.requests++
		if !c.carries {
			c.carries = true
			tap.opened++
		}
	}
	if req.SessionEpoch <= 0 && (names || len(req.Topics) == 0) {
		tap.sessions++
	}
}

// answer notes what a fetch brought.
func (c *tappedConn) answer(frame []byte) {
	version, ok := c.versions[binary.BigEndian.Uint32(frame)]
	if !ok {
		return
	}
	delete(c.versions, binary.BigEndian.Uint32(frame))
	resp := kmsg.NewPtrFetchResponse()
	resp.SetVersion(version)
	body := frame[4:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		panic(err)
	}
	for _, topic := range resp.Topics {
		if topic.Topic != c.tap.topic && topic.TopicID != c.tap.id {
			continue
		}
		for _, p := range topic.Partitions {
			c.tap.batches(p.Partition, p.RecordBatches)
		}
	}
}

// batches counts records by their batches' headers (magic 2): the base offset comes first, then the length of what follows; the last
// offset's delta is at byte 23. The last batch may have been cut off.
func (tap *fetchTap) batches(partition int32, b []byte) {
	for len(b) >= 27 {
		base, length := int64(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:]))
		if len(b) < 12+length {
			return
		}
		next := base + int64(binary.BigEndian.Uint32(b[23:])) + 1
		tap.records += next - base
		tap.resent += max(0, min(next, tap.fetched[partition])-base)
		tap.fetched[partition] = max(tap.fetched[partition], next)
		b = b[12+length:]
	}
}
