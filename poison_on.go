//go:build race

package kafka

// With the race detector on, memory that goes back is overwritten, so that whoever kept some of a Batch past its turn finds
// out in the tests.

func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}

func poisonMessages(msgs []Message) { clear(msgs) }
