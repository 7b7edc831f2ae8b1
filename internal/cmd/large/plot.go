package main

import (
	"bytes"
	"fmt"
)

// The picture, in points.
const (
	width, height             = 760, 380
	left, right, top, bottom  = 70, 20, 30, 50
	plotWidth, plotHeight     = width - left - right, height - top - bottom
	gib                       = 1 << 30
	linesAcross, linesUpwards = 5, 6
)

var colours = map[string]string{"disk": "#1f6f8b", "memory": "#c0504d"}

// plot draws the memory of each run over the records that it has read, and the budget.
func plot(reports []report, budget int64) []byte {
	var most, records int64 = budget, 1
	for _, r := range reports {
		most, records = max(most, r.PeakRSS), max(records, r.Records)
	}
	most += most / 10
	x := func(n int64) float64 { return left + float64(n)/float64(records)*plotWidth }
	y := func(n int64) float64 { return top + plotHeight - float64(n)/float64(most)*plotHeight }
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", width, height)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, height)
	for i := range linesUpwards {
		n := most * int64(i) / (linesUpwards - 1)
		fmt.Fprintf(&b, "<path d=\"M%d %.1fH%d\" stroke=\"#dddddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.1f GiB</text>\n",
			left, y(n), width-right, left-6, y(n)+4, float64(n)/gib)
	}
	for i := range linesAcross {
		n := records * int64(i) / (linesAcross - 1)
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0fM</text>\n", x(n), height-bottom+18, float64(n)/1e6)
	}
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">records read</text>\n", left+plotWidth/2, height-12)
	fmt.Fprintf(&b, "<path d=\"M%d %.1fH%d\" stroke=\"#888888\" stroke-dasharray=\"6 4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#666666\">budget</text>\n",
		left, y(budget), width-right, width-right, y(budget)-5)
	for i, r := range reports {
		colour := colours[r.Backend]
		fmt.Fprintf(&b, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"", colour)
		for i, s := range r.Samples {
			step := 'L'
			if i == 0 {
				step = 'M'
			}
			fmt.Fprintf(&b, "%c%.1f %.1f", step, x(s.Records), y(s.RSS))
		}
		fmt.Fprintf(&b, "\"/>\n<text x=\"%d\" y=\"%d\" fill=\"%s\">memory of the process, %s backend</text>\n", left+10+i*280, top-10, colour, r.Backend)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
