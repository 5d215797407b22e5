// Package figures holds the figures beside plain speed: for each case and client a few numbers a round, shown as medians with their
// range, beside those of franz-go.
package figures

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Column is one number; less is better in all of them that have a goal.
type Column struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	Goal Goal   `json:"goal"`
}

// Goal is what our median is to be at most; the zero value is no goal.
type Goal struct {
	// Ratio is that to the baseline's median in the same case; 0: not compared.
	Ratio float64 `json:"ratio,omitempty"`
	// Most is the figure itself; 0: no limit.
	Most float64 `json:"most,omitempty"`
	// Zero: nothing at all.
	Zero bool `json:"zero,omitempty"`
}

// Row is a client in a case, its values by column and round.
type Row struct {
	Case   string      `json:"case"`
	Client string      `json:"client"`
	Values [][]float64 `json:"values"`
	Failed []string    `json:"failed,omitempty"`
}

// Table is figures of one kind.
type Table struct {
	Title    string   `json:"title"`
	Note     string   `json:"note"`
	Baseline string   `json:"baseline"` // the client that others are compared with
	Columns  []Column `json:"columns"`
	Rows     []*Row   `json:"rows"`
}

// Add takes a round's values, one a column.
func (t *Table) Add(name, client string, values ...float64) {
	r := t.row(name, client)
	for i, v := range values {
		r.Values[i] = append(r.Values[i], v)
	}
}

// Fail takes a round that went wrong.
func (t *Table) Fail(name, client string, err error) {
	r := t.row(name, client)
	r.Failed = append(r.Failed, err.Error())
}

// row finds or makes the row; a case's rows stay together.
func (t *Table) row(name, client string) *Row {
	place := len(t.Rows)
	for i, r := range t.Rows {
		if r.Case == name && r.Client == client {
			return r
		}
		if r.Case == name {
			place = i + 1
		}
	}
	r := &Row{Case: name, Client: client, Values: make([][]float64, len(t.Columns))}
	t.Rows = slices.Insert(t.Rows, place, r)
	return r
}

// Markdown is the table under its title.
func (t *Table) Markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "### %s\n\n%s\n\n| | client |", t.Title, t.Note)
	for _, c := range t.Columns {
		fmt.Fprintf(&s, " %s %s |", c.Name, c.Unit)
	}
	s.WriteString(" goals |\n|---|---|" + strings.Repeat("---|", len(t.Columns)+1) + "\n")
	for _, r := range t.Rows {
		fmt.Fprintf(&s, "| %s | %s |", r.Case, r.Client)
		for _, v := range r.Values {
			fmt.Fprintf(&s, " %s |", spread(v))
		}
		fmt.Fprintf(&s, " %s%s |\n", t.verdict(r), failures(r))
	}
	return s.String()
}

func failures(r *Row) string {
	if len(r.Failed) == 0 {
		return ""
	}
	return fmt.Sprintf(" %d rounds failed: %s", len(r.Failed), r.Failed[0])
}

// verdict names the columns whose goals are missed.
func (t *Table) verdict(r *Row) string {
	if !strings.HasPrefix(r.Client, "ours/") || len(r.Values[0]) == 0 {
		return ""
	}
	var missed []string
	goals := 0
	for i, c := range t.Columns {
		limit, ok := t.limit(i, r)
		if !ok {
			continue
		}
		goals++
		if !(Median(r.Values[i]) <= limit) { // also NaN
			missed = append(missed, c.Name)
		}
	}
	switch {
	case goals == 0:
		return ""
	case len(missed) == 0:
		return "reached"
	}
	return "**missed**: " + strings.Join(missed, ", ")
}

// limit is what the row's median is to be at most; false without a goal, or a baseline to compare with.
func (t *Table) limit(column int, r *Row) (float64, bool) {
	g := t.Columns[column].Goal
	if g.Zero || g.Most > 0 {
		return g.Most, true
	}
	i := slices.IndexFunc(t.Rows, func(o *Row) bool { return o.Case == r.Case && o.Client == t.Baseline })
	if g.Ratio == 0 || i < 0 || len(t.Rows[i].Values[column]) == 0 {
		return 0, false
	}
	return g.Ratio * Median(t.Rows[i].Values[column]), true
}

// Median is that of the values, without changing them; NaN without any.
func Median(values []float64) float64 { return Percentile(values, 0.5) }

// Percentile is the smallest of the values that at least the share p of them do not exceed; the median of an even number is the mean of
// both in the middle. NaN without any.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	if p == 0.5 && len(v)%2 == 0 {
		return (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	i := int(math.Ceil(p*float64(len(v)))) - 1
	return v[min(max(i, 0), len(v)-1)]
}

func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	least, most := slices.Min(values), slices.Max(values)
	if least == most {
		return number(least)
	}
	return fmt.Sprintf("%s (%s–%s)", number(Median(values)), number(least), number(most))
}

// number has three significant digits.
func number(f float64) string {
	if math.IsNaN(f) {
		return "–"
	}
	if f == 0 || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(f)))))
	return strconv.FormatFloat(f, 'f', min(digits, 6), 64)
}
