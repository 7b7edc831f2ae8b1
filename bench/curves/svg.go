//go:build unix

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Places in a plot, in its own units.
const (
	plotWidth, plotHeight                    = 720.0, 400.0
	plotLeft, plotRight, plotTop, plotBottom = 64.0, 16.0, 44.0, 72.0
	plotInnerWidth, plotInnerHeight          = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
	dashWall                                 = ` stroke-dasharray="5 4"`
)

// colors tell series apart, also for those who see few colours.
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// svg draws ns for a record over x: CPU time as a line, wall time, where it is shown, as a dashed one.
func (c *curve) svg() []byte {
	var series, xs []string
	largest := 0.0
	for _, p := range c.points {
		if !slices.Contains(series, p.series) {
			series = append(series, p.series)
		}
		if !slices.Contains(xs, p.x) {
			xs = append(xs, p.x)
		}
		largest = max(largest, p.perRecord(p.cpu))
		if c.wall {
			largest = max(largest, p.perRecord(p.wall))
		}
	}
	step := niceStep(largest)
	top := math.Ceil(largest/step) * step
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", plotWidth, plotHeight)
	text(&b, plotLeft, 22, "start", 15, c.title)
	what := "ns for a record: CPU time of the process"
	if c.wall {
		what += ", dashed: wall time"
	}
	text(&b, plotLeft, 38, "start", 11, what)
	y := func(v float64) float64 { return plotTop + plotInnerHeight*(1-v/top) }
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&b, `<line x1="%g" y1="%.1f" x2="%g" y2="%.1f" stroke="#ddd"/>`+"\n", plotLeft, y(v), plotWidth-plotRight, y(v))
		text(&b, plotLeft-6, y(v)+4, "end", 12, strconv.FormatFloat(v, 'f', -1, 64))
	}
	x := c.scale(xs)
	for _, label := range xs {
		text(&b, x(label), plotHeight-plotBottom+18, "middle", 11, thousands(label))
	}
	text(&b, plotLeft+plotInnerWidth/2, plotHeight-plotBottom+38, "middle", 12, c.axis)
	for i, name := range series {
		color := colors[i%len(colors)]
		c.line(&b, name, color, "", x, func(p *point) float64 { return y(p.perRecord(p.cpu)) })
		if c.wall {
			c.line(&b, name, color, dashWall, x, func(p *point) float64 { return y(p.perRecord(p.wall)) })
		}
		at := plotLeft + float64(i)*plotInnerWidth/float64(len(series))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%g" width="12" height="12" fill="%s"/>`+"\n", at, plotHeight-20, color)
		text(&b, at+18, plotHeight-10, "start", 12, name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// line draws a series.
func (c *curve) line(b *bytes.Buffer, series, color, dash string, x func(string) float64, y func(*point) float64) {
	var at []string
	for _, p := range c.points {
		if p.series == series {
			at = append(at, fmt.Sprintf("%.1f,%.1f", x(p.x), y(p)))
		}
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.Join(at, " "), color, dash)
	if dash == "" {
		for _, place := range at {
			cx, cy, _ := strings.Cut(place, ",")
			fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="3" fill="%s"/>`+"\n", cx, cy, color)
		}
	}
}

// scale returns where labels stand: in their logarithm, or one after the other.
func (c *curve) scale(labels []string) func(string) float64 {
	place := func(i int) float64 {
		return plotLeft + plotInnerWidth*(float64(i)+0.5)/float64(len(labels))
	}
	if !c.logarithmic {
		return func(label string) float64 { return place(slices.Index(labels, label)) }
	}
	logOf := func(label string) float64 {
		v, err := strconv.ParseFloat(label, 64)
		if err != nil {
			return 0
		}
		return math.Log(v)
	}
	first, last := logOf(labels[0]), logOf(labels[len(labels)-1])
	if first == last {
		return func(string) float64 { return place(0) }
	}
	from, to := place(0), place(len(labels)-1)
	return func(label string) float64 { return from + (to-from)*(logOf(label)-first)/(last-first) }
}

// niceStep returns the distance of about five lines: 1, 2 or 5 with zeros.
func niceStep(largest float64) float64 {
	if largest <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(largest/5)))
	for _, times := range []float64{2, 2.5, 2} {
		if largest/step <= 6 {
			break
		}
		step *= times
	}
	return step
}

// thousands writes whole numbers with many zeros shorter: 10k, 1M.
func thousands(label string) string {
	for _, unit := range []struct{ zeros, letter string }{{"000000000", "G"}, {"000000", "M"}, {"000", "k"}} {
		if front, ok := strings.CutSuffix(label, unit.zeros); ok && front != "" {
			return front + unit.letter
		}
	}
	return label
}

func text(b *bytes.Buffer, x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">`, x, y, anchor, size)
	_ = xml.EscapeText(b, []byte(s)) // A buffer takes anything.
	b.WriteString("</text>\n")
}
