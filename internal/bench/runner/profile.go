package runner

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// startProfiles starts the profiles that have a file; stop writes them.
func startProfiles(cpu, alloc string) (stop func() error, err error) {
	var cpuFile *os.File
	if cpu != "" {
		if cpuFile, err = os.Create(cpu); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(cpuFile); err != nil {
			return nil, errors.Join(err, cpuFile.Close())
		}
	}
	if alloc != "" {
		runtime.MemProfileRate = 1
	}
	return func() error {
		var cpuErr error
		if cpuFile != nil {
			pprof.StopCPUProfile()
			cpuErr = cpuFile.Close()
		}
		if alloc == "" {
			return cpuErr
		}
		f, err := os.Create(alloc)
		if err != nil {
			return errors.Join(cpuErr, err)
		}
		return errors.Join(cpuErr, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
	}, nil
}
