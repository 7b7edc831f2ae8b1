package stdin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/stdin"
	"github.com/millrace-stream/millrace/internal/task"
)

// rest lets the time pass in which a reader is not asked.
func rest() { task.NewSystem().NewEvent().Wait(time.Millisecond) }

func open[T any](t testing.TB, in stdin.Input[T]) connect.Reader[T] {
	t.Helper()
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	splits, err := in.Splits(context.Background())
	if err != nil || len(splits) != 1 || !splits[0].Unseekable {
		t.Fatal(splits, err)
	}
	r, err := in.Open(context.Background(), splits[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// next reads until there is something, at most n records.
func next[T any](r connect.Reader[T], n int) ([]T, []string, error) {
	batch := make([]T, n)
	for {
		got, err := r.Read(context.Background(), batch)
		if got == 0 && err == nil {
			rest()
			continue
		}
		var where []string
		for i := range got {
			where = append(where, r.Where(i))
		}
		return batch[:got], where, err
	}
}

// drain reads to the end.
func drain[T any](r connect.Reader[T], n int) (all []T, where []string, err error) {
	for {
		got, at, err := next(r, n)
		all, where = append(all, got...), append(where, at...)
		if errors.Is(err, io.EOF) {
			return all, where, nil
		}
		if err != nil {
			return all, where, err
		}
	}
}

// TestLinesInAnyPieces compares with strings.Split, whatever pieces the stream comes in and however many are asked for.
func TestLinesInAnyPieces(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(rapid.StringMatching(`[a-z\t ]{0,8}`), 0, 30).Draw(rt, "lines")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "end")
		text := strings.Join(want, end)
		if rapid.Bool().Draw(rt, "end at the end") && len(want) > 0 {
			text += end
		} else if len(want) > 0 && want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		var from io.Reader = strings.NewReader(text)
		switch rapid.IntRange(0, 2).Draw(rt, "pieces") {
		case 0:
			from = iotest.OneByteReader(from)
		case 1:
			from = iotest.DataErrReader(from)
		}
		got, where, err := drain(open(t, stdin.Lines().From(from)), rapid.IntRange(1, 10).Draw(rt, "batch"))
		if err != nil || !slices.Equal(got, want) {
			rt.Fatalf("%q: got %q, %v", text, got, err)
		}
		for i, w := range where {
			if w != fmt.Sprint("stdin:", i+1) {
				rt.Fatalf("line %d is at %s", i+1, w)
			}
		}
	})
}

// TestMoreThanIsReadAhead: a stream that is longer than what the pump holds comes whole, also when nobody reads at first.
func TestMoreThanIsReadAhead(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "line number %d\n", i)
	}
	r := open(t, stdin.Lines().From(strings.NewReader(text.String())))
	rest()
	got, _, err := drain(r, 1000)
	if err != nil || strings.Join(got, "\n")+"\n" != text.String() || r.BytesRead() != int64(text.Len()) {
		t.Errorf("%d lines, %d bytes, %v; want %d bytes", len(got), r.BytesRead(), err, text.Len())
	}
}

// TestNothingYet: a reader does not wait for a pipe, and the next reader goes on where the one before was.
func TestNothingYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		in := stdin.Lines().From(from)
		r := open(t, in)
		batch := make([]string, 5)
		step := func(write string, want ...string) {
			t.Helper()
			if write != "" {
				if _, err := io.WriteString(to, write); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			n, err := r.Read(context.Background(), batch)
			if err != nil || !slices.Equal(batch[:n], want) {
				t.Errorf("after %q: got %q, %v, want %q", write, batch[:n], err, want)
			}
		}
		step("")
		step("a")
		step("b\nc", "ab")
		if _, err := in.Open(context.Background(), connect.Split{ID: "stdin"}, nil); err == nil ||
			err.Error() != "stdin: it is being read already: have one source read it, and use the stream of that source twice" {
			t.Errorf("a second reader: %v", err)
		}
		step("d\ne\n", "cd", "e")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(to, "f\n"); err != nil {
			t.Fatal(err)
		}
		r = open(t, in)
		step("", "f")
		if got := r.Where(0); got != "stdin:4" {
			t.Errorf("f is at %s", got)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, err := r.Read(context.Background(), batch); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %d, %v", n, err)
		}
	})
}

type reading struct {
	Place string
	Value int
}

func TestBadInput(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(os.ErrDeadlineExceeded))
	for _, c := range []struct {
		name string
		run  func() (int, error)
		want string
		n    int
	}{
		{"not JSON", func() (int, error) {
			got, _, err := drain(open(t, stdin.JSON[reading]().From(strings.NewReader("{\"Place\":\"a\"}\noops\n{}\n"))), 10)
			return len(got), err
		}, "stdin:2: invalid character 'o' looking for beginning of value", 1},
		{"wrong type", func() (int, error) {
			got, _, err := drain(open(t, stdin.JSON[reading]().From(strings.NewReader(`{"Value":"x"}`))), 10)
			return len(got), err
		}, "stdin:1: json: cannot unmarshal string into Go struct field reading.Value of type int", 0},
		{"long line", func() (int, error) {
			got, _, err := drain(open(t, stdin.Lines().MaxLine(10).From(strings.NewReader("0123456789\r\n01234567890\n"))), 10)
			return len(got), err
		}, "stdin:2: the line is longer than 10 bytes: raise the limit with MaxLine", 1},
		{"long line without an end", func() (int, error) {
			endless := io.MultiReader(strings.NewReader("a\n"), endlessX{})
			got, _, err := drain(open(t, stdin.Lines().MaxLine(300_000).From(endless)), 10)
			return len(got), err
		}, "stdin:2: the line is longer than 300000 bytes: raise the limit with MaxLine", 1},
		{"broken", func() (int, error) {
			got, _, err := drain(open(t, stdin.Lines().From(broken)), 10)
			return len(got), err
		}, "stdin: read: i/o timeout", 2},
	} {
		n, err := c.run()
		if n != c.n || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %d records, %v; want %d and %s", c.name, n, err, c.n, c.want)
		}
	}
}

type endlessX struct{}

func (endlessX) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

// TestBadRecordIsSteppedOver: the reader stands behind a bad record, and those after it are not lost.
func TestBadRecordIsSteppedOver(t *testing.T) {
	r := open(t, stdin.JSON[int]().From(strings.NewReader("1\n2\nx\n3\n4\n")))
	if got, _, err := next(r, 10); err != nil || !slices.Equal(got, []int{1, 2}) {
		t.Fatal(got, err)
	}
	_, _, err := next(r, 10)
	bad := &connect.RecordError{}
	if !errors.As(err, &bad) || bad.Where != "stdin:3" || string(bad.Raw) != "x" {
		t.Fatalf("got %v", err)
	}
	got, where, err := drain(r, 10)
	if err != nil || !slices.Equal(got, []int{3, 4}) || !slices.Equal(where, []string{"stdin:4", "stdin:5"}) {
		t.Fatal(got, where, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{stdin.Input[int]{}.Check(), "stdin: the Input is the zero value: use Lines or JSON"},
		{stdin.Lines().From(nil).MaxLine(0).Check(), "stdin: From(nil): there is nothing to read from\nstdin: MaxLine(0): must be above 0"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("got %v, want %s", c.err, c.want)
		}
	}
	_, err := stdin.Lines().Open(context.Background(), connect.Split{ID: "x"}, nil)
	if want := `stdin: there is no split "x", only "stdin"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
