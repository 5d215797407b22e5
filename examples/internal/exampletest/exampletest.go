// Package exampletest runs an example as its user would, and checks what it prints.
package exampletest

import (
	"bufio"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// patience bounds every wait for an example; none comes near it.
const patience = 30 * time.Second

// A Program is an example that runs.
type Program struct {
	t     testing.TB
	stop  context.CancelFunc
	lines chan string // closed when the example has ended
	err   error       // written before lines is closed
}

// Start runs an example until it ends, or the test does. It has to leave nothing behind.
func Start(t testing.TB, run func(ctx context.Context, out io.Writer) error) *Program {
	t.Helper()
	kafkatest.NoLeaks(t)
	ctx, stop := context.WithCancel(context.Background())
	p := &Program{t: t, stop: stop, lines: make(chan string, 10_000)}
	r, w := io.Pipe()
	go func() { // ends with run
		err := run(ctx, w)
		p.err = err
		w.Close()
	}()
	go func() { // ends with the goroutine above
		defer close(p.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { p.Stop() })
	return p
}

// Line gives the next line that the example prints.
func (p *Program) Line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("the example has ended (%v) where a line was expected", p.err)
		}
		return line
	case <-time.After(patience):
		p.t.Fatalf("no line for %v", patience)
	}
	return ""
}

// Prints checks that the next lines are these.
func (p *Program) Prints(want ...string) {
	p.t.Helper()
	var got []string
	for range want {
		got = append(got, p.Line())
	}
	require.Equal(p.t, want, got)
}

// PrintsInAnyOrder checks that the next lines are these, in whatever order.
func (p *Program) PrintsInAnyOrder(want ...string) {
	p.t.Helper()
	var got []string
	for range want {
		got = append(got, p.Line())
	}
	require.ElementsMatch(p.t, want, got)
}

// Ends checks that the example ends by itself without an error, and prints nothing before.
func (p *Program) Ends() {
	p.t.Helper()
	require.Empty(p.t, p.rest(), "lines too many")
	require.NoError(p.t, p.err)
}

// Stop ends the example as Ctrl-C does, which it must take well, and gives what it printed since the last line read.
func (p *Program) Stop() []string {
	p.t.Helper()
	p.stop()
	rest := p.rest()
	require.NoError(p.t, p.err)
	return rest
}

// rest reads to the end of the example.
func (p *Program) rest() (lines []string) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return lines
			}
			lines = append(lines, line)
		case <-deadline:
			p.t.Fatalf("the example has not ended after %v", patience)
		}
	}
}
