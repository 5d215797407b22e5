package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// aiokafkaVersion is the release of aiokafka that tests run beside this library.
const aiokafkaVersion = "0.14.0"

// ErrNoPython says that the machine lacks what members of aiokafka need. It is a failure of the environment, never a reason to skip.
var ErrNoPython = errors.New("members of aiokafka need python3 with venv and pip")

// Aiokafka gives a python that has aiokafka, in a virtual environment that is made the first time and lives between runs in CacheDir.
func Aiokafka(ctx context.Context) (python string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	home := filepath.Join(cache, "aiokafka-"+aiokafkaVersion)
	unlock, err := lockFile(ctx, home+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	python = filepath.Join(home, "bin", "python3")
	if _, err := os.Stat(python); err == nil {
		return python, nil
	}
	// It is made beside its place and renamed at the end, so that one that exists is whole; python finds it by its own path.
	partial := home + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	system, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoPython, err)
	}
	if _, err := run(ctx, cache, system, "-m", "venv", partial); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoPython, err)
	}
	pip := []string{"-m", "pip", "install", "-q", "--disable-pip-version-check", "aiokafka==" + aiokafkaVersion, "cramjam"} // cramjam: its codecs
	if _, err := run(ctx, cache, filepath.Join(partial, "bin", "python3"), pip...); err != nil {
		return "", fmt.Errorf("install aiokafka: %w", err)
	}
	return python, os.Rename(partial, home)
}
