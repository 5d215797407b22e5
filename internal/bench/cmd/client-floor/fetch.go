package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var be = binary.BigEndian

// counted is what has been read of a batch or more.
type counted struct{ records, offsetSum, bytes int64 }

// fetcher reads a topic of one broker by Fetch version 11 without a session. The next request is out while a response
// is worked on.
type fetcher struct {
	nc      net.Conn
	request []byte
	offsets []int64 // next of each partition
	places  []int   // of the offsets in the request
	body    []byte
	fresh   bool
}

var errShort = errors.New("response ends early")

func readSocket(ctx context.Context, t runner.Task, c *runner.Count, work func([]byte) (counted, error), fresh bool) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.Brokers[0])
	if err != nil {
		return err
	}
	defer nc.Close()
	f := &fetcher{nc: nc, offsets: make([]int64, t.Partitions), fresh: fresh}
	f.buildRequest(t)
	if err := f.ask(); err != nil {
		return err
	}
	for !c.Full() {
		sets, err := f.receive()
		if err != nil {
			return err
		}
		if err := f.ask(); err != nil {
			return err
		}
		var sum counted
		for _, set := range sets {
			if err := eachBatch(set, func(batch []byte) error {
				n, err := work(batch)
				sum.records += n.records
				sum.offsetSum += n.offsetSum + n.records*int64(be.Uint64(batch))
				sum.bytes += n.bytes
				return err
			}); err != nil {
				return err
			}
		}
		c.Add(sum.records, sum.offsetSum, sum.bytes)
	}
	return nil
}

func (f *fetcher) buildRequest(t runner.Task) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes, req.SessionEpoch = 11, int32(t.MaxBytes), int32(t.MinBytes), -1
	req.MaxWaitMillis = int32(t.MaxWait.Milliseconds())
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = t.Topic
	for p := range t.Partitions {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.PartitionMaxBytes = int32(p), int32(t.MaxPartitionBytes)
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	f.request = kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	// At the end: partitions of partition 4, leader epoch 4, offset 8, log start 8, max bytes 4; no forgotten topics 4; no rack 2.
	at := len(f.request) - 6 - 28*t.Partitions
	for p := range t.Partitions {
		f.places = append(f.places, at+28*p+8)
	}
}

func (f *fetcher) ask() error {
	for p, at := range f.places {
		be.PutUint64(f.request[at:], uint64(f.offsets[p]))
	}
	_, err := f.nc.Write(f.request)
	return err
}

// receive reads a response and moves the offsets on; it returns the record sets.
func (f *fetcher) receive() ([][]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(f.nc, size[:]); err != nil {
		return nil, err
	}
	n := int(be.Uint32(size[:]))
	if f.fresh || cap(f.body) < n {
		f.body = make([]byte, n)
	}
	b := f.body[:n]
	if _, err := io.ReadFull(f.nc, b); err != nil {
		return nil, err
	}
	const top = 4 + 4 + 2 + 4 + 4 // correlation, throttle time, error, session, topics
	if n < top+2 {
		return nil, errShort
	}
	if code := be.Uint16(b[8:]); code != 0 {
		return nil, fmt.Errorf("fetch: error code %d", code)
	}
	b = b[top:]
	if name := 2 + int(be.Uint16(b)) + 4; len(b) >= name {
		b = b[name:]
	}
	var sets [][]byte
	for range f.offsets {
		const head = 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4
		if len(b) < head {
			return nil, errShort
		}
		p, code, n := be.Uint32(b), be.Uint16(b[4:]), int(be.Uint32(b[head-4:]))
		if int(p) >= len(f.offsets) || code != 0 || n > len(b)-head {
			return nil, fmt.Errorf("fetch: partition %d, error code %d, %d bytes", p, code, n)
		}
		set := b[head : head+n]
		b = b[head+n:]
		sets = append(sets, set)
		_ = eachBatch(set, func(batch []byte) error {
			f.offsets[p] = int64(be.Uint64(batch)) + int64(be.Uint32(batch[23:])) + 1
			return nil
		})
	}
	return sets, nil
}

// eachBatch calls do for every complete batch of a record set.
func eachBatch(set []byte, do func([]byte) error) error {
	for len(set) >= topic.HeaderBytes {
		n := 12 + int(be.Uint32(set[8:]))
		if n > len(set) {
			break
		}
		if err := do(set[:n]); err != nil {
			return err
		}
		set = set[n:]
	}
	return nil
}
