//go:build kafka && long

package acceptance

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLong_GroupSim plays more seeds than a usual run: 5,000, or KAFKA_TEST_SEEDS, from KAFKA_TEST_SEED or 1 on.
func TestLong_GroupSim(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		text := os.Getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, name)
		return n
	}
	simulate(t, number("KAFKA_TEST_SEED", 1), number("KAFKA_TEST_SEEDS", 5000))
}
