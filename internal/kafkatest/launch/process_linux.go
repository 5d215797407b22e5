package launch

import "syscall"

// childAttr puts the child in a group of its own (a terminal's interrupt goes to the tests, which end it in order) and has the kernel
// kill it when the thread that started it dies, so that no broker outlives its tests.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitStopped waits until every thread of a child that was sent SIGSTOP stands still, or the child has ended. kill(2) returns before
// that: threads on other processors run on, and answer a request or two.
func awaitStopped(pid int) error {
	const byPID, keepTheReport = 1, 0x1000000 // P_PID, WNOWAIT: the child's end is still there for who waits for it
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid), 0,
			syscall.WUNTRACED|syscall.WEXITED|keepTheReport, 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return errno
		}
	}
}
