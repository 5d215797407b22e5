package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// This file keeps the errors that Get calls are to tell; tell, in take.go, picks among them. All of it is called with
// subscription.mu held.

// A failure is an error of one partition, or, with p nil, of the whole subscription, that Get calls tell.
type failure struct {
	p      *partition
	key    string // what it is about, where p is nil
	err    error
	once   bool      // it is an event, and goes when it has been told
	toldAt time.Time // zero: not told yet
}

// fail makes Get calls tell an error of p until clear; a failure that is told already is kept when it says the same.
func (s *subscription) fail(p *partition, err error) {
	if f := p.failure; f != nil && (f.err == err || f.err.Error() == err.Error()) { //nolint:errorlint // the same one
		return
	}
	s.clear(p)
	p.failure = &failure{p: p, err: err}
	for _, f := range s.failures {
		if p.failure.saysTheSame(f) && f.toldAt.After(p.failure.toldAt) {
			p.failure.toldAt = f.toldAt
		}
	}
	s.failures = append(s.failures, p.failure)
	s.wake(p)
	s.signal()
}

// clear ends what fail began.
func (s *subscription) clear(p *partition) {
	if p.failure == nil {
		return
	}
	s.failures = slices.DeleteFunc(s.failures, func(f *failure) bool { return f == p.failure })
	p.failure = nil
}

// failOnce makes the next Get call tell an error, and only that.
func (s *subscription) failOnce(err error) {
	s.failures = append(s.failures, &failure{key: fmt.Sprintf("\x00event %p", err), once: true, err: err})
	s.wake(nil)
	s.signal()
}

// healed ends a failure that is not in the buffer: p could be fetched.
func (s *subscription) healed(p *partition) {
	if p.failure != nil && p.buf.failed() == nil && !p.fetch.lost && !p.refused {
		s.clear(p)
	}
}

// What a failure that concerns no single partition is about, beside topics.
const (
	aboutCommits = "\x00commits"
	aboutGroup   = "\x00group"
)

// aboutTopic is the key of a failure that concerns a whole topic.
func aboutTopic(topic string) string { return "topic " + topic }

// failAs makes Get calls tell an error that is not one partition's, such as a missing right to a topic; nil ends it. An
// error takes the place of the one that was told of the same before, and is told no sooner than that would have been.
func (s *subscription) failAs(key string, err error) {
	i := slices.IndexFunc(s.failures, func(f *failure) bool { return f.p == nil && f.key == key })
	switch {
	case i >= 0 && err == nil:
		s.failures = slices.Delete(s.failures, i, i+1)
	case i >= 0:
		s.failures[i] = &failure{key: key, err: err, toldAt: s.failures[i].toldAt}
	case err != nil:
		s.failures = append(s.failures, &failure{key: key, err: err})
		s.wake(nil)
		s.signal()
	}
}

// clearTopicFailures ends what was told about topics that do not matter any more.
func (s *subscription) clearTopicFailures() {
	s.failures = slices.DeleteFunc(s.failures, func(f *failure) bool {
		topic, ok := strings.CutPrefix(f.key, aboutTopic(""))
		return f.p == nil && ok && !slices.Contains(s.topics, topic)
	})
}

// untold joins the events of a listener that no Get call has told yet: nobody else would.
func (s *subscription) untold() error {
	var errs []error
	for _, f := range s.failures {
		if _, ok := errors.AsType[*ListenerError](f.err); ok && f.once {
			errs = append(errs, f.err)
		}
	}
	return errors.Join(errs...)
}
