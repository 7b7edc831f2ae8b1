package pane

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/window"
)

// fataler is what tests, benchmarks and rapid have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func layout(t fataler, a window.Assigner) Layout {
	t.Helper()
	l, err := New(a.Spec())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// panesOf returns the panes of a window.
func panesOf(l *Layout, w window.Span) (out []window.Span) {
	for t := w.Start; t < w.End; t = out[len(out)-1].End {
		out = append(out, l.Pane(t))
	}
	return out
}

func TestWindowsOfATime(t *testing.T) {
	const lo, hi = math.MinInt64, math.MaxInt64
	for _, tc := range []struct {
		name string
		a    window.Assigner
		t    int64
		want [][2]int64
	}{
		{"start belongs", window.Tumbling(10), 20, [][2]int64{{20, 30}}},
		{"end does not", window.Tumbling(10), 29, [][2]int64{{20, 30}}},
		{"negative time is floored", window.Tumbling(10), -1, [][2]int64{{-10, 0}}},
		{"negative bound", window.Tumbling(10), -10, [][2]int64{{-10, 0}}},
		{"offset", window.Tumbling(10).Offset(3), 2, [][2]int64{{-7, 3}}},
		{"negative offset", window.Tumbling(10).Offset(-3), 7, [][2]int64{{7, 17}}},
		{"sliding", window.Sliding(10, 5), 7, [][2]int64{{0, 10}, {5, 15}}},
		{"sliding, negative", window.Sliding(10, 5), -1, [][2]int64{{-10, 0}, {-5, 5}}},
		{"slide does not divide size, two windows", window.Sliding(3, 2), 2, [][2]int64{{0, 3}, {2, 5}}},
		{"slide does not divide size, one window", window.Sliding(3, 2), 1, [][2]int64{{0, 3}}},
		{"lower end of the range", window.Tumbling(10), lo + 1, [][2]int64{{lo, lo + 8}}},
		{"upper end of the range", window.Tumbling(10), hi - 1, [][2]int64{{hi - 7, hi}}},
		{"sliding, lower end", window.Sliding(10, 5), lo + 1, [][2]int64{{lo, lo + 3}, {lo, lo + 8}}},
		{"sliding, upper end", window.Sliding(10, 5), hi - 1, [][2]int64{{hi - 7, hi}, {hi - 2, hi}}},
		{"cumulative", window.Cumulative(10, 5), 7, [][2]int64{{0, 10}}},
		{"cumulative, the first step", window.Cumulative(9, 3), 2, [][2]int64{{0, 3}, {0, 6}, {0, 9}}},
		{"cumulative, a bound belongs to the next", window.Cumulative(9, 3), 9, [][2]int64{{9, 12}, {9, 15}, {9, 18}}},
		{"cumulative, negative", window.Cumulative(9, 3), -1, [][2]int64{{-9, 0}}},
		{"cumulative, offset beyond a step", window.Cumulative(9, 3).Offset(4), 5, [][2]int64{{4, 7}, {4, 10}, {4, 13}}},
		{"cumulative, negative offset", window.Cumulative(9, 3).Offset(-4), 4, [][2]int64{{-4, 5}}},
		{"cumulative, lower end", window.Cumulative(10, 5), lo + 1, [][2]int64{{lo, lo + 3}, {lo, lo + 8}}},
		{"cumulative, upper end", window.Cumulative(10, 5), hi - 1, [][2]int64{{hi - 7, hi}}},
		{"largest size", window.Tumbling(hi), 5, [][2]int64{{0, hi}}},
		{"largest size, negative", window.Tumbling(hi), -5, [][2]int64{{-hi, 0}}},
		{"largest size and slide below", window.Sliding(hi-1, (hi-1)/2), 5, [][2]int64{{-(hi - 1) / 2, (hi - 1) / 2}, {0, hi - 1}}},
	} {
		l := layout(t, tc.a)
		got := l.AppendWindows(nil, tc.t)
		if !slices.Equal(ints(got), tc.want) {
			t.Errorf("%s: windows of %d in %v = %v, want %v", tc.name, tc.t, tc.a, ints(got), tc.want)
		}
		if f, want := l.First(tc.t), tc.want[0]; f.Start != want[0] || f.End != want[1] {
			t.Errorf("%s: First(%d) = [%d, %d), want %v", tc.name, tc.t, f.Start, f.End, want)
		}
		if f, want := l.Last(tc.t), tc.want[len(tc.want)-1]; f.Start != want[0] || f.End != want[1] {
			t.Errorf("%s: Last(%d) = [%d, %d), want %v", tc.name, tc.t, f.Start, f.End, want)
		}
	}
}

