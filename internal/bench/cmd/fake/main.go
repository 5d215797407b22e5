// Fake runs franz-go's fake broker until its standard input ends, and says where in one line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/seed-7379b4e8/kafka/internal/bench/replay"
	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		os.Exit(1)
	}
}

func run() error {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := json.NewEncoder(os.Stdout).Encode(replay.Ready{Brokers: c.ListenAddrs()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
