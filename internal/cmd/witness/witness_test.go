package witness

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func look(t *testing.T, w *Witness) Violations {
	t.Helper()
	if err := w.Look(); err != nil {
		t.Fatal(err)
	}
	return w.Violations()
}

func watched(t *testing.T) (w *Witness, state, out string) {
	t.Helper()
	state, out = filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "out")
	return New(state, out), state, out
}

func TestAGoodRunIsReadWholeAndBlamedForNothing(t *testing.T) {
	w, state, out := watched(t)
	look(t, w)
	write(t, filepath.Join(out, ".mr-job-0-1-0.inprogress"), "half a li")
	write(t, filepath.Join(state, "manifest-00000000000000000001"), "")
	write(t, filepath.Join(out, "part-0000000001-000-000.csv"), "h\na\nb\n")
	look(t, w)
	write(t, filepath.Join(state, "manifest-00000000000000000002"), "")
	write(t, filepath.Join(out, "part-0000000002-000-000.csv"), "h\nc\n")
	write(t, filepath.Join(out, "part-0000000002-001-000.csv"), "h\n")
	look(t, w)
	if err := w.Final(); err != nil {
		t.Fatal(err)
	}
	if v := w.Violations(); v.Any() {
		t.Errorf("violations %+v", v)
	}
	if got := w.Lines(out); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("lines %q", got)
	}
}

func TestWhatMustNotHappenIsFound(t *testing.T) {
	const part = "part-0000000001-000-000.jsonl"
	cases := map[string]struct {
		do   func(t *testing.T, state, out string)
		want Violations
	}{
		"a part that goes": {func(t *testing.T, _, out string) {
			if err := os.Rename(filepath.Join(out, part), filepath.Join(out, ".withdrawn-"+part)); err != nil {
				t.Fatal(err)
			}
		}, Violations{Withdrawn: 2}},
		"a part that grows": {func(t *testing.T, _, out string) {
			write(t, filepath.Join(out, part), "a\nb\nc\n")
		}, Violations{Withdrawn: 2}},
		"a part before its manifest": {func(t *testing.T, _, out string) {
			write(t, filepath.Join(out, "part-0000000002-000-000.jsonl"), "x\ny\nz\n")
		}, Violations{Undecided: 3}},
		"half a line": {func(t *testing.T, _, out string) {
			write(t, filepath.Join(out, "part-0000000001-001-000.jsonl"), "x\ny")
		}, Violations{Torn: 1}},
		"a file that is no part": {func(t *testing.T, _, out string) {
			write(t, filepath.Join(out, "something.tmp"), "x\n")
		}, Violations{Undecided: 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w, state, out := watched(t)
			write(t, filepath.Join(state, "manifest-00000000000000000001"), "")
			write(t, filepath.Join(out, part), "a\nb\n")
			if v := look(t, w); v.Any() {
				t.Fatalf("before: %+v", v)
			}
			c.do(t, state, out)
			v := look(t, w)
			if v.Withdrawn != c.want.Withdrawn || v.Torn != c.want.Torn || v.Undecided != c.want.Undecided || len(v.Notes) == 0 {
				t.Errorf("got %+v, want %+v", v, c.want)
			}
		})
	}
}

func TestAChangeThatLeavesSizeAndTimeAloneIsFoundAtTheEnd(t *testing.T) {
	w, state, out := watched(t)
	write(t, filepath.Join(state, "manifest-00000000000000000001"), "")
	path := filepath.Join(out, "part-0000000001-000-000.jsonl")
	write(t, path, "a\n")
	look(t, w)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "b\n")
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := w.Final(); err != nil {
		t.Fatal(err)
	}
	if v := w.Violations(); v.Withdrawn != 1 {
		t.Errorf("got %+v, want one row withdrawn", v)
	}
}

func TestCompareCountsWhatIsMissingTwiceAndExtra(t *testing.T) {
	d := Compare([]string{"a", "a", "b", "c"}, []string{"c", "a", "c", "x", "c"})
	if d.Rows != 2 || d.Missing != 2 || d.Twice != 2 || d.Extra != 1 || d.None() || len(d.Notes) != 5 {
		t.Errorf("got %+v", d)
	}
	if d := Compare([]string{"a", "a"}, []string{"a", "a"}); !d.None() || d.Rows != 2 {
		t.Errorf("equal sets: %+v", d)
	}
}
