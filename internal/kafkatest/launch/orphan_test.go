//go:build linux

package launch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain turns the test binary into a parent that waits to be killed, or into a child with busy threads, for the tests below.
func TestMain(m *testing.M) {
	switch os.Getenv("LAUNCH_TEST_AS") {
	case "":
		os.Exit(m.Run())
	case "busy":
		for range 16 {
			go func() {
				runtime.LockOSThread()
				for turns := new(atomic.Int64); ; turns.Add(1) {
				}
			}()
		}
		select {}
	}
	p, err := startProcess(".", os.DevNull, "sleep", "600")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.pid)
	<-p.done
}

func TestStartProcess_ChildDiesWithTheTests(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "LAUNCH_TEST_AS=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 20)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if gone(child) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatalf("process %d outlived the process that started it", child)
		}
	}
}

// gone tells whether a process has ended, be it that nobody has asked for its status yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

func TestPause_ReturnsWhenEveryThreadStandsStill(t *testing.T) {
	t.Setenv("LAUNCH_TEST_AS", "busy")
	p, err := startProcess(".", os.DevNull, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = p.signal(syscall.SIGKILL) // lost only to the process ending by itself
		<-p.done
	}()
	for range 50 {
		if err := p.pause(); err != nil {
			t.Fatal(err)
		}
		states := threadStates(t, p.pid)
		if strings.Trim(states, "T") != "" {
			t.Fatalf("threads are in state %s, want T (stopped) in all", states)
		}
		if err := p.signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPause_OfAProcessThatEndsMeanwhileReturns(t *testing.T) {
	p, err := startProcess(".", os.DevNull, "true")
	if err != nil {
		t.Fatal(err)
	}
	_ = p.pause() // paused or gone, as it comes
	if p.running() {
		_ = p.signal(syscall.SIGCONT)
	}
	<-p.done
	if err := p.pause(); err == nil {
		t.Error("paused a process that is gone")
	}
}

// threadStates gives a letter for each thread of a process (proc(5)).
func threadStates(t *testing.T, pid int) string {
	t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		t.Fatalf("no threads of %d: %v", pid, err)
	}
	var states []byte
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		states = append(states, rest[0])
	}
	return string(states)
}

func TestSweep_RemovesOnlyWhatDeadProcessesLeft(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, stays := range map[string]bool{
		fmt.Sprintf("kafkatest-%d-1", dead.Process.Pid):      false,
		fmt.Sprintf("kafkatest-%d-2", os.Getpid()):           true,
		fmt.Sprintf("kafkatest-logs-%d-3", dead.Process.Pid): true,
		"other": true,
	} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		sweep(dir)
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != stays {
			t.Errorf("%s: still there is %v", name, err == nil)
		}
	}
}
