package figures

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercentile_IsTheSmallestThatEnoughDoNotExceed(t *testing.T) {
	var v []float64
	for i := 1000; i >= 1; i-- {
		v = append(v, float64(i))
	}
	require.EqualValues(t, 990, Percentile(v, 0.99))
	require.EqualValues(t, 999, Percentile(v, 0.999))
	require.EqualValues(t, 1000, Percentile(v, 1))
	require.EqualValues(t, 500.5, Median(v))
	require.EqualValues(t, 7, Percentile([]float64{7}, 0.999))
	require.True(t, math.IsNaN(Median(nil)))
	require.EqualValues(t, 1000, v[0], "the values stay in their order")
}

func TestTable_HoldsOursAgainstTheBaselineOfTheSameCase(t *testing.T) {
	table := Table{Title: "T", Note: "n", Baseline: "franz-go/defaults", Columns: []Column{
		{"wait", "ms", Goal{Ratio: 1}}, {"again", "records", Goal{Zero: true}}, {"note", "", Goal{Most: 7}},
	}}
	for _, name := range []string{"idle", "busy"} {
		table.Add(name, "franz-go/defaults", 10, 5, 1)
	}
	table.Add("idle", "ours/getmany", 9, 0, 7)
	table.Add("idle", "ours/getmany", 11, 0, 7)
	table.Add("busy", "ours/getmany", 10.5, 3, 7)
	table.Fail("busy", "ours/getone", errors.New("gone"))

	require.Equal(t, `### T

n

| | client | wait ms | again records | note  | goals |
|---|---|---|---|---|---|
| idle | franz-go/defaults | 10.0 | 5.00 | 1.00 |  |
| idle | ours/getmany | 10.0 (9.00–11.0) | 0 | 7.00 | reached |
| busy | franz-go/defaults | 10.0 | 5.00 | 1.00 |  |
| busy | ours/getmany | 10.5 | 3.00 | 7.00 | **missed**: wait, again |
| busy | ours/getone | – | – | – |  1 rounds failed: gone |
`, table.Markdown())
}
