package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bar is one bar of a plot, with its range as whiskers.
type Bar struct {
	Label string
	Spread
}

// Group is the bars of one topic.
type Group struct {
	Title string
	Bars  []Bar
}

// Sizes of a plot, in pixels.
const (
	plotWidth  = 860
	plotLeft   = 150 // of the labels
	plotRight  = 150 // of the figures
	plotTop    = 58
	barHeight  = 11
	barStep    = 15
	groupSpace = 26
)

// colours by the client before the slash; others are grey.
var colours = map[string]string{
	"ours": "#1f6fb4", "franz-go": "#c8862b", "floor": "#9a9a9a", "sarama": "#7a5195", "kafka-go": "#4f9d69", "confluent": "#b5484b",
	"java": "#8c6d46", "aiokafka": "#5b8fa8",
}

// SVG draws ratios: bars go from 1, to the right where they are higher and to the left where they are lower, on a logarithmic scale,
// so that twice and half are equally far away. The bar is the median, its whisker the range.
func SVG(title string, groups []Group) string {
	span := axisSpan(groups)
	x := func(ratio float64) float64 {
		ratio = min(max(ratio, 1/span), span)
		middle := plotLeft + float64(plotWidth-plotLeft-plotRight)/2
		return middle + math.Log(ratio)/math.Log(span)*float64(plotWidth-plotLeft-plotRight)/2
	}
	height := plotTop + 12
	for _, g := range groups {
		height += groupSpace + barStep*len(g.Bars)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	fmt.Fprintf(&s, `<text x="12" y="22" font-size="15" fill="#111111">%s</text>`+"\n", escape(title))
	for tick := 1 / span; tick <= span*1.001; tick *= 2 {
		colour := "#e3e3e3"
		if math.Abs(tick-1) < 1e-9 {
			colour = "#555555"
		}
		fmt.Fprintf(&s, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/>`+"\n", x(tick), x(tick), plotTop-8, height-10, colour)
		fmt.Fprintf(&s, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">%s ×</text>`+"\n", x(tick), plotTop-14, tickLabel(tick))
	}
	y := plotTop
	for _, g := range groups {
		y += groupSpace
		fmt.Fprintf(&s, `<text x="12" y="%d" font-weight="bold" fill="#111111">%s</text>`+"\n", y-6, escape(g.Title))
		for _, b := range g.Bars {
			drawBar(&s, b, x, y)
			y += barStep
		}
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// tickLabel is a power of two, or one over it.
func tickLabel(tick float64) string {
	if tick < 1 {
		return fmt.Sprintf("1/%.0f", 1/tick)
	}
	return fmt.Sprintf("%.0f", tick)
}

func drawBar(s *strings.Builder, b Bar, x func(float64) float64, y int) {
	name, _, _ := strings.Cut(b.Label, "/")
	colour := colours[name]
	if colour == "" {
		colour = "#777777"
	}
	from, to := x(1), x(b.Median)
	if to < from {
		from, to = to, from
	}
	middle := float64(y) + barHeight/2.0
	fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="end" fill="#333333">%s</text>`+"\n", plotLeft-8, y+barHeight-1, escape(b.Label))
	fmt.Fprintf(s, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", from, y, max(1, to-from), barHeight, colour)
	fmt.Fprintf(s, `<path d="M%.1f %.1fH%.1f" stroke="#111111"/>`+"\n", x(b.Min), middle, x(b.Max))
	for _, end := range []float64{b.Min, b.Max} {
		fmt.Fprintf(s, `<path d="M%.1f %.1fv6" stroke="#111111"/>`+"\n", x(end), middle-3)
	}
	fmt.Fprintf(s, `<text x="%d" y="%d" fill="#333333">%s</text>`+"\n", plotWidth-plotRight+8, y+barHeight-1, escape(b.String()))
}

// axisSpan is the power of two that the axis goes up to, and down to one over it: at least 4, at most 64.
func axisSpan(groups []Group) float64 {
	most := 4.0
	for _, g := range groups {
		for _, b := range g.Bars {
			for _, v := range []float64{b.Min, b.Max} {
				if v > 0 {
					most = max(most, v, 1/v)
				}
			}
		}
	}
	return min(64, math.Exp2(math.Ceil(math.Log2(most))))
}

func escape(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // a strings.Builder does not fail
	return out.String()
}

// Groups gives the ratios of the metric to the baseline at one GOGC, of the topics that are wanted.
func (b *Bench) Groups(m Metric, gogc string, wanted func(topic string) bool) []Group {
	var groups []Group
	for _, r := range b.Rows() {
		q, ok := r.Ratio(m)
		if !ok || r.GOGC != gogc || r.Client == b.Baseline || !wanted(r.Topic) {
			continue
		}
		i := slices.IndexFunc(groups, func(g Group) bool { return g.Title == r.Topic })
		if i < 0 {
			i = len(groups)
			groups = append(groups, Group{Title: r.Topic})
		}
		groups[i].Bars = append(groups[i].Bars, Bar{r.Client, q})
	}
	return groups
}
