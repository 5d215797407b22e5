package protocol

import "time"

// SaslHandshakeRequest chooses a SASL mechanism (API key 17, versions 0–1, never flexible). After version 1
// the mechanism's bytes travel in [SaslAuthenticateRequest]s (KIP-152), after version 0 without any header.
type SaslHandshakeRequest struct {
	Mechanism string
}

// Key implements Request.
func (*SaslHandshakeRequest) Key() APIKey { return KeySaslHandshake }

func (m *SaslHandshakeRequest) code(c *coder) { c.string("Mechanism", &m.Mechanism) }

// SaslHandshakeResponse answers a [SaslHandshakeRequest].
type SaslHandshakeResponse struct {
	ErrorCode  ErrorCode
	Mechanisms []string // what the broker has on this listener
}

// Key implements Response.
func (*SaslHandshakeResponse) Key() APIKey { return KeySaslHandshake }

// Throttle implements Response: the API has none.
func (*SaslHandshakeResponse) Throttle() time.Duration { return 0 }

func (m *SaslHandshakeResponse) code(c *coder) {
	c.errorCode("ErrorCode", &m.ErrorCode)
	c.strings("Mechanisms", &m.Mechanisms)
}
