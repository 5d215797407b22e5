package protocol

import "encoding/base64"

// UUID identifies a topic (KIP-516) or a log directory. The zero UUID means none.
type UUID [16]byte

// String gives Kafka's text form: URL-safe base64 without padding.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// IsZero reports whether u is the UUID that stands for none.
func (u UUID) IsZero() bool { return u == UUID{} }
