package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// Page is the page in the docs folder that the figures are written into, between a marker for each section; what stands
// outside of them is written by hand and stays.
const Page = "performance.md"

// ErrNoSection says that the page has no place for the section.
var ErrNoSection = errors.New("no such section in the page")

// ReplaceSection puts the body between the section's markers.
func ReplaceSection(page, section, body string) (string, error) {
	begin, end := "<!-- bench:"+section+" -->", "<!-- /bench:"+section+" -->"
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("%w: %s … %s", ErrNoSection, begin, end)
	}
	return before + begin + "\n" + strings.TrimSpace(body) + "\n" + end + after, nil
}

// WriteSection writes a section of the page in the docs folder anew.
func WriteSection(docs, section, body string) error {
	name := filepath.Join(docs, Page)
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	out, err := ReplaceSection(string(page), section, body)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(out), 0o644)
}

// WriteDocs writes the tables into the section of the page, and the plots that it shows beside it.
func (b *Bench) WriteDocs(docs, section string) error {
	if err := os.MkdirAll(filepath.Join(docs, "performance"), 0o755); err != nil {
		return err
	}
	var s strings.Builder
	for _, p := range b.plots(section) {
		if err := os.WriteFile(filepath.Join(docs, "performance", p.file), []byte(p.svg), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&s, "![%s](performance/%s)\n\n", p.title, p.file)
	}
	if err := b.WriteMarkdown(&s); err != nil {
		return err
	}
	return WriteSection(docs, section, s.String())
}

type plot struct{ title, file, svg string }

// plots are those of rate and CPU for every GOGC, of the topics of the results table and of the others apart.
func (b *Bench) plots(section string) []plot {
	var gogcs []string
	for _, r := range b.Runs {
		if !slices.Contains(gogcs, r.GOGC) {
			gogcs = append(gogcs, r.GOGC)
		}
	}
	sets := []struct {
		name   string
		wanted func(string) bool
	}{{"table", inTable}, {"more", func(t string) bool { return !inTable(t) }}}
	metrics := []struct {
		Metric
		file, title string
	}{{Rate, "rate", "Records a second: more is better"}, {CPU, "cpu", "CPU per record: less is better"}}
	var all []plot
	for _, gogc := range gogcs {
		for _, set := range sets {
			for _, m := range metrics {
				groups := b.Groups(m.Metric, gogc, set.wanted)
				if len(groups) == 0 {
					continue
				}
				title := fmt.Sprintf("%s (ratio to %s, %s, GOGC %s)", m.title, b.Baseline, b.Server, gogc)
				file := fmt.Sprintf("%s-%s-gogc%s-%s.svg", section, set.name, gogc, m.file)
				all = append(all, plot{title, file, SVG(title, groups)})
			}
		}
	}
	return all
}

func inTable(title string) bool {
	return slices.ContainsFunc(topic.Cases, func(c topic.Case) bool { return c.Title == title })
}