// ints shows spans as numbers: times around 1970 are hard to compare.
func ints(s []window.Span) (r [][2]int64) {
	for _, x := range s {
		r = append(r, [2]int64{x.Start, x.End})
	}
	return r
}

func TestNewRejects(t *testing.T) {
	for _, a := range []window.Assigner{window.Session(1), window.Tumbling(0), window.Sliding(1, 2)} {
		if l, err := New(a.Spec()); err == nil {
			t.Errorf("New(%v) = %v, want an error", a, l)
		}
	}
}

func TestSession(t *testing.T) {
	if got, want := Session(-5, 10), (window.Span{Start: -5, End: 5}); got != want {
		t.Errorf("Session(-5, 10) = %v, want %v", got, want)
	}
	if got, want := Session(math.MaxInt64-1, 10), (window.Span{Start: math.MaxInt64 - 1, End: math.MaxInt64}); got != want {
		t.Errorf("Session at the end of the range = %v, want %v", got, want)
	}
	// A distance of exactly the gap merges.
	if !Session(0, 10).Touches(Session(10, 10)) || Session(0, 10).Touches(Session(11, 10)) {
		t.Error("sessions must touch at a distance of the gap and not beyond")
	}
}

// drawLayout draws small windows, so that a naive search over all starts is possible, or large ones.
func drawLayout(t *rapid.T, maxSize int64) (window.Assigner, Layout) {
	size := rapid.Int64Range(1, maxSize).Draw(t, "size")
	var w window.Assigner
	if rapid.Bool().Draw(t, "cumulative") {
		step := size
		size *= rapid.Int64Range(1, 8).Draw(t, "steps")
		off := rapid.Int64Range(-size+1, size-1).Draw(t, "offset")
		w = window.Cumulative(time.Duration(size), time.Duration(step)).Offset(time.Duration(off))
	} else {
		slide := rapid.Int64Range(1, size).Draw(t, "slide")
		off := rapid.Int64Range(-slide+1, slide-1).Draw(t, "offset")
		w = window.Sliding(time.Duration(size), time.Duration(slide)).Offset(time.Duration(off))
	}
	if w.Check() != nil {
		t.Skip("too many panes")
	}
	return w, layout(t, w)
}

func TestWindowsAgainstSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, l := drawLayout(t, 60)
		at := rapid.Int64Range(-200, 200).Draw(t, "time")
		s := w.Spec()
		var want []window.Span
		for start := at - 600; start <= at; start++ {
			if (start-int64(s.Offset))%int64(s.Slide) != 0 {
				continue
			}
			step := int64(s.Size)
			if s.Kind == window.KindCumulative {
				step = int64(s.Step)
			}
			for end := start + step; end <= start+int64(s.Size); end += step {
				if at < end {
					want = append(want, window.Span{Start: start, End: end})
				}
			}
		}
		if got := l.AppendWindows(nil, at); !slices.Equal(got, want) {
			t.Fatalf("windows of %d in %v = %v, want %v", at, w, ints(got), ints(want))
		}
		clock := rapid.Int64Range(at-700, want[len(want)-1].Last()-1).Draw(t, "clock")
		after := want[slices.IndexFunc(want, func(x window.Span) bool { return x.Last() > clock })]
		if got := l.FirstAfter(at, clock); got != after {
			t.Fatalf("first window of %d in %v after %d = %v, want %v", at, w, clock, got, after)
		}
		if a, b := l.Pane(at), l.Pane(at-1); l.Index(at) != l.Index(a.Start) || l.Index(a.Start)-1 != l.Index(a.Start-1) || a == b && l.Index(at) != l.Index(at-1) {
			t.Fatalf("%v: panes around %d have the numbers %d, %d", w, at, l.Index(a.Start), l.Index(a.Start-1))
		}
	})
}

func TestPanesAreWholeInEveryWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, l := drawLayout(t, 60)
		at := rapid.OneOf(rapid.Int64Range(-200, 200),
			rapid.Int64Range(math.MinInt64+1, math.MinInt64+200), rapid.Int64Range(math.MaxInt64-200, math.MaxInt64-1)).Draw(t, "time")
		p := l.Pane(at)
		if !p.Contains(at) || p.End-p.Start > l.pane {
			t.Fatalf("pane of %d in %v is [%d, %d)", at, w, p.Start, p.End)
		}
		want := l.AppendWindows(nil, at)
		for x := p.Start; x < p.End; x++ {
			if got := l.Pane(x); got != p {
				t.Fatalf("%v: pane of %d is %v, of %d %v", w, at, p, x, got)
			}
			if got := l.AppendWindows(nil, x); !slices.Equal(got, want) {
				t.Fatalf("%v: windows of %d and %d, in one pane, differ", w, at, x)
			}
		}
		for _, win := range want {
			panes := panesOf(&l, win)
			if !slices.Contains(panes, p) {
				t.Fatalf("%v: window [%d, %d) lacks pane [%d, %d)", w, win.Start, win.End, p.Start, p.End)
			}
			if panes[0].Start != win.Start || panes[len(panes)-1].End != win.End || len(panes) > l.PanesPerWindow() {
				t.Fatalf("%v: panes of [%d, %d) are %v", w, win.Start, win.End, ints(panes))
			}
			for i := 1; i < len(panes); i++ {
				if panes[i].Start != panes[i-1].End {
					t.Fatalf("%v: panes of a window do not follow each other: %v", w, ints(panes))
				}
			}
		}
	})
}

// TestLastAgainstBigNumbers compares over the whole range of int64 with numbers that cannot overflow.
func TestLastAgainstBigNumbers(t *testing.T) {
	clamp := func(x *big.Int) int64 {
		if !x.IsInt64() {
			if x.Sign() < 0 {
				return math.MinInt64
			}
			return math.MaxInt64
		}
		return x.Int64()
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, math.MaxInt64).Draw(t, "size")
		off := rapid.Int64Range(-size+1, size-1).Draw(t, "offset")
		at := rapid.Int64Range(math.MinInt64+1, math.MaxInt64-1).Draw(t, "time")
		l := layout(t, window.Tumbling(time.Duration(size)).Offset(time.Duration(off)))

		b := big.NewInt
		rem := new(big.Int).Mod(new(big.Int).Sub(b(at), b(off)), b(size)) // Mod is never negative
		start := new(big.Int).Sub(b(at), rem)
		end := new(big.Int).Add(start, b(size))
		want := window.Span{Start: clamp(start), End: clamp(end)}
		if got := l.Last(at); got != want || l.Pane(at) != want || l.First(at) != want {
			t.Fatalf("size %d offset %d time %d: got [%d, %d), want [%d, %d)", size, off, at, got.Start, got.End, want.Start, want.End)
		}
	})
}

func BenchmarkPane(b *testing.B) {
	l := layout(b, window.Sliding(time.Minute, time.Second))
	var sum, t int64
	for b.Loop() {
		sum += l.Pane(t).Start
		t += 10_000
	}
	_ = sum
}
