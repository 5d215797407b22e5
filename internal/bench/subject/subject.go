// Package subject gives the consumers that the figures beside plain speed are taken of one form: it reads all partitions of a
// topic, and can be told to seek, pause and resume one of them.
package subject

import (
	"context"
	"fmt"
)

// Record is what is handed out; the value is the client's, to be looked at within the call.
type Record struct {
	Partition int32
	Offset    int64
	Value     []byte
}

// Consumer is a client that reads a topic from its start.
type Consumer interface {
	// Read hands out records, from one goroutine, until ctx ends or the consumer is closed.
	Read(ctx context.Context, f func(Record)) error
	Seek(partition int32, offset int64) error
	Pause(partition int32) error
	Resume(partition int32) error
	Close()
}

// Options say what to read; the fetch limits are the runner's.
type Options struct {
	Brokers []string
	Topic   string
}

// clientID is the same for all: its length is in the bytes that they send.
const clientID = "bench"

// Names are the consumers that Open knows.
var Names = []string{"franz-go/defaults", "ours/getmany", "ours/getone", "ours/messages"}

// Open starts a consumer by its name.
func Open(ctx context.Context, name string, o Options) (Consumer, error) {
	switch name {
	case "franz-go/defaults":
		return openFranz(o)
	case "ours/getmany", "ours/getone", "ours/messages":
		return openOurs(ctx, name, o)
	}
	return nil, fmt.Errorf("unknown consumer %q", name)
}
