package cluster

import (
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// refreshState decides when metadata is asked for next. It is pure state: time comes in with every event.
type refreshState struct {
	ended    time.Time // when the last attempt ended
	answered time.Time // when the last usable answer came
	maxAge   time.Duration

	// Which question an answer is to; only tests ask.
	attempt         int // the number of the last attempt that began
	answeredAttempt int // the number of the last one that had a usable answer

	failures int           // attempts in a row without an answer
	pause    time.Duration // until the next attempt after a failure
	wanted   string        // why a refresh was asked for since the last attempt began; "" if not
	streak   int           // demanded attempts in a row
	trouble  trouble
	since    time.Time // when the trouble became urgent
}

// trouble is how much the present view leaves to be desired.
type trouble int

const (
	calm   trouble = iota
	uneasy         // a tracked topic is missing or in error
	urgent         // a partition has no leader, or one that cannot be reached
)

// want notes that a refresh was asked for.
func (s *refreshState) want(reason string) {
	if s.wanted == "" {
		s.wanted = reason
	}
}

// began notes that an attempt begins; what is wanted from here on is for the next one.
func (s *refreshState) began(now time.Time, calmFor time.Duration) {
	if s.wanted == "" && s.trouble == calm || now.Sub(s.ended) > calmFor {
		s.streak = 0
	} else {
		s.streak++
	}
	s.attempt++
	s.wanted = ""
}

// done notes how an attempt ended. maxAge is when its answer will be too old, b when to try again without one.
func (s *refreshState) done(now time.Time, err error, maxAge time.Duration, b Backoff) {
	s.ended = now
	if err != nil {
		s.failures++
		s.pause = b.After(s.failures)
		return
	}
	s.failures = 0
	s.answered = now
	s.answeredAttempt = s.attempt
	s.maxAge = maxAge
}

// look notes what the view is like now.
func (s *refreshState) look(t trouble, now time.Time) {
	if t == urgent && s.trouble != urgent {
		s.since = now
	}
	s.trouble = t
}

// next is when the next attempt is due. Demands are met at once after a quiet time, then with growing gaps: up to
// urgentGap while a leader is missing or refused, up to b.Max when that has lasted, or a topic is missing.
func (s *refreshState) next(b Backoff, now time.Time) time.Time {
	due := s.answered.Add(s.maxAge)
	if s.failures > 0 {
		due = s.ended.Add(s.pause)
	}
	if s.wanted == "" && s.trouble == calm {
		return due
	}
	gap := b.plain(s.streak + 1)
	pressing := s.trouble == urgent && now.Sub(s.since) < urgentFor || s.wanted != "" && s.trouble == calm
	if pressing && gap > urgentGap {
		gap = urgentGap
	}
	if demanded := s.ended.Add(gap); s.failures == 0 && demanded.Before(due) {
		due = demanded
	}
	return due
}

// overdue reports whether metadata could not be had for so long that the cluster must be found anew (KIP-1102).
func (s *refreshState) overdue(after time.Duration, now time.Time) bool {
	return !s.answered.IsZero() && s.failures > 0 && now.Sub(s.answered) >= after
}

// topicTroubles says how much a topic's error code leaves to be desired. What the root does about it is in its topicActions.
var topicTroubles = map[protocol.ErrorCode]trouble{
	protocol.LeaderNotAvailable:       urgent,
	protocol.ListenerNotFound:         uneasy,
	protocol.UnknownTopicOrPartition:  uneasy,
	protocol.UnknownTopicID:           uneasy,
	protocol.UnknownServerError:       uneasy,
	protocol.TopicAuthorizationFailed: calm, // only a person can change that; the next look is by age
	protocol.InvalidTopic:             calm,
}

func topicTrouble(code protocol.ErrorCode) trouble {
	if t, ok := topicTroubles[code]; ok {
		return t
	}
	return uneasy
}

// judge says how much a view leaves to be desired for the tracked topics. unreachable tells of brokers.
func judge(m *Metadata, topics map[string]bool, all bool, unreachable func(id int32) bool) trouble {
	worst := calm
	for name := range topics {
		if m.Topics[name] == nil && !all {
			worst = uneasy
		}
	}
	for _, t := range m.Topics {
		if t.Err != protocol.None {
			switch topicTrouble(t.Err) {
			case urgent:
				return urgent
			case calm:
				continue
			}
			worst = uneasy
		}
		for _, p := range t.Partitions {
			if p.Leader < 0 || unreachable(p.Leader) {
				return urgent
			}
		}
	}
	return worst
}
