package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7379b4e8/kafka/internal/broker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// ErrClosed is the answer of a Client after Close.
var ErrClosed = errors.New("cluster client closed")

// ErrNotStarted is the answer of a Client before a successful Start.
var ErrNotStarted = errors.New("cluster client not started")

// errNoBrokers is a metadata answer without brokers, which says nothing.
var errNoBrokers = errors.New("the metadata answer names no brokers")

// Attempt is what became of one bootstrap address.
type Attempt struct {
	Addr string
	Err  error
}

// BootstrapError says that no bootstrap address led to a cluster: every address tried, and why it failed.
type BootstrapError struct {
	// Attempts holds the latest failure of each address, in the order configured.
	Attempts []Attempt
	// Permanent is true when no address can be expected to work by trying again.
	Permanent bool
	// Err is why it was given up: the context's error, or nil when Permanent.
	Err error
}

func (e *BootstrapError) Error() string {
	var b strings.Builder
	b.WriteString("no bootstrap broker could be used")
	for i, a := range e.Attempts {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + describe(a))
	}
	if e.Err != nil {
		b.WriteString(" (" + e.Err.Error() + ")")
	}
	return b.String()
}

// describe says what failed at an address, naming it once.
func describe(a Attempt) string {
	s := a.Err.Error()
	if !strings.Contains(s, a.Addr) {
		s = a.Addr + ": " + s
	}
	return s
}

// Unwrap gives why it was given up and every address's failure.
func (e *BootstrapError) Unwrap() []error {
	errs := make([]error, 0, len(e.Attempts)+1)
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, a := range e.Attempts {
		errs = append(errs, a.Err)
	}
	return errs
}

// UnknownBrokerError says that no broker of that id is known, at least not now.
type UnknownBrokerError struct{ Node int32 }

func (e *UnknownBrokerError) Error() string { return fmt.Sprintf("broker %d is not known", e.Node) }

// BrokerDownError says that a broker could not be connected to, and will not be tried again before RetryAt.
type BrokerDownError struct {
	Node    int32
	Addr    string
	RetryAt time.Time
	Err     error // the last failure
}

func (e *BrokerDownError) Error() string {
	return fmt.Sprintf("broker %d at %s cannot be reached: %v", e.Node, e.Addr, e.Err)
}

// Unwrap gives the last failure.
func (e *BrokerDownError) Unwrap() error { return e.Err }

// CoordinatorError says why the coordinator of a group could not be found.
type CoordinatorError struct {
	Group   string
	Node    int32  // the broker that said so; -1 where none did
	Message string // the broker's own words; may be empty
	Err     error
}

func (e *CoordinatorError) Error() string {
	s := fmt.Sprintf("coordinator of group %q: %v", e.Group, e.Err)
	if e.Message != "" {
		s += fmt.Sprintf(" (%q)", e.Message)
	}
	return s
}

// Unwrap gives the cause.
func (e *CoordinatorError) Unwrap() error { return e.Err }

// IsRetriable reports whether a request that failed with err may succeed when tried again, perhaps on another
// broker: the network failed, or Kafka's error code says so. The end of a context is not retriable.
func IsRetriable(err error) bool {
	if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrNotStarted) {
		return false
	}
	if b, ok := errors.AsType[*BootstrapError](err); ok {
		return !b.Permanent
	}
	if e, ok := errors.AsType[*CoordinatorError](err); ok {
		return e.retriable()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return isDial(err) // a dial that ran into its own time limit
	}
	if _, ok := errors.AsType[*broker.UnsupportedVersionError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*protocol.EncodeError](err); ok {
		return false
	}
	if code, ok := errors.AsType[protocol.ErrorCode](err); ok {
		return code.Retriable()
	}
	if broker.Permanent(err) {
		return false
	}
	return true
}

// isDial reports whether err comes from making a connection, rather than from a caller's context.
func isDial(err error) bool {
	if _, ok := errors.AsType[*BrokerDownError](err); ok {
		return !broker.Permanent(err)
	}
	return false
}
