package topic

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTogether_AreTopicsThatDifferInTheirBatchesOnly(t *testing.T) {
	all := WithPartners(MoreCases, Cases)
	require.Subset(t, all, MoreCases)
	pairs := 0
	for _, g := range Together(all) {
		if len(g) == 1 {
			continue
		}
		require.Len(t, g, 2)
		pairs++
		a, b := g[0].Spec, g[1].Spec
		require.NotEqual(t, a.BatchBytes, b.BatchBytes)
		a.BatchBytes = b.BatchBytes
		require.Equal(t, a, b)
	}
	require.Equal(t, 6, pairs, "one for each topic of small batches")
	require.Len(t, all, len(MoreCases)+6)
	require.Len(t, Together(Cases), len(Cases), "of the table, none is compared with another")
}
