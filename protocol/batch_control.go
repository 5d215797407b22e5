package protocol

import (
	"encoding/binary"
	"fmt"
)

// ControlType is what a control record says, from its key (KIP-98).
type ControlType int16

// The control types that end a transaction. Others belong to KRaft's metadata log;
// consumers pass over what they do not know.
const (
	ControlAbort  ControlType = 0
	ControlCommit ControlType = 1
)

// String names the type.
func (t ControlType) String() string {
	switch t {
	case ControlAbort:
		return "ABORT"
	case ControlCommit:
		return "COMMIT"
	}
	return fmt.Sprintf("CONTROL(%d)", int16(t))
}

// ControlRecordKey is the key of a control record (ControlRecordTypeSchema).
type ControlRecordKey struct {
	Version int16
	Type    ControlType
}

// ParseControlKey reads the key of a control record. Newer versions may be longer.
func ParseControlKey(key []byte) (ControlRecordKey, error) {
	if len(key) < 4 {
		return ControlRecordKey{}, fmt.Errorf("control record key has %d bytes, not 4", len(key))
	}
	k := ControlRecordKey{
		Version: int16(binary.BigEndian.Uint16(key)),
		Type:    ControlType(binary.BigEndian.Uint16(key[2:])),
	}
	if k.Version < 0 {
		return k, fmt.Errorf("control record key has version %d", k.Version)
	}
	return k, nil
}

// EndTxnMarker is the value of an abort or commit marker (EndTxnMarker schema).
type EndTxnMarker struct {
	Version          int16
	CoordinatorEpoch int32
}

// ParseEndTxnMarker reads the value of an abort or commit marker.
func ParseEndTxnMarker(value []byte) (EndTxnMarker, error) {
	if len(value) < 6 {
		return EndTxnMarker{}, fmt.Errorf("transaction marker has %d bytes, not 6", len(value))
	}
	return EndTxnMarker{
		Version:          int16(binary.BigEndian.Uint16(value)),
		CoordinatorEpoch: int32(binary.BigEndian.Uint32(value[2:])),
	}, nil
}

// ControlType reads the type from the one record of a control batch. records is
// what follows the batch header, decompressed.
func (h *BatchHeader) ControlType(records []byte) (ControlType, error) {
	var r Record
	if _, err := ReadRecord(records, &r); err != nil {
		return 0, fmt.Errorf("control batch at offset %d: %w", h.BaseOffset, err)
	}
	k, err := ParseControlKey(r.Key)
	if err != nil {
		return 0, fmt.Errorf("control batch at offset %d: %w", h.BaseOffset, err)
	}
	return k.Type, nil
}
