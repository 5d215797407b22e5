package kafka

import "github.com/seed-7379b4e8/kafka/protocol"

// keysAhead is how much is charged for header keys at a time where they change from record to record.
const keysAhead = 4 << 10

// addHeaders gives m the record's headers.
func (b *chunkBuilder) addHeaders(m *Message, rec *protocol.Record) error {
	hs, err := b.takeHeaders(rec.HeaderCount)
	if err != nil {
		return err
	}
	raw := rec.Headers
	for i := range hs {
		key, value, n, err := protocol.ReadHeader(raw)
		if err != nil {
			return err
		}
		name, ok := b.env.names.get(i, key)
		if !ok {
			if len(key) > b.keyRoom {
				if err := b.takeKeys(i, len(hs), raw); err != nil {
					return err
				}
			}
			b.keyRoom -= len(key)
			name = b.env.names.add(i, key)
		}
		hs[i] = Header{Key: name, Value: value}
		raw = raw[n:]
	}
	m.Headers = hs
	return nil
}

// takeKeys charges the keys that are to be copied of a record's headers from the i-th on, with which raw begins: all or none, as the
// record is read again when there is no room.
func (b *chunkBuilder) takeKeys(i, headers int, raw []byte) error {
	need := 0
	for ; i < headers; i++ {
		key, _, n, err := protocol.ReadHeader(raw)
		if err != nil {
			return err
		}
		if _, ok := b.env.names.get(i, key); !ok {
			need += len(key)
		}
		raw = raw[n:]
	}
	if need > b.env.slabLimit {
		return &tooLargeError{size: max(need, b.env.batchLimit+1)}
	}
	// As much as the messages still to come need, if they are like this one; within bounds, as they may not be.
	size := max(need, min(need*(cap(b.chunk.msgs)-len(b.chunk.msgs)), keysAhead, b.env.slabLimit))
	if !b.take(size, &b.chunk.charge) {
		if size = need; !b.take(size, &b.chunk.charge) {
			return errNoRoom
		}
	}
	b.keyRoom += size
	return nil
}

// A nameCache keeps the header keys last seen, by their place in a record: producers give every record the same keys
// in the same order, so that a key seldom has to be copied.
type nameCache struct{ names [16]string }

// longestName is the longest key that is kept: what is kept is not charged.
const longestName = 256

// get gives the key at place i, unless it is another one than the last there.
func (c *nameCache) get(i int, key []byte) (string, bool) {
	if i < len(c.names) && c.names[i] == string(key) {
		return c.names[i], true
	}
	return "", len(key) == 0
}

// add copies a key.
func (c *nameCache) add(i int, key []byte) string {
	name := string(key)
	if i < len(c.names) && len(name) <= longestName {
		c.names[i] = name
	}
	return name
}
