package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// ErrNoJava says that the machine lacks what real brokers need. It is a failure of the environment, never a reason to skip.
var ErrNoJava = errors.New("a real Kafka broker needs Java 17 or newer and Maven (java and mvn in PATH, or JAVA_HOME)")

// javaCommand finds the java to run brokers with: JAVA_HOME first, then PATH.
func javaCommand() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java := filepath.Join(home, "bin", "java")
		if _, err := os.Stat(java); err == nil {
			return java, nil
		}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoJava, err)
	}
	return java, nil
}

// javaFingerprint identifies the JVM, because a class data archive is only good for the JVM that wrote it.
var javaFingerprint = sync.OnceValues(func() (string, error) {
	java, err := javaCommand()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s -version: %w\n%s", java, err, out)
	}
	sum := sha256.Sum256(append(out, runtime.GOARCH...))
	return hex.EncodeToString(sum[:6]), nil
})

// jvmFlags keep a broker small and quick to start: it is measured in tests for what it answers, not for its speed.
func jvmFlags(heapMB int) []string {
	return []string{
		"-Xms64m", fmt.Sprintf("-Xmx%dm", heapMB),
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off",
		"-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
	}
}

// run executes a helper command to its end and returns its output; a failure carries the output.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, tail(out, 30))
	}
	return out, nil
}
