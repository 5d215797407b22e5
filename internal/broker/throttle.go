package broker

import (
	"time"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// silence is until when a response's throttle time asks for silence; the zero time for not at all. From the
// versions of KIP-219 on the broker answers first and then does not read from the connection for that long;
// before, it has already waited. A time no sane broker asks for is cut to MaxThrottle.
func silence(k protocol.APIKey, version int16, throttle time.Duration, now time.Time) time.Time {
	if throttle <= 0 || !protocol.AnsweredBeforeThrottle(k, version) {
		return time.Time{}
	}
	return now.Add(min(throttle, MaxThrottle))
}
