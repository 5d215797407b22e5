package protocol

import "fmt"

// A DecodeError says why bytes could not be read as the message they were said to be.
type DecodeError struct {
	Message string // the message's schema name, "MetadataResponse"
	Version int16
	Field   string // path of the field, "Topics[2].Partitions[0].LeaderID"; empty for the message as a whole
	Offset  int    // bytes of the message read before the field
	Reason  string
	Err     error // the reader's error where bytes come from a reader, else nil
}

// Error implements error.
func (e *DecodeError) Error() string {
	field := ""
	if e.Field != "" {
		field = ", field " + e.Field
	}
	return fmt.Sprintf("protocol: cannot decode %s version %d%s at byte %d: %s", e.Message, e.Version, field, e.Offset, e.Reason)
}

// Unwrap gives the reader's error, if there was one.
func (e *DecodeError) Unwrap() error { return e.Err }

// An EncodeError says why a message cannot be written in a version.
type EncodeError struct {
	Message string // the message's schema name, "MetadataRequest"
	Version int16
	Field   string // path of the field; empty for the message as a whole
	Reason  string
}

// Error implements error.
func (e *EncodeError) Error() string {
	field := ""
	if e.Field != "" {
		field = ", field " + e.Field
	}
	return fmt.Sprintf("protocol: cannot encode %s version %d%s: %s", e.Message, e.Version, field, e.Reason)
}

// An UnsupportedVersionError is an API key, or a version of one, that this package does not speak.
type UnsupportedVersionError struct {
	Key      APIKey
	Version  int16
	Min, Max int16 // what this package speaks; Max is below Min for a key it does not know
}

// Error implements error.
func (e *UnsupportedVersionError) Error() string {
	if e.Max < e.Min {
		return fmt.Sprintf("protocol: API %s is not supported", e.Key)
	}
	return fmt.Sprintf("protocol: version %d of %s is not supported, only %d to %d", e.Version, e.Key, e.Min, e.Max)
}
