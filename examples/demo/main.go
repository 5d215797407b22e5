// Demo reads a stream of orders from Kafka and shows position, highwater and lag as they move.
//
// It needs nothing but Go: it starts a broker of its own inside the process, writes orders to it for a few seconds, and
// reads them with this library. With KAFKA_BOOTSTRAP=host:port TOPIC=name it reads a topic of a real cluster instead.
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
	flag.DurationVar(&o.produceFor, "for", 4*time.Second, "how long to write orders to the embedded broker")
	flag.DurationVar(&o.quietFor, "quiet", 5*time.Second, "a real cluster's topic is read to its end when nothing is new for this long")
	flag.Parse()
	o.bootstrap, o.topic = os.Getenv("KAFKA_BOOTSTRAP"), os.Getenv("TOPIC")
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
	produceFor, quietFor time.Duration
}

// demo picks the source, a real cluster or a broker of our own, and reads it.
func demo(ctx context.Context, out io.Writer, o options) error {
	if o.bootstrap != "" {
		src := source{brokers: strings.Split(o.bootstrap, ","), topic: o.topic, quietFor: o.quietFor}
		if src.topic == "" {
			return listTopics(ctx, out, src)
		}
		fmt.Fprintf(out, "Reading topic %q at %s from its first message. Ctrl-C ends it.\n", o.topic, o.bootstrap)
		return read(ctx, out, src)
	}
	e, err := startEmbedded(o.produceFor)
	if err != nil {
		return err
	}
	defer e.close()
	fmt.Fprintf(out, "A broker inside this program listens at %s. Orders are written to topic %q for %v,\n"+
		"in waves: watch the lag grow and go. Ctrl-C ends it.\n", e.addr(), e.topic, o.produceFor)
	return read(ctx, out, source{brokers: []string{e.addr()}, topic: e.topic, written: e.written, work: 20 * time.Millisecond})
}

// A source is what is read, and when that is at an end.
type source struct {
	brokers  []string
	topic    string
	written  <-chan int    // gets the number of messages there are, once; nil: not known
	quietFor time.Duration // with written nil: a topic without news for this long is read to its end
	work     time.Duration // how long the application takes for a message
}

// connectWithin bounds how long brokers may stay out of reach.
const connectWithin = 10 * time.Second

// read consumes the source and prints what comes.
func read(ctx context.Context, out io.Writer, src source) error {
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(src.brokers...),
		kafka.WithTopics(src.topic),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	)
	if err != nil {
		return err
	}
	defer consumer.Close()
	starting, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	if err := consumer.Start(starting); err != nil {
		return unreachable(src, err)
	}

	s := newScreen(out, consumer)
	seen, total := 0, -1
	for seen != total {
		batch, err := consumer.GetMany(ctx, kafka.UpTo(1), kafka.WaitFor(100*time.Millisecond))
		switch {
		case ctx.Err() != nil:
			total = seen // Ctrl-C
		case err != nil:
			fmt.Fprintln(out, err) // it lasts, and is told again until it passes
		}
		if len(batch) == 0 {
			s.tellSkipped()
		}
		for _, messages := range batch {
			seen += len(messages)
			s.message(messages[0])
			pause(ctx, src.work)
		}
		select {
		case total = <-src.written:
		default:
		}
		if src.written == nil && s.quiet() > src.quietFor {
			fmt.Fprintf(out, "\nNothing new for %v.\n", src.quietFor)
			break
		}
	}
	s.summary()
	return nil
}

// listTopics is for a user who has not said which topic is to be read.
func listTopics(ctx context.Context, out io.Writer, src source) error {
	consumer, err := kafka.NewConsumer(kafka.WithBootstrapServers(src.brokers...))
	if err != nil {
		return err
	}
	defer consumer.Close()
	starting, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	if err := consumer.Start(starting); err != nil {
		return unreachable(src, err)
	}
	topics, err := consumer.Topics(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "TOPIC says which topic is to be read: KAFKA_BOOTSTRAP=%s TOPIC=name make demo\nThere are %d at %s:\n",
		strings.Join(src.brokers, ","), len(topics), strings.Join(src.brokers, ", "))
	for _, topic := range topics {
		fmt.Fprintln(out, "  "+topic)
	}
	return nil
}

// unreachable says what can be done about a cluster that does not answer.
func unreachable(src source, err error) error {
	return fmt.Errorf("\n%w\n\nIs a Kafka broker listening at %s? Without KAFKA_BOOTSTRAP the demo brings its own: make demo",
		err, strings.Join(src.brokers, ", "))
}

// pause stands for the work an application does with a message.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
