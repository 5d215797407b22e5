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

const defaultClients = "franz-go/defaults,franz-go/pools,ours/getmany,ours/messages,ours/batches,floor/fresh,floor/reused,floor/socket"

// program is what runs a client: a folder under cmd, or one that has to be prepared first.
type program struct {
	folder  string
	prepare func(ctx context.Context, dir string) (command []string, err error)
	// share is how many times longer than a good client this one takes to read a topic: it reads the first part of every
	// partition only, so that a round takes seconds all the same. 0 is 1.
	share int64
}

// programs by the name of their client.
var programs = map[string]program{
	"ours":      {folder: "client-ours"},
	"franz-go":  {folder: "client-franz"},
	"sarama":    {folder: "client-sarama"},
	"kafka-go":  {folder: "client-kafkago"},
	"floor":     {folder: "client-floor"},
	"confluent": {prepare: prepareConfluent, share: 4},
	"java":      {prepare: prepareJava},
	"aiokafka":  {prepare: prepareAiokafka, share: 20},
}

func selectClients(list string) ([]client, error) {
	var clients []client
	for _, s := range strings.Split(list, ",") {
		name, mode, _ := strings.Cut(s, "/")
		if _, known := programs[name]; !known {
			return nil, fmt.Errorf("unknown client %q", name)
		}
		clients = append(clients, client{name, mode})
	}
	return clients, nil
}

const modulePath = "github.com/seed-7379b4e8/kafka/internal/bench"

// programs that are ready to run.
type built struct {
	dir      string
	commands map[string][]string // of each client, by its name
	skipped  map[string]string   // why a client cannot be run on this machine
}

func (b *built) cleanup() { _ = os.RemoveAll(b.dir) }

// build compiles the clients, and the further programs under cmd that are named, into a folder of their own. A client of another
// language that this machine cannot run is skipped, with the reason; anything else is an error.
func build(ctx context.Context, clients []client, more ...string) (*built, error) {
	dir, err := os.MkdirTemp("", "kafka-bench-")
	if err != nil {
		return nil, err
	}
	b := &built{dir: dir, commands: map[string][]string{}, skipped: map[string]string{}}
	var packages []string
	for _, folder := range more {
		packages = append(packages, modulePath+"/cmd/"+folder)
	}
	for _, c := range clients {
		if b.commands[c.name] != nil || b.skipped[c.name] != "" {
			continue
		}
		p := programs[c.name]
		if p.prepare == nil {
			b.commands[c.name] = []string{filepath.Join(dir, p.folder)}
			packages = append(packages, modulePath+"/cmd/"+p.folder)
			continue
		}
		fmt.Fprintf(os.Stderr, "preparing %s\n", c.name)
		command, err := p.prepare(ctx, dir)
		if err != nil {
			b.skipped[c.name] = firstLine(err.Error())
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", c.name, err)
			continue
		}
		b.commands[c.name] = command
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.cleanup()
		return nil, fmt.Errorf("building the clients: %w\n%s", err, out)
	}
	return b, nil
}

// runnable are the clients that were not skipped.
func (b *built) runnable(clients []client) []client {
	return slices.DeleteFunc(slices.Clone(clients), func(c client) bool { return b.commands[c.name] == nil })
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
