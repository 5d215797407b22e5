package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

// readReal reads a topic of a real cluster with one consumer, and ends when nothing is new for a while.
func readReal(ctx context.Context, out io.Writer, o options) error {
	s := newScreen(out)
	opts := []kafka.ConsumerOption{
		kafka.WithBootstrapServers(o.brokers()...),
		kafka.WithTopics(o.topic),
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
	}
	if o.group == "" {
		fmt.Fprintf(out, "Reading topic %q at %s from its first message. Ctrl-C ends it.\n", o.topic, o.bootstrap)
	} else {
		fmt.Fprintf(out, "Reading topic %q at %s as a member of group %q, from where that is. Ctrl-C ends it.\n", o.topic, o.bootstrap, o.group)
		opts = append(opts, kafka.WithGroupID(o.group), kafka.WithRebalanceListener(s.listener("this member")))
	}
	consumer, err := kafka.NewConsumer(opts...)
	if err != nil {
		return err
	}
	defer consumer.Close()
	starting, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	s.heading()
	if err := consumer.Start(starting); err != nil {
		return unreachable(o, err)
	}
	for ctx.Err() == nil {
		batch, err := consumer.GetMany(ctx, kafka.UpTo(1), kafka.WaitFor(100*time.Millisecond))
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(out, err) // it lasts, and is told again until it passes
		}
		if len(batch) == 0 {
			s.tellSkipped()
		}
		for _, messages := range batch {
			s.message("", consumer, messages[0])
		}
		if s.quiet() > o.quietFor {
			fmt.Fprintf(out, "\nNothing new for %v.\n", o.quietFor)
			break
		}
	}
	s.summary(consumer)
	s.mute()
	return nil
}
