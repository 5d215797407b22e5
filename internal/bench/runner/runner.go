// Package runner is the part that every client under test has in common: its task, the count of what it read, and the
// measuring of its process. A client is a program of its own that calls Main with a function that reads.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Task is what a client is to read: every record of one topic, from the first on.
type Task struct {
	Brokers    []string
	Topic      string
	Partitions int
	Records    int64 // in all partitions, the same number in each
	Mode       string
	Limits
}

// Limits are the fetch limits, the same for all clients.
type Limits struct {
	MaxBytes          int // of a Fetch response
	MaxPartitionBytes int // of a partition in it
	MinBytes          int
	MaxWait           time.Duration
}

// DefaultLimits are those of the Java client.
var DefaultLimits = Limits{MaxBytes: 50 << 20, MaxPartitionBytes: 1 << 20, MinBytes: 1, MaxWait: 500 * time.Millisecond}

// Result is one run of one client.
type Result struct {
	Client  string `json:"client"`
	Mode    string `json:"mode"`
	Records int64  `json:"records"`
	// OffsetSum and Bytes (keys, values, headers) show that every record came once.
	OffsetSum int64 `json:"offset_sum"`
	Bytes     int64 `json:"bytes"`

	Seconds      float64 `json:"seconds"`       // from Start to the last record
	ReadSeconds  float64 `json:"read_seconds"`  // from the first record to the last
	FirstSeconds float64 `json:"first_seconds"` // from Start to the first record
	CPUSeconds   float64 `json:"cpu_seconds"`   // user and system
	Mallocs      uint64  `json:"mallocs"`       // with AllocBytes 0 where the language tells neither
	AllocBytes   uint64  `json:"alloc_bytes"`
	Collections  uint32  `json:"collections"`
	// What was allocated from about the middle of the run on, and for how many records: without what stays in use.
	LateAllocBytes uint64 `json:"late_alloc_bytes"`
	LateRecords    int64  `json:"late_records"`
	PeakRSS        int64  `json:"peak_rss"` // bytes
	Error          string `json:"error,omitempty"`
}

// Count is what has been read. Its counting methods may be called by many goroutines: call them once per batch or poll, and add
// up by yourself in between.
type Count struct {
	want  int64
	done  context.CancelCauseFunc
	start usage
	end   usage
	late  lateStart
	mu    sync.Mutex
	first time.Time

	records, offsetSum, bytes int64

	unknownAllocations bool
}

// HideAllocations is for a client that allocates outside of Go: what Go knows of it would flatter it.
func (c *Count) HideAllocations() { c.unknownAllocations = true }

// lateStart is where the later part of a run begins.
type lateStart struct {
	records    int64
	allocBytes uint64
}

type readAll struct{}

func (readAll) Error() string { return "every record has been read" }

// Add counts records; with the last one the time is taken and the context of the run ends.
func (c *Count) Add(records, offsetSum, bytes int64) {
	if records == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == 0 {
		c.first = time.Now()
	}
	had := c.records
	c.records += records
	c.offsetSum += offsetSum
	c.bytes += bytes
	if c.late.records == 0 && c.records >= c.want/2 {
		c.late = lateStart{c.records, takeUsage().allocBytes}
	}
	if had < c.want && c.records >= c.want {
		c.end = takeUsage()
		c.done(readAll{})
	}
}

// Restart makes now the start of what is measured, for a client that has something to prepare.
func (c *Count) Restart() { c.start = takeUsage() }

// Full says whether every record has been read.
func (c *Count) Full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records >= c.want
}

// ReadFunc reads the records of the task and counts them, until the count is full or ctx ends, which it also does when
// the count is full. What it returns then does not matter.
type ReadFunc func(ctx context.Context, t Task, c *Count) error

// Main runs a client as a program: the task is in the flags, the Result goes to standard output as one line of JSON.
func Main(client string, read ReadFunc) {
	var (
		brokers = flag.String("brokers", "", "broker addresses, separated by commas")
		timeout = flag.Float64("timeout-seconds", 60, "give up after this time")
		maxWait = flag.Int64("max-wait-ms", DefaultLimits.MaxWait.Milliseconds(), "how long a Fetch may wait for records")
		t       = Task{Limits: DefaultLimits}
	)
	flag.StringVar(&t.Topic, "topic", "", "the topic to read")
	flag.IntVar(&t.Partitions, "partitions", 1, "number of its partitions")
	flag.Int64Var(&t.Records, "records", 0, "number of its records")
	flag.StringVar(&t.Mode, "mode", "", "which way of the client to read, where it has several")
	flag.IntVar(&t.MaxBytes, "max-bytes", t.MaxBytes, "limit of a Fetch response")
	flag.IntVar(&t.MaxPartitionBytes, "max-partition-bytes", t.MaxPartitionBytes, "limit of a partition in a Fetch response")
	flag.IntVar(&t.MinBytes, "min-bytes", t.MinBytes, "what a Fetch waits for")
	cpuProfile := flag.String("cpuprofile", "", "file for a CPU profile of the run")
	allocProfile := flag.String("memprofile", "", "file for a profile of every allocation of the run")
	flag.Parse()
	t.Brokers = strings.Split(*brokers, ",")
	t.MaxWait = time.Duration(*maxWait) * time.Millisecond
	stopProfiles, err := startProfiles(*cpuProfile, *allocProfile)
	if err != nil {
		fmt.Fprintln(os.Stderr, client+":", err)
		os.Exit(1)
	}
	r := Run(context.Background(), client, t, time.Duration(*timeout*float64(time.Second)), read)
	err = errors.Join(stopProfiles(), json.NewEncoder(os.Stdout).Encode(r))
	if err != nil || r.Error != "" {
		os.Exit(1)
	}
}

// Run measures one run. An error is in the Result.
func Run(ctx context.Context, client string, t Task, timeout time.Duration, read ReadFunc) Result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, done := context.WithCancelCause(ctx)
	defer done(nil)
	c := &Count{want: t.Records, done: done}
	runtime.GC()
	c.Restart()
	err := read(ctx, t, c)
	if !c.Full() {
		c.end = takeUsage()
		if err == nil {
			err = context.Cause(ctx)
		}
		err = fmt.Errorf("%d of %d records read: %w", c.records, t.Records, err)
	} else {
		err = nil
	}
	r := Result{
		Client: client, Mode: t.Mode, Records: c.records, OffsetSum: c.offsetSum, Bytes: c.bytes,
		Seconds:      c.end.at.Sub(c.start.at).Seconds(),
		ReadSeconds:  c.end.at.Sub(c.first).Seconds(),
		FirstSeconds: c.first.Sub(c.start.at).Seconds(),
		CPUSeconds:   (c.end.cpu - c.start.cpu).Seconds(),
		Mallocs:      c.end.mallocs - c.start.mallocs,
		AllocBytes:   c.end.allocBytes - c.start.allocBytes,
		Collections:  c.end.collections - c.start.collections,
		PeakRSS:      c.end.peakRSS,

		LateAllocBytes: c.end.allocBytes - c.late.allocBytes,
		LateRecords:    c.records - c.late.records,
	}
	if c.unknownAllocations {
		r.Mallocs, r.AllocBytes, r.LateAllocBytes, r.LateRecords = 0, 0, 0, 0
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}
