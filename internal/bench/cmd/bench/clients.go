package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// client is a client under test and the mode it reads in.
type client struct{ name, mode string }

func (c client) String() string { return strings.TrimSuffix(c.name+"/"+c.mode, "/") }

const defaultClients = "franz-go/defaults,franz-go/pools,ours/getmany,ours/messages,floor/fresh,floor/reused,floor/socket"

// programs are the folders under cmd of the clients.
var programs = map[string]string{
	"ours":     "client-ours",
	"franz-go": "client-franz",
	"sarama":   "client-sarama",
	"kafka-go": "client-kafkago",
	"floor":    "client-floor",
}

func selectClients(list string) ([]client, error) {
	var clients []client
	for _, s := range strings.Split(list, ",") {
		name, mode, _ := strings.Cut(s, "/")
		if programs[name] == "" {
			return nil, fmt.Errorf("unknown client %q", name)
		}
		clients = append(clients, client{name, mode})
	}
	return clients, nil
}

const modulePath = "github.com/seed-7379b4e8/kafka/internal/bench"

// build compiles the replay server and the clients into a folder of their own.
func build(ctx context.Context, clients []client) (dir string, cleanup func(), err error) {
	dir, err = os.MkdirTemp("", "kafka-bench-")
	if err != nil {
		return "", nil, err
	}
	cleanup = func() { _ = os.RemoveAll(dir) }
	packages := []string{modulePath + "/cmd/replay"}
	for _, c := range clients {
		if p := modulePath + "/cmd/" + programs[c.name]; !slices.Contains(packages, p) {
			packages = append(packages, p)
		}
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		cleanup()
		return "", nil, fmt.Errorf("building the clients: %w\n%s", err, out)
	}
	return dir, cleanup, nil
}
