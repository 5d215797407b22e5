package broker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// Why a connection or a request ended, for errors.Is.
var (
	// ErrClosed is the end of a connection that its owner closed.
	ErrClosed = errors.New("connection closed by the client")
	// ErrIdle is the end of a connection that CloseIfIdle closed.
	ErrIdle = errors.New("connection closed after being idle")
	// ErrTimeout is the end of a connection on which a request went past its deadline.
	ErrTimeout = errors.New("no answer in time")
	// ErrPeerClosed is the end of a connection that the broker closed.
	ErrPeerClosed = errors.New("connection closed by the broker")
)

// DialError says which address could not be connected to, and why.
type DialError struct {
	// Addr is the address as configured or advertised; Target what was dialed for it (an IP), when that differs.
	Addr, Target string
	Err          error
}

func (e *DialError) Error() string { return "dial " + where(e.Addr, e.Target) + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *DialError) Unwrap() error { return e.Err }

// HandshakeError says that a connection was made, but what answered is not a Kafka broker we can talk to.
type HandshakeError struct {
	Addr, Target string
	// Stage is "tls" or "versions".
	Stage string
	// Permanent is true when trying again cannot help: the bytes or the certificate show why.
	Permanent bool
	// Advice says what to look at; may be empty.
	Advice string
	Err    error
}

func (e *HandshakeError) Error() string {
	s := fmt.Sprintf("%s handshake with %s: %v", e.Stage, where(e.Addr, e.Target), e.Err)
	if e.Advice != "" {
		s += " (" + e.Advice + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *HandshakeError) Hint() string { return e.Advice }

// AddressesError joins the failures of every address that a name stands for.
type AddressesError struct {
	Addr string
	Errs []error
}

func (e *AddressesError) Error() string {
	parts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		parts[i] = err.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap gives every failure.
func (e *AddressesError) Unwrap() []error { return e.Errs }

// Permanent reports whether err, from Dial, cannot be cured by trying again: for a name with several addresses,
// whether that is so for every one of them.
func Permanent(err error) bool {
	if all, ok := errors.AsType[*AddressesError](err); ok {
		for _, e := range all.Errs {
			if !Permanent(e) {
				return false
			}
		}
		return len(all.Errs) > 0
	}
	h, ok := errors.AsType[*HandshakeError](err)
	return ok && h.Permanent
}

// RequestError says which request to which broker failed, and why.
type RequestError struct {
	API  protocol.APIKey
	Addr string
	Err  error
}

func (e *RequestError) Error() string { return fmt.Sprintf("%v to %s: %v", e.API, e.Addr, e.Err) }

// Unwrap gives the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// UnsupportedVersionError says that the broker and this package share no version of an API.
type UnsupportedVersionError struct {
	API protocol.APIKey
	// Min and Max are what we may speak here; Known is false when the broker does not have the API at all.
	Min, Max             int16
	BrokerMin, BrokerMax int16
	Known                bool
}

func (e *UnsupportedVersionError) Error() string {
	if !e.Known {
		return "the broker does not know this API"
	}
	return fmt.Sprintf("no common version: the broker speaks %d to %d, we speak %d to %d", e.BrokerMin, e.BrokerMax, e.Min, e.Max)
}

// Unwrap makes it match Kafka's own UNSUPPORTED_VERSION.
func (e *UnsupportedVersionError) Unwrap() error { return protocol.UnsupportedVersion }

// FrameError says that the bytes on a connection are not Kafka responses to our requests.
type FrameError struct {
	Reason string
	// Advice says what the bytes look like; may be empty.
	Advice string
	// Foreign is true when the bytes are recognised as another protocol.
	Foreign bool
}

func (e *FrameError) Error() string {
	if e.Advice == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Advice
}

// where writes an address with the IP that was dialed for it.
func where(addr, target string) string {
	if target == "" || target == addr {
		return addr
	}
	return addr + " [" + target + "]"
}
