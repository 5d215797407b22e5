package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka"
)

// listener tells what a member is given and gives up and, of a group of which all members are here, who has what when a rebalance
// is over.
func (s *screen) listener(who string) kafka.RebalanceListener {
	return kafka.RebalanceFuncs{
		Assigned: func(ctx context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
			var at []string
			for _, tp := range tps {
				from, err := c.Position(ctx, tp)
				if err != nil {
					return err
				}
				at = append(at, fmt.Sprintf("%v at %d", tp, from))
			}
			s.tell("%s gets %s", who, strings.Join(at, ", "))
			s.own(who, tps)
			return nil
		},
		Revoked: func(_ context.Context, c *kafka.Consumer, tps []kafka.TopicPartition) error {
			s.tell("%s gives up %s", who, names(tps))
			s.own("", tps)
			return nil
		},
	}
}

// tell prints a line of the story between the messages.
func (s *screen) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.muted {
		s.skips()
		fmt.Fprintf(s.out, "%7.2fs  ── %s\n", time.Since(s.started).Seconds(), fmt.Sprintf(format, args...))
	}
}

// mute ends the story.
func (s *screen) mute() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = true
}

// own notes who has partitions now, and says who has which when a rebalance is over: when every partition has an owner.
func (s *screen) own(who string, tps []kafka.TopicPartition) {
	if s.whole == 0 {
		return
	}
	s.mu.Lock()
	shares := make(map[string][]kafka.TopicPartition)
	for _, tp := range tps {
		s.owners[tp] = who
	}
	for tp, owner := range s.owners {
		shares[owner] = append(shares[owner], tp)
	}
	over := len(s.owners) == s.whole && len(shares[""]) == 0
	s.mu.Unlock()
	if !over {
		return
	}
	var parts []string
	for _, owner := range slices.Sorted(maps.Keys(shares)) {
		parts = append(parts, owner+" has "+names(shares[owner]))
	}
	s.tell("rebalanced: %s", strings.Join(parts, "; "))
}

// names gives partitions as "orders-0, 2, 5", or in full where they are of several topics.
func names(tps []kafka.TopicPartition) string {
	tps = slices.SortedFunc(slices.Values(tps), func(a, b kafka.TopicPartition) int {
		if a.Topic != b.Topic {
			return strings.Compare(a.Topic, b.Topic)
		}
		return int(a.Partition - b.Partition)
	})
	var out []string
	for i, tp := range tps {
		if i > 0 && tp.Topic == tps[0].Topic {
			out = append(out, fmt.Sprint(tp.Partition))
		} else {
			out = append(out, tp.String())
		}
	}
	return strings.Join(out, ", ")
}
