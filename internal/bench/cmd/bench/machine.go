package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine says in a line what the figures were measured on.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := bytes.Cut(info, []byte("model name")); ok {
			line, _, _ := bytes.Cut(after, []byte("\n"))
			model = strings.TrimSpace(strings.TrimLeft(string(line), "\t :"))
		}
	}
	s := fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(load)); len(f) > 0 {
			s += ", load " + f[0] + " at the start"
		}
	}
	return s
}

// commit is what is measured, as far as git knows it. The docs do not count: the bench itself writes into them.
func commit(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)docs").Output()
	if err != nil || len(bytes.TrimSpace(changed)) > 0 {
		return string(bytes.TrimSpace(head)) + " with changes"
	}
	return string(bytes.TrimSpace(head))
}
