package runner

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// usage is what the process has used up to a moment.
type usage struct {
	at          time.Time
	cpu         time.Duration
	mallocs     uint64
	allocBytes  uint64
	collections uint32
	peakRSS     int64
}

func takeUsage() usage {
	u := usage{at: time.Now(), cpu: CPUTime()}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.mallocs, u.allocBytes, u.collections = m.Mallocs, m.TotalAlloc, m.NumGC
	_, u.peakRSS = RSS()
	return u
}

// CPUTime is the user and system time of the process so far.
func CPUTime() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// RSS gives the resident memory of the process now and at its highest, in bytes; 0 where there is no /proc.
func RSS() (now, peak int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	return statusKiB(status, "VmRSS:") << 10, statusKiB(status, "VmHWM:") << 10
}

func statusKiB(status []byte, field string) int64 {
	_, after, _ := bytes.Cut(status, []byte(field))
	fields := bytes.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib
}
