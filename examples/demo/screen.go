package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

// A screen prints messages as they come, and at the end what came.
type screen struct {
	out      io.Writer
	consumer *kafka.Consumer
	started  time.Time
	lastSeen time.Time
	tokens   float64 // lines that may be printed now
	refilled time.Time
	skipped  int // messages without a line since the last one
	parts    map[kafka.TopicPartition]*tally
}

// A tally is what came from one partition.
type tally struct {
	messages, bytes int
	first, last     int64
}

// A topic can be faster than a reader: after the first lines, so many are printed in a second.
const (
	firstLines     = 100
	linesPerSecond = 60
)

func newScreen(out io.Writer, consumer *kafka.Consumer) *screen {
	now := time.Now()
	fmt.Fprintf(out, "\n%8s  %-16s %8s  %-8s  %-48s %9s %9s %5s\n",
		"time", "partition", "offset", "key", "value", "position", "highwater", "lag")
	return &screen{out: out, consumer: consumer, started: now, lastSeen: now, refilled: now,
		tokens: firstLines, parts: make(map[kafka.TopicPartition]*tally)}
}

// quiet is how long nothing has come.
func (s *screen) quiet() time.Duration { return time.Since(s.lastSeen) }

// message counts a message, and prints it if there is time to read it.
func (s *screen) message(m *kafka.Message) {
	tp := m.TopicPartition()
	t := s.parts[tp]
	if t == nil {
		t = &tally{first: m.Offset}
		s.parts[tp] = t
	}
	t.messages++
	t.bytes += len(m.Key) + len(m.Value)
	t.last = m.Offset

	s.lastSeen = time.Now()
	s.tokens = min(firstLines, s.tokens+linesPerSecond*s.lastSeen.Sub(s.refilled).Seconds())
	s.refilled = s.lastSeen
	if s.tokens < 1 {
		s.skipped++
		return
	}
	s.tokens--
	s.tellSkipped()
	position, highwater, lag := s.progress(tp)
	fmt.Fprintf(s.out, "%7.2fs  %-16s %8d  %-8s  %-48s %9s %9s %5s %s\n", s.lastSeen.Sub(s.started).Seconds(),
		tp, m.Offset, text(m.Key, 8), text(m.Value, 48), position, highwater, lag, bar(lag))
}

// tellSkipped says how many messages had no line.
func (s *screen) tellSkipped() {
	if s.skipped > 0 {
		fmt.Fprintf(s.out, "%8s  … and %d more\n", "", s.skipped)
		s.skipped = 0
	}
}

// progress asks the consumer where it is in a partition. None of it goes to the network.
func (s *screen) progress(tp kafka.TopicPartition) (position, highwater, lag string) {
	position, highwater, lag = "-", "-", "-"
	if p, err := s.consumer.Position(context.Background(), tp); err == nil {
		position = strconv.FormatInt(p, 10)
	}
	if h, ok := s.consumer.Highwater(tp); ok {
		highwater = strconv.FormatInt(h, 10)
	}
	if l, ok := s.consumer.Lag(tp); ok {
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
func (s *screen) summary() {
	s.tellSkipped()
	assigned := s.consumer.Assignment()
	if len(assigned) == 0 {
		fmt.Fprintln(s.out, "\nThe topic does not exist.")
		return
	}
	fmt.Fprintf(s.out, "\n%-20s %9s %10s %10s %10s %10s %6s\n", "partition", "messages", "first", "last", "position", "highwater", "lag")
	messages, bytes, behind := 0, 0, 0
	for _, tp := range assigned {
		position, highwater, lag := s.progress(tp)
		if n, _ := strconv.Atoi(lag); n > 0 {
			behind += n
		}
		count, first, last := 0, "-", "-"
		if t := s.parts[tp]; t != nil {
			count, first, last = t.messages, strconv.FormatInt(t.first, 10), strconv.FormatInt(t.last, 10)
			bytes += t.bytes
		}
		messages += count
		fmt.Fprintf(s.out, "%-20s %9d %10s %10s %10s %10s %6s\n", tp, count, first, last, position, highwater, lag)
	}
	end := "nothing is left to read"
	if behind > 0 {
		end = fmt.Sprintf("%d are left to read", behind)
	}
	fmt.Fprintf(s.out, "\n%d messages with %d bytes of keys and values in %.1f s; %s.\n",
		messages, bytes, s.lastSeen.Sub(s.started).Seconds(), end)
}
