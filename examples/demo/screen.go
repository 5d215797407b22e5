package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

// A screen prints messages and rebalances as they come, and at the end what came. Several members share one.
type screen struct {
	out     io.Writer
	started time.Time
	whole   int           // how many partitions the members here share; 0: others may have some
	news    chan struct{} // gets something when a message has come

	mu       sync.Mutex
	lastSeen time.Time
	tokens   float64 // lines that may be printed now
	refilled time.Time
	skipped  int  // messages without a line since the last one
	muted    bool // the story has ended
	parts    map[kafka.TopicPartition]*tally
	owners   map[kafka.TopicPartition]string // "": on its way from one to another
}

// A tally is what came from one partition.
type tally struct {
	messages, bytes int
	first, last     int64
	seen            map[int64]bool // the offsets that came
	readers         []string       // who read it, one after the other
}

// A topic can be faster than a reader: after the first lines, so many are printed in a second.
const (
	firstLines     = 100
	linesPerSecond = 60
)

func newScreen(out io.Writer) *screen {
	now := time.Now()
	return &screen{out: out, started: now, lastSeen: now, refilled: now, tokens: firstLines, news: make(chan struct{}, 1),
		parts: make(map[kafka.TopicPartition]*tally), owners: make(map[kafka.TopicPartition]string)}
}

func (s *screen) heading() {
	fmt.Fprintf(s.out, "\n%8s  %-5s %-16s %8s  %-8s  %-48s %9s %9s %5s\n",
		"time", "who", "partition", "offset", "key", "value", "position", "highwater", "lag")
}

// quiet is how long nothing has come.
func (s *screen) quiet() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.lastSeen)
}

// count is how many different messages have come.
func (s *screen) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.parts {
		n += len(t.seen)
	}
	return n
}

// twice is how many came that had come before.
func (s *screen) twice() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.parts {
		n += t.messages - len(t.seen)
	}
	return n
}

// message counts a message, and prints it if there is time to read it.
func (s *screen) message(who string, c *kafka.Consumer, m *kafka.Message) {
	tp := m.TopicPartition()
	position, highwater, lag := progress(c, tp)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.parts[tp]
	if t == nil {
		t = &tally{first: m.Offset, seen: make(map[int64]bool)}
		s.parts[tp] = t
	}
	t.messages++
	t.bytes += len(m.Key) + len(m.Value)
	t.last = m.Offset
	t.seen[m.Offset] = true
	if n := len(t.readers); n == 0 || t.readers[n-1] != who {
		t.readers = append(t.readers, who)
	}
	select {
	case s.news <- struct{}{}:
	default:
	}

	s.lastSeen = time.Now()
	s.tokens = min(firstLines, s.tokens+linesPerSecond*s.lastSeen.Sub(s.refilled).Seconds())
	s.refilled = s.lastSeen
	if s.tokens < 1 {
		s.skipped++
		return
	}
	s.tokens--
	s.skips()
	fmt.Fprintf(s.out, "%7.2fs  %-5s %-16s %8d  %-8s  %-48s %9s %9s %5s %s\n", s.lastSeen.Sub(s.started).Seconds(), who,
		tp, m.Offset, text(m.Key, 8), text(m.Value, 48), position, highwater, lag, bar(lag))
}

// tellSkipped says how many messages had no line.
func (s *screen) tellSkipped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skips()
}

func (s *screen) skips() {
	if s.skipped > 0 {
		fmt.Fprintf(s.out, "%8s  … and %d more\n", "", s.skipped)
		s.skipped = 0
	}
}

// progress asks a consumer where it is in a partition. None of it goes to the network.
func progress(c *kafka.Consumer, tp kafka.TopicPartition) (position, highwater, lag string) {
	position, highwater, lag = "-", "-", "-"
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what is not known is not waited for
	if p, err := c.Position(ctx, tp); err == nil {
		position = strconv.FormatInt(p, 10)
	}
	if h, ok := c.Highwater(tp); ok {
		highwater = strconv.FormatInt(h, 10)
	}
	if l, ok := c.Lag(tp); ok {
		lag = strconv.FormatInt(l, 10)
	}
	return position, highwater, lag
}

// bar draws a lag.
func bar(lag string) string {
	n, _ := strconv.Atoi(lag)
	return strings.Repeat("▪", min(n, 20))
}

// text shows bytes that may be anything, in at most n characters.
func text(b []byte, n int) string {
	if b == nil {
		return "null"
	}
	q := strconv.Quote(string(b[:min(len(b), 4*n)]))
	runes := []rune(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`))
	if len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return string(runes)
}

// summary says what came, and whether something is left.
func (s *screen) summary(consumers ...*kafka.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skips()
	holders := make(map[kafka.TopicPartition]*kafka.Consumer)
	var assigned []kafka.TopicPartition
	for _, c := range consumers {
		for _, tp := range c.Assignment() {
			holders[tp] = c
			assigned = append(assigned, tp)
		}
	}
	if len(assigned) == 0 {
		fmt.Fprintln(s.out, "\nNo partition is assigned: the topic does not exist, or other members have all of them.")
		return
	}
	slices.SortFunc(assigned, func(a, b kafka.TopicPartition) int { return int(a.Partition - b.Partition) })
	fmt.Fprintf(s.out, "\n%-20s %9s %10s %10s %10s %10s %6s  %s\n", "partition", "messages", "first", "last", "position", "highwater", "lag", "read by")
	messages, bytes, behind := 0, 0, 0
	for _, tp := range assigned {
		position, highwater, lag := progress(holders[tp], tp)
		if n, _ := strconv.Atoi(lag); n > 0 {
			behind += n
		}
		count, first, last, readers := 0, "-", "-", ""
		if t := s.parts[tp]; t != nil {
			count, first, last = t.messages, strconv.FormatInt(t.first, 10), strconv.FormatInt(t.last, 10)
			bytes += t.bytes
			readers = strings.Join(t.readers, ", ")
		}
		messages += count
		fmt.Fprintf(s.out, "%-20s %9d %10s %10s %10s %10s %6s  %s\n", tp, count, first, last, position, highwater, lag, readers)
	}
	end := "nothing is left to read"
	if behind > 0 {
		end = fmt.Sprintf("%d are left to read", behind)
	}
	fmt.Fprintf(s.out, "\n%d messages with %d bytes of keys and values in %.1f s; %s.\n",
		messages, bytes, s.lastSeen.Sub(s.started).Seconds(), end)
}
