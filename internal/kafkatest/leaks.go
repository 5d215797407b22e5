package kafkatest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// leakTimeout is how long what a test stopped may take to be gone. Stop waits for its goroutines, so nothing should be left
// after the scheduler has had a turn.
const leakTimeout = 5 * time.Second

// NoLeaks fails the test if goroutines of this module, sockets or other file descriptors are left when it ends that were not there at
// the call. Call it first: cleanups run in reverse order. The harness's own goroutines and sockets do not count. Not for parallel tests.
func NoLeaks(t testing.TB) {
	t.Helper()
	goroutines, files := ownGoroutines(), openFiles()
	t.Cleanup(func() {
		if t.Failed() {
			return // what failed may well have left things behind
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(leakTimeout)
		for {
			left := extra(goroutines, ownGoroutines())
			left = append(left, extra(files, openFiles())...)
			if len(left) == 0 {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Errorf("left behind after %v:\n\n%s", leakTimeout, strings.Join(left, "\n\n"))
				return
			}
		}
	})
}

func extra(before, now map[string]string) []string {
	var left []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, ok := before[key]; !ok {
			left = append(left, now[key])
		}
	}
	return left
}

// modulePath marks a stack as the library's own; harnessPath marks the harness and tests that live beside it.
const (
	modulePath  = "github.com/seed-7379b4e8/kafka"
	harnessPath = modulePath + "/internal/kafkatest"
)

// ownGoroutines gives the stacks of the library's goroutines, by goroutine id.
func ownGoroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	own := make(map[string]string)
	for _, stack := range bytes.Split(buf, []byte("\n\n")) {
		if text := string(stack); isOwn(text) {
			id, _, _ := strings.Cut(text, " [")
			own[id] = text
		}
	}
	return own
}

// isOwn tells whether the library started a goroutine: by its outermost function and by who created it. A test that only
// calls into the library is not the library's.
func isOwn(stack string) bool {
	outermost := ""
	for line := range strings.Lines(stack) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "/") {
			if creator, ok := strings.CutPrefix(line, "created by "); ok {
				return inLibrary(creator) || inLibrary(outermost)
			}
			outermost = line
		}
	}
	return false
}

func inLibrary(function string) bool {
	rest, ok := strings.CutPrefix(function, modulePath)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "/")) && !strings.HasPrefix(function, harnessPath)
}

// openFiles gives this process's open descriptors by what they are, without the harness's own sockets. Where the system does not
// show them (no /proc), it is empty.
func openFiles() map[string]string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	open := make(map[string]string)
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil || ownSockets.has(target) ||
			strings.HasPrefix(target, "/proc/") || // the folder being read
			strings.HasPrefix(target, "anon_inode:") { // the Go runtime's own: epoll, eventfd, pidfd
			continue
		}
		open[entry.Name()+" "+target] = fmt.Sprintf("descriptor %s: %s", entry.Name(), target)
	}
	return open
}

// socketSet remembers sockets by the name that /proc gives them. Inode numbers do not come back while a process runs for as long as tests do.
type socketSet struct {
	mu    sync.Mutex
	names map[string]bool
}

// ownSockets are the sockets of the harness itself.
var ownSockets socketSet

func (s *socketSet) add(conn any) {
	name, err := socketName(conn)
	if err != nil {
		return // not a socket, as in memory
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = make(map[string]bool)
	}
	s.names[name] = true
}

func (s *socketSet) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name]
}

func socketName(conn any) (string, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return "", errors.New("not a socket")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	var stat syscall.Stat_t
	var statErr error
	err = raw.Control(func(fd uintptr) { statErr = syscall.Fstat(int(fd), &stat) })
	if err = errors.Join(err, statErr); err != nil {
		return "", err
	}
	return fmt.Sprintf("socket:[%d]", stat.Ino), nil
}
