package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPlantsFitTheCode: the lines that planted bugs change are there, each once. That they are found is shown by `make plants`.
func TestPlantsFitTheCode(t *testing.T) {
	dir := t.TempDir()
	if _, err := overlay(filepath.Join("..", "..", ".."), dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < len(plants) {
		t.Errorf("%d files for %d planted bugs (%v)", len(files), len(plants), err)
	}
	for _, p := range plants {
		if p.old == p.bent || p.name == "" || p.breaks == "" {
			t.Errorf("plant %+v changes nothing", p)
		}
	}
}
