// Demo shows a consumer group at work: who has which partitions after each rebalance, the messages, and position, highwater
// and lag as they move.
//
// It needs nothing but Go: it starts a broker of its own inside the process, writes orders to it for a few seconds, and
// reads them with a group of three members, of which one leaves and another one joins. With KAFKA_BOOTSTRAP=host:port
// TOPIC=name one consumer reads a topic of a real cluster instead, as a member of the group GROUP, where that is set.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

func main() {
	var o options
	flag.DurationVar(&o.produceFor, "for", 6*time.Second, "how long to write orders to the embedded broker")
	flag.DurationVar(&o.quietFor, "quiet", 5*time.Second, "a real cluster's topic is read to its end when nothing is new for this long")
	flag.Parse()
	o.bootstrap, o.topic, o.group = os.Getenv("KAFKA_BOOTSTRAP"), os.Getenv("TOPIC"), os.Getenv("GROUP")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are what the flags and the environment say.
type options struct {
	bootstrap, topic     string // none: the embedded broker
	group                string // on a real cluster; none: no group
	produceFor, quietFor time.Duration
}

// demo picks what is read, a real cluster or a broker of our own.
func demo(ctx context.Context, out io.Writer, o options) error {
	if o.bootstrap == "" {
		return embeddedGroup(ctx, out, o.produceFor)
	}
	if o.topic == "" {
		return listTopics(ctx, out, o)
	}
	return readReal(ctx, out, o)
}

// brokers gives the addresses of a real cluster.
func (o options) brokers() []string { return strings.Split(o.bootstrap, ",") }

// connectWithin bounds how long brokers may stay out of reach.
const connectWithin = 10 * time.Second

// listTopics is for a user who has not said which topic is to be read.
func listTopics(ctx context.Context, out io.Writer, o options) error {
	consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers(o.brokers()...))
	if err != nil {
		return err
	}
	defer consumer.Close()
	starting, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	if err := consumer.Start(starting); err != nil {
		return unreachable(o, err)
	}
	topics, err := consumer.Topics(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "TOPIC says which topic is to be read: KAFKA_BOOTSTRAP=%s TOPIC=name make demo\nThere are %d at %s:\n",
		o.bootstrap, len(topics), o.bootstrap)
	for _, topic := range topics {
		fmt.Fprintln(out, "  "+topic)
	}
	return nil
}

// unreachable says what can be done about a cluster that does not answer.
func unreachable(o options, err error) error {
	return fmt.Errorf("\n%w\n\nIs a Kafka broker listening at %s? Without KAFKA_BOOTSTRAP the demo brings its own: make demo",
		err, o.bootstrap)
}
