package protocol

import "strconv"

// ErrorCode is a broker's answer to a request or a part of one: [None], or what went wrong. It implements error, so that
// errors.Is(err, protocol.UnknownTopicOrPartition) works; turn a code from a response into an error with [ErrorCode.Err], which knows None.
type ErrorCode int16

// Err gives the code as an error, nil for [None].
func (c ErrorCode) Err() error {
	if c == None {
		return nil
	}
	return c
}

// Error gives Kafka's name for the code and what it means.
func (c ErrorCode) Error() string {
	info, ok := c.info()
	if !ok {
		return "error code " + strconv.Itoa(int(c)) + " (newer than this client knows)"
	}
	if info.meaning == "" {
		return info.name
	}
	return info.name + ": " + info.meaning
}

// Name gives Kafka's name for the code, "UNKNOWN_TOPIC_OR_PARTITION"; its number for one this package does not know.
func (c ErrorCode) Name() string {
	if info, ok := c.info(); ok {
		return info.name
	}
	return strconv.Itoa(int(c))
}

// Retriable reports whether Kafka's Java client counts the error among those that may pass when the request is repeated.
// What to do about it depends on the request.
func (c ErrorCode) Retriable() bool {
	info, ok := c.info()
	return ok && info.retriable
}

func (c ErrorCode) info() (errorInfo, bool) {
	if i := int(c) + 1; i >= 0 && i < len(errorInfos) {
		return errorInfos[i], true
	}
	return errorInfo{}, false
}
