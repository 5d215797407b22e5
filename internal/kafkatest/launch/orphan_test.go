//go:build linux

package launch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain turns the test binary into a parent that waits to be killed, for the test below.
func TestMain(m *testing.M) {
	if os.Getenv("LAUNCH_TEST_PARENT") == "" {
		os.Exit(m.Run())
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
	parent.Env = append(os.Environ(), "LAUNCH_TEST_PARENT=1")
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
