package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/bench/probe"
	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
)

// child is a program that answers each line of its standard input with a line of JSON, and ends when that does.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *json.Decoder
}

func startChild(command string, args ...string) (*child, error) {
	cmd := exec.Command(command, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, stdin, json.NewDecoder(stdout)}, nil
}

func (c *child) ask(line string, answer any) error {
	if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
		return fmt.Errorf("asking %s for %q: %w", filepath.Base(c.cmd.Path), line, err)
	}
	if err := c.stdout.Decode(answer); err != nil {
		return fmt.Errorf("%s to %q: %w", filepath.Base(c.cmd.Path), line, err)
	}
	return nil
}

// stop ends its input, and the program itself where that does not.
func (c *child) stop() {
	_ = c.stdin.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait()
}

const stopTimeout = 20 * time.Second

// prober is a consumer in a process of its own.
type prober struct{ *child }

// probe starts a consumer on the first topic of a server.
func (l *lab) probe(client string, ready replay.Ready, flags ...string) (prober, error) {
	args := append([]string{"-client", client, "-brokers", strings.Join(ready.Brokers, ","), "-topic", ready.Topics[0].Name}, flags...)
	c, err := startChild(filepath.Join(l.bins.dir, "probe"), args...)
	return prober{c}, err
}

func (p prober) do(format string, args ...any) (probe.Answer, error) {
	var a probe.Answer
	if err := p.ask(fmt.Sprintf(format, args...), &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// growing are the flags of a growing topic, for a replay server and a probe alike.
func growing(g replay.Growth) []string {
	return []string{"-grow", g.Every.String(), "-whole", strconv.Itoa(g.Whole), "-active", strconv.Itoa(g.Active)}
}

// endless is a number of records that no client comes to the end of.
const endless = "1000000000000"

func (s *server) detail() (replay.Detail, error) { return s.command("detail") }

func (s *server) command(format string, args ...any) (d replay.Detail, err error) {
	return d, s.ask(fmt.Sprintf(format, args...), &d)
}
