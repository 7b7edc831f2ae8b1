package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/bench/peers/input"
)

// expected returns the sorted lines that every program must print, from one of Go's maps over the whole file.
func expected(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	type pane struct{ start, key int64 }
	sums := map[pane]int64{}
	size := input.Window.Milliseconds()
	for ; len(all) >= input.Bytes; all = all[input.Bytes:] {
		e := input.Decode(all)
		sums[pane{e.Time / size * size, e.Key}] += e.Val
	}
	if len(all) != 0 {
		return nil, fmt.Errorf("%s ends with %d bytes that are no event", path, len(all))
	}
	var out []byte
	for p, sum := range sums {
		out = input.AppendResult(out, time.UnixMilli(p.start), p.key, sum)
	}
	return sortedLines(string(out)), nil
}

// sortedLines returns the lines of a text in order.
func sortedLines(text string) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	slices.Sort(lines)
	return lines
}
