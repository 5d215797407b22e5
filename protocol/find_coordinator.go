package protocol

import "time"

// Kinds of coordinator in a [FindCoordinatorRequest].
const (
	CoordinatorGroup       int8 = 0
	CoordinatorTransaction int8 = 1 // 1+
	CoordinatorShare       int8 = 2 // 6+, KIP-932
)

// FindCoordinatorRequest asks which broker coordinates a group (API key 10, versions 0–6).
// Version 1 adds the key type, version 3 is flexible, version 4 asks for many keys at once (KIP-699).
// A request that is to work in any version sets CoordinatorKey and CoordinatorKeys both.
type FindCoordinatorRequest struct {
	CoordinatorKey  string   // 0–3; Key in the schema
	KeyType         int8     // 1+
	CoordinatorKeys []string // 4+
}

// Key implements Request.
func (*FindCoordinatorRequest) Key() APIKey { return KeyFindCoordinator }

func (m *FindCoordinatorRequest) code(c *coder) {
	if c.reading {
		*m = FindCoordinatorRequest{}
	}
	if c.until(3) {
		c.either("CoordinatorKey", m.CoordinatorKey != "", "CoordinatorKeys", len(m.CoordinatorKeys) > 0)
		c.string("CoordinatorKey", &m.CoordinatorKey)
	}
	if c.since(1) {
		c.int8("KeyType", &m.KeyType)
	} else if m.KeyType != CoordinatorGroup {
		c.fail("KeyType", "%d, which needs version 1", m.KeyType)
	}
	if c.since(4) {
		c.either("CoordinatorKeys", len(m.CoordinatorKeys) > 0, "CoordinatorKey", m.CoordinatorKey != "")
		c.strings("CoordinatorKeys", &m.CoordinatorKeys)
	}
	c.noTags()
}

// FindCoordinatorResponse answers a [FindCoordinatorRequest]: in its own fields up to version 3, in Coordinators from
// version 4 on. Version 1 adds throttle time and error message.
type FindCoordinatorResponse struct {
	ThrottleTimeMs int32                                // 1+
	ErrorCode      ErrorCode                            // 0–3
	ErrorMessage   *string                              // 1–3; may be empty with an error
	NodeID         int32                                // 0–3
	Host           string                               // 0–3
	Port           int32                                // 0–3
	Coordinators   []FindCoordinatorResponseCoordinator // 4+
}

// FindCoordinatorResponseCoordinator is the coordinator of one key, or why there is none.
type FindCoordinatorResponseCoordinator struct {
	Key          string
	NodeID       int32
	Host         string
	Port         int32
	ErrorCode    ErrorCode
	ErrorMessage *string // may be empty with an error
}

// Key implements Response.
func (*FindCoordinatorResponse) Key() APIKey { return KeyFindCoordinator }

// Throttle implements Response.
func (m *FindCoordinatorResponse) Throttle() time.Duration { return throttle(m.ThrottleTimeMs) }

func (m *FindCoordinatorResponse) code(c *coder) {
	if c.reading {
		*m = FindCoordinatorResponse{}
	}
	if c.since(1) {
		c.int32("ThrottleTimeMs", &m.ThrottleTimeMs)
	}
	if c.until(3) {
		c.errorCode("ErrorCode", &m.ErrorCode)
		if c.since(1) {
			c.nullableString("ErrorMessage", &m.ErrorMessage, 0)
		}
		c.int32("NodeID", &m.NodeID)
		c.string("Host", &m.Host)
		c.int32("Port", &m.Port)
	}
	if c.since(4) {
		array(c, "Coordinators", &m.Coordinators, (*FindCoordinatorResponseCoordinator).code)
	}
	c.noTags()
}

func (k *FindCoordinatorResponseCoordinator) code(c *coder) {
	c.string("Key", &k.Key)
	c.int32("NodeID", &k.NodeID)
	c.string("Host", &k.Host)
	c.int32("Port", &k.Port)
	c.errorCode("ErrorCode", &k.ErrorCode)
	c.nullableString("ErrorMessage", &k.ErrorMessage, 0)
	c.noTags()
}
