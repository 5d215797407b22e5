package kafka

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A consumer may have ten thousand partitions, most of them quiet: what one takes is what they take.
func TestPartition_IsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(partition{}), uintptr(576), "a size class of the allocator; the next one has 64 bytes more")
}
