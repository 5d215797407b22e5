package acceptance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-7379b4e8/kafka"
	"github.com/seed-7379b4e8/kafka/internal/kafkatest"
)

// The property of autocommit: whatever a program does, and however it ends, what is committed never lies behind a message that it has not
// done with, so that a crash loses none; and a stop in good order commits all it has done with, so that none comes twice.

func TestProperty_AutoCommitIsNeverAheadOfTheProgram(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, uint64(time.Now().UnixNano() % 1e6)}
	if seed, err := strconv.ParseUint(os.Getenv("KAFKA_TEST_SEED"), 10, 64); err == nil {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, kafkatest.FakeOptions{Nodes: 3}, func(t *testing.T, c *kafkatest.Cluster) {
				p := newProgram(t, c, seed)
				for p.step = range propertySteps {
					p.act()
					p.checkCommitted()
				}
				p.end(true)
			})
		})
	}
}

// A program is one that reads with autocommit, and what it knows of itself.
type program struct {
	t        *testing.T
	c        *kafkatest.Cluster
	rand     *rand.Rand
	group    string
	consumer *kafka.Consumer
	parts    map[kafka.TopicPartition]*progress
	tps      []kafka.TopicPartition
	inHand   []*kafka.Message
	iterated bool // inHand is what an iterator was left on
	step     int
	did      []string
}

// progress is how far the program is in one partition.
type progress struct {
	next int64 // what comes next
	done int64 // the program has done with everything below
}

func newProgram(t *testing.T, c *kafkatest.Cluster, seed uint64) *program {
	p := &program{t: t, c: c, rand: rand.New(rand.NewPCG(seed, 1)), group: kafkatest.TopicName(t), parts: make(map[kafka.TopicPartition]*progress)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last steps of %d:\n%s", p.step, strings.Join(p.did[max(0, len(p.did)-30):], "\n"))
		}
	})
	topic := c.NewTopic(t, kafkatest.Topic{Partitions: 3})
	for i := range int32(3) {
		tp := tpOf(topic, i)
		p.tps, p.parts[tp] = append(p.tps, tp), &progress{}
		kafkatest.Produce(t, c, topic, i, kafkatest.Numbered(3000, 10), kafkatest.PerBatch(100))
	}
	p.begin()
	return p
}

func (p *program) note(format string, args ...any) {
	p.did = append(p.did, fmt.Sprintf("%d: ", p.step)+fmt.Sprintf(format, args...))
}

// begin starts a consumer; it may not begin behind what has been done with.
func (p *program) begin() {
	p.consumer = startOn(p.t, p.c, []kafka.ConsumerOption{kafka.WithGroupID(p.group), kafka.WithAutoCommitInterval(time.Second), quickRetry}, p.tps...)
	for tp, at := range p.parts {
		from := position(p.t, p.consumer, tp)
		require.LessOrEqual(p.t, from, at.done, "messages of %v are lost", tp)
		at.next, at.done = from, from
	}
	p.inHand = nil
}

