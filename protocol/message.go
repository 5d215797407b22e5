package protocol

import "time"

// Request is a request of one of the package's APIs.
type Request interface {
	Key() APIKey
	code(c *coder)
}

// Response is a response of one of the package's APIs.
type Response interface {
	Key() APIKey
	// Throttle is how long the broker throttles this client; see [AnsweredBeforeThrottle] for who waits.
	Throttle() time.Duration
	code(c *coder)
}

// throttle turns the ThrottleTimeMs field into a duration; a negative one is none.
func throttle(ms int32) time.Duration { return time.Duration(max(ms, 0)) * time.Millisecond }
