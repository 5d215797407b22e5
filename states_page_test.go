package kafka

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const statePage = "docs/internals.md"

// A statePageText is the page with its cells taken out of the tables of the section "Methods and states".
type statePageText struct {
	lines []string
	cells []stateCell
}

// A stateCell is one cell of a table.
type stateCell struct {
	line, column int
	state, label string
	text         string
}

// tableCells splits a line of a table; nil where it is none.
func tableCells(line string) []string {
	if !strings.HasPrefix(line, "| ") {
		return nil
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

func readStatePage(t *testing.T) *statePageText {
	text, err := os.ReadFile(statePage)
	require.NoError(t, err)
	p := &statePageText{lines: strings.Split(string(text), "\n")}
	start := slices.Index(p.lines, "## Methods and states")
	require.Positive(t, start, "the section of the tables")
	var head []string
	for i := start + 1; i < len(p.lines) && !strings.HasPrefix(p.lines[i], "## "); i++ {
		cells := tableCells(p.lines[i])
		switch {
		case strings.HasPrefix(p.lines[i], "|-"):
		case cells == nil:
			head = nil
		case head == nil:
			head = cells
		default:
			require.Len(t, cells, len(head), "line %d", i+1)
			for column, text := range cells[1:] {
				p.cells = append(p.cells, stateCell{line: i, column: column, state: head[column+1], label: cells[0], text: text})
			}
		}
	}
	return p
}

// labels gives the rows of each state.
func (p *statePageText) labels() map[string][]string {
	all := make(map[string][]string)
	for _, c := range p.cells {
		all[c.state] = append(all[c.state], c.label)
	}
	return all
}

// write puts the cells back.
func (p *statePageText) write(t *testing.T) {
	for _, c := range p.cells {
		cells := tableCells(p.lines[c.line])
		cells[c.column+1] = c.text
		line := "|"
		for _, text := range cells {
			line += strings.TrimSuffix(" "+text, " ") + " |"
		}
		p.lines[c.line] = line
	}
	require.NoError(t, os.WriteFile(statePage, []byte(strings.Join(p.lines, "\n")), 0o644))
}
