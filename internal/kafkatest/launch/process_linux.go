package launch

import "syscall"

// childAttr puts the child in a group of its own (a terminal's interrupt goes to the tests, which end it in order) and has the kernel
// kill it when the thread that started it dies, so that no broker outlives its tests.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
