package progress

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/internal/element"
)

// TestBoundedAgainstFormula compares with largest - bound - 1 in numbers that cannot overflow.
func TestBoundedAgainstFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, math.MaxInt64-1)).Draw(t, "bound")
		b, err := NewBounded(time.Duration(bound))
		if err != nil {
			t.Fatal(err)
		}
		times := rapid.SliceOf(rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Int64Range(math.MinInt64+1, math.MinInt64+5),
			rapid.Int64Range(math.MaxInt64-5, math.MaxInt64-1), rapid.Int64Range(math.MinInt64+1, math.MaxInt64-1))).Draw(t, "times")
		last, top := int64(element.NoTime), int64(math.MinInt64)
		for _, at := range times {
			top = max(top, at)
			want := int64(element.NoTime)
			formula := new(big.Int).Sub(big.NewInt(top), big.NewInt(bound))
			if formula.Sub(formula, big.NewInt(1)); formula.IsInt64() {
				want = formula.Int64()
			}
			wm, advanced := b.Observe(at)
			if wm != want || advanced != (want > last) || b.Watermark() != want {
				t.Fatalf("bound %d, time %d: watermark %d advanced %v, want %d %v", bound, at, wm, advanced, want, want > last)
			}
			if wm == element.EndTime || advanced && wm == element.NoTime {
				t.Fatalf("a record made the sentinel %d", wm)
			}
			last = wm

			// A restored generator is the same.
			c, _ := NewBounded(time.Duration(bound))
			c.Restore(b.State())
			if c != b {
				t.Fatalf("restored %+v, was %+v", c, b)
			}
		}
	})
}

func TestBoundedRejectsBounds(t *testing.T) {
	for _, bound := range []time.Duration{-1, math.MinInt64, math.MaxInt64} {
		if _, err := NewBounded(bound); err == nil {
			t.Errorf("NewBounded(%d): no error", bound)
		}
	}
}

func TestBoundedRestoreWithLargerBound(t *testing.T) {
	a, _ := NewBounded(1)
	a.Observe(10)
	b, _ := NewBounded(5)
	b.Restore(a.State())
	if got := b.Watermark(); got != 4 {
		t.Errorf("watermark = %d, want 10 - 5 - 1", got)
	}
	if wm, advanced := b.Observe(10); wm != 4 || advanced {
		t.Errorf("Observe(10) = %d, %v, want 4, false: it is not new", wm, advanced)
	}
}

func BenchmarkBoundedInOrder(b *testing.B) {
	g, _ := NewBounded(time.Second)
	var t, sum int64
	for b.Loop() {
		t++
		wm, _ := g.Observe(t)
		sum += wm
	}
	_ = sum
}

func BenchmarkBoundedOutOfOrder(b *testing.B) {
	g, _ := NewBounded(time.Second)
	var t, sum int64
	for b.Loop() {
		t++
		if wm, ok := g.Observe(t ^ 0x3f); ok {
			sum += wm
		}
	}
	_ = sum
}
