//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/bench/peers/input"
)

// events writes a file of a few events and returns its path.
func events(t *testing.T, all ...input.Event) string {
	t.Helper()
	var b []byte
	for _, e := range all {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Time))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Key))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Val))
	}
	path := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExpectedSumsByKeyAndWindow(t *testing.T) {
	got, err := expected(events(t, input.Event{Time: 10_000, Key: 1, Val: 5}, input.Event{Time: 19_999, Key: 1, Val: 6}, input.Event{Time: 20_000, Key: 1, Val: 7}, input.Event{Time: 15_000, Key: 2, Val: -1}))
	if want := []string{"10 1 11", "10 2 -1", "20 1 7"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestWrongResultsAreFound runs programs that print something else.
func TestWrongResultsAreFound(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho '10 2 3'\necho '10 1 2'\n"
	if err := os.WriteFile(filepath.Join(dir, "fake"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := &peer{program: "fake"}
	if err := p.run(t.Context(), dir, "x", []string{"10 1 2", "10 2 3"}); err != nil || len(p.cpu) != 1 {
		t.Errorf("right results: %v", err)
	}
	for _, want := range [][]string{{"10 1 2", "10 2 4"}, {"10 1 2"}} {
		if err := p.run(t.Context(), dir, "x", want); err == nil || !strings.Contains(err.Error(), "which are not the") {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestInputIsTheSameEachTime(t *testing.T) {
	var a, b bytes.Buffer
	if err := input.Write(&a, 1000, 10); err != nil {
		t.Fatal(err)
	}
	if err := input.Write(&b, 1000, 10); err != nil {
		t.Fatal(err)
	}
	if a.Len() != 1000*input.Bytes || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("%d and %d bytes", a.Len(), b.Len())
	}
}
