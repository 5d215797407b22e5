package protocol

import "time"

// SaslAuthenticateRequest carries one step of a SASL mechanism (API key 36, versions 0–2, KIP-152). Version 2 is flexible.
type SaslAuthenticateRequest struct {
	AuthBytes []byte
}

// Key implements Request.
func (*SaslAuthenticateRequest) Key() APIKey { return KeySaslAuthenticate }

func (m *SaslAuthenticateRequest) code(c *coder) {
	c.bytes("AuthBytes", &m.AuthBytes, false)
	c.noTags()
}

// SaslAuthenticateResponse answers a [SaslAuthenticateRequest]. Version 1 adds the session's lifetime (KIP-368).
type SaslAuthenticateResponse struct {
	ErrorCode         ErrorCode
	ErrorMessage      *string
	AuthBytes         []byte
	SessionLifetimeMs int64 // 1+; 0: no end
}

// Key implements Response.
func (*SaslAuthenticateResponse) Key() APIKey { return KeySaslAuthenticate }

// Throttle implements Response: the API has none.
func (*SaslAuthenticateResponse) Throttle() time.Duration { return 0 }

func (m *SaslAuthenticateResponse) code(c *coder) {
	if c.reading {
		*m = SaslAuthenticateResponse{}
	}
	c.errorCode("ErrorCode", &m.ErrorCode)
	c.nullableString("ErrorMessage", &m.ErrorMessage, 0)
	c.bytes("AuthBytes", &m.AuthBytes, false)
	if c.since(1) {
		c.int64("SessionLifetimeMs", &m.SessionLifetimeMs)
	}
	c.noTags()
}
