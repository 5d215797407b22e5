// Package probe is a consumer in a process of its own that is told what to do line by line, and measures what follows.
package probe

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/seed-7379b4e8/kafka/internal/bench/runner"
	"github.com/seed-7379b4e8/kafka/internal/bench/subject"
	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// Task is what a probe reads, and which times it takes of each record.
type Task struct {
	Client string
	subject.Options
	// Stamped: values begin with when they were sent, as Stamp writes it. Growth and Began: when they came to be there follows from
	// their offset on a replay server.
	Stamped bool
	Growth  replay.Growth
	Began   int64
	Timeout time.Duration // of each wait
}

// Answer is what a probe says to a line.
type Answer struct {
	Began      int64     `json:"began"`   // when the consumer was about to be started, in Unix nanoseconds
	Seconds    float64   `json:"seconds"` // what the line asked to measure
	Records    int64     `json:"records"` // handed out so far
	CPUSeconds float64   `json:"cpu_seconds"`
	RSS        int64     `json:"rss"`
	PeakRSS    int64     `json:"peak_rss"`
	Samples    []float64 `json:"samples,omitempty"` // seconds from sent, or there, to handed out
	Error      string    `json:"error,omitempty"`
}

// Stamp writes the time into the first 8 bytes of a value.
func Stamp(value []byte, now time.Time) { binary.BigEndian.PutUint64(value, uint64(now.UnixNano())) }

// probe is the consumer and what it has handed out.
type probe struct {
	task     Task
	spec     topic.Spec
	began    time.Time
	consumer subject.Consumer
	records  atomic.Int64
	first    atomic.Int64 // when the first record came, in Unix nanoseconds
	watch    atomic.Pointer[watch]

	mu      sync.Mutex
	samples []float64
	readErr error
}

// watch waits for one record.
type watch struct {
	partition int32
	offset    int64
	came      chan time.Time
}

// Serve starts the consumer and obeys lines until there are no more:
//
//	usage        what the process has used
//	first        how long after the start the first record came
//	await N      until N records have come
//	seek P O     seeks, and measures until that very record comes
//	place P O    seeks only
//	pause P
//	resume P O   resumes, and measures until that record comes
//	samples      the times of records since the last such line
func Serve(ctx context.Context, t Task, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &probe{task: t, began: time.Now()}
	if t.Growth.On() {
		spec, err := topic.ParseName(t.Topic)
		if err != nil {
			return err
		}
		p.spec = spec
	}
	var err error
	if p.consumer, err = subject.Open(ctx, t.Client, t.Options); err != nil {
		return err
	}
	defer p.consumer.Close()
	go func() {
		err := p.consumer.Read(ctx, p.take)
		p.mu.Lock()
		p.readErr = err
		p.mu.Unlock()
	}()
	enc := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := enc.Encode(p.obey(lines.Text())); err != nil {
			return err
		}
	}
	return lines.Err()
}

// take is what each record costs beside the client's own work: all probes pay it.
func (p *probe) take(r subject.Record) {
	if p.first.Load() == 0 {
		p.first.Store(time.Now().UnixNano())
	}
	p.records.Add(1)
	if w := p.watch.Load(); w != nil && w.partition == r.Partition && w.offset == r.Offset {
		p.watch.Store(nil)
		w.came <- time.Now()
	}
	switch {
	case p.task.Stamped:
		p.sample(time.Duration(time.Now().UnixNano() - int64(binary.BigEndian.Uint64(r.Value))))
	case p.task.Growth.On():
		if r.Offset%int64(p.spec.RecordsPerBatch()) != 0 {
			return // they come by the batch
		}
		if at, ok := p.task.Growth.Available(p.spec, r.Partition, r.Offset); ok {
			p.sample(time.Duration(time.Now().UnixNano()-p.task.Began) - at)
		}
	}
}

func (p *probe) sample(d time.Duration) {
	p.mu.Lock()
	p.samples = append(p.samples, d.Seconds())
	p.mu.Unlock()
}

func (p *probe) obey(line string) Answer {
	var (
		a         Answer
		verb      string
		partition int32
		offset    int64
		err       error
	)
	_, _ = fmt.Sscan(line, &verb, &partition, &offset) // what a verb does not need is missing
	switch verb {
	case "usage":
	case "first":
		if err = p.await(1); err == nil {
			a.Seconds = time.Duration(p.first.Load() - p.began.UnixNano()).Seconds()
		}
	case "await":
		err = p.await(int64(partition))
	case "seek":
		a.Seconds, err = p.until(partition, offset, func() error { return p.consumer.Seek(partition, offset) })
	case "place":
		err = p.consumer.Seek(partition, offset)
	case "pause":
		err = p.consumer.Pause(partition)
	case "resume":
		a.Seconds, err = p.until(partition, offset, func() error { return p.consumer.Resume(partition) })
	case "samples":
		p.mu.Lock()
		a.Samples, p.samples = p.samples, nil
		p.mu.Unlock()
	default:
		err = fmt.Errorf("unknown command %q", line)
	}
	a.Began, a.Records, a.CPUSeconds = p.began.UnixNano(), p.records.Load(), runner.CPUTime().Seconds()
	a.RSS, a.PeakRSS = runner.RSS()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readErr != nil {
		err = fmt.Errorf("reading ended: %w", p.readErr)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// await waits until n records have come.
func (p *probe) await(n int64) error {
	for deadline := time.Now().Add(p.task.Timeout); p.records.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d records within %v", p.records.Load(), n, p.task.Timeout)
		}
	}
	return nil
}

// until does something, and measures from before it until the record comes.
func (p *probe) until(partition int32, offset int64, do func() error) (float64, error) {
	w := &watch{partition, offset, make(chan time.Time, 1)}
	p.watch.Store(w)
	defer p.watch.Store(nil)
	start := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	select {
	case came := <-w.came:
		return came.Sub(start).Seconds(), nil
	case <-time.After(p.task.Timeout):
		return 0, fmt.Errorf("offset %d of partition %d did not come within %v", offset, partition, p.task.Timeout)
	}
}
