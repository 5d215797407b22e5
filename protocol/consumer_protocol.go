package protocol

// ConsumerProtocolVersion is the newest version of [ConsumerProtocolSubscription] and [ConsumerProtocolAssignment].
const ConsumerProtocolVersion int16 = 3

// ConsumerProtocolSubscription is what a consumer says of itself when it joins a classic group, as the metadata of each
// protocol in a [JoinGroupRequest] (ConsumerProtocolSubscription.json, versions 0–3, never flexible). Version 1 adds
// owned partitions (KIP-429), version 2 the generation (KIP-792), version 3 the rack (KIP-881).
type ConsumerProtocolSubscription struct {
	Topics          []string
	UserData        []byte
	OwnedPartitions []ConsumerProtocolTopicPartition // 1+
	GenerationID    int32                            // 2+; -1: none
	RackID          *string                          // 3+
}

// ConsumerProtocolAssignment is what the leader of a classic group gives to one member (ConsumerProtocolAssignment.json,
// versions 0–3, never flexible; all have the same fields).
type ConsumerProtocolAssignment struct {
	AssignedPartitions []ConsumerProtocolTopicPartition
	UserData           []byte
}

// ConsumerProtocolTopicPartition is a topic and some of its partitions.
type ConsumerProtocolTopicPartition struct {
	Topic      string
	Partitions []int32
}

// NewConsumerProtocolSubscription gives a subscription with the schema's defaults.
func NewConsumerProtocolSubscription() ConsumerProtocolSubscription {
	return ConsumerProtocolSubscription{GenerationID: -1}
}

// AppendConsumerProtocolSubscription appends a subscription with its version before it. On an error dst is returned as it was.
func AppendConsumerProtocolSubscription(dst []byte, version int16, s *ConsumerProtocolSubscription) ([]byte, error) {
	return appendVersioned(dst, "ConsumerProtocolSubscription", version, s.code)
}

// DecodeConsumerProtocolSubscription reads a subscription and its version. One newer than
// [ConsumerProtocolVersion] is read as that one; as in Kafka, bytes left over are ignored. UserData aliases b.
func DecodeConsumerProtocolSubscription(b []byte) (version int16, s ConsumerProtocolSubscription, err error) {
	version, err = decodeVersioned(b, "ConsumerProtocolSubscription", s.code)
	return version, s, err
}

// AppendConsumerProtocolAssignment appends an assignment with its version before it. On an error dst is returned as it was.
func AppendConsumerProtocolAssignment(dst []byte, version int16, a *ConsumerProtocolAssignment) ([]byte, error) {
	return appendVersioned(dst, "ConsumerProtocolAssignment", version, a.code)
}

// DecodeConsumerProtocolAssignment reads an assignment and its version. One newer than [ConsumerProtocolVersion] is read as that
// one; as in Kafka, bytes left over are ignored. No bytes at all are an empty assignment, which is what
// a member gets that the leader gave none. UserData aliases b.
func DecodeConsumerProtocolAssignment(b []byte) (version int16, a ConsumerProtocolAssignment, err error) {
	if len(b) == 0 {
		return 0, a, nil
	}
	version, err = decodeVersioned(b, "ConsumerProtocolAssignment", a.code)
	return version, a, err
}

func (s *ConsumerProtocolSubscription) code(c *coder) {
	if c.reading {
		*s = NewConsumerProtocolSubscription()
	}
	c.strings("Topics", &s.Topics)
	c.bytes("UserData", &s.UserData, true)
	if c.since(1) {
		array(c, "OwnedPartitions", &s.OwnedPartitions, (*ConsumerProtocolTopicPartition).code)
	}
	if c.since(2) {
		c.int32("GenerationID", &s.GenerationID)
	}
	if c.since(3) {
		c.nullableString("RackID", &s.RackID, 3)
	}
}

func (a *ConsumerProtocolAssignment) code(c *coder) {
	array(c, "AssignedPartitions", &a.AssignedPartitions, (*ConsumerProtocolTopicPartition).code)
	c.bytes("UserData", &a.UserData, true)
}

func (t *ConsumerProtocolTopicPartition) code(c *coder) {
	c.string("Topic", &t.Topic)
	c.int32s("Partitions", &t.Partitions)
}

func appendVersioned(dst []byte, message string, version int16, code func(*coder)) ([]byte, error) {
	c := &coder{message: message, version: version, buf: dst}
	if version < 0 || version > ConsumerProtocolVersion {
		c.fail("", "only versions 0 to %d are known", ConsumerProtocolVersion)
	}
	c.int16("Version", &version)
	code(c)
	if err := c.err(); err != nil {
		return dst, err
	}
	return c.buf, nil
}

func decodeVersioned(b []byte, message string, code func(*coder)) (version int16, err error) {
	c := &coder{message: message, reading: true, buf: b}
	if c.int16("Version", &version); version < 0 {
		c.fail("Version", "%d", version)
	}
	c.version = min(version, ConsumerProtocolVersion)
	code(c)
	return version, c.err()
}
