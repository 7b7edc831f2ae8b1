package lint

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRepository is the gate: the project keeps its own rules.
func TestRepository(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Module != "github.com/millrace-stream/millrace" {
		t.Fatalf("this is the wrong tree: module %q", tree.Module)
	}
	if !slices.ContainsFunc(tree.Files, func(f *File) bool { return f.Path == "internal/task/scheduler.go" }) {
		t.Fatal("internal/task was not read: the walk is broken")
	}
	for _, f := range Check(tree) {
		t.Error(f)
	}
}

var wantMark = regexp.MustCompile(`want ([a-z-]+(?:, [a-z-]+)*)`)

// marks returns what the files of a tree say about themselves: "path:line: rule" for each "want rule" in a line.
func marks(t *testing.T, root fs.FS) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(src), "\n") {
			if m := wantMark.FindStringSubmatch(line); m != nil {
				for rule := range strings.SplitSeq(m[1], ", ") {
					out = append(out, fmt.Sprintf("%s:%d: %s", name, i+1, rule))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBadTree shows that each rule fails where it should, and nowhere else: the tree also holds what is allowed.
func TestBadTree(t *testing.T) {
	root := os.DirFS("testdata/bad")
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	want := marks(t, root)
	var got []string
	broken := map[string]bool{}
	for _, f := range Check(tree) {
		broken[f.Rule] = true
		got = append(got, fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Rule))
		if !slices.Contains(want, got[len(got)-1]) {
			t.Errorf("found, but not marked: %v", f)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("marked, but not found: %s", w)
		}
	}
	for _, r := range Rules() {
		// Long files are made up in TestLengths.
		if !broken[r.Name] && r.Name != "length" {
			t.Errorf("rule %q is broken nowhere in the bad tree: nothing shows that it can fail", r.Name)
		}
	}
}

func source(text string) fstest.MapFS {
	return fstest.MapFS{
		"go.mod":        {Data: []byte("module example.org/m\n\ngo 1.27.0\n")},
		"internal/a.go": {Data: []byte(text)},
	}
}

func TestLengths(t *testing.T) {
	function := func(lines int) string {
		return "func f() {\n" + strings.Repeat("\tf()\n", lines-2) + "}\n"
	}
	head := "// Package a is long.\npackage a\n\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"a function of 100 lines is allowed", head + function(maxFuncLines), nil},
		{"a function of 101 lines is not", head + function(maxFuncLines+1), []string{"internal/a.go:4: length: f has 101 lines, more than 100: split it"}},
		{"a file of 800 lines is allowed", head + strings.Repeat("\n", maxFileLines-3), nil},
		{"a file of 801 lines is not", head + strings.Repeat("\n", maxFileLines-2), []string{"internal/a.go:0: length: 801 lines, more than 800: split the file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, err := Load(source(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range lengths(tree) {
				got = append(got, f.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLoadRefusesWhatItCannotCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		root fs.FS
		want string
	}{
		{"no module", fstest.MapFS{"a.go": {Data: []byte("package a\n")}}, "needs a go.mod"},
		{"no module line", fstest.MapFS{"go.mod": {Data: []byte("go 1.27\n")}}, "no module line"},
		{"no Go files", fstest.MapFS{"go.mod": {Data: []byte("module m\n")}}, "no Go files"},
		{"a file that cannot be parsed", source("package a\n\nfunc {\n"), "internal/a.go:3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.root)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string][]string{
		"EventTime":   {"event", "time"},
		"HTTPServer":  {"http", "server"},
		"ShardID":     {"shard", "id"},
		"Workers":     {"worker"},
		"max_inFlite": {"max", "in", "flite"},
		"X":           {"x"},
	} {
		if got := words(name); !slices.Equal(got, want) {
			t.Errorf("words(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestFloorsAreDisjoint keeps the table honest: a folder has one floor.
func TestFloorsAreDisjoint(t *testing.T) {
	seen := map[string]int{}
	for _, f := range floors {
		for _, d := range f.dirs {
			if was, twice := seen[d]; twice {
				t.Errorf("%q stands on floor %d and floor %d", d, was, f.floor)
			}
			seen[d] = f.floor
		}
	}
	for _, d := range pureDirs {
		if _, ok := floorOf(d); !ok {
			t.Errorf("pure package %q has no floor", d)
		}
	}
}
