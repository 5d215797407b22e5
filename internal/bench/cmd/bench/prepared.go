package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// prepared is a folder that what was fetched stays in between runs, in the user's cache: KAFKA_BENCH_CACHE, or kafka-go-bench in
// the cache folder. It is filled once for each content of from; a fill that failed leaves nothing behind.
func prepared(name string, from []byte, fill func(dir string) error) (string, error) {
	cache := os.Getenv("KAFKA_BENCH_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no folder to keep it in: %w", err)
		}
		cache = filepath.Join(base, "kafka-go-bench")
	}
	sum := sha256.Sum256(from)
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(sum[:6]))
	whole := filepath.Join(dir, ".whole") // a virtual environment cannot be moved: it is marked when it is whole
	if _, err := os.Stat(whole); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := fill(dir); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("fetching it: %w", err)
	}
	return dir, os.WriteFile(whole, nil, 0o644)
}
