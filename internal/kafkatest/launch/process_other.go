//go:build unix && !linux

package launch

import "syscall"

// childAttr puts the child in a group of its own. Only Linux can tie its life to ours.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitStopped returns at once: only Linux tells when every thread stands still without taking the report from who waits for the end.
func awaitStopped(int) error { return nil }
