package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

const (
	work      = 40 * time.Millisecond // how long a member takes for a message
	stopTime  = 5 * time.Second       // what a member has for its last commit, and to leave
	readAfter = 15 * time.Second      // how long after the last order was written all have to be read
)

// embeddedGroup has a group read the orders while its members come and go.
func embeddedGroup(ctx context.Context, out io.Writer, produceFor time.Duration) error {
	e, err := startEmbedded(produceFor)
	if err != nil {
		return err
	}
	defer e.close()
	fmt.Fprintf(out, "A broker inside this program listens at %s. Orders are written to the %d partitions of topic %q for %v,\n"+
		"in waves: watch the lag grow and go. A group of three reads them; then one leaves, and another one joins. Ctrl-C ends it.\n",
		e.addr(), partitions, e.topic, produceFor)
	g := &group{e: e, screen: newScreen(out)}
	g.whole = partitions
	g.heading()
	err = errors.Join(g.story(ctx, produceFor), g.end())
	if err != nil {
		return err
	}
	return g.closing()
}

// A group is the members that read the orders.
type group struct {
	*screen
	e       *embedded
	members []*member
	total   int // how many orders there are; 0: not known
}

// story has members come and go, and returns when all orders have been read, or ctx ends.
func (g *group) story(ctx context.Context, produceFor time.Duration) error {
	leaves, joins := time.NewTimer(produceFor/3), time.NewTimer(produceFor*2/3)
	defer leaves.Stop()
	defer joins.Stop()
	for _, name := range []string{"anna", "ben", "cleo"} {
		if err := g.join(ctx, name); err != nil {
			return err
		}
	}
	late := make(<-chan time.Time)
	for ctx.Err() == nil && (g.total == 0 || g.count() < g.total) {
		var err error
		select {
		case <-ctx.Done(): // Ctrl-C
		case <-leaves.C:
			err = g.leave("ben")
		case <-joins.C:
			err = g.join(ctx, "dora")
		case g.total = <-g.e.written:
			late = time.After(readAfter)
		case <-g.news:
		case <-late:
			return nil // the closing line says what is missing
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A member is a consumer in the group, and the application that takes its messages.
type member struct {
	name     string
	consumer *kafka.Consumer
	stop     context.CancelFunc
	ended    chan struct{} // closed when the application has ended
}

// join starts a member. Start returns with its first partitions.
func (g *group) join(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return nil
	}
	g.tell("%s joins the group", name)
	consumer, err := kafka.NewConsumer(
		kafka.WithBootstrapServers(g.e.addr()),
		kafka.WithTopics(g.e.topic),
		kafka.WithGroupID("billing"),
		kafka.WithClientID(name),
		kafka.WithAssignors(kafka.CooperativeStickyAssignor), // what does not move is read on
		kafka.WithAutoOffsetReset(kafka.ResetEarliest),
		kafka.WithHeartbeatInterval(100*time.Millisecond), // hear of rebalances soon
		kafka.WithRebalanceListener(g.listener(name)),
	)
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	reading, stop := context.WithCancel(ctx)
	m := &member{name: name, consumer: consumer, stop: stop, ended: make(chan struct{})}
	g.members = append(g.members, m)
	go g.read(reading, m) // ended by leave
	return nil
}

// read is a member's application: it takes one message after the other, and ends with ctx.
func (g *group) read(ctx context.Context, m *member) {
	defer close(m.ended)
	for ctx.Err() == nil {
		batch, err := m.consumer.GetMany(ctx, kafka.UpTo(1))
		if err != nil && ctx.Err() == nil {
			g.tell("%s: %v", m.name, err)
		}
		for _, messages := range batch {
			g.message(m.name, m.consumer, messages[0])
			pause(ctx, work)
		}
	}
}

// leave stops a member: it ends with the message in hand, commits, and leaves the group.
func (g *group) leave(name string) error {
	for i, m := range g.members {
		if m.name == name {
			g.tell("%s leaves the group", name)
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			return m.end()
		}
	}
	return nil
}

func (m *member) end() error {
	m.stop()
	<-m.ended
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return m.consumer.Stop(ctx)
}

// end prints the summary, and stops all members that are left.
func (g *group) end() error {
	var consumers []*kafka.Consumer
	for _, m := range g.members {
		m.stop()
		<-m.ended
		consumers = append(consumers, m.consumer)
	}
	g.summary(consumers...)
	g.mute()
	var errs []error
	for _, m := range g.members {
		errs = append(errs, m.end())
	}
	return errors.Join(errs...)
}

// closing says whether every message was read exactly once.
func (g *group) closing() error {
	read, twice := g.count(), g.twice()
	switch {
	case g.total == 0: // Ctrl-C
		fmt.Fprintf(g.out, "%d of them are different ones: %d were read twice.\n", read, twice)
	case read < g.total || twice > 0:
		return fmt.Errorf("of %d orders %d were not read, and %d were read twice", g.total, g.total-read, twice)
	default:
		fmt.Fprintf(g.out, "%d orders were written, and every one of them was read exactly once.\n", g.total)
	}
	return nil
}

// pause stands for the work an application does with a message.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