// end ends the consumer in good order, or as a crash does, and begins anew.
func (p *program) end(stop bool) {
	if !stop {
		p.note("crash")
		crash(p.t, p.consumer)
		p.begin()
		return
	}
	if !p.iterated {
		p.doneWith()
	}
	done := make(map[kafka.TopicPartition]int64)
	for tp, at := range p.parts {
		done[tp] = at.done
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := p.consumer.Stop(ctx)
	p.note("stop: %v", err)
	p.begin()
	for tp, at := range p.parts {
		require.True(p.t, err != nil || at.next == done[tp], "messages of %v come twice: %d, not %d", tp, at.next, done[tp])
	}
}

// doneWith is for when the program asks for more.
func (p *program) doneWith() {
	for _, m := range p.inHand {
		at := p.parts[m.TopicPartition()]
		at.done = max(at.done, m.Offset+1)
	}
	p.inHand, p.iterated = nil, false
}

func (p *program) took(m *kafka.Message) {
	at := p.parts[m.TopicPartition()]
	require.Equal(p.t, at.next, m.Offset, "of %v", m.TopicPartition())
	at.next++
	p.inHand = append(p.inHand, m)
}

// checkCommitted is the property itself.
func (p *program) checkCommitted() {
	for tp, o := range stored(p.t, p.c, p.group) {
		require.LessOrEqual(p.t, o.Offset, p.parts[tp].done, "what is committed of %v", tp)
	}
}

func (p *program) act() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	switch n := p.rand.IntN(100); {
	case n < 20:
		p.doneWith()
		m, err := p.consumer.GetOne(ctx)
		p.note("GetOne: %v", err)
		if !errors.Is(err, context.DeadlineExceeded) {
			require.NoError(p.t, err)
			p.took(m)
		}
	case n < 40:
		p.doneWith()
		got, err := p.consumer.GetMany(ctx, kafka.UpTo(1+p.rand.IntN(20)), kafka.WaitFor(100*time.Millisecond))
		p.note("GetMany: %d", count(got))
		require.NoError(p.t, err)
		for _, msgs := range got {
			for _, m := range msgs {
				p.took(m)
			}
		}
	case n < 60:
		p.iterate(ctx)
	case n < 75:
		d := time.Duration(p.rand.IntN(2500)) * time.Millisecond
		p.note("work for %v", d)
		time.Sleep(d)
	case n < 83:
		p.commit(ctx)
	case n < 87:
		tp := p.tps[p.rand.IntN(len(p.tps))]
		at := p.parts[tp]
		at.next = at.done + p.rand.Int64N(20) // on, or back by what is in hand
		at.done = at.next
		p.note("Seek %v to %d", tp, at.next)
		require.NoError(p.t, p.consumer.Seek(tp, at.next))
		var rest []*kafka.Message
		for _, m := range p.inHand {
			if m.TopicPartition() != tp {
				rest = append(rest, m)
			}
		}
		p.inHand = rest
	case n < 92:
		code := lookupErrors[p.rand.IntN(3)]
		p.note("the coordinator has trouble: %v", code.Message)
		fault(p.c, kmsg.OffsetCommit, p.group, code, 1+p.rand.IntN(3))
		if p.rand.IntN(2) == 0 {
			p.c.Fake().RehashCoordinators()
		}
	case n < 96:
		p.end(true)
	default:
		p.end(false)
	}
}

// iterate reads some messages in a loop, and leaves it with one in hand.
func (p *program) iterate(ctx context.Context) {
	n := 1 + p.rand.IntN(10)
	p.note("a loop of %d", n)
	p.doneWith() // the loop asks for its first
	for m, err := range p.consumer.All(ctx) {
		if err != nil {
			require.ErrorIs(p.t, err, context.DeadlineExceeded)
			p.doneWith()
			return
		}
		p.doneWith()
		p.took(m)
		p.iterated = true
		if n--; n == 0 {
			return
		}
		if p.rand.IntN(4) == 0 {
			time.Sleep(time.Duration(p.rand.IntN(60)) * time.Millisecond)
			p.checkCommitted()
		}
	}
}

// commit commits by hand what is in hand, or every position; with that the program has done with it.
func (p *program) commit(ctx context.Context) {
	if p.rand.IntN(2) == 0 {
		err := p.consumer.CommitMessages(ctx, p.inHand...)
		p.note("CommitMessages: %v", err)
		require.NoError(p.t, err)
		for _, m := range p.inHand {
			at := p.parts[m.TopicPartition()]
			at.done = max(at.done, m.Offset+1)
		}
		return
	}
	err := p.consumer.Commit(ctx)
	p.note("Commit: %v", err)
	require.NoError(p.t, err)
	for _, at := range p.parts {
		at.done = at.next
	}
}
