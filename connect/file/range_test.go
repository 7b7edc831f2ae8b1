package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
)

// TestOutOfRange resumes in files that are not those that were read before.
func TestOutOfRange(t *testing.T) {
	type rec struct{ N int }
	const before = "n\n1\n2\n3\n4\n"
	for _, c := range []struct {
		name, now string
		want      string // what a strict source says
		all       []int  // what is there
	}{
		{"shorter", "n\n1\n", "has 4 bytes of content, but it was read up to byte 10", []int{1}},
		{"empty", "", "has 0 bytes of content, but it was read up to byte 10", nil},
		{"of the same length", "n\n5\n6\n7\n8\n", "has other content before byte 10", []int{5, 6, 7, 8}},
		{"longer", "n\n1\n2\n3\n5\n6\n", "has other content before byte 10", []int{1, 2, 3, 5, 6}},
		{"compressed", member(t, "n\n9\n"), "is gzip now and was plain at the checkpoint", []int{9}},
		{"with a longer header", "n,aaaaaaaaaaaaaaaaaa\n1,1\n", "its records begin at byte 21, but it was read up to byte 10", []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := put(t, "log.csv", before)
			f := file.CSV[rec](path)
			r, err := f.Open(context.Background(), connect.Split{ID: "log.csv"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := drain(r, 10); err != nil {
				t.Fatal(err)
			}
			pos := r.Position()
			if err := errors.Join(r.Close(), os.WriteFile(path, []byte(c.now), 0o600)); err != nil {
				t.Fatal(err)
			}
			_, err = f.Open(context.Background(), connect.Split{ID: "log.csv"}, pos)
			mention(t, err, "file: "+filepath.ToSlash(path), c.want)
			for _, do := range []connect.OutOfRange{connect.OutOfRangeFromStart, connect.OutOfRangeFromEnd} {
				r, err := f.OutOfRange(do).Open(context.Background(), connect.Split{ID: "log.csv"}, pos)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := drain(r, 10)
				want := c.all
				if do == connect.OutOfRangeFromEnd {
					want = nil
				}
				var ns []int
				for _, g := range got {
					ns = append(ns, g.N)
				}
				if err != nil || !slices.Equal(ns, want) {
					t.Errorf("%v: read %v, %v, want %v", do, ns, err, want)
				}
				n, why := r.(connect.Mover).Moved()
				if n != 1 || !strings.Contains(why, c.want) || !strings.HasSuffix(why, ": going on "+do.String()+", as OutOfRange says") {
					t.Errorf("%v: moved %d times: %s", do, n, why)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestInRangeIsNotMoved: with the option, a file that has only grown is read on.
func TestInRangeIsNotMoved(t *testing.T) {
	path := put(t, "log", "a\nb\n")
	f := file.Lines(path).Follow(time.Second).OutOfRange(connect.OutOfRangeFromStart)
	r, err := f.Open(context.Background(), connect.Split{ID: "log"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := drain(r, 10); len(got) != 2 || err != nil {
		t.Fatal(got, err)
	}
	if err := errors.Join(r.Close(), os.WriteFile(path, []byte("a\nb\nc\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	again, err := f.Open(context.Background(), connect.Split{ID: "log"}, r.Position())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	got, _, err := drain(again, 10)
	if n, why := again.(connect.Mover).Moved(); n != 0 || why != "" || err != nil || !slices.Equal(got, []string{"c"}) {
		t.Errorf("read %v, %v; moved %d times: %s", got, err, n, why)
	}
}

// TestRotatedLog follows a log that grows and is cut short at random, with restarts in between, and compares with what the choice says.
func TestRotatedLog(t *testing.T) {
	dir := t.TempDir()
	cuts := 0
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(dir, "log")
		do := rapid.SampledFrom([]connect.OutOfRange{connect.OutOfRangeFromStart, connect.OutOfRangeFromEnd}).Draw(rt, "choice")
		f := file.Lines(path).Follow(time.Second).OutOfRange(do)
		var lines, want, got []string
		put := func() {
			if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
				rt.Fatal(err)
			}
		}
		put()
		r, err := f.Open(context.Background(), connect.Split{ID: "log"}, nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { r.Close() }()
		read := func() {
			batch := make([]string, 3)
			for quiet := 0; quiet < 2; { // the first may only say that the reader has moved
				n, err := r.Read(context.Background(), batch)
				if err != nil {
					rt.Fatal(err)
				}
				got = append(got, batch[:n]...)
				if n == 0 {
					quiet++
				}
			}
		}
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				for j := range rapid.IntRange(0, 5).Draw(rt, "added") {
					line := fmt.Sprintf("%d-%d", i, j)
					lines, want = append(lines, line+"\n"), append(want, line)
				}
			case 2:
				if len(lines) == 0 {
					continue
				}
				cuts++
				lines = lines[:rapid.IntRange(0, len(lines)-1).Draw(rt, "left")]
				if do == connect.OutOfRangeFromStart {
					for _, l := range lines {
						want = append(want, strings.TrimSuffix(l, "\n"))
					}
				}
			case 3:
				pos := r.Position()
				if err := r.Close(); err != nil {
					rt.Fatal(err)
				}
				if r, err = f.Open(context.Background(), connect.Split{ID: "log"}, pos); err != nil {
					rt.Fatal(err)
				}
			}
			put()
			read()
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("%v: read\n%v\nwant\n%v", do, got, want)
		}
	})
	if cuts == 0 {
		t.Error("no log was cut short")
	}
}

func TestOutOfRangeMistakes(t *testing.T) {
	err := file.Lines("x").OutOfRange(7).CheckSource()
	if want := "file: OutOfRange(OutOfRange(7)): must be OutOfRangeFails, OutOfRangeFromStart or OutOfRangeFromEnd"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = file.Lines("x").OutOfRange(connect.OutOfRangeFromEnd).CheckSink()
	if want := "file: x: OutOfRange is for sources"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
