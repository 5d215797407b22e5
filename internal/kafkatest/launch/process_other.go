//go:build unix && !linux

package launch

import "syscall"

// childAttr puts the child in a group of its own. Only Linux can tie its life to ours.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
